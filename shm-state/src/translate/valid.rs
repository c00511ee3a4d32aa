//! Which values a field may hold beyond what its width allows: its range and its cases.
//!
//! A layout's own records are trusted to obey it. Values that come from a layout which promises less are checked, after
//! they were stored, record by record: only plans that need it pay.

use super::kernel::exceeds;
use super::loss::RowMarks;
use super::step::{Excess, is_signed};
use crate::descriptor::Field;
use crate::row::{load, load_signed};

/// A field of the destination whose values are checked.
#[derive(Debug, Clone)]
pub(super) struct Check {
    field: Field,
    excess: Excess,
}

impl Check {
    pub(super) fn new(field: Field, excess: Excess) -> Self {
        Self { field, excess }
    }

    /// Checks the field in a record that was just stored, and puts right what the policy allows.
    pub(super) fn apply(&self, record: &mut [u8], marks: &mut RowMarks) {
        if !settle(&self.field, &mut record[self.field.offset()..self.field.end()]) {
            exceeds(self.excess, marks);
        }
    }
}

/// Whether all values in the field's bytes are valid. Those that are not become the nearest that is, or the default case.
pub(super) fn settle(field: &Field, bytes: &mut [u8]) -> bool {
    if field.range().is_none() && field.cases().is_none() {
        return true;
    }
    let mut valid = true;
    for element in bytes.chunks_exact_mut(field.element_len()) {
        valid &= settle_one(field, element);
    }
    valid
}

fn settle_one(field: &Field, element: &mut [u8]) -> bool {
    if let Some((min, max)) = field.range() {
        let number = if is_signed(field.ty()) { load_signed(element).into() } else { i128::from(load(element)) };
        let nearest = number.clamp(min, max);
        element.copy_from_slice(&nearest.to_le_bytes()[..element.len()]);
        return nearest == number;
    }
    match field.cases() {
        Some(cases) if !cases.knows(load(element) as u32) => {
            if let Some(default) = field.default_bytes() {
                element.copy_from_slice(&default[..element.len()]);
            }
            false
        }
        _ => true,
    }
}

/// Whether every value that a record of `from`'s layout may hold is valid in `to`.
pub(super) fn implied(from: &Field, to: &Field) -> bool {
    let range = to.range().is_none_or(|(min, max)| {
        let (lowest, highest) = span(from);
        from.unit() == to.unit() && min <= lowest && highest <= max
    });
    let cases =
        to.cases().is_none_or(|to| from.cases().is_some_and(|from| from.iter().all(|(number, _)| to.knows(number))));
    range && cases
}

/// What a field may hold, in its own unit.
fn span(field: &Field) -> (i128, i128) {
    let bits = field.element_len() as u32 * 8;
    let whole = if is_signed(field.ty()) { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
    field.range().unwrap_or(whole)
}

/// How people write what is valid: `1..=64`, or the names of the cases.
pub(super) fn text(field: &Field) -> String {
    match (field.range(), field.cases()) {
        (Some((min, max)), _) => format!("{min}..={max}"),
        (None, Some(cases)) => cases.iter().map(|(_, name)| name).collect::<Vec<_>>().join("|"),
        (None, None) => String::new(),
    }
}
