//! Which fields a translation keeps aside, and their way into the layer.

use super::Layer;
use crate::descriptor::{Descriptor, DescriptorError};
use crate::table::Meta;
use crate::translate::kernel::Rows;
use crate::translate::step::Step;
use crate::translate::{Plan, RowMarks};
use std::sync::atomic::Ordering;
use zerocopy::IntoBytes;

/// Writes the layer of one translation, many rows at a time.
#[derive(Debug)]
pub(in crate::translate) struct Keeper {
    layer: Layer,
    /// Bytes of a source record.
    source_len: usize,
    steps: Vec<Step>,
    /// Records of the layer before they are stored.
    rows: Vec<u64>,
    marks: Vec<RowMarks>,
}

impl Keeper {
    /// The fields that translation by `plan` has to keep aside, as a layout; `None` when nothing is lost.
    pub(in crate::translate) fn fields(plan: &Plan) -> Result<Option<Descriptor>, DescriptorError> {
        let lost = plan.fields().iter().filter(|field| field.action.keeps_aside()).map(|field| field.id);
        plan.source().subset(lost)
    }

    /// Keeps fields of records of layout `source` in `layer`, `rows` records at a time.
    pub(in crate::translate) fn new(source: &Descriptor, layer: Layer, rows: usize) -> Self {
        let copy = |to: &crate::descriptor::Field| {
            let from = source.field(to.id()).expect("the layer's fields are of this layout");
            Step::Copy { src: from.offset() as u32, dst: to.offset() as u32, len: to.len() as u32 }
        };
        let steps = layer.fields().fields().iter().map(copy).collect();
        let words = layer.fields().record_len() / 8;
        Self {
            source_len: source.record_len(),
            steps,
            rows: vec![0; rows * words],
            marks: vec![RowMarks::NONE; rows],
            layer,
        }
    }

    /// Keeps what `source`, records one behind the other, have; `slots` are theirs and those of free slots, in order.
    pub(in crate::translate) fn keep(&mut self, source: &[u8], slots: impl Iterator<Item = (usize, Meta)>) {
        let words = self.layer.fields().record_len() / 8;
        let count = source.len() / self.source_len;
        let records = &mut self.rows[..count * words];
        let mut rows =
            Rows::new((source, self.source_len), (records.as_mut_bytes(), words * 8), &mut self.marks[..count]);
        self.steps.iter().for_each(|step| rows.apply(step));
        let mut records = self.rows.chunks_exact(words);
        let to = self.layer.view().slots();
        for (slot, meta) in slots {
            let (word, record) = to.slot(slot);
            if meta.live {
                let kept = records.next().expect("a record for each live slot");
                record.iter().zip(kept).for_each(|(to, from)| to.store(*from, Ordering::Relaxed));
            }
            word.store(meta.encode(), Ordering::Release);
        }
    }
}
