//! One step over many rows: a dispatch per step, then a loop that the compiler can see through.
//!
//! Widths, lengths and factors are constants inside the loops. A row's number is checked where it is converted;
//! what does not fit is rare and leaves the loop's straight path.

use super::loss::RowMarks;
use super::step::{Excess, Factor, Move, Scale, Step, Width};
use crate::descriptor::Narrow;

/// Source and destination records, one behind the other, and the marks of each row.
///
/// Invariant: there are as many records on either side as there are marks.
pub(super) struct Rows<'a> {
    src: &'a [u8],
    src_len: usize,
    dst: &'a mut [u8],
    dst_len: usize,
    marks: &'a mut [RowMarks],
}

impl<'a> Rows<'a> {
    /// # Panics
    /// When the bytes on either side are not those of one record of this length for each of `marks`.
    #[inline]
    pub(super) fn new(
        (src, src_len): (&'a [u8], usize),
        (dst, dst_len): (&'a mut [u8], usize),
        marks: &'a mut [RowMarks],
    ) -> Self {
        assert_eq!(src.len(), src_len * marks.len(), "source record of another length");
        assert_eq!(dst.len(), dst_len * marks.len(), "destination record of another length");
        Self { src, src_len, dst, dst_len, marks }
    }

    /// Applies a step that reads the source to every row. What is the same in every row was filled in
    /// before.
    #[inline]
    pub(super) fn apply(&mut self, step: &Step) {
        match *step {
            Step::Copy { src, dst, len } => self.copy(src as usize, dst as usize, len as usize),
            Step::Fill { .. } => {}
            Step::Widen(numbers) => self.numbers(numbers, |number, _| number),
            Step::Unsigned { numbers, scale, excess, rounded } => self.unsigned(numbers, scale, excess, rounded),
            Step::Signed { numbers, from_signed, to_signed, excess } => {
                let unused = 64 - numbers.from.bits();
                let (min, max) = numbers.to.range(to_signed);
                self.numbers(numbers, |raw, marks| {
                    let number =
                        if from_signed { i128::from((raw as i64) << unused >> unused) } else { i128::from(raw) };
                    let stored = number.clamp(min, max);
                    if stored != number {
                        exceeds(excess, marks);
                    }
                    stored as u64
                });
            }
            Step::Link { numbers, excess } => {
                let (from_none, to_none) = (numbers.from.max(), numbers.to.max());
                self.numbers(numbers, |slot, marks| {
                    if slot == from_none {
                        return to_none;
                    }
                    // The highest number would turn a slot into no slot.
                    if slot >= to_none {
                        exceeds(excess, marks);
                    }
                    slot
                });
            }
            Step::Cut { src, from_len, dst, to_len, excess } => {
                self.copy(src as usize, dst as usize, to_len as usize);
                let cut = (src + to_len) as usize..(src + from_len) as usize;
                self.each(|record, _, marks| {
                    if record[cut.clone()].iter().any(|&byte| byte != 0) {
                        exceeds(excess, marks);
                    }
                });
            }
        }
    }

    /// Calls `row` with each row's records and marks.
    #[inline(always)]
    pub(super) fn each(&mut self, mut row: impl FnMut(&[u8], &mut [u8], &mut RowMarks)) {
        let (mut src, mut dst) = (self.src, &mut *self.dst);
        // No division by a variable length, as an iterator over chunks would need: one row is a usual number too.
        for marks in &mut *self.marks {
            let (from, to);
            (from, src) = src.split_at(self.src_len);
            (to, dst) = dst.split_at_mut(self.dst_len);
            row(from, to, marks);
        }
    }

    /// Calls `change` with the `S` bytes at `from` of each source record, for the `D` bytes at `to` of the other.
    #[inline(always)]
    fn fixed<const S: usize, const D: usize>(
        &mut self,
        from: usize,
        to: usize,
        mut change: impl FnMut([u8; S], &mut RowMarks) -> [u8; D],
    ) {
        // Once, so that the loop need not.
        assert!(from + S <= self.src_len && to + D <= self.dst_len);
        self.each(|src, dst, marks| {
            let bytes = src[from..from + S].try_into().expect("a slice of S bytes has S bytes");
            dst[to..to + D].copy_from_slice(&change(bytes, marks));
        });
    }

    /// Copies in runs of constant length, longest first.
    fn copy(&mut self, mut from: usize, mut to: usize, mut len: usize) {
        while len > 0 {
            macro_rules! run_of {
                ($($constant:literal)*) => {
                    match len {
                        $($constant => self.run::<$constant>(from, to),)*
                        65.. => self.run::<64>(from, to),
                        3 => self.run::<2>(from, to),
                        // Whole words first, then the 1 to 3 bytes behind them.
                        _ => {
                            self.copy(from, to, len / 4 * 4);
                            len / 4 * 4
                        }
                    }
                };
            }
            let done = run_of!(1 2 4 8 12 16 20 24 28 32 36 40 44 48 52 56 60 64);
            (from, to, len) = (from + done, to + done, len - done);
        }
    }

    fn run<const LEN: usize>(&mut self, from: usize, to: usize) -> usize {
        self.fixed::<LEN, LEN>(from, to, |bytes, _| bytes);
        LEN
    }

    fn unsigned(&mut self, numbers: Move, scale: Scale, excess: Excess, rounded: u8) {
        let max = numbers.to.max();
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
                self.numbers(numbers, |number, marks| {
                    marks.set_if(rounded, number % $by != 0);
                    fit(number / $by, false, marks)
                })
            };
        }
        match scale {
            Scale::None => self.numbers(numbers, |number, marks| fit(number, false, marks)),
            Scale::Multiply(factor) => {
                let factor = factor.number();
                self.numbers(numbers, |number, marks| {
                    let (product, overflow) = number.overflowing_mul(factor);
                    fit(product, overflow, marks)
                });
            }
            Scale::Divide(Factor::Thousand) => divide!(1_000),
            Scale::Divide(Factor::Million) => divide!(1_000_000),
            Scale::Divide(Factor::Billion) => divide!(1_000_000_000),
        }
    }

    /// Turns each row's number into another. The usual widths are constants in their loops.
    #[inline(always)]
    fn numbers(&mut self, numbers: Move, mut change: impl FnMut(u64, &mut RowMarks) -> u64) {
        let (from, to) = (numbers.src as usize, numbers.dst as usize);
        match (numbers.from, numbers.to) {
            (Width::W4, Width::W8) => {
                self.fixed(from, to, |bytes, marks| change(u32::from_le_bytes(bytes).into(), marks).to_le_bytes())
            }
            (Width::W8, Width::W8) => {
                self.fixed(from, to, |bytes, marks| change(u64::from_le_bytes(bytes), marks).to_le_bytes());
            }
            (Width::W8, Width::W4) => {
                self.fixed(from, to, |bytes, marks| (change(u64::from_le_bytes(bytes), marks) as u32).to_le_bytes())
            }
            _ => self.each(|src, dst, marks| {
                let number = crate::row::load(&src[from..from + numbers.from.bytes()]);
                put(dst, to, numbers.to, change(number, marks));
            }),
        }
    }
}

/// Stores the low bytes of `number`.
#[inline(always)]
pub(super) fn put(record: &mut [u8], at: usize, width: Width, number: u64) {
    match width {
        Width::W1 => record[at] = number as u8,
        Width::W2 => record[at..at + 2].copy_from_slice(&(number as u16).to_le_bytes()),
        Width::W4 => record[at..at + 4].copy_from_slice(&(number as u32).to_le_bytes()),
        Width::W8 => record[at..at + 8].copy_from_slice(&number.to_le_bytes()),
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
