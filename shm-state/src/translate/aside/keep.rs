//! Which fields a translation keeps aside, and their way into the layer.

use super::Layer;
use crate::descriptor::{Descriptor, DescriptorError};
use crate::table::Meta;
use crate::translate::kernel::Rows;
use crate::translate::memory::{BytesMut, Source};
use crate::translate::step::Step;
use crate::translate::words::{Op, operations};
use crate::translate::{Plan, RowMarks};
use std::sync::atomic::Ordering;
use zerocopy::IntoBytes;
use zeroize::Zeroize;

/// Writes the layer of one translation, many rows at a time.
#[derive(Debug)]
pub(in crate::translate) struct Keeper {
    layer: Layer,
    ops: Box<[Op]>,
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
        let steps: Vec<_> = layer.fields().fields().iter().map(copy).collect();
        let words = layer.fields().record_len() / 8;
        Self {
            ops: operations(&steps, &vec![0; words * 8]),
            rows: vec![0; rows * words],
            marks: vec![RowMarks::NONE; rows],
            layer,
        }
    }

    /// Keeps what the records of `src` have; each row is that of one of `slots`.
    pub(in crate::translate) fn keep(&mut self, src: impl Source, slots: impl Iterator<Item = (usize, Meta)>) {
        let (words, rows) = (self.layer.fields().record_len() / 8, src.rows());
        let dst = BytesMut { bytes: self.rows[..rows * words].as_mut_bytes(), len: words * 8, rows };
        let mut all = Rows { src, dst, marks: &mut self.marks[..rows] };
        self.ops.iter().for_each(|op| all.apply(op));
        let to = self.layer.view().slots();
        for ((slot, meta), kept) in slots.zip(self.rows.chunks_exact(words)) {
            let (word, record) = to.slot(slot);
            if meta.live {
                record.iter().zip(kept).for_each(|(to, from)| to.store(*from, Ordering::Relaxed));
            }
            word.store(meta.encode(), Ordering::Release);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The table may have been one of secrets.
        self.rows.zeroize();
    }
}
