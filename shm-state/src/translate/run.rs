//! Applies a plan to records. Hot: no allocation, no look-up by name, one pass over the operations for many rows.

use super::afterwards::Afterwards;
use super::computed::{Computing, Function};
use super::fast::Fast;
use super::gather::Gather;
use super::kernel::Rows;
use super::loss::{Loss, RowMarks};
use super::memory::{Bytes, BytesMut, Sink, Slots, Source};
use super::migrate::Migrating;
use super::plan::Plan;
use super::words::{self, Op};
use crate::descriptor::Descriptor;
use crate::table::RECORD_LEN_MAX;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zerocopy::IntoBytes;

/// A plan with the functions that it needs. Clones share it.
#[derive(Debug, Clone)]
pub struct Runner {
    program: Arc<Program>,
}

/// What is done to records.
#[derive(Debug)]
struct Program {
    source: Descriptor,
    destination_len: usize,
    ops: Box<[Op]>,
    /// The same, for slots.
    fast: Fast,
    computing: Box<[Computing]>,
    /// What is done to each row by itself, at last.
    afterwards: Afterwards,
    /// What becomes of a row, by the event that rejects it.
    rejections: Box<[RowOutcome]>,
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

impl Runner {
    pub(super) fn new(plan: &Plan, functions: Vec<Function>, migrating: Option<Migrating>) -> Self {
        let mut steps = plan.steps().to_vec();
        let mut computing = Vec::new();
        for (computed, function) in plan.computed().iter().cloned().zip(functions) {
            let each = Computing::new(computed, function, plan.source());
            match each.as_step() {
                Some(step) => steps.push(step),
                None => computing.push(each),
            }
        }
        let ops = words::operations(&steps, plan.template());
        let strides = [plan.source(), plan.destination()].map(|layout| layout.record_len() / 8 + 1);
        let program = Program {
            source: plan.source().clone(),
            destination_len: plan.destination().record_len(),
            fast: Fast::new(&ops, strides),
            ops,
            computing: computing.into(),
            afterwards: Afterwards::new(plan, migrating),
            rejections: plan.ledger().rejections().collect(),
        };
        Self { program: Arc::new(program) }
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
    pub fn run_marked(&self, src: &[u8], dst: &mut [u8]) -> (RowOutcome, RowMarks) {
        let mut marks = RowMarks::DONE;
        self.run_many(src, dst, std::slice::from_mut(&mut marks));
        (self.outcome(marks), marks)
    }

    /// Translates as many records as there are `marks`, one behind the other in `src` and in `dst`: several times
    /// faster than one by one. Rows whose marks are [`RowMarks::NONE`] are none; the others get theirs.
    ///
    /// # Panics
    /// When `src` or `dst` is not that many times as long as its layout's record.
    pub fn run_many(&self, src: &[u8], dst: &mut [u8], marks: &mut [RowMarks]) {
        let (src_len, dst_len) = (self.program.source.record_len(), self.program.destination_len);
        assert_eq!(src.len(), src_len * marks.len(), "source record of another length");
        assert_eq!(dst.len(), dst_len * marks.len(), "destination record of another length");
        let rows = marks.len();
        let src = Bytes { bytes: src, len: src_len, rows };
        self.program.run(src, BytesMut { bytes: dst, len: dst_len, rows }, marks);
        if !self.program.afterwards.is_empty() {
            let records = src.bytes.chunks_exact(src_len).zip(dst.chunks_exact_mut(dst_len));
            for (marks, (src, dst)) in marks.iter_mut().zip(records).filter(|(marks, _)| marks.is_done()) {
                self.program.afterwards.apply(src, dst, marks);
            }
        }
    }

    /// As [`Runner::run_many`], straight from one table into another: each slot is a meta word, which is left alone,
    /// and a record. The source may be written by its holder meanwhile: each of its words is read into a register or a
    /// private copy before it is looked at. The destination is the caller's own and not yet in use.
    ///
    /// # Panics
    /// When `src` or `dst` is not as many slots as there are `marks`, or records are longer than a table's may be.
    pub fn run_slots(&self, src: &[AtomicU64], dst: &[AtomicU64], marks: &mut [RowMarks]) {
        let [src_stride, dst_stride] = self.strides();
        assert!(src_stride.max(dst_stride) <= RECORD_LEN_MAX / 8 + 1, "a record too long for a table");
        assert_eq!(src.len(), src_stride * marks.len(), "source slots of another length");
        assert_eq!(dst.len(), dst_stride * marks.len(), "destination slots of another length");
        if !self.program.afterwards.is_empty() {
            return self.one_by_one(src, dst, marks);
        }
        let mut from = 0;
        for marks in marks.chunks_mut(Gather::ROWS_MAX) {
            let (at, rows) = (from, marks.len());
            from += rows;
            let src = Slots { words: &src[at * src_stride..from * src_stride], stride: src_stride, rows };
            let dst = Slots { words: &dst[at * dst_stride..from * dst_stride], stride: dst_stride, rows };
            self.program.fast.run(&self.program.ops, src, dst, marks);
            self.program.compute(Rows { src, dst, marks });
        }
    }

    /// By way of private memory, for plans that look at each row by itself.
    fn one_by_one(&self, src: &[AtomicU64], dst: &[AtomicU64], marks: &mut [RowMarks]) {
        let [src_stride, dst_stride] = self.strides();
        let [mut from, mut to] = [[0; RECORD_LEN_MAX / 8]; 2];
        let (from, to) = (&mut from[..src_stride - 1], &mut to[..dst_stride - 1]);
        let slots = src.chunks_exact(src_stride).zip(dst.chunks_exact(dst_stride));
        for (marks, (src, dst)) in marks.iter_mut().zip(slots).filter(|(marks, _)| marks.is_done()) {
            from.iter_mut().zip(&src[1..]).for_each(|(to, from)| *to = from.load(Ordering::Relaxed));
            self.run_many(from.as_bytes(), to.as_mut_bytes(), std::slice::from_mut(marks));
            dst[1..].iter().zip(&*to).for_each(|(to, from)| to.store(*from, Ordering::Relaxed));
        }
    }

    /// Words of a slot in the source and in the destination.
    pub fn strides(&self) -> [usize; 2] {
        [self.program.source.record_len(), self.program.destination_len].map(|len| len / 8 + 1)
    }

    /// What the marks that a run has left for a record say.
    #[inline]
    pub fn outcome(&self, marks: RowMarks) -> RowOutcome {
        marks.rejection().map_or(RowOutcome::Done, |event| self.program.rejections[usize::from(event)])
    }
}

impl Program {
    fn run(&self, src: impl Source, dst: impl Sink, marks: &mut [RowMarks]) {
        // What the loops over rows rely on to need no checks of their own.
        assert!(src.rows() == marks.len() && dst.rows() == marks.len());
        let mut rows = Rows { src, dst, marks };
        self.ops.iter().for_each(|op| rows.apply(op));
        self.compute(rows);
    }

    fn compute(&self, mut rows: Rows<'_, impl Source, impl Sink>) {
        self.computing.iter().for_each(|computing| computing.apply(&self.source, &mut rows));
    }
}
