//! The same words of many slots: what a translation reads or writes in one go.
//!
//! A column is checked once, when it is made. A bounds check for each of its words would cost as much as the word.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// `N` words of each of `rows` slots that follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column<'a, const N: usize> {
    /// Those of the first slot.
    first: NonNull<AtomicU64>,
    stride: usize,
    rows: usize,
    slots: PhantomData<&'a [AtomicU64]>,
}

impl<'a, const N: usize> Column<'a, N> {
    /// The words from `word` on in each of `rows` slots of `stride` words.
    ///
    /// # Panics
    /// When `slots` is not that many slots, or a slot does not have those words.
    #[inline(always)]
    pub(crate) fn new(slots: &'a [AtomicU64], (rows, stride): (usize, usize), word: usize) -> Self {
        assert!(rows.checked_mul(stride) == Some(slots.len()), "slots of another length");
        assert!(word < stride && N <= stride - word, "words {word}+{N} of a slot of {stride}");
        // Without a slot there is no such word, and none is ever asked for.
        let first = NonNull::from(slots).cast::<AtomicU64>();
        // SAFETY: if there is a slot, `word` is inside it, as was just asserted; otherwise nothing is added.
        let first = unsafe { first.add(if rows > 0 { word } else { 0 }) };
        Self { first, stride, rows, slots: PhantomData }
    }

    #[inline(always)]
    fn row(&self, row: usize) -> &'a [AtomicU64; N] {
        assert!(row < self.rows);
        // SAFETY: `row < rows`, so the slot lies inside the slice that `new` was given, and it has `N` words from there
        // on, which `new` asserted; an array of atomics is aligned as they are, and may be shared for `'a` as they are.
        unsafe { self.first.add(row * self.stride).cast::<[AtomicU64; N]>().as_ref() }
    }

    /// The words of one row. Panics when there is no such row, which a loop over the rows need not check.
    #[inline(always)]
    pub(crate) fn load(&self, row: usize) -> [u64; N] {
        let words = self.row(row);
        std::array::from_fn(|at| words[at].load(Ordering::Relaxed))
    }

    /// Stores the words of one row. Panics like [`Column::load`].
    #[inline(always)]
    pub(crate) fn store(&self, row: usize, values: [u64; N]) {
        self.row(row).iter().zip(values).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
    }
}
