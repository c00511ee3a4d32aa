//! What is done to each record by itself after its fields were translated: values are checked, and migrations make what no
//! mapping could. Plans with neither never come here.

use super::loss::RowMarks;
use super::migrate::Migrating;
use super::plan::Plan;
use super::valid::Check;

/// In this order.
#[derive(Debug)]
pub(super) struct Afterwards {
    checks: Box<[Check]>,
    migrating: Option<Migrating>,
}

impl Afterwards {
    pub(super) fn new(plan: &Plan, migrating: Option<Migrating>) -> Self {
        Self { checks: plan.checks().into(), migrating }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.migrating.is_none()
    }

    /// `src` is the record, `dst` its translation so far.
    pub(super) fn apply(&self, src: &[u8], dst: &mut [u8], marks: &mut RowMarks) {
        self.checks.iter().for_each(|check| check.apply(dst, marks));
        if let Some(migrating) = self.migrating.as_ref().filter(|_| marks.is_done()) {
            migrating.apply(src, dst, marks);
        }
    }
}
