//! The rules in words, for compile errors, which cannot be formatted.

use super::{FieldProblem, NameProblem};

impl FieldProblem {
    /// The rule that was broken, for a compile error.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::ZeroId => "layout: field id 0; ids start at 1",
            Self::DuplicateId { .. } => "layout: two fields have the same id",
            Self::DuplicateName { .. } => "layout: two fields have the same name",
            Self::UnknownType { .. } => "layout: unknown field type",
            Self::UnknownUnit { .. } => "layout: unknown unit",
            Self::UnknownNarrow { .. } => "layout: unknown narrowing policy",
            Self::Length { .. } => "layout: a field of this type cannot have this width",
            Self::UnitForType { .. } => "layout: a field of this type cannot have this unit",
            Self::NarrowForType { .. } => "layout: a field of this type cannot have this narrowing policy",
            Self::OutOfRecord { .. } => "layout: field outside of the record",
            Self::OutOfOrder => "layout: fields are not in order of their offsets",
            Self::Overlap { .. } => "layout: fields overlap",
            Self::DefaultTooLong => "layout: the default is longer than its field",
            Self::Name(problem) => problem.text(),
            Self::ComputeName(_) => "layout: bad name of a compute function",
            Self::Fact(problem) => problem.text(),
        }
    }
}

impl NameProblem {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Empty => "layout: empty name",
            Self::NotText => "layout: a name is not text",
            Self::Character => "layout: a name may only have letters, digits, '_', '-' and '.'",
            Self::TooLong => "layout: a name is longer than 32 bytes",
            Self::Padding => "layout: a name is not padded with zeros",
        }
    }
}
