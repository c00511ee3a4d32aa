//! A set of small numbers.

/// The set.
#[derive(Debug)]
pub(crate) struct Bits {
    words: Box<[u64]>,
}

impl Bits {
    /// An empty set of numbers below `count`.
    pub(crate) fn new(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(64)].into() }
    }

    #[inline]
    pub(crate) fn has(&self, at: usize) -> bool {
        self.words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 != 0)
    }

    /// Puts a number in; false when it was there already. Numbers beyond the end are ignored.
    #[inline]
    pub(crate) fn insert(&mut self, at: usize) -> bool {
        let new = !self.has(at);
        if let Some(word) = self.words.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
        new
    }

    #[inline]
    pub(crate) fn remove(&mut self, at: usize) {
        if let Some(word) = self.words.get_mut(at / 64) {
            *word &= !(1 << (at % 64));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.words.fill(0);
    }
}
