//! The way of kept values back into the records.

use super::Layer;
use crate::descriptor::{Descriptor, Field};
use crate::table::{Meta, RECORD_LEN_MAX, RecordBuffer, Slot};
use crate::translate::compile::Compiler;
use crate::translate::kernel::Rows;
use crate::translate::step::Step;
use crate::translate::{Refusal, RowMarks};
use std::ops::Range;
use zerocopy::IntoBytes;

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
    steps: Vec<Step>,
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
    steps: Vec<Step>,
    place: Range<usize>,
}

impl Restorer {
    /// Plans the restoration of `layers` into records that are translated from `source` to `destination`.
    ///
    /// # Errors
    /// A layer holds a field that means something else in another layout.
    pub(in crate::translate) fn new(
        mut layers: Vec<Layer>,
        source: &Descriptor,
        destination: &Descriptor,
    ) -> Result<Self, Refusal> {
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
                let (steps, exact) = conversion(layer.fields(), field, destination, to)?;
                spent &= exact;
                let mut peers = Vec::new();
                for (_, layout, of) in places.iter().rev().filter(|(id, ..)| *id == field.id()) {
                    peers.extend(peer(layer.fields(), field, layout, Some(*of))?);
                }
                peers.extend(peer(layer.fields(), field, source, None)?);
                places.push((field.id(), layer.fields().clone(), (at, fields.len())));
                fields.push(Kept { steps, peers, restored: false });
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
                field.restored = agrees(&field.peers, kept, newer, source, &mut self.scratch)
                    && apply(&field.steps, kept, destination);
            }
        }
    }
}

/// Whether a kept value is what the place that holds it less exactly still says.
fn agrees(peers: &[Peer], kept: &[u8], newer: &[Origin], source: &[u8], scratch: &mut RecordBuffer) -> bool {
    for Peer { of, steps, place } in peers {
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
        return apply(steps, kept, scratch.as_mut_bytes())
            && scratch.as_bytes()[place.clone()] == record[place.clone()];
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
    let (steps, _) = conversion(layer, field, other, to)?;
    Ok(Some(Peer { of, steps, place: to.offset()..to.end() }))
}

/// Steps from one field to another, and whether they lose nothing.
fn conversion(
    from_layout: &Descriptor,
    from: &Field,
    to_layout: &Descriptor,
    to: &Field,
) -> Result<(Vec<Step>, bool), Refusal> {
    let mut compiler = Compiler::new(from_layout, to_layout)?;
    let action = compiler.translated(from, to)?;
    Ok((compiler.steps, action.is_exact()))
}

/// One record; false when a value is rejected.
fn apply(steps: &[Step], from: &[u8], to: &mut [u8]) -> bool {
    let mut marks = [RowMarks::DONE];
    let (from_len, to_len) = (from.len(), to.len());
    let mut rows = Rows::new((from, from_len), (to, to_len), &mut marks);
    steps.iter().for_each(|step| rows.apply(step));
    marks[0].is_done()
}
