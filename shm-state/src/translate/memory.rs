//! Where records are: in private bytes, or in slots that other processes have mapped too.

use crate::map::Column;
use crate::row::load;
use std::sync::atomic::{AtomicU64, Ordering};
use zerocopy::IntoBytes;

/// Records that are read by words. Each read is made afresh: what is checked is what the read gave.
pub(super) trait Source: Copy {
    fn rows(&self) -> usize;
    /// Reads the `N` words from `word` on of the row that it is called with.
    fn column<const N: usize>(&self, word: usize) -> impl Fn(usize) -> [u64; N];
    /// Calls `f` with a whole record, which nobody writes meanwhile.
    fn with_record<R>(&self, row: usize, f: impl FnOnce(&[u8]) -> R) -> R;
}

/// Records that are written by words. They are this process's own, and not yet in use.
pub(super) trait Sink {
    fn rows(&self) -> usize;
    /// Stores the `N` words from `word` on of the row that it is called with.
    fn column<const N: usize>(&mut self, word: usize) -> impl FnMut(usize, [u64; N]);
    /// Sets bits that are zero so far, in the word of the row that it is called with.
    fn adder(&mut self, word: usize) -> impl FnMut(usize, u64);
}

/// Records of `len` bytes, one behind the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) len: usize,
    pub(super) rows: usize,
}

impl Source for Bytes<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn column<const N: usize>(&self, word: usize) -> impl Fn(usize) -> [u64; N] {
        move |row| {
            let bytes = &self.bytes[row * self.len + word * 8..][..N * 8];
            std::array::from_fn(|at| load(&bytes[at * 8..at * 8 + 8]))
        }
    }

    fn with_record<R>(&self, row: usize, f: impl FnOnce(&[u8]) -> R) -> R {
        f(&self.bytes[row * self.len..][..self.len])
    }
}

/// As [`Bytes`], for writing.
#[derive(Debug)]
pub(super) struct BytesMut<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) len: usize,
    pub(super) rows: usize,
}

impl Sink for BytesMut<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn column<const N: usize>(&mut self, word: usize) -> impl FnMut(usize, [u64; N]) {
        move |row, value| {
            let bytes = &mut self.bytes[row * self.len + word * 8..][..N * 8];
            bytes.copy_from_slice(value.map(u64::to_le).as_bytes());
        }
    }

    #[inline(always)]
    fn adder(&mut self, word: usize) -> impl FnMut(usize, u64) {
        move |row, bits| {
            let bytes = &mut self.bytes[row * self.len + word * 8..][..8];
            let word = load(bytes) | bits;
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// Slots of `stride` words each: a meta word, which is left alone, and a record of the other words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots<'a> {
    pub(super) words: &'a [AtomicU64],
    pub(super) stride: usize,
    pub(super) rows: usize,
}

/// Longest record of a table, in words.
const RECORD_WORDS_MAX: usize = crate::table::RECORD_LEN_MAX / 8;

impl<'a> Slots<'a> {
    /// One of them alone. Panics when there is no such row.
    pub(super) fn row(self, row: usize) -> Self {
        Self { words: &self.words[row * self.stride..][..self.stride], rows: 1, ..self }
    }

    #[inline(always)]
    fn words<const N: usize>(&self, word: usize) -> Column<'a, N> {
        Column::new(self.words, (self.rows, self.stride), 1 + word)
    }
}

impl Source for Slots<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn column<const N: usize>(&self, word: usize) -> impl Fn(usize) -> [u64; N] {
        let words = self.words(word);
        move |row| words.load(row)
    }

    fn with_record<R>(&self, row: usize, f: impl FnOnce(&[u8]) -> R) -> R {
        let mut room = [0; RECORD_WORDS_MAX];
        let record = &self.words[row * self.stride + 1..][..self.stride - 1];
        for (to, from) in room.iter_mut().zip(record) {
            *to = from.load(Ordering::Relaxed);
        }
        f(room[..record.len()].as_bytes())
    }
}

impl Sink for Slots<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn column<const N: usize>(&mut self, word: usize) -> impl FnMut(usize, [u64; N]) {
        let words = self.words(word);
        move |row, value| words.store(row, value)
    }

    #[inline(always)]
    fn adder(&mut self, word: usize) -> impl FnMut(usize, u64) {
        let words = self.words::<1>(word);
        move |row, bits| words.store(row, [words.load(row)[0] | bits])
    }
}
