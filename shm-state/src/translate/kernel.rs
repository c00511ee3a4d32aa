//! One operation over many rows: a dispatch per operation, then a loop that the compiler can see through.
//!
//! A row's number is checked where it is converted; what does not fit is rare and leaves the loop's straight path.
//! Rows without a record ([`RowMarks::NONE`]) go along, which is cheaper than to leave them out: their words mean
//! nothing on either side, and their marks stay what they are.

use super::loss::RowMarks;
use super::memory::{Sink, Source};
use super::step::{Excess, Factor, Scale};
use super::words::{Bits, Change, Op, Others, Target};
use crate::descriptor::Narrow;

/// Source and destination records, as many as there are marks.
pub(super) struct Rows<'a, S, D> {
    pub(super) src: S,
    pub(super) dst: D,
    pub(super) marks: &'a mut [RowMarks],
}

impl<S: Source, D: Sink> Rows<'_, S, D> {
    /// Applies an operation to every row.
    #[inline]
    pub(super) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Constant { dst, value } => {
                let mut to = self.dst.column(dst);
                (0..self.marks.len()).for_each(|row| to(row, [value]));
            }
            Op::Words { src, dst, count } => self.copy(src, dst, count),
            Op::Number { src, dst, change } => self.number(src, dst, change),
            Op::Cut { src, blank, excess } => {
                let get = bits(&self.src, src);
                for (row, marks) in self.marks.iter_mut().enumerate() {
                    if get(row) != blank {
                        exceeds(excess, marks);
                    }
                }
            }
        }
    }

    /// Copies whole words, in runs of constant length.
    fn copy(&mut self, mut src: usize, mut dst: usize, mut count: usize) {
        while count > 0 {
            let done = match count {
                1 => self.run::<1>(src, dst),
                2 => self.run::<2>(src, dst),
                3 => self.run::<3>(src, dst),
                4 => self.run::<4>(src, dst),
                5 => self.run::<5>(src, dst),
                6 => self.run::<6>(src, dst),
                7 => self.run::<7>(src, dst),
                _ => self.run::<8>(src, dst),
            };
            (src, dst, count) = (src + done, dst + done, count - done);
        }
    }

    fn run<const N: usize>(&mut self, src: usize, dst: usize) -> usize {
        let (from, mut to) = (self.src.column::<N>(src), self.dst.column::<N>(dst));
        (0..self.marks.len()).for_each(|row| to(row, from(row)));
        N
    }

    fn number(&mut self, src: Bits, dst: Target, change: Change) {
        match change {
            Change::None => self.numbers(src, dst, |number, _| number),
            Change::Flag => self.numbers(src, dst, |number, _| u64::from(number != 0)),
            Change::Unsigned { max, scale, excess, rounded } => self.unsigned((src, dst), max, scale, excess, rounded),
            Change::Signed { from, to, from_signed, to_signed, excess } => {
                let unused = 64 - from.bits();
                let (min, max) = to.range(to_signed);
                self.numbers(src, dst, |raw, marks| {
                    let number =
                        if from_signed { i128::from((raw as i64) << unused >> unused) } else { i128::from(raw) };
                    let stored = number.clamp(min, max);
                    if stored != number {
                        exceeds(excess, marks);
                    }
                    stored as u64
                });
            }
            Change::Link { from_none, to_none, excess } => self.numbers(src, dst, |slot, marks| {
                if slot == from_none {
                    return to_none;
                }
                // The highest number would turn a slot into no slot.
                if slot >= to_none {
                    exceeds(excess, marks);
                }
                slot
            }),
        }
    }

    fn unsigned(&mut self, (src, dst): (Bits, Target), max: u64, scale: Scale, excess: Excess, rounded: u8) {
        let fit = move |number: u64, overflow: bool, marks: &mut RowMarks| {
            if overflow || number > max {
                exceeds(excess, marks);
                return max;
            }
            number
        };
        // Division by constants is several times faster than by a variable.
        macro_rules! divide {
            ($by:literal) => {
                self.numbers(src, dst, |number, marks| {
                    marks.set_if(rounded, number % $by != 0);
                    fit(number / $by, false, marks)
                })
            };
        }
        match scale {
            Scale::None => self.numbers(src, dst, |number, marks| fit(number, false, marks)),
            Scale::Multiply(factor) => {
                let factor = factor.number();
                self.numbers(src, dst, |number, marks| {
                    let (product, overflow) = number.overflowing_mul(factor);
                    fit(product, overflow, marks)
                });
            }
            Scale::Divide(Factor::Thousand) => divide!(1_000),
            Scale::Divide(Factor::Million) => divide!(1_000_000),
            Scale::Divide(Factor::Billion) => divide!(1_000_000_000),
        }
    }

    /// Turns each row's number into another. The usual places, aligned on both sides, have loops of their own.
    #[inline(always)]
    fn numbers(&mut self, src: Bits, dst: Target, mut change: impl FnMut(u64, &mut RowMarks) -> u64) {
        let Self { src: from, dst: to, marks } = self;
        let Target { bits: Bits { word, shift, .. }, from: below, others, .. } = dst;
        let mask = dst.bits.mask();
        match others {
            Others::Are(_) if dst.bits.whole() && src.whole() && !src.spans() => {
                let (from, mut to) = (from.column(src.word), to.column(word));
                each(marks, |row, marks| {
                    let [number] = from(row);
                    to(row, [change(number, marks)]);
                });
            }
            Others::Are(_) if dst.bits.whole() => {
                let (get, mut to) = (bits(from, src), to.column(word));
                each(marks, |row, marks| to(row, [change(get(row), marks)]));
            }
            Others::Are(others) => {
                let (get, mut to) = (bits(from, src), to.column(word));
                each(marks, |row, marks| to(row, [(change(get(row), marks) >> below & mask) << shift | others]));
            }
            Others::Stay => {
                let (get, mut add) = (bits(from, src), to.adder(word));
                each(marks, |row, marks| add(row, (change(get(row), marks) >> below & mask) << shift));
            }
        }
    }
}

#[inline(always)]
fn each(marks: &mut [RowMarks], mut row: impl FnMut(usize, &mut RowMarks)) {
    marks.iter_mut().enumerate().for_each(|(at, marks)| row(at, marks));
}

/// Reads bits of the row that it is called with.
#[inline(always)]
pub(super) fn bits(src: &impl Source, bits: Bits) -> impl Fn(usize) -> u64 {
    let Bits { word, shift, .. } = bits;
    let (spans, mask) = (bits.spans(), bits.mask());
    let low = src.column(word);
    // Bits in one word need not have a word behind them.
    let high = src.column(word + usize::from(spans));
    move |row| {
        let [number] = low(row);
        let number = number >> shift;
        if !spans {
            return number & mask;
        }
        let [high] = high(row);
        (number | high << (64 - shift)) & mask
    }
}

/// A value does not fit.
#[cold]
pub(super) fn exceeds(excess: Excess, marks: &mut RowMarks) {
    match excess.policy {
        Narrow::Clamp => marks.set_if(excess.event, true),
        Narrow::Drop | Narrow::Refuse => marks.reject(excess.event),
    }
}
