//! The ELF note in which an executable carries the descriptors of the layouts that it serves, so that what a
//! swap would do can be said from two files alone.
//!
//! The section is [`SECTION`], the note's name is [`NOTE_NAME`], its type [`NOTE_LAYOUTS`], and its contents
//! are descriptors one after the other; each says its own length. Linkers keep note sections when they drop
//! what nothing refers to, and `strip` keeps what is loaded.

mod migrations;
mod versions;
pub use migrations::{MIGRATIONS_MAX, MigrationsError, NOTE_MIGRATIONS, parse_migrations};
pub use versions::{
    Entry, Fact, NOTE_VERSIONS, RangeEntry, Subject, TEXT_LEN, TextEntry, VERSIONS_MAX, Versions, VersionsError,
    parse_versions,
};

use crate::descriptor::{Descriptor, DescriptorError};
use zerocopy::{Immutable, IntoBytes};

/// Section of the note.
pub const SECTION: &str = ".note.hitless";
/// Name of the note, without the zero byte that follows it in the file.
pub const NOTE_NAME: &str = "HITLESS";
/// Type of the note that holds layouts.
pub const NOTE_LAYOUTS: u32 = 1;
/// Most descriptors that are read from one note.
pub const LAYOUTS_MAX: usize = 64;

/// The note's name as it lies in the file: with its zero byte, padded to 4 bytes.
const NAME_FIELD: [u8; 8] = *b"HITLESS\0";

const _: () = {
    let name = NOTE_NAME.as_bytes();
    assert!(name.len() + 1 == NAME_FIELD.len());
    let mut i = 0;
    while i < name.len() {
        assert!(name[i] == NAME_FIELD[i]);
        i += 1;
    }
};

/// A whole note. `D` is one wire form or a [`Chain`] of them. Its head is in the byte order of the machine, as
/// ELF wants it.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(4))]
pub struct Note<D> {
    name_len: u32,
    desc_len: u32,
    kind: u32,
    name: [u8; 8],
    desc: D,
}

impl<D: IntoBytes + Immutable> Note<D> {
    /// A note of layouts.
    pub const fn new(desc: D) -> Self {
        Self::of(NOTE_LAYOUTS, desc)
    }

    /// A note of versions; see [`Versions`].
    pub const fn versions(desc: D) -> Self {
        Self::of(NOTE_VERSIONS, desc)
    }

    /// A note of migrations; see [`parse_migrations`].
    pub const fn migrations(desc: D) -> Self {
        Self::of(NOTE_MIGRATIONS, desc)
    }

    const fn of(kind: u32, desc: D) -> Self {
        let len = size_of::<D>();
        assert!(len.is_multiple_of(4) && len <= u32::MAX as usize, "note: contents of odd length");
        // A head of 20 bytes, the contents at once behind it, and nothing behind them.
        assert!(size_of::<Self>() == 20 + len, "note: padding around the contents");
        Self { name_len: NAME_FIELD.len() as u32, desc_len: len as u32, kind, name: NAME_FIELD, desc }
    }
}

/// Two pieces of a note's contents, the second right behind the first.
#[derive(Debug, Clone, Copy, IntoBytes, Immutable, zerocopy::Unaligned)]
#[repr(C)]
pub struct Chain<A, B>(pub A, pub B)
where
    A: zerocopy::Unaligned,
    B: zerocopy::Unaligned;

/// Puts the descriptors of layouts into the executable's ELF note. Say it once per executable, in the crate of
/// the executable itself.
///
/// ```
/// use shm_state::Layout;
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
/// #[repr(C)]
/// #[layout(table = 7, name = "visits", version = 1)]
/// struct Visit {
///     #[field(id = 1, key)]
///     client: u64,
/// }
///
/// shm_state::layout_note!(Visit);
/// ```
#[macro_export]
macro_rules! layout_note {
    ($($layout:ty),+ $(,)?) => {
        // A section's name is unsafe to choose because the linker may treat it specially: a note is read by
        // name and never executed. `used` keeps the note although no code refers to it.
        #[allow(unsafe_code)]
        const _: () = {
            #[used]
            #[unsafe(link_section = ".note.hitless")]
            static LAYOUTS: $crate::note::Note<$crate::layout_note!(@type $($layout),+)> =
                $crate::note::Note::new($crate::layout_note!(@value $($layout),+));
        };
    };
    (@type $layout:ty) => { <$layout as $crate::descriptor::Layout>::Wire };
    (@type $layout:ty, $($rest:ty),+) => {
        $crate::note::Chain<<$layout as $crate::descriptor::Layout>::Wire, $crate::layout_note!(@type $($rest),+)>
    };
    (@value $layout:ty) => { <$layout as $crate::descriptor::Layout>::WIRE };
    (@value $layout:ty, $($rest:ty),+) => {
        $crate::note::Chain(<$layout as $crate::descriptor::Layout>::WIRE, $crate::layout_note!(@value $($rest),+))
    };
}

/// Puts a note of versions beside the note of layouts: the type of its contents ([`note::Versions`]) and the contents.
/// Say it once per executable, in the crate of the executable itself.
///
/// [`note::Versions`]: crate::note::Versions
#[macro_export]
macro_rules! versions_note {
    ($type:ty, $value:expr) => {
        // As in `layout_note`.
        #[allow(unsafe_code)]
        const _: () = {
            #[used]
            #[unsafe(link_section = ".note.hitless")]
            static VERSIONS: $crate::note::Note<$type> = $crate::note::Note::versions($value);
        };
    };
}

/// Puts the declarations of migrations ([`schema::MigrationDesc`]) into a note of their own, so that a swap that takes
/// them can be planned before the executable runs. Say it once per executable, in the crate of the executable itself.
///
/// ```
/// use shm_state::schema::MigrationDesc;
///
/// const SPLIT: MigrationDesc = MigrationDesc::new(7, "split-stamp", 1, 2, &[2], &[3, 4]);
/// shm_state::migrations_note!(SPLIT);
/// ```
///
/// [`schema::MigrationDesc`]: crate::schema::MigrationDesc
#[macro_export]
macro_rules! migrations_note {
    ($($migration:expr),+ $(,)?) => {
        // As in `layout_note`.
        #[allow(unsafe_code)]
        const _: () = {
            const ALL: &[$crate::schema::MigrationDesc] = &[$($migration),+];
            #[used]
            #[unsafe(link_section = ".note.hitless")]
            static MIGRATIONS: $crate::note::Note<[$crate::schema::MigrationDesc; ALL.len()]> =
                $crate::note::Note::migrations([$($migration),+]);
        };
    };
}

/// Why a note's contents cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// There is nothing in it.
    #[error("the layout note is empty; the binary serves no tables")]
    Empty,
    /// More descriptors than any binary has.
    #[error("the layout note has more than {LAYOUTS_MAX} layouts")]
    TooMany,
    /// One of the descriptors is bad.
    #[error("layout {index} of the note, at byte {offset}: {source}")]
    Descriptor {
        /// Its position in the note, from 0.
        index: usize,
        /// Where it starts, in bytes from the start of the contents.
        offset: usize,
        /// What is wrong with it.
        source: DescriptorError,
    },
    /// Two layouts for one table.
    #[error("the layout note describes table {table} twice; a binary serves one layout of a table")]
    Twice {
        /// Name of the table.
        table: String,
    },
}

/// The descriptors in a note's contents.
///
/// # Errors
/// The first claim that does not hold, by name. Never panics, whatever the bytes.
pub fn parse_note_desc(contents: &[u8]) -> Result<Vec<Descriptor>, NoteError> {
    let mut layouts: Vec<Descriptor> = Vec::new();
    let mut offset = 0;
    while offset < contents.len() {
        let index = layouts.len();
        if index == LAYOUTS_MAX {
            return Err(NoteError::TooMany);
        }
        let (descriptor, len) =
            Descriptor::parse(&contents[offset..]).map_err(|source| NoteError::Descriptor { index, offset, source })?;
        if layouts.iter().any(|other| other.table_id() == descriptor.table_id()) {
            return Err(NoteError::Twice { table: descriptor.name().to_owned() });
        }
        layouts.push(descriptor);
        offset += len;
    }
    if layouts.is_empty() { Err(NoteError::Empty) } else { Ok(layouts) }
}
