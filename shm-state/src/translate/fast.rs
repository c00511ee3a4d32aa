//! The operations that are done for whole records at once as long as every number fits, and those that are not.

use super::gather::{Gather, Make, Way};
use super::kernel::Rows;
use super::loss::RowMarks;
use super::memory::Slots;
use super::step::Scale;
use super::words::{Change, Op, Others};

/// How a plan's operations are divided.
#[derive(Debug)]
pub(super) struct Fast {
    gather: Gather,
    /// Operations on the words that the gather leaves alone.
    rest: Box<[Op]>,
}

impl Fast {
    /// Divides `ops` for slots of these many words in the source and in the destination.
    pub(super) fn new(ops: &[Op], strides: [usize; 2]) -> Self {
        // A word is done in one way only, so that its parts stay in order.
        let slow: Vec<usize> = ops.iter().filter(|op| made(op).is_empty()).filter_map(word).collect();
        let is_fast = |op: &Op| !made(op).is_empty() && word(op).is_none_or(|word| !slow.contains(&word));
        let words: Vec<_> = ops.iter().filter(|op| is_fast(op)).flat_map(made).collect();
        let rest = ops.iter().filter(|op| !is_fast(op)).copied().collect();
        Self { gather: Gather::new(&words, strides), rest }
    }

    /// Does all of `ops` in every row.
    pub(super) fn run(&self, ops: &[Op], src: Slots<'_>, dst: Slots<'_>, marks: &mut [RowMarks]) {
        let mut odd = self.gather.run(src.words, dst.words, marks.len());
        while odd != 0 {
            // By the book, and with marks. Nothing was marked yet, so what comes first is marked first.
            let row = odd.trailing_zeros() as usize;
            odd &= odd - 1;
            let (src, dst) = (src.row(row), dst.row(row));
            let mut rows = Rows { src, dst, marks: &mut marks[row..=row] };
            ops.iter().for_each(|op| rows.apply(op));
        }
        let mut rows = Rows { src, dst, marks };
        self.rest.iter().for_each(|op| rows.apply(op));
    }
}

/// The word that an operation writes a part of, or all of if that is one.
fn word(op: &Op) -> Option<usize> {
    match *op {
        Op::Constant { dst, .. } => Some(dst),
        Op::Number { dst, .. } => Some(dst.bits.word),
        Op::Words { .. } | Op::Cut { .. } => None,
    }
}

/// How an operation's words are made for whole records; nothing if that cannot be.
fn made(op: &Op) -> Vec<(Way, Make)> {
    // Behind the meta word.
    let way = |src, dst| Way { src: 1 + src, dst: 1 + dst };
    match *op {
        Op::Constant { dst, value } => {
            // Of any word that is there.
            vec![(way(0, dst), Make::Constant { value })]
        }
        Op::Words { src, dst, count } => (0..count).map(|at| (way(src + at, dst + at), Make::Same)).collect(),
        Op::Number { src, dst, change } => {
            // Records are words, and numbers in them are aligned, but for layouts that nobody would make.
            if src.spans() || dst.from != 0 || dst.across {
                return Vec::new();
            }
            let others = match (dst.others, change) {
                (Others::Are(others), change) if change != Change::Flag => others,
                (Others::Stay, Change::Flag) => {
                    let make = Make::Flag { down: src.shift, mask: src.mask(), up: dst.bits.shift };
                    return vec![(way(src.word, dst.bits.word), make)];
                }
                _ => return Vec::new(),
            };
            let part = |mask, beyond| Make::Part { down: src.shift, mask, beyond, up: dst.bits.shift, others };
            let make = match change {
                Change::None => part(src.mask() & dst.bits.mask(), 0),
                Change::Unsigned { max, scale: Scale::None, .. } => part(src.mask(), !max),
                Change::Unsigned { scale: Scale::Multiply(factor), .. } if src.whole() && dst.bits.whole() => {
                    Make::Product { factor: factor.number() }
                }
                _ => return Vec::new(),
            };
            vec![(way(src.word, dst.bits.word), make)]
        }
        Op::Cut { .. } => Vec::new(),
    }
}
