//! Records of one layout from records of another, word by word, as long as every number fits.
//!
//! What a word is made of is data, not code: the same few instructions for every word of its sort, and no branch that
//! depends on a record whose numbers fit. It is looked up, and its place checked, once for several rows: for each of them it
//! would cost as much as the words.

use crate::map::Column;
use std::sync::atomic::{AtomicU64, Ordering};

/// From one word of a slot to one word of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) src: usize,
    pub(super) dst: usize,
}

impl Way {
    /// From a word behind to the word as far behind.
    fn on(self, by: usize) -> Self {
        Self { src: self.src + by, dst: self.dst + by }
    }
}

/// What becomes of a word on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    /// Nothing.
    Same,
    /// A product, if it fits the word.
    Product { factor: u64 },
    /// The same in every record.
    Constant { value: u64 },
    /// Some of its bits, if they are not beyond their bounds, and constants around them.
    Part { down: u32, mask: u64, beyond: u64, up: u32, others: u64 },
    /// Whether some of its bits are not all zero, as a bit that is added to a word which is made in another way.
    Flag { down: u32, mask: u64, up: u32 },
}

/// The words of a destination record that are made from one source word each.
#[derive(Debug, Clone)]
pub(super) struct Gather {
    /// Four words each.
    quads: Box<[Way]>,
    /// Two words each.
    pairs: Box<[Way]>,
    products: Box<[(Way, u64)]>,
    /// Of any source word that is there.
    constants: Box<[(Way, u64)]>,
    /// Parts that lie lowest, without bounds, alone in their word: most of them.
    lowest: Box<[(Way, (u32, u64))]>,
    parts: Box<[(Way, Part)]>,
    /// Made last, for they add to words.
    flags: Box<[(Way, Flag)]>,
    strides: [usize; 2],
}

/// Rows that are made together.
const BLOCK: usize = 8;

/// See [`Make::Part`].
#[derive(Debug, Clone, Copy)]
struct Part {
    down: u32,
    mask: u64,
    beyond: u64,
    up: u32,
    others: u64,
}

/// See [`Make::Flag`].
#[derive(Debug, Clone, Copy)]
struct Flag {
    down: u32,
    mask: u64,
    up: u32,
}

impl Flag {
    #[inline(always)]
    fn add(self, word: u64, to: u64) -> u64 {
        to | u64::from(word >> self.down & self.mask != 0) << self.up
    }
}

impl Gather {
    /// Rows that one run may have: a bit each in a word.
    pub(super) const ROWS_MAX: usize = 64;

    /// # Panics
    /// When a word lies outside of a slot: of `strides` words, in the source and in the destination.
    pub(super) fn new(words: &[(Way, Make)], strides: [usize; 2]) -> Self {
        let [src_stride, dst_stride] = strides;
        let (mut same, mut products, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut constants, mut lowest, mut flags) = (Vec::new(), Vec::new(), Vec::new());
        for &(way, make) in words {
            assert!(way.src < src_stride && way.dst < dst_stride, "{way:?} in slots of {strides:?} words");
            match make {
                Make::Same => same.push(way),
                Make::Product { factor } => products.push((way, factor)),
                Make::Constant { value } => constants.push((way, value)),
                Make::Flag { down, mask, up } => {
                    assert!(down < 64 && up < 64);
                    flags.push((way, Flag { down, mask, up }));
                }
                Make::Part { down, mask, beyond: 0, up: 0, others: 0 } => {
                    assert!(down < 64);
                    lowest.push((way, (down, mask)));
                }
                Make::Part { down, mask, beyond, up, others } => {
                    assert!(down < 64 && up < 64);
                    parts.push((way, Part { down, mask, beyond, up, others }));
                }
            }
        }
        let (mut quads, mut pairs) = (Vec::new(), Vec::new());
        for run in same.chunk_by(|way, next| way.on(1) == *next) {
            let rest = run.len() % 4;
            quads.extend(run[..run.len() - rest].iter().step_by(4));
            match rest {
                0 => {}
                1 if run.len() == 1 => lowest.push((run[0], (0, u64::MAX))),
                1 | 2 => pairs.push(run[run.len() - 2]),
                // To copy a word twice changes nothing.
                _ => pairs.extend([run[run.len() - 3], run[run.len() - 2]]),
            }
        }
        Self {
            quads: quads.into(),
            pairs: pairs.into(),
            products: products.into(),
            constants: constants.into(),
            lowest: lowest.into(),
            parts: parts.into(),
            flags: flags.into(),
            strides,
        }
    }

    /// Makes a record in each slot of `dst` from the one in `src`. The rows that have a number beyond its bounds are
    /// set in the word that is returned; what was made of them means nothing.
    ///
    /// # Panics
    /// When there are too many rows, or `src` or `dst` is not that many slots.
    pub(super) fn run(&self, src: &[AtomicU64], dst: &[AtomicU64], rows: usize) -> u64 {
        let [src_stride, dst_stride] = self.strides;
        assert!(rows <= Self::ROWS_MAX, "{rows} rows at a time");
        assert!(rows * src_stride == src.len(), "source slots of another length");
        assert!(rows * dst_stride == dst.len(), "destination slots of another length");
        let mut odd = 0u64;
        for first in (0..rows).step_by(BLOCK) {
            let some = first..rows.min(first + BLOCK);
            let src = &src[some.start * src_stride..some.end * src_stride];
            let dst = &dst[some.start * dst_stride..some.end * dst_stride];
            if some.len() == BLOCK && self.block(src, dst) {
                continue;
            }
            // One of them has a number beyond its bounds, or there are too few.
            for (row, (src, dst)) in some.zip(src.chunks_exact(src_stride).zip(dst.chunks_exact(dst_stride))) {
                odd |= u64::from(!self.row(src, dst)) << row;
            }
        }
        odd
    }

    /// Makes [`BLOCK`] records, word by word; false if a number is beyond its bounds in any of them. What is made of a
    /// word is looked up once for all rows, and few rows at a time keep memory busy.
    fn block(&self, src: &[AtomicU64], dst: &[AtomicU64]) -> bool {
        let columns = Columns { src, dst, strides: self.strides };
        self.quads.iter().for_each(|way| columns.copy::<4>(*way));
        self.pairs.iter().for_each(|way| columns.copy::<2>(*way));
        let mut any = false;
        for &(way, factor) in &self.products {
            columns.change(way, |number| {
                let (product, beyond) = number.overflowing_mul(factor);
                any |= beyond;
                product
            });
        }
        self.constants.iter().for_each(|&(way, value)| columns.fill(way, value));
        for &(way, (down, mask)) in &self.lowest {
            columns.change(way, |word| word >> down & mask);
        }
        let mut bits = 0;
        for &(way, Part { down, mask, beyond, up, others }) in &self.parts {
            columns.change(way, |word| {
                let part = word >> down & mask;
                bits |= part & beyond;
                part << up | others
            });
        }
        self.flags.iter().for_each(|&(way, flag)| columns.add(way, flag));
        !any && bits == 0
    }

    /// Makes one record; false if a number is beyond its bounds.
    fn row(&self, src: &[AtomicU64], dst: &[AtomicU64]) -> bool {
        let load = |way: Way| src[way.src].load(Ordering::Relaxed);
        let store = |way: Way, value| dst[way.dst].store(value, Ordering::Relaxed);
        for (ways, words) in [(&self.quads, 4), (&self.pairs, 2)] {
            for way in ways.iter().flat_map(|way| (0..words).map(|by| way.on(by))) {
                store(way, load(way));
            }
        }
        let mut fits = true;
        for &(way, factor) in &self.products {
            let (product, beyond) = load(way).overflowing_mul(factor);
            fits &= !beyond;
            store(way, product);
        }
        self.constants.iter().for_each(|&(way, value)| store(way, value));
        self.lowest.iter().for_each(|&(way, (down, mask))| store(way, load(way) >> down & mask));
        for &(way, Part { down, mask, beyond, up, others }) in &self.parts {
            let part = load(way) >> down & mask;
            fits &= part & beyond == 0;
            store(way, part << up | others);
        }
        for &(way, flag) in &self.flags {
            store(way, flag.add(load(way), dst[way.dst].load(Ordering::Relaxed)));
        }
        fits
    }
}

/// [`BLOCK`] slots on both sides.
struct Columns<'a> {
    src: &'a [AtomicU64],
    dst: &'a [AtomicU64],
    strides: [usize; 2],
}

impl Columns<'_> {
    #[inline(always)]
    fn of<const N: usize>(&self, way: Way) -> [Column<'_, N>; 2] {
        let [src_stride, dst_stride] = self.strides;
        [Column::new(self.src, (BLOCK, src_stride), way.src), Column::new(self.dst, (BLOCK, dst_stride), way.dst)]
    }

    #[inline(always)]
    fn copy<const N: usize>(&self, way: Way) {
        let [from, to] = self.of::<N>(way);
        (0..BLOCK).for_each(|row| to.store(row, from.load(row)));
    }

    #[inline(always)]
    fn fill(&self, way: Way, value: u64) {
        let [_, to] = self.of::<1>(way);
        (0..BLOCK).for_each(|row| to.store(row, [value]));
    }

    #[inline(always)]
    fn add(&self, way: Way, flag: Flag) {
        let [from, to] = self.of::<1>(way);
        for row in 0..BLOCK {
            let ([word], [before]) = (from.load(row), to.load(row));
            to.store(row, [flag.add(word, before)]);
        }
    }

    #[inline(always)]
    fn change(&self, way: Way, mut change: impl FnMut(u64) -> u64) {
        let [from, to] = self.of::<1>(way);
        (0..BLOCK).for_each(|row| to.store(row, from.load(row).map(&mut change)));
    }
}
