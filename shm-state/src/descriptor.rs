//! Descriptors: how the records of one table lie in memory, said in bytes that every version can read.
//!
//! Two forms of the same facts. The *wire* form ([`ConstDescriptor`]) is plain old data, made in a constant,
//! and lies in segments and in an ELF note. The *checked* form ([`Descriptor`]) is what any reader gets after
//! the bytes, which are a claim, were parsed. One set of rules ([`FieldProblem`]) holds for both: a constant
//! that breaks a rule does not compile, bytes that break it are refused by name.
//!
//! Invariant: the encoding never changes its meaning. Readers accept longer headers and entries and ignore
//! what they do not know; a meaning that an old reader must not miss takes a new [`ENCODING`].

mod cases;
mod check;
mod check_facts;
mod facts;
mod field;
mod parse;
pub mod places;
mod rule_text;
mod spec;
mod subset;
mod types;
mod wire;

pub use cases::CaseList;
pub use check::{DescriptorError, FieldProblem, NameProblem};
pub use check_facts::FactProblem;
pub use facts::{FACTS_MAGIC, FactHead, FactsHeader, FactsProblem, facts_len};
pub use field::Field;
pub use parse::{Descriptor, fingerprint};
pub use spec::{Case, Cases, FieldFacts, FieldSpec, Record};
#[doc(hidden)]
pub use spec::{Piece, count, flatten};
pub use types::{FieldType, Meaning, Narrow, Unit};
#[doc(hidden)]
pub use wire::assert_rules;
pub use wire::{ConstDescriptor, DescHeader, FieldDesc};

use zerocopy::{Immutable, IntoBytes};

/// First bytes of every descriptor.
pub const MAGIC: [u8; 8] = *b"HLDESC\0\0";
/// The newest encoding that this code reads. It writes the oldest that says all: 1, or 2 where there are arrays.
pub const ENCODING: u16 = 2;
/// The oldest encoding that this code reads.
pub const ENCODING_MIN: u16 = 1;
/// Bytes of a header without facts; longer ones are read.
pub const HEADER_LEN: usize = size_of::<DescHeader>();
/// Bytes of a field's entry that this code writes; longer ones are read.
pub const ENTRY_LEN: usize = size_of::<FieldDesc>();
/// Longest name of a table, a field or a compute function, in bytes.
pub const NAME_LEN: usize = 32;
/// Most fields that one record may have.
pub const FIELDS_MAX: usize = 256;
/// Longest record in bytes.
pub const RECORD_LEN_MAX: usize = 64 * 1024;
/// Longest descriptor in bytes that is believed.
pub const DESCRIPTOR_LEN_MAX: usize = 256 * 1024;
/// Bytes in which a field's default is stored.
pub const DEFAULT_LEN: usize = 16;
/// Most elements of one array.
pub const ELEMENTS_MAX: usize = 1024;
/// Most listed cases of one enum.
pub const CASES_MAX: usize = 256;
/// Field flag: part of the record's key.
pub const FLAG_KEY: u8 = 1;
/// Field flag: the entry carries a default.
pub const FLAG_DEFAULT: u8 = 2;

const _: () = assert!(HEADER_LEN == 64 && ENTRY_LEN == 96);
const _: () = assert!(HEADER_LEN + FIELDS_MAX * ENTRY_LEN <= DESCRIPTOR_LEN_MAX);

/// A record type whose bytes are described; made with `#[derive(Layout)]`.
///
/// ```
/// use shm_state::Layout;
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
/// #[repr(C)]
/// #[layout(table = 7, name = "visits", version = 1)]
/// struct Visit {
///     #[field(id = 1, ip, key)]
///     client: [u8; 16],
///     #[field(id = 2, instant = "us")]
///     seen: u64,
///     #[field(id = 3, unsigned, unit = "packets", narrow = "clamp")]
///     packets: u32,
///     #[field(id = 4, port)]
///     port: u16,
///     #[field(skip)]
///     pad: [u8; 2],
/// }
/// assert_eq!(Visit::descriptor().record_len(), 32);
/// ```
///
/// What only the compiler can know is asserted where the record is declared. This one is not a multiple of 8
/// bytes long:
///
/// ```compile_fail
/// # use shm_state::Layout;
/// # use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
/// #[repr(C)]
/// #[layout(table = 7, name = "visits", version = 1)]
/// struct Visit {
///     #[field(id = 1)]
///     client: u32,
/// }
/// ```
///
/// and in this one a type that the macro cannot see through has the wrong width:
///
/// ```compile_fail
/// # use shm_state::Layout;
/// # use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// type Address = [u8; 8];
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
/// #[repr(C)]
/// #[layout(table = 7, name = "visits", version = 1)]
/// struct Visit {
///     #[field(id = 1, ip)]
///     client: Address,
/// }
/// ```
pub trait Layout: Record {
    /// Type of the wire form: a [`ConstDescriptor`] with as many fields and as many bytes of facts as the record has.
    type Wire: IntoBytes + Immutable + Copy + 'static;
    /// Stable id of the table.
    const TABLE: u32;
    /// Version of the layout, as a person counts it; starts at 1.
    const VERSION: u32;
    /// Name of the table.
    const NAME: &'static str;
    /// Whether its records must not reach a disk: see [`crate::prelude::FLAG_SECRET`].
    const SECRET: bool = false;
    /// The wire form, for the ELF note.
    const WIRE: Self::Wire;

    /// The wire form's bytes, for a segment.
    fn descriptor_bytes() -> &'static [u8];

    /// The checked form. Parses and hashes: keep the result.
    fn descriptor() -> Descriptor {
        let (descriptor, _) =
            Descriptor::parse(Self::descriptor_bytes()).expect("the rules were checked when the constant was made");
        descriptor
    }
}

/// The text of a padded name, if it is one.
pub(crate) fn name_text(bytes: &[u8; NAME_LEN]) -> Option<std::sync::Arc<str>> {
    check::name(bytes).ok().map(|()| field::text(bytes))
}

/// `text`, padded with zeros.
pub(crate) const fn padded_name(text: &str) -> [u8; NAME_LEN] {
    wire::padded(text)
}

/// The bytes of a wire form. For `#[derive(Layout)]`, whose users need not have zerocopy's traits in scope.
#[doc(hidden)]
pub fn wire_bytes<W: IntoBytes + Immutable>(wire: &W) -> &[u8] {
    wire.as_bytes()
}
