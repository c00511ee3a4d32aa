//! Numbers computed from numbers.

use std::fmt;
use std::sync::Arc;

/// Turns each number into its result.
type Column = dyn Fn(&mut [u64]) + Send + Sync;

/// Computes an unsigned number from that in another field. It knows its input beforehand, so a translation reads no more
/// of a record than it needs, and calls it once for many records.
#[derive(Clone)]
pub struct NumberFn {
    input: u32,
    without: u64,
    /// It only tells whether the number is 0.
    flag: bool,
    column: Arc<Column>,
}

impl NumberFn {
    pub(super) fn new(input: u32, without: u64, function: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Self {
        let column = move |numbers: &mut [u64]| numbers.iter_mut().for_each(|number| *number = function(*number));
        Self { input, without, flag: false, column: Arc::new(column) }
    }

    /// 1 where the number is not 0.
    pub(super) fn flag(input: u32) -> Self {
        Self { flag: true, ..Self::new(input, 0, |number| u64::from(number != 0)) }
    }

    /// Whether it is 1 where the number is not 0, and 0 elsewhere.
    pub fn is_flag(&self) -> bool {
        self.flag
    }

    /// Id of the field that it reads, an unsigned one.
    pub fn input(&self) -> u32 {
        self.input
    }

    /// Its result for a record of a layout that lacks the field, or holds something else in it.
    pub fn without(&self) -> u64 {
        self.without
    }

    /// Turns each number into its result.
    pub fn apply(&self, numbers: &mut [u64]) {
        (self.column)(numbers);
    }
}

impl fmt::Debug for NumberFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NumberFn").field("input", &self.input).field("without", &self.without).finish_non_exhaustive()
    }
}
