//! Records of a layout that this process does not know: read through their descriptor, by copies.

use super::geometry::Geometry;
use super::{Meta, Slot};
use crate::descriptor::Descriptor;
use crate::error::RegionError;
use crate::prelude::Kind;
use crate::segment::Segment;
use std::ops::{ControlFlow, Range};
use std::slice::ChunksExact;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A table of any layout, for reading while its holder writes.
///
/// What is read may be torn when the holder is at work on it; every value is still a valid value of its type.
#[derive(Debug, Clone)]
pub struct RecordsView {
    segment: Segment,
    descriptor: Descriptor,
    pub(crate) geometry: Geometry,
}

/// Room for one record, aligned for word copies.
pub(crate) type RecordBuffer = [u64; super::RECORD_LEN_MAX / 8];

impl RecordsView {
    /// Checks a segment that is said to be a table.
    ///
    /// # Errors
    /// The claim that does not hold, by name.
    pub fn attach(segment: Segment) -> Result<Self, RegionError> {
        let id = segment.id();
        if id.kind != Kind::Table {
            let expected = crate::prelude::SegmentId { kind: Kind::Table, ..id };
            return Err(RegionError::WrongSegment { expected, found: id });
        }
        let descriptor = segment.descriptor()?.ok_or_else(|| RegionError::Claim {
            segment: id,
            what: "descriptor length",
            found: 0,
            expected: "a descriptor".into(),
        })?;
        if descriptor.table_id() != id.table {
            return Err(RegionError::Claim {
                segment: id,
                what: "descriptor's table id",
                found: descriptor.table_id().into(),
                expected: id.table.to_string(),
            });
        }
        let geometry = Geometry::read(&segment, descriptor.record_len())?;
        Ok(Self { segment, descriptor, geometry })
    }

    /// How the records lie.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// How many records there can be.
    pub fn capacity(&self) -> u64 {
        self.geometry.capacity as u64
    }

    /// Live records, counted now.
    pub fn live(&self) -> u64 {
        (0..self.geometry.capacity).filter(|&slot| self.meta(Slot(slot as u32)).live).count() as u64
    }

    /// Reuse count and state of a slot. Panics when there is no such slot.
    #[inline]
    pub fn meta(&self, slot: Slot) -> Meta {
        let word = &self.segment.words(self.geometry.slot_off(slot.at()), 1)[0];
        Meta::decode(word.load(Ordering::Acquire))
    }

    /// Copies a slot's record into `to`, word by word, and returns its bytes.
    #[inline]
    pub(crate) fn copy<'a>(&self, slot: Slot, to: &'a mut RecordBuffer) -> &'a [u8] {
        let words = self.geometry.record_len / 8;
        let from = self.segment.words(self.geometry.slot_off(slot.at()) + 8, words);
        for (to, from) in to[..words].iter_mut().zip(from) {
            *to = from.load(Ordering::Relaxed);
        }
        zerocopy::IntoBytes::as_bytes(&to[..words])
    }

    /// Each of `slots`: its meta word, then its record. Whoever stores into one owns a table that is not yet in use.
    ///
    /// # Panics
    /// When one of them does not exist.
    #[inline]
    pub(crate) fn slots(&self, slots: Range<usize>) -> ChunksExact<'_, AtomicU64> {
        let Geometry { capacity, stride, slots_off, .. } = self.geometry;
        assert!(slots.start <= slots.end && slots.end <= capacity, "slots {slots:?} of {capacity}");
        self.segment.words(slots_off + slots.start * stride, slots.len() * stride / 8).chunks_exact(stride / 8)
    }

    /// The dirty mark of a block. Panics when there is no such block.
    #[inline]
    pub(crate) fn mark(&self, block: usize) -> &AtomicU8 {
        &self.segment.bytes(self.geometry.marks_off, self.geometry.blocks())[block]
    }

    /// Calls `visit(slot, incarnation, record)` for each live record, by slot, until it says to stop.
    pub fn for_each_live(&self, mut visit: impl FnMut(u64, u32, &[u8]) -> ControlFlow<()>) {
        let mut buffer = [0; super::RECORD_LEN_MAX / 8];
        for slot in (0..self.geometry.capacity).map(|slot| Slot(slot as u32)) {
            let meta = self.meta(slot);
            if meta.live && visit(slot.0.into(), meta.incarnation, self.copy(slot, &mut buffer)).is_break() {
                return;
            }
        }
    }
}
