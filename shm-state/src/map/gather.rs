//! Records of one layout from records of another, word by word, as long as every number fits.
//!
//! What a word is made of is data, not code: the same few instructions for every word of its sort, and no branch that
//! depends on a record whose numbers fit. Whoever makes a gather checks its offsets once; the loops need no bounds
//! checks then, which would cost as much as the words.

use std::sync::atomic::{AtomicU64, Ordering};

/// From one word of a slot to one word of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) src: usize,
    pub(crate) dst: usize,
}

impl Way {
    /// From the word behind to the word behind.
    fn next(self) -> Self {
        Self { src: self.src + 1, dst: self.dst + 1 }
    }
}

/// What becomes of a word on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// Nothing.
    Same,
    /// A product, if it fits the word.
    Product { factor: u64 },
    /// Some of its bits, if they are not beyond their bounds, and constants around them.
    Part { down: u32, mask: u64, beyond: u64, up: u32, others: u64 },
}

/// The words of a destination record that are made from one source word each.
#[derive(Debug, Clone)]
pub(crate) struct Gather {
    // In small groups, whose loops are unrolled.
    /// Two words each.
    pairs: Box<[[Way; 2]]>,
    products: Box<[[(Way, u64); 2]]>,
    parts: Box<[[(Way, Part); 2]]>,
    strides: [usize; 2],
}

/// See [`Make::Part`].
#[derive(Debug, Clone, Copy)]
struct Part {
    down: u32,
    mask: u64,
    beyond: u64,
    up: u32,
    others: u64,
}

impl Gather {
    /// Rows that one run may have: a bit each in a word.
    pub(crate) const ROWS_MAX: usize = 64;

    /// # Panics
    /// When a word lies outside of a slot: of `strides` words, in the source and in the destination.
    pub(crate) fn new(words: &[(Way, Make)], strides: [usize; 2]) -> Self {
        let [src_stride, dst_stride] = strides;
        let (mut same, mut products, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for &(way, make) in words {
            assert!(way.src < src_stride && way.dst < dst_stride, "{way:?} in slots of {strides:?} words");
            match make {
                Make::Same => same.push(way),
                Make::Product { factor } => products.push((way, factor)),
                Make::Part { down, mask, beyond, up, others } => {
                    assert!(down < 64 && up < 64);
                    parts.push((way, Part { down, mask, beyond, up, others }));
                }
            }
        }
        let mut pairs = Vec::new();
        for run in same.chunk_by(|way, next| way.next() == *next) {
            match run {
                &[way] => parts.push((way, Part { down: 0, mask: u64::MAX, beyond: 0, up: 0, others: 0 })),
                // The last pair of an odd run goes back by one: to copy a word twice changes nothing.
                _ => pairs.extend((0..run.len()).step_by(2).map(|at| run[at.min(run.len() - 2)])),
            }
        }
        Self { pairs: grouped(&pairs), products: grouped(&products), parts: grouped(&parts), strides }
    }

    /// Makes a record in each slot of `dst` from the one in `src`. The rows that have a number beyond its bounds are
    /// set in the word that is returned; what was made of them means nothing.
    ///
    /// # Panics
    /// When there are too many rows, or `src` or `dst` is not that many slots.
    pub(crate) fn run(&self, src: &[AtomicU64], dst: &[AtomicU64], rows: usize) -> u64 {
        let [src_stride, dst_stride] = self.strides;
        assert!(rows <= Self::ROWS_MAX, "{rows} rows at a time");
        assert!(rows * src_stride == src.len(), "source slots of another length");
        assert!(rows * dst_stride == dst.len(), "destination slots of another length");
        let mut odd = 0u64;
        // Row by row: memory is asked for all the time, not in bursts.
        for row in 0..rows {
            // SAFETY: `row < rows`, so this slot of `stride` words lies inside the slice, as was just asserted.
            let [src, dst] = unsafe {
                let [from, to] = [row * src_stride, row * dst_stride];
                [src.get_unchecked(from..from + src_stride), dst.get_unchecked(to..to + dst_stride)]
            };
            // SAFETY: every way is inside its slot, which `new` asserted.
            let load = |way: Way| unsafe { src.get_unchecked(way.src) }.load(Ordering::Relaxed);
            // SAFETY: as for `load`.
            let store = |way: Way, value| unsafe { dst.get_unchecked(way.dst) }.store(value, Ordering::Relaxed);
            for few in &self.pairs {
                for &way in few {
                    let [first, second] = [load(way), load(way.next())];
                    store(way, first);
                    store(way.next(), second);
                }
            }
            let mut any = false;
            for few in &self.products {
                for &(way, factor) in few {
                    let (product, beyond) = load(way).overflowing_mul(factor);
                    any |= beyond;
                    store(way, product);
                }
            }
            let mut bits = 0;
            for few in &self.parts {
                for &(way, Part { down, mask, beyond, up, others }) in few {
                    let part = load(way) >> down & mask;
                    bits |= part & beyond;
                    store(way, part << up | others);
                }
            }
            if any || bits != 0 {
                odd |= 1 << row;
            }
        }
        odd
    }
}

/// Items in groups of `N`, the last of them filled up with what is in it: to do an item twice changes nothing.
fn grouped<T: Copy, const N: usize>(items: &[T]) -> Box<[[T; N]]> {
    let group = |some: &[T]| std::array::from_fn(|at| some[at.min(some.len() - 1)]);
    items.chunks(N).map(group).collect()
}
