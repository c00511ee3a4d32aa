//! The way of kept values back into the records.

use super::Layer;
use crate::descriptor::{Descriptor, Field, Narrow};
use crate::table::{Meta, RECORD_LEN_MAX, RecordBuffer, Slot};
use crate::translate::compile::Compiler;
use crate::translate::kernel::Rows;
use crate::translate::memory::{Bytes, BytesMut};
use crate::translate::step::Step;
use crate::translate::valid::settle;
use crate::translate::words::{Op, additions};
use crate::translate::{Plan, Refusal, RowMarks};
use std::ops::Range;
use zerocopy::IntoBytes;
use zeroize::Zeroize;

/// Restores what layers hold into records that were just translated.
#[derive(Debug)]
pub(in crate::translate) struct Restorer {
    /// Newest first: a newer layer knows better, an older one knows more exactly.
    layers: Vec<Origin>,
    scratch: RecordBuffer,
}

/// One layer, as a source of fields.
#[derive(Debug)]
struct Origin {
    layer: Layer,
    fields: Vec<Kept>,
    /// Nothing is left that only the layer has.
    spent: bool,
    /// Of the record under way: what the layer has of it, if anything.
    record: RecordBuffer,
    known: bool,
}

/// One field of a layer that the destination knows.
#[derive(Debug)]
struct Kept {
    /// Into the destination's record.
    conversion: Conversion,
    /// Other places of the field, less exact than this one: newer layers, the newest last, then the record itself.
    peers: Vec<Peer>,
    /// Of the record under way: the value was restored.
    restored: bool,
}

#[derive(Debug)]
struct Peer {
    /// Positions of the layer and of its field; `None` for the record.
    of: Option<(usize, usize)>,
    /// From the kept value into the peer's record.
    conversion: Conversion,
}

/// From a field of one layout to the same field of another.
#[derive(Debug)]
struct Conversion {
    ops: Vec<Op>,
    /// Bytes of the other layout's records, and where the field lies there.
    len: usize,
    place: Range<usize>,
    /// The field, if its range or cases forbid some values.
    checked: Option<Field>,
    /// Elements of an array that only the other layout has: where they lie, and their default.
    filled: Option<(Range<usize>, Vec<u8>)>,
    /// Nothing is lost.
    exact: bool,
}

impl Restorer {
    /// Plans the restoration of `layers` into records that are translated by `plan`. What a migration makes is newer than
    /// what any layer holds of it.
    ///
    /// # Errors
    /// A layer holds a field that means something else in another layout.
    pub(in crate::translate) fn new(mut layers: Vec<Layer>, plan: &Plan) -> Result<Self, Refusal> {
        let (source, destination) = (plan.source(), plan.destination());
        let migrated: Vec<u32> = plan.migrated().collect();
        layers.sort_by_key(|layer| std::cmp::Reverse(layer.generation()));
        let mut planned: Vec<Origin> = Vec::with_capacity(layers.len());
        // Fields of layers and where each lies, in order of age.
        let mut places: Vec<(u32, Descriptor, (usize, usize))> = Vec::new();
        for (at, layer) in layers.into_iter().enumerate() {
            let (mut fields, mut spent) = (Vec::new(), true);
            for field in layer.fields().fields() {
                let Some(to) = destination.field(field.id()) else {
                    spent = false;
                    continue;
                };
                if migrated.contains(&field.id()) {
                    continue;
                }
                let conversion = Conversion::plan(layer.fields(), field, destination, to)?;
                spent &= conversion.exact;
                let mut peers = Vec::new();
                for (_, layout, of) in places.iter().rev().filter(|(id, ..)| *id == field.id()) {
                    peers.extend(peer(layer.fields(), field, layout, Some(*of))?);
                }
                peers.extend(peer(layer.fields(), field, source, None)?);
                places.push((field.id(), layer.fields().clone(), (at, fields.len())));
                fields.push(Kept { conversion, peers, restored: false });
            }
            let record = [0; RECORD_LEN_MAX / 8];
            planned.push(Origin { layer, fields, spent, record, known: false });
        }
        Ok(Self { layers: planned, scratch: [0; RECORD_LEN_MAX / 8] })
    }

    /// Whether there is nothing to restore.
    pub(in crate::translate) fn is_idle(&self) -> bool {
        self.layers.iter().all(|origin| origin.fields.is_empty())
    }

    /// Layers that are carried along.
    pub(in crate::translate) fn carried(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|origin| !origin.spent).map(|origin| &origin.layer)
    }

    /// Restores what is known of the record in `slot`: `source` is the record, `destination` its translation.
    pub(in crate::translate) fn restore(&mut self, slot: usize, meta: Meta, source: &[u8], destination: &mut [u8]) {
        for at in 0..self.layers.len() {
            let (newer, rest) = self.layers.split_at_mut(at);
            let Origin { layer, fields, record, known, .. } = &mut rest[0];
            *known = !fields.is_empty() && layer.knows(slot, meta);
            if !*known {
                continue;
            }
            let kept = layer.view().copy(Slot(slot as u32), record);
            for field in fields {
                let scratch = &mut self.scratch;
                let value = agrees(&field.peers, kept, newer, source, scratch)
                    .then(|| field.conversion.apply(kept, scratch))
                    .flatten();
                field.restored = value.is_some();
                if let Some(value) = value {
                    destination[field.conversion.place.clone()].copy_from_slice(value);
                }
            }
        }
    }
}

impl Drop for Restorer {
    fn drop(&mut self) {
        // The table may have been one of secrets.
        self.scratch.zeroize();
        self.layers.iter_mut().for_each(|origin| origin.record.zeroize());
    }
}

/// Whether a kept value is what the place that holds it less exactly still says.
fn agrees(peers: &[Peer], kept: &[u8], newer: &[Origin], source: &[u8], scratch: &mut RecordBuffer) -> bool {
    for Peer { of, conversion } in peers {
        let record = match of {
            None => source,
            Some((layer, field)) => {
                let origin = &newer[*layer];
                if !origin.known {
                    continue;
                }
                // What the newer layer has was overtaken, and so was this.
                if !origin.fields[*field].restored {
                    return false;
                }
                origin.record.as_bytes()
            }
        };
        return conversion.apply(kept, scratch).is_some_and(|value| *value == record[conversion.place.clone()]);
    }
    true
}

/// The same field in another layout, if it has it.
fn peer(
    layer: &Descriptor,
    field: &Field,
    other: &Descriptor,
    of: Option<(usize, usize)>,
) -> Result<Option<Peer>, Refusal> {
    let Some(to) = other.field(field.id()) else { return Ok(None) };
    Ok(Some(Peer { of, conversion: Conversion::plan(layer, field, other, to)? }))
}

impl Conversion {
    fn plan(from_layout: &Descriptor, from: &Field, to_layout: &Descriptor, to: &Field) -> Result<Self, Refusal> {
        let mut compiler = Compiler::new(from_layout, to_layout)?;
        let action = compiler.translated(from, to)?;
        Ok(Self {
            ops: additions(&compiler.steps),
            len: to_layout.record_len(),
            place: to.offset()..to.end(),
            checked: (to.range().is_some() || to.cases().is_some()).then(|| to.clone()),
            filled: compiler.steps.iter().find_map(|step| match *step {
                Step::Fill { dst, len } => {
                    let place = dst as usize..(dst + len) as usize;
                    Some((place.clone(), compiler.template[place].to_vec()))
                }
                _ => None,
            }),
            exact: action.is_exact(),
        })
    }

    /// The field of record `from` as the other layout has it; nothing when that rejects it.
    fn apply<'a>(&self, from: &[u8], scratch: &'a mut RecordBuffer) -> Option<&'a [u8]> {
        let to = &mut scratch.as_mut_bytes()[..self.len];
        to[self.place.clone()].fill(0);
        let mut marks = [RowMarks::DONE];
        let src = Bytes { bytes: from, len: from.len(), rows: 1 };
        let mut rows = Rows { src, dst: BytesMut { bytes: to, len: self.len, rows: 1 }, marks: &mut marks };
        self.ops.iter().for_each(|op| rows.apply(op));
        let to = &mut scratch.as_mut_bytes()[..self.len];
        if let Some((place, default)) = &self.filled {
            to[place.clone()].copy_from_slice(default);
        }
        if let Some(field) = &self.checked
            && !settle(field, &mut to[self.place.clone()])
            && field.narrow() != Narrow::Clamp
        {
            return None;
        }
        marks[0].is_done().then(|| &scratch.as_bytes()[self.place.clone()])
    }
}
