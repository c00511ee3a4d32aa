//! How one backend's identities lie in the segment.

use super::{BYTES_PER_IDENTITY, RowSpec};
use crate::segment::Segment;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

pub(super) const HEADER_WORDS: usize = 8;
pub(super) const ROW_HEADER_WORDS: usize = 8;

// Words of a row's header.
pub(super) const BACKEND_COUNT: usize = 0;
pub(super) const FREE: usize = 1;
pub(super) const REST_HEAD: usize = 2;
pub(super) const REST_LEN: usize = 3;

/// One row. Counts and positions that are read from the segment are claims: each is brought into range where it is
/// read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) spec: RowSpec,
    pub(super) header_off: usize,
}

/// Bytes of a row.
pub(super) fn len(spec: &RowSpec) -> usize {
    // Odd counts would misalign the 64-bit times behind three 32-bit arrays.
    let count = (spec.identities as usize).next_multiple_of(2);
    ROW_HEADER_WORDS * 8 + count * BYTES_PER_IDENTITY
}

pub(super) fn lay_out(specs: &[RowSpec]) -> Vec<Row> {
    let mut header_off = HEADER_WORDS * 8;
    let row = |spec: &RowSpec| {
        let row = Row { spec: *spec, header_off };
        header_off += len(spec);
        row
    };
    specs.iter().map(row).collect()
}

impl Row {
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.spec.identities as usize
    }

    fn array(&self, which: usize) -> usize {
        self.header_off + ROW_HEADER_WORDS * 8 + which * self.count().next_multiple_of(2) * 4
    }

    #[inline]
    pub(super) fn word<'a>(&self, segment: &'a Segment, word: usize) -> &'a AtomicU64 {
        &segment.words(self.header_off, ROW_HEADER_WORDS)[word]
    }

    /// Free identities, at most all.
    #[inline]
    pub(super) fn free(&self, segment: &Segment) -> usize {
        self.word(segment, FREE).load(Relaxed).min(self.count() as u64) as usize
    }

    /// Resting identities, at most all.
    #[inline]
    pub(super) fn rest_len(&self, segment: &Segment) -> usize {
        self.word(segment, REST_LEN).load(Relaxed).min(self.count() as u64) as usize
    }

    /// Where the oldest resting identity is; 0 in a row without identities.
    #[inline]
    pub(super) fn rest_head(&self, segment: &Segment) -> usize {
        let head = self.word(segment, REST_HEAD).load(Relaxed);
        head.checked_rem(self.count() as u64).unwrap_or(0) as usize
    }

    #[inline]
    pub(super) fn free_pool<'a>(&self, segment: &'a Segment) -> &'a [AtomicU32] {
        segment.halves(self.array(0), self.count())
    }

    #[inline]
    pub(super) fn reverse<'a>(&self, segment: &'a Segment) -> &'a [AtomicU32] {
        segment.halves(self.array(1), self.count())
    }

    pub(super) fn resting<'a>(&self, segment: &'a Segment) -> (&'a [AtomicU32], &'a [AtomicU64]) {
        (segment.halves(self.array(2), self.count()), segment.words(self.array(3), self.count()))
    }
}
