//! Applies a plan to records. Hot: no allocation, no look-up by name, one pass over the steps for many rows.

use super::block::Block;
use super::kernel::{Rows, exceeds, put};
use super::loss::{Loss, RowMarks};
use super::plan::{Computed, Plan};
use super::step::{Step, Width};
use super::store::{Stored, store};
use crate::descriptor::{Descriptor, FieldType};
use crate::row::{RowView, Value};
use crate::schema::ComputeFn;
use std::sync::Arc;

/// A plan with the functions that it needs. Clones share it.
#[derive(Debug, Clone)]
pub struct Runner {
    program: Arc<Program>,
}

/// What is done to records.
#[derive(Debug)]
pub(super) struct Program {
    source: Descriptor,
    destination_len: usize,
    steps: Box<[Step]>,
    template: Box<[u8]>,
    computed: Box<[(Computed, ComputeFn)]>,
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
    pub(super) fn new(plan: &Plan, functions: Vec<ComputeFn>) -> Self {
        let program = Program {
            source: plan.source().clone(),
            destination_len: plan.destination().record_len(),
            steps: plan.steps().into(),
            template: plan.template().into(),
            computed: plan.computed().iter().cloned().zip(functions).collect(),
            rejections: plan.ledger().rejections().collect(),
        };
        Self { program: Arc::new(program) }
    }

    /// Room for up to `rows` records that are translated together, which is several times faster than one by one.
    ///
    /// # Panics
    /// When `rows` is 0.
    pub fn block(&self, rows: usize) -> Block {
        Block::new(self.program.clone(), rows)
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
        self.program.fill(dst, 1);
        self.program.run(src, dst, std::slice::from_mut(&mut marks));
        (self.program.outcome(marks), marks)
    }
}

impl Program {
    pub(super) fn source_len(&self) -> usize {
        self.source.record_len()
    }

    pub(super) fn destination_len(&self) -> usize {
        self.destination_len
    }

    /// Puts what is the same in every record into `rows` destination records. No step writes there.
    pub(super) fn fill(&self, dst: &mut [u8], rows: usize) {
        assert_eq!(dst.len(), rows * self.destination_len, "destination record of another length");
        for record in dst.chunks_exact_mut(self.destination_len) {
            for step in &self.steps {
                if let Step::Fill { dst, len } = *step {
                    let range = dst as usize..(dst + len) as usize;
                    record[range.clone()].copy_from_slice(&self.template[range]);
                }
            }
        }
    }

    /// Translates as many records as there are `marks`, which are to be [`RowMarks::DONE`]; the destination was
    /// filled before.
    pub(super) fn run(&self, src: &[u8], dst: &mut [u8], marks: &mut [RowMarks]) {
        let mut rows = Rows::new((src, self.source.record_len()), (dst, self.destination_len), marks);
        self.steps.iter().for_each(|step| rows.apply(step));
        self.computed.iter().for_each(|(computed, function)| self.compute(&mut rows, computed, *function));
    }

    fn compute(&self, rows: &mut Rows<'_>, computed: &Computed, function: ComputeFn) {
        let Computed { field, excess, other_type, .. } = computed;
        // Most computed fields are plain numbers: those that fit are stored without the slow path's conversions.
        let plain = (field.ty() == FieldType::Unsigned).then(|| Width::of(field));
        rows.each(|src, dst, marks| {
            if !marks.is_done() {
                return;
            }
            match (function(&RowView::new(&self.source, src)), plain) {
                (Value::Unsigned(number), Some(width)) if number <= width.max() => {
                    put(dst, field.offset(), width, number);
                }
                (value, _) => match store(field, &value, dst) {
                    Stored::Fits => {}
                    Stored::Exceeds => exceeds(*excess, marks),
                    Stored::OtherType => marks.reject(*other_type),
                },
            }
        });
    }

    /// What the marks that a run has made say.
    #[inline]
    pub(super) fn outcome(&self, marks: RowMarks) -> RowOutcome {
        marks.rejection().map_or(RowOutcome::Done, |event| self.rejections[usize::from(event)])
    }
}
