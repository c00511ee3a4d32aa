//! Records of a layout that this process does not know: read through their descriptor, by copies.

use super::geometry::Geometry;
use super::{Meta, Slot};
use crate::descriptor::Descriptor;
use crate::error::RegionError;
use crate::prelude::Kind;
use crate::segment::Segment;
use std::ops::{ControlFlow, Range};
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

/// The slots of a table: each its meta word, then its record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotWords<'a> {
    all: &'a [AtomicU64],
    each: usize,
}

impl<'a> SlotWords<'a> {
    /// A slot. Panics when there is no such slot.
    #[inline(always)]
    pub(crate) fn words(&self, slot: usize) -> &'a [AtomicU64] {
        &self.all[slot * self.each..(slot + 1) * self.each]
    }

    /// Slots that follow each other. Panics when one of them does not exist.
    #[inline(always)]
    pub(crate) fn range(&self, slots: Range<usize>) -> &'a [AtomicU64] {
        &self.all[slots.start * self.each..slots.end * self.each]
    }

    /// A slot's meta word and its record. Panics when there is no such slot.
    #[inline(always)]
    pub(crate) fn slot(&self, slot: usize) -> (&'a AtomicU64, &'a [AtomicU64]) {
        self.words(slot).split_first().expect("a slot begins with its meta word")
    }
}

/// Room for one record, aligned for word copies.
pub(crate) type RecordBuffer = [u64; super::RECORD_LEN_MAX / 8];

impl RecordsView {
    /// Checks a segment that is said to be a table.
    ///
    /// # Errors
    /// The claim that does not hold, by name.
    pub fn attach(segment: Segment) -> Result<Self, RegionError> {
        Self::attach_kind(segment, Kind::Table)
    }

    /// As [`RecordsView::attach`], for another kind of segment that is laid out like a table.
    pub(crate) fn attach_kind(segment: Segment, kind: Kind) -> Result<Self, RegionError> {
        let id = segment.id();
        if id.kind != kind {
            let expected = crate::prelude::SegmentId { kind, ..id };
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

    /// True when `slot` exists and is live: for slot numbers that were read from shared memory.
    pub fn is_live(&self, slot: Slot) -> bool {
        slot.at() < self.geometry.capacity && self.meta(slot).live
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

    /// All slots as words. Whoever stores into one owns a table that is not yet in use.
    #[inline]
    pub(crate) fn slots(&self) -> SlotWords<'_> {
        let Geometry { capacity, stride, slots_off, .. } = self.geometry;
        SlotWords { all: self.segment.words(slots_off, capacity * stride / 8), each: stride / 8 }
    }

    /// The dirty marks, a byte a block.
    #[inline]
    pub(crate) fn marks(&self) -> &[AtomicU8] {
        self.segment.bytes(self.geometry.marks_off, self.geometry.blocks())
    }

    /// The groups of marks, if the table has them.
    #[inline]
    pub(crate) fn groups(&self) -> Option<&[AtomicU8]> {
        self.geometry.groups_off.map(|off| self.segment.bytes(off, self.geometry.groups()))
    }

    /// Whether the holder of `generation` marks slot by slot, and the groups.
    pub fn marks_are_fine(&self, generation: u64) -> bool {
        self.geometry.generation(&self.segment).load(Ordering::Acquire) == generation
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
