//! Applies a plan to records. Hot: no allocation, no look-up by name, one pass over the steps.

use super::loss::{Loss, RowMarks};
use super::plan::{Computed, Plan};
use super::step::{Excess, Factor, Move, Scale, Step, Width};
use super::store::{Stored, store};
use crate::descriptor::{Descriptor, Narrow};
use crate::row::RowView;
use crate::schema::ComputeFn;

/// A plan with the functions that it needs.
#[derive(Debug, Clone)]
pub struct Runner {
    source: Descriptor,
    destination_len: usize,
    steps: Box<[Step]>,
    template: Box<[u8]>,
    computed: Box<[(Computed, ComputeFn)]>,
    /// Field id of each event.
    event_fields: Box<[u32]>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum RowOutcome {
    /// The destination holds the translated record.
    Done,
    /// A value does not fit, and its field's policy is to drop the row. The destination's bytes mean nothing.
    Dropped,
    /// A value does not fit, and its field's policy is to refuse; or a function gave a value of another type.
    /// The destination's bytes mean nothing.
    Refused {
        /// Id of the field.
        field: u32,
    },
}

/// Why a row came to nothing.
struct Rejected(Excess);

impl Runner {
    pub(super) fn new(plan: &Plan, functions: Vec<ComputeFn>) -> Self {
        Self {
            source: plan.source().clone(),
            destination_len: plan.destination().record_len(),
            steps: plan.steps().into(),
            template: plan.template().into(),
            computed: plan.computed().iter().cloned().zip(functions).collect(),
            event_fields: plan.ledger().event_fields().collect(),
        }
    }

    /// Translates one record and counts what did not fit. For a table that is being written, whose records are
    /// copied more than once, see [`Runner::run_marked`].
    ///
    /// # Panics
    /// When `src` or `dst` is not as long as its layout's record.
    #[inline]
    pub fn run(&self, src: &[u8], dst: &mut [u8], loss: &mut Loss) -> RowOutcome {
        let (outcome, marks) = self.run_marked(src, dst);
        loss.add(marks);
        outcome
    }

    /// Translates one record and says what did not fit, without counting it. A record that a live writer may
    /// have torn, or that will be copied again, counts only once it was copied for the last time:
    /// [`super::SlotLosses`] keeps the marks of each slot's last copy.
    ///
    /// # Panics
    /// When `src` or `dst` is not as long as its layout's record.
    #[inline]
    pub fn run_marked(&self, src: &[u8], dst: &mut [u8]) -> (RowOutcome, RowMarks) {
        assert_eq!(src.len(), self.source.record_len(), "source record of another length");
        assert_eq!(dst.len(), self.destination_len, "destination record of another length");
        let mut marks = RowMarks::DONE;
        match self.steps(src, dst, &mut marks).and_then(|()| self.compute(src, dst, &mut marks)) {
            Ok(()) => (RowOutcome::Done, marks),
            Err(Rejected(excess)) => (self.outcome(excess), RowMarks::only(excess.event)),
        }
    }

    #[cold]
    fn outcome(&self, excess: Excess) -> RowOutcome {
        match excess.policy {
            Narrow::Drop => RowOutcome::Dropped,
            Narrow::Refuse | Narrow::Clamp => {
                RowOutcome::Refused { field: self.event_fields[usize::from(excess.event)] }
            }
        }
    }

    #[inline]
    fn steps(&self, src: &[u8], dst: &mut [u8], marks: &mut RowMarks) -> Result<(), Rejected> {
        for step in &self.steps {
            match *step {
                Step::Copy { src: from, dst: to, len } => copy(src, from, dst, to, len),
                Step::Fill { dst: to, len } => copy(&self.template, to, dst, to, len),
                Step::Widen(numbers) => put(dst, numbers, get(src, numbers)),
                Step::Unsigned { numbers, scale, excess, rounded } => {
                    let (mut number, overflow) = match scale {
                        Scale::None => (get(src, numbers), false),
                        Scale::Multiply(factor) => get(src, numbers).overflowing_mul(factor.number()),
                        Scale::Divide(factor) => {
                            let (quotient, rest) = divide(get(src, numbers), factor);
                            marks.set_if(rounded, rest != 0);
                            (quotient, false)
                        }
                    };
                    if overflow || number > numbers.to.max() {
                        exceeds(excess, marks)?;
                        number = numbers.to.max();
                    }
                    put(dst, numbers, number);
                }
                Step::Signed { numbers, from_signed, to_signed, excess } => {
                    let raw = get(src, numbers);
                    let unused = 64 - numbers.from.bits();
                    let number =
                        if from_signed { i128::from((raw as i64) << unused >> unused) } else { i128::from(raw) };
                    let (min, max) = numbers.to.range(to_signed);
                    let stored = number.clamp(min, max);
                    if stored != number {
                        exceeds(excess, marks)?;
                    }
                    put(dst, numbers, stored as u64);
                }
                Step::Link { numbers, excess } => {
                    let slot = get(src, numbers);
                    let none = numbers.to.max();
                    if slot == numbers.from.max() {
                        put(dst, numbers, none);
                    } else {
                        // The highest number would turn a slot into no slot.
                        if slot >= none {
                            exceeds(excess, marks)?;
                        }
                        put(dst, numbers, slot);
                    }
                }
                Step::Cut { src: from, from_len, dst: to, to_len, excess } => {
                    copy(src, from, dst, to, to_len);
                    let cut = &src[(from + to_len) as usize..(from + from_len) as usize];
                    if cut.iter().any(|&byte| byte != 0) {
                        exceeds(excess, marks)?;
                    }
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn compute(&self, src: &[u8], dst: &mut [u8], marks: &mut RowMarks) -> Result<(), Rejected> {
        for (Computed { field, excess, other_type, .. }, function) in &self.computed {
            let value = function(&RowView::new(&self.source, src));
            match store(field, &value, dst) {
                Stored::Fits => {}
                Stored::Exceeds => exceeds(*excess, marks)?,
                Stored::OtherType => return Err(Rejected(Excess { policy: Narrow::Refuse, event: *other_type })),
            }
        }
        Ok(())
    }
}

#[cold]
fn exceeds(excess: Excess, marks: &mut RowMarks) -> Result<(), Rejected> {
    match excess.policy {
        Narrow::Clamp => {
            marks.set_if(excess.event, true);
            Ok(())
        }
        Narrow::Drop | Narrow::Refuse => Err(Rejected(excess)),
    }
}

/// Copies `len` bytes. The usual short lengths become single moves instead of calls.
#[inline(always)]
fn copy(src: &[u8], from: u32, dst: &mut [u8], to: u32, len: u32) {
    let (from, to, len) = (from as usize, to as usize, len as usize);
    let (src, dst) = (&src[from..from + len], &mut dst[to..to + len]);
    match len {
        4 => dst[..4].copy_from_slice(&src[..4]),
        8 => dst[..8].copy_from_slice(&src[..8]),
        16 => dst[..16].copy_from_slice(&src[..16]),
        24 => dst[..24].copy_from_slice(&src[..24]),
        32 => dst[..32].copy_from_slice(&src[..32]),
        _ => dst.copy_from_slice(src),
    }
}

#[inline(always)]
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes has N bytes")
}

#[inline(always)]
fn get(src: &[u8], numbers: Move) -> u64 {
    let at = numbers.src as usize;
    match numbers.from {
        Width::W1 => src[at].into(),
        Width::W2 => u16::from_le_bytes(array(src, at)).into(),
        Width::W4 => u32::from_le_bytes(array(src, at)).into(),
        Width::W8 => u64::from_le_bytes(array(src, at)),
    }
}

/// Stores the low bytes of `number`.
#[inline(always)]
fn put(dst: &mut [u8], numbers: Move, number: u64) {
    let at = numbers.dst as usize;
    match numbers.to {
        Width::W1 => dst[at] = number as u8,
        Width::W2 => dst[at..at + 2].copy_from_slice(&(number as u16).to_le_bytes()),
        Width::W4 => dst[at..at + 4].copy_from_slice(&(number as u32).to_le_bytes()),
        Width::W8 => dst[at..at + 8].copy_from_slice(&number.to_le_bytes()),
    }
}

/// Quotient and rest; by constants, which is several times faster than by a variable.
#[inline(always)]
fn divide(number: u64, by: Factor) -> (u64, u64) {
    match by {
        Factor::Thousand => (number / 1_000, number % 1_000),
        Factor::Million => (number / 1_000_000, number % 1_000_000),
        Factor::Billion => (number / 1_000_000_000, number % 1_000_000_000),
    }
}
