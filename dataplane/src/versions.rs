//! What this build speaks, for the note in its executables: `controlctl info` and `check` read it from the file alone.

use crate::state::identities::IDENTITIES_VERSION;
use handover::negotiate::{PROTOCOL_MAX, PROTOCOL_MIN};
use shm_state::descriptor::{ENCODING, ENCODING_MIN};
use shm_state::directory::DIRECTORY_VERSION;
use shm_state::manifest::MANIFEST_VERSION;
use shm_state::note::{Chain, RangeEntry, Subject, TextEntry, Versions};
use shm_state::prelude::PRELUDE_VERSION;
use shm_state::table::INDEX_VERSION;

/// Type of the note's contents.
pub type Note = Versions<7>;

/// The contents for the executable of this name. Formats have one version so far: what is written is what is read.
pub const fn of(executable: &str) -> Note {
    Chain(
        [
            TextEntry::text(Subject::Package, env!("CARGO_PKG_VERSION")),
            TextEntry::text(Subject::Executable, executable),
        ],
        [
            RangeEntry::range(Subject::Prelude, PRELUDE_VERSION, PRELUDE_VERSION),
            RangeEntry::range(Subject::Manifest, MANIFEST_VERSION, MANIFEST_VERSION),
            RangeEntry::range(Subject::Directory, DIRECTORY_VERSION, DIRECTORY_VERSION),
            RangeEntry::range(Subject::Index, INDEX_VERSION, INDEX_VERSION),
            RangeEntry::range(Subject::Descriptor, ENCODING_MIN as u32, ENCODING as u32),
            RangeEntry::range(Subject::Identities, IDENTITIES_VERSION, IDENTITIES_VERSION),
            RangeEntry::range(Subject::Handover, PROTOCOL_MIN as u32, PROTOCOL_MAX as u32),
        ],
    )
}
