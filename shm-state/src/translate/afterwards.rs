//! What is done to each record by itself after its fields were translated. Plans without it never come here.

use super::loss::RowMarks;
use super::plan::Plan;
use super::valid::Check;

/// Checks of values, in order of the fields.
#[derive(Debug)]
pub(super) struct Afterwards {
    checks: Box<[Check]>,
}

impl Afterwards {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { checks: plan.checks().into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// `src` is the record, `dst` its translation so far.
    pub(super) fn apply(&self, _src: &[u8], dst: &mut [u8], marks: &mut RowMarks) {
        self.checks.iter().for_each(|check| check.apply(dst, marks));
    }
}
