//! The second note: which version a binary is, and which versions of formats and protocols it supports.
//!
//! Its type is [`NOTE_VERSIONS`], which readers of layouts skip. Its contents are entries one after the other, each
//! with its own length: subject (16 bits), form (16), length of the value in bytes (32, a multiple of 4), value; all
//! little endian. A reader skips subjects and forms that it does not know, so both may be added to.

use super::Chain;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Type of the note that holds versions.
pub const NOTE_VERSIONS: u32 = 2;
/// Most entries that are read from one note.
pub const VERSIONS_MAX: usize = 256;
/// Bytes in which a text is stored.
pub const TEXT_LEN: usize = 40;

const FORM_TEXT: u16 = 1;
const FORM_RANGE: u16 = 2;

/// What a version is of. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Subject {
    /// Version of the package, a text.
    Package = 1,
    /// Name of the executable, a text.
    Executable = 2,
    /// The prelude of segments.
    Prelude = 16,
    /// The manifest's body.
    Manifest = 17,
    /// The directory's body.
    Directory = 18,
    /// The index of a table.
    Index = 19,
    /// The encoding of descriptors.
    Descriptor = 20,
    /// The upstream identities.
    Identities = 21,
    /// The handover protocol.
    Handover = 32,
    /// The wire form of rows.
    Rows = 33,
}

impl Subject {
    /// All subjects, in order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Package,
        Self::Executable,
        Self::Prelude,
        Self::Manifest,
        Self::Directory,
        Self::Index,
        Self::Descriptor,
        Self::Identities,
        Self::Handover,
        Self::Rows,
    ];

    /// The subject with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| *subject as u16 == number)
    }

    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Executable => "executable",
            Self::Prelude => "prelude",
            Self::Manifest => "manifest",
            Self::Directory => "directory",
            Self::Index => "index",
            Self::Descriptor => "descriptor",
            Self::Identities => "identities",
            Self::Handover => "handover",
            Self::Rows => "rows",
        }
    }
}

/// One entry as it lies in the note.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Entry<V: Unaligned> {
    subject: U16,
    form: U16,
    len: U32,
    value: V,
}

/// A text, padded with zeros.
pub type TextEntry = Entry<[u8; TEXT_LEN]>;
/// Oldest and newest supported version.
pub type RangeEntry = Entry<[U32; 2]>;
/// Two texts (package and executable) and `N` ranges.
pub type Versions<const N: usize> = Chain<[TextEntry; 2], [RangeEntry; N]>;

impl TextEntry {
    /// # Panics
    /// (At compile time, in a constant.) When the text is longer than 40 bytes.
    pub const fn text(subject: Subject, text: &str) -> Self {
        let bytes = text.as_bytes();
        assert!(bytes.len() <= TEXT_LEN, "versions: a text is longer than 40 bytes");
        let mut value = [0; TEXT_LEN];
        let mut i = 0;
        while i < bytes.len() {
            value[i] = bytes[i];
            i += 1;
        }
        Self { subject: U16::new(subject as u16), form: U16::new(FORM_TEXT), len: U32::new(TEXT_LEN as u32), value }
    }
}

impl RangeEntry {
    /// # Panics
    /// (At compile time, in a constant.) When the range is empty.
    pub const fn range(subject: Subject, min: u32, max: u32) -> Self {
        assert!(min <= max, "versions: an empty range");
        Self {
            subject: U16::new(subject as u16),
            form: U16::new(FORM_RANGE),
            len: U32::new(8),
            value: [U32::new(min), U32::new(max)],
        }
    }
}

/// What a note says of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A text.
    Text(String),
    /// Oldest and newest supported version.
    Range {
        /// Oldest.
        min: u32,
        /// Newest.
        max: u32,
    },
}

/// Why a note's contents are no versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionsError {
    /// An entry reaches beyond the note.
    #[error("the note of versions is truncated: the entry at byte {offset} needs {need} bytes, there are {have}")]
    Truncated {
        /// Where the entry starts.
        offset: usize,
        /// Bytes that it claims.
        need: usize,
        /// Bytes that are left.
        have: usize,
    },
    /// A value has another length than its form.
    #[error("the note of versions is damaged: the entry at byte {offset} has a value of {len} bytes")]
    Length {
        /// Where the entry starts.
        offset: usize,
        /// The claimed length.
        len: usize,
    },
    /// A text with characters that could mislead a terminal, or an empty range.
    #[error("the note of versions is damaged: the entry at byte {offset} has an impossible value")]
    Value {
        /// Where the entry starts.
        offset: usize,
    },
    /// More entries than any binary has.
    #[error("the note of versions has more than {VERSIONS_MAX} entries")]
    TooMany,
}

/// The facts in a note's contents, by subject number; what is unknown here keeps its number. Of a subject that comes
/// twice the first counts.
///
/// # Errors
/// The first claim that does not hold. Never panics, whatever the bytes.
pub fn parse_versions(contents: &[u8]) -> Result<Vec<(u16, Fact)>, VersionsError> {
    const HEAD: usize = size_of::<Entry<[u8; 0]>>();
    let mut facts: Vec<(u16, Fact)> = Vec::new();
    let (mut offset, mut entries) = (0, 0);
    while offset < contents.len() {
        entries += 1;
        if entries > VERSIONS_MAX {
            return Err(VersionsError::TooMany);
        }
        let rest = &contents[offset..];
        let truncated = |need| VersionsError::Truncated { offset, need, have: rest.len() };
        let (head, rest_of) = Entry::<[u8; 0]>::read_from_prefix(rest).map_err(|_| truncated(HEAD))?;
        let len = head.len.get() as usize;
        if !len.is_multiple_of(4) {
            return Err(VersionsError::Length { offset, len });
        }
        let value = rest_of.get(..len).ok_or_else(|| truncated(len.saturating_add(HEAD)))?;
        let fact = match head.form.get() {
            FORM_TEXT => Some(text(value).ok_or(VersionsError::Value { offset })?),
            FORM_RANGE => Some(range(value).ok_or(VersionsError::Length { offset, len })?),
            _ => None,
        };
        let subject = head.subject.get();
        match fact {
            Some(Fact::Range { min, max }) if min > max => return Err(VersionsError::Value { offset }),
            Some(fact) if facts.iter().all(|(known, _)| *known != subject) => facts.push((subject, fact)),
            _ => {}
        }
        offset += HEAD + len;
    }
    Ok(facts)
}

fn text(value: &[u8]) -> Option<Fact> {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    let text = std::str::from_utf8(&value[..end]).ok()?;
    text.chars().all(|c| c.is_ascii_graphic() || c == ' ').then(|| Fact::Text(text.to_owned()))
}

fn range(value: &[u8]) -> Option<Fact> {
    let [min, max] = <[U32; 2]>::read_from_bytes(value).ok()?;
    Some(Fact::Range { min: min.get(), max: max.get() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOTE: Versions<2> = Chain(
        [TextEntry::text(Subject::Package, "1.2.3"), TextEntry::text(Subject::Executable, "dataplane")],
        [RangeEntry::range(Subject::Prelude, 1, 1), RangeEntry::range(Subject::Handover, 1, 3)],
    );

    #[test]
    fn what_was_put_in_is_read_out() {
        let facts = parse_versions(NOTE.as_bytes()).expect("a good note");
        let expected = [
            (Subject::Package as u16, Fact::Text("1.2.3".into())),
            (Subject::Executable as u16, Fact::Text("dataplane".into())),
            (Subject::Prelude as u16, Fact::Range { min: 1, max: 1 }),
            (Subject::Handover as u16, Fact::Range { min: 1, max: 3 }),
        ];
        assert_eq!(facts, expected);
    }

    #[test]
    fn what_a_later_version_adds_is_skipped() {
        let mut later =
            Entry { subject: U16::new(900), form: U16::new(9), len: U32::new(4), value: [7_u8; 4] }.as_bytes().to_vec();
        later.extend(NOTE.as_bytes());
        assert_eq!(parse_versions(&later).expect("skipped").len(), 4);
    }

    #[test]
    fn the_bytes_are_frozen() {
        assert_eq!(
            RangeEntry::range(Subject::Handover, 1, 3).as_bytes(),
            [32, 0, 2, 0, 8, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0]
        );
        for subject in Subject::ALL {
            assert_eq!(Subject::from_number(subject as u16), Some(subject));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..160) {
            let _ = parse_versions(&bytes);
            let whole = NOTE.as_bytes();
            let cut = cut.min(whole.len());
            let parsed = parse_versions(&whole[..cut]);
            let ends = [0, 48, 96, 112, 128];
            prop_assert_eq!(parsed.is_ok(), ends.contains(&cut));
        }
    }
}
