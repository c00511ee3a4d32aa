//! `controlctl state`: the tables of the running region, or of an image of it.
//!
//! Everything is copied into memory of this process first: an image is an untrusted file that may change, and the
//! running region is never mapped here, so it cannot be written to.

pub mod dump;
mod identities;
mod live;
pub mod load;
mod save;
pub mod source;
pub mod stats;
pub mod verify;

use handover::messages::Fault;

use super::args::{Args, Format, SourceArgs, StateVerb};
use super::run::give_up;
use crate::exit;

/// Why there is no result, and the exit code.
pub type Failed = (Fault, u8);

/// Stable ids of the tables that are linked with each other.
mod linked {
    /// The flow table, whose records the other two name.
    pub(super) const FLOWS: u32 = 1;
    /// Its index.
    pub(super) const INDEX: u32 = 2;
    /// The identities that its records have.
    pub(super) const IDENTITIES: u32 = 3;
    /// Field of a flow: id of its backend.
    pub(super) const FIELD_BACKEND: u32 = 7;
    /// Field of a flow: its identity there.
    pub(super) const FIELD_IDENTITY: u32 = 8;
}

/// Runs it; gives the exit code.
pub(super) fn run(verb: &StateVerb, args: &Args) -> u8 {
    let open = |source: &SourceArgs| source::files(source, args);
    let done = match verb {
        StateVerb::Dump { source, table, format, out } => {
            let format = if args.json && *format == Format::Text { Format::Jsonl } else { *format };
            open(source).and_then(|files| dump::run(files, table.as_deref(), format, out.as_deref()))
        }
        StateVerb::Save { dir } => save::run(dir, args),
        StateVerb::Load { binary, rows, out, table, capacity } => {
            load::run(&load::Wanted { binary, rows, out, table: table.as_deref(), capacity: *capacity }, args.json)
        }
        StateVerb::Stats { source } => open(source).and_then(|files| stats::run(files, args.json)),
        StateVerb::Verify { source } => verify::run(source, args),
    };
    match done {
        Ok(exit) => exit,
        Err((fault, exit)) => give_up(&fault, exit, args.json),
    }
}

/// A file that was named and is not what it should be.
fn bad_file(code: &str, message: String, remedy: &str) -> Failed {
    (Fault::operator(code, message, remedy), exit::USAGE)
}
