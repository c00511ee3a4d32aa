//! The rules that a descriptor obeys, checked by the same code in constants and on claimed bytes.

use super::check_facts::{self, FactProblem};
use super::facts::FactsProblem;
use super::{DEFAULT_LEN, FLAG_DEFAULT, FieldDesc, FieldFacts, FieldSpec, FieldType, NAME_LEN, Narrow, Unit};

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// No characters.
    #[error("is empty")]
    Empty,
    /// Not UTF-8.
    #[error("is not UTF-8")]
    NotText,
    /// A character that could mislead a reader or a terminal.
    #[error("has a character other than letters, digits, '_', '-' and '.'")]
    Character,
    /// More than [`super::NAME_LEN`] bytes.
    #[error("is longer than 32 bytes")]
    TooLong,
    /// Something follows the first zero byte.
    #[error("is not padded with zeros")]
    Padding,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// Ids start at 1.
    #[error("has id 0")]
    ZeroId,
    /// Two fields with one id.
    #[error("has the same id as entry {other}")]
    DuplicateId {
        /// Index of the earlier entry.
        other: usize,
    },
    /// Two fields with one name.
    #[error("has the same name as entry {other}")]
    DuplicateName {
        /// Index of the earlier entry.
        other: usize,
    },
    /// A type that this code does not know.
    #[error("has type number {number}, unknown here")]
    UnknownType {
        /// The claimed number.
        number: u8,
    },
    /// A unit that this code does not know.
    #[error("has unit number {number}, unknown here")]
    UnknownUnit {
        /// The claimed number.
        number: u8,
    },
    /// A policy that this code does not know.
    #[error("has narrowing policy number {number}, unknown here")]
    UnknownNarrow {
        /// The claimed number.
        number: u8,
    },
    /// The width does not suit the type.
    #[error("is {ty} and cannot have {len} bytes")]
    Length {
        /// The field's type.
        ty: FieldType,
        /// The claimed width in bytes.
        len: u32,
    },
    /// The unit does not suit the type.
    #[error("is {ty} and cannot have unit {unit}")]
    UnitForType {
        /// The field's type.
        ty: FieldType,
        /// The claimed unit.
        unit: Unit,
    },
    /// The policy does not suit the type.
    #[error("is {ty} and cannot have narrowing policy {narrow}")]
    NarrowForType {
        /// The field's type.
        ty: FieldType,
        /// The claimed policy.
        narrow: Narrow,
    },
    /// The field does not lie within the record.
    #[error("takes bytes {offset}+{len} of a record of {record_len}")]
    OutOfRecord {
        /// Claimed start in bytes.
        offset: u32,
        /// Claimed width in bytes.
        len: u32,
        /// Length of the record in bytes.
        record_len: u32,
    },
    /// Entries are sorted by offset, so that one layout has one descriptor.
    #[error("starts before the entry in front of it; entries must be in order of their offsets")]
    OutOfOrder,
    /// Two fields share bytes.
    #[error("overlaps entry {other}")]
    Overlap {
        /// Index of the entry in front of it.
        other: usize,
    },
    /// The default has bytes that are not zero behind the field's length.
    #[error("has a default that is longer than the field")]
    DefaultTooLong,
    /// The field's name.
    #[error("has a bad name: it {0}")]
    Name(NameProblem),
    /// The compute function's name.
    #[error("names a compute function badly: the name {0}")]
    ComputeName(NameProblem),
    /// A fact for which its entry has no room.
    #[error("{0}")]
    Fact(FactProblem),
}

/// Why bytes are not a descriptor that can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// Fewer bytes than the descriptor needs.
    #[error("{have} bytes, need {need}: truncated")]
    Truncated {
        /// Bytes that would be needed.
        need: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// Not a descriptor.
    #[error("wrong magic: not a descriptor")]
    BadMagic,
    /// An encoding of a later version.
    #[error("encoding {found} is unknown here (this binary reads up to {known}); use a newer binary", known = super::ENCODING)]
    UnknownEncoding {
        /// The claimed encoding.
        found: u16,
    },
    /// A number in the header is out of its range.
    #[error("{what} is {found}, expected {expected}")]
    Header {
        /// Which number.
        what: &'static str,
        /// What was claimed.
        found: u32,
        /// The range.
        expected: &'static str,
    },
    /// The three lengths and the count in the header contradict each other.
    #[error("total length is {total}, but header, entries and their count make {computed}")]
    TotalLength {
        /// Claimed length in bytes.
        total: u32,
        /// Length in bytes that follows from the other numbers.
        computed: u64,
    },
    /// The table's name.
    #[error("the table's name {0}")]
    TableName(NameProblem),
    /// The facts for which entries have no room.
    #[error("the fact at byte {offset} {problem}")]
    Facts {
        /// Where it starts, from the descriptor's start.
        offset: usize,
        /// What is wrong.
        problem: FactsProblem,
    },
    /// A field breaks a rule.
    #[error("field {name} (entry {index}, id {id}) {problem}")]
    Field {
        /// Position of the entry.
        index: usize,
        /// Claimed id.
        id: u32,
        /// Claimed name, made printable.
        name: String,
        /// The rule.
        problem: FieldProblem,
    },
}

/// Checks a padded name.
pub(super) const fn name(bytes: &[u8; NAME_LEN]) -> Result<(), NameProblem> {
    let mut len = 0;
    while len < NAME_LEN && bytes[len] != 0 {
        len += 1;
    }
    let (text, padding) = bytes.split_at(len);
    let mut i = 0;
    while i < padding.len() {
        if padding[i] != 0 {
            return Err(NameProblem::Padding);
        }
        i += 1;
    }
    if text.is_empty() {
        return Err(NameProblem::Empty);
    }
    if std::str::from_utf8(text).is_err() {
        return Err(NameProblem::NotText);
    }
    let mut i = 0;
    while i < text.len() {
        if !(text[i].is_ascii_alphanumeric() || matches!(text[i], b'_' | b'-' | b'.')) {
            return Err(NameProblem::Character);
        }
        i += 1;
    }
    Ok(())
}

/// Checks the field at `index` by itself and against those in front of it, which hold already.
pub(super) const fn field(specs: &[FieldSpec<'_>], index: usize, record_len: u32) -> Result<(), FieldProblem> {
    let field = &specs[index].entry;
    if field.id.get() == 0 {
        return Err(FieldProblem::ZeroId);
    }
    if let Err(problem) = name(&field.name) {
        return Err(FieldProblem::Name(problem));
    }
    match name(&field.compute) {
        Ok(()) | Err(NameProblem::Empty) => {}
        Err(problem) => return Err(FieldProblem::ComputeName(problem)),
    }
    let element_len = match check_facts::element_len(&specs[index]) {
        Ok(len) => len,
        Err(problem) => return Err(problem),
    };
    let ty = match value_type(field, element_len, &specs[index].facts) {
        Ok(ty) => ty,
        Err(problem) => return Err(problem),
    };
    let (offset, len) = (field.offset.get(), field.len.get());
    let Some(end) = offset.checked_add(len) else {
        return Err(FieldProblem::OutOfRecord { offset, len, record_len });
    };
    if end > record_len {
        return Err(FieldProblem::OutOfRecord { offset, len, record_len });
    }
    if field.flags & FLAG_DEFAULT != 0 {
        let mut i = element_len as usize;
        while i < DEFAULT_LEN {
            if field.default[i] != 0 {
                return Err(FieldProblem::DefaultTooLong);
            }
            i += 1;
        }
    }
    if let Err(problem) = check_facts::facts(field, &specs[index].facts, ty, element_len) {
        return Err(problem);
    }
    against_earlier(specs, index)
}

const fn value_type(field: &FieldDesc, len: u32, facts: &FieldFacts<'_>) -> Result<FieldType, FieldProblem> {
    let Some(ty) = FieldType::from_number(field.ty) else {
        return Err(FieldProblem::UnknownType { number: field.ty });
    };
    let Some(unit) = Unit::from_number(field.unit) else {
        return Err(FieldProblem::UnknownUnit { number: field.unit });
    };
    let Some(narrow) = Narrow::from_number(field.narrow) else {
        return Err(FieldProblem::UnknownNarrow { number: field.narrow });
    };
    if !ty.allows_len(len as usize) {
        return Err(FieldProblem::Length { ty, len });
    }
    if !ty.allows_unit(unit) {
        return Err(FieldProblem::UnitForType { ty, unit });
    }
    // Of an enum with listed cases the default is what an unknown case can be replaced by.
    let replaces = matches!((ty, narrow), (FieldType::Enum, Narrow::Clamp))
        && !facts.cases.is_empty()
        && field.flags & FLAG_DEFAULT != 0;
    if !ty.allows_narrow(narrow) && !replaces {
        return Err(FieldProblem::NarrowForType { ty, narrow });
    }
    Ok(ty)
}

const fn against_earlier(specs: &[FieldSpec<'_>], index: usize) -> Result<(), FieldProblem> {
    let field = &specs[index].entry;
    if index > 0 {
        let before = &specs[index - 1].entry;
        if field.offset.get() < before.offset.get() {
            return Err(FieldProblem::OutOfOrder);
        }
        if field.offset.get() < before.offset.get() + before.len.get() {
            return Err(FieldProblem::Overlap { other: index - 1 });
        }
    }
    let mut other = 0;
    while other < index {
        if specs[other].entry.id.get() == field.id.get() {
            return Err(FieldProblem::DuplicateId { other });
        }
        if same(&specs[other].entry.name, &field.name) {
            return Err(FieldProblem::DuplicateName { other });
        }
        other += 1;
    }
    Ok(())
}

pub(super) const fn same(a: &[u8; NAME_LEN], b: &[u8; NAME_LEN]) -> bool {
    let mut i = 0;
    while i < NAME_LEN {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
