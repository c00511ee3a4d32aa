//! The rules that a field's facts obey, checked by the same code in constants and on claimed bytes.

use super::check::{self, FieldProblem, NameProblem};
use super::{CASES_MAX, Case, DEFAULT_LEN, ELEMENTS_MAX, FLAG_DEFAULT, FieldDesc, FieldFacts, FieldSpec, FieldType};

/// What is wrong with the facts of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FactProblem {
    /// An array of no or too many elements, or whose length is no multiple of their number.
    #[error("cannot be an array of {elements} in {len} bytes")]
    Elements {
        /// Claimed number of elements.
        elements: u32,
        /// Claimed bytes of all of them.
        len: u32,
    },
    /// Only integers and times have a range.
    #[error("is {ty} and cannot have a range")]
    RangeForType {
        /// The field's type.
        ty: FieldType,
    },
    /// The lowest number is above the highest, or one of them does not fit the field.
    #[error("cannot have the range {min}..={max}")]
    Range {
        /// Lowest number.
        min: i128,
        /// Highest number.
        max: i128,
    },
    /// Only enums have cases.
    #[error("is {ty} and cannot have cases")]
    CasesForType {
        /// The field's type.
        ty: FieldType,
    },
    /// More cases than are believed.
    #[error("has {count} cases, more than 256")]
    TooManyCases {
        /// How many.
        count: usize,
    },
    /// Cases are sorted by number, each number comes once and fits the field, and so does each name.
    #[error("has a bad case number {index}: it is out of order, comes twice or does not fit")]
    Case {
        /// Position of the case.
        index: usize,
    },
    /// A case's name.
    #[error("has a bad name of its case number {index}: it {problem}")]
    CaseName {
        /// Position of the case.
        index: usize,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// The default is not valid.
    #[error("has the default {value}, which is out of its range or none of its cases")]
    Default {
        /// The default, in the field's own unit.
        value: i128,
    },
}

impl FactProblem {
    /// The rule that was broken, for a compile error.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Elements { .. } => "layout: an array has 1 to 1024 elements of equal length",
            Self::RangeForType { .. } => "layout: only integers and times have a range",
            Self::Range { .. } => "layout: a range is from the lower to the higher number, and both fit the field",
            Self::CasesForType { .. } => "layout: only enums have cases",
            Self::TooManyCases { .. } => "layout: an enum has at most 256 cases",
            Self::Case { .. } => {
                "layout: cases are in order of their numbers, numbers and names unique, and fit the field"
            }
            Self::CaseName { .. } => "layout: bad name of a case",
            Self::Default { .. } => "layout: the default is out of the field's range or none of its cases",
        }
    }
}

/// Bytes of one element, or of the field if it is a single value.
pub(super) const fn element_len(spec: &FieldSpec<'_>) -> Result<u32, FieldProblem> {
    let len = spec.entry.len.get();
    match spec.facts.elements {
        None => Ok(len),
        Some(elements) if elements == 0 || elements > ELEMENTS_MAX as u32 || !len.is_multiple_of(elements) => {
            Err(FieldProblem::Fact(FactProblem::Elements { elements, len }))
        }
        Some(elements) => Ok(len / elements),
    }
}

/// Checks the facts of a field whose entry was checked.
pub(super) const fn facts(
    entry: &FieldDesc,
    facts: &FieldFacts<'_>,
    ty: FieldType,
    len: u32,
) -> Result<(), FieldProblem> {
    let ranged = matches!(ty, FieldType::Unsigned | FieldType::Signed | FieldType::Instant | FieldType::Duration);
    if let Some((min, max)) = facts.range {
        if !ranged {
            return Err(FieldProblem::Fact(FactProblem::RangeForType { ty }));
        }
        let (lowest, highest) = limits(ty, len);
        if min > max || min < lowest || max > highest {
            return Err(FieldProblem::Fact(FactProblem::Range { min, max }));
        }
    }
    if let Err(problem) = cases(facts.cases, ty, len) {
        return Err(FieldProblem::Fact(problem));
    }
    if entry.flags & FLAG_DEFAULT == 0 || facts.range.is_none() && facts.cases.is_empty() {
        return Ok(());
    }
    let value = default(entry, ty, len);
    let in_range = match facts.range {
        Some((min, max)) => min <= value && value <= max,
        None => true,
    };
    if !in_range || !facts.cases.is_empty() && !has(facts.cases, value) {
        return Err(FieldProblem::Fact(FactProblem::Default { value }));
    }
    Ok(())
}

const fn cases(cases: &[Case], ty: FieldType, len: u32) -> Result<(), FactProblem> {
    if cases.is_empty() {
        return Ok(());
    }
    if !matches!(ty, FieldType::Enum) {
        return Err(FactProblem::CasesForType { ty });
    }
    if cases.len() > CASES_MAX {
        return Err(FactProblem::TooManyCases { count: cases.len() });
    }
    let (_, highest) = limits(ty, len);
    let mut index = 0;
    while index < cases.len() {
        let Case { number, name } = &cases[index];
        if let Err(problem) = check::name(name) {
            return Err(FactProblem::CaseName { index, problem });
        }
        if number.get() as i128 > highest || index > 0 && cases[index - 1].number.get() >= number.get() {
            return Err(FactProblem::Case { index });
        }
        let mut other = 0;
        while other < index {
            if check::same(&cases[other].name, name) {
                return Err(FactProblem::Case { index });
            }
            other += 1;
        }
        index += 1;
    }
    Ok(())
}

/// Lowest and highest number in a field of this type and width, which suit each other.
pub(super) const fn limits(ty: FieldType, len: u32) -> (i128, i128) {
    let bits = len * 8;
    match ty {
        FieldType::Signed => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        _ => (0, (1i128 << bits) - 1),
    }
}

/// The default of a field that is a number of at most 8 bytes.
const fn default(entry: &FieldDesc, ty: FieldType, len: u32) -> i128 {
    let (mut value, mut i) = (0i128, 0);
    while i < len as usize && i < DEFAULT_LEN {
        value |= (entry.default[i] as i128) << (8 * i);
        i += 1;
    }
    let (_, highest) = limits(ty, len);
    if value > highest { value - (1i128 << (len * 8)) } else { value }
}

const fn has(cases: &[Case], number: i128) -> bool {
    let mut i = 0;
    while i < cases.len() {
        if cases[i].number.get() as i128 == number {
            return true;
        }
        i += 1;
    }
    false
}
