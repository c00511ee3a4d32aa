//! The records of one table, for the process that holds it.

use super::geometry::Geometry;
use super::marks::{self, BLOCK_SLOTS};
use super::slots::Slots;
use super::{Meta, Slot};
use crate::descriptor::Layout;
use crate::error::RegionError;
use crate::map;
use crate::prelude::{Kind, SegmentId};
use crate::segment::{Segment, Spec};
use std::sync::atomic::Ordering;

const LINE: usize = 64;

/// Records of layout `R` in stable slots.
///
/// Every write is followed by [`Records::touch`] of its slot, so that a successor that copies in the background
/// copies it again.
#[derive(Debug)]
pub struct Records<R> {
    slots: Slots<R>,
}

impl<R: Layout> Records<R> {
    /// Which segment the table's records are.
    pub const fn id() -> SegmentId {
        SegmentId::new(Kind::Table, R::TABLE)
    }

    /// Bytes of shared memory that `capacity` records take, overhead included.
    pub fn bytes(capacity: usize) -> usize {
        Geometry::new(capacity, size_of::<R>()).body_len()
    }

    /// Makes an empty table.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn create(region_id: [u8; 16], capacity: usize) -> Result<Self, RegionError> {
        let geometry = Geometry::new(capacity, size_of::<R>());
        let create = if R::SECRET { Segment::create_secret } else { Segment::create };
        let segment = create(Spec {
            id: Self::id(),
            region_id,
            layout_version: R::VERSION,
            descriptor: Some(R::descriptor_bytes()),
            body_len: geometry.body_len() as u64,
        })?;
        geometry.write(&segment);
        Ok(Self { slots: Slots::new(segment, geometry) })
    }

    /// Attaches a table that already has layout `R`.
    ///
    /// # Errors
    /// [`RegionError::Layout`] when it has another one and must be translated; claims that do not hold, by name.
    pub fn attach(segment: Segment) -> Result<Self, RegionError> {
        segment.expect(Self::id())?;
        let expected = crate::prelude::digest64(R::descriptor_bytes());
        let prelude = segment.prelude();
        if prelude.fingerprint != expected {
            return Err(RegionError::Layout {
                table: R::NAME,
                found: prelude.fingerprint,
                found_version: prelude.layout_version,
                expected,
                expected_version: R::VERSION,
            });
        }
        let geometry = Geometry::read(&segment, size_of::<R>())?;
        Ok(Self { slots: Slots::new(segment, geometry) })
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        self.slots.segment()
    }

    /// How many records there can be.
    pub fn capacity(&self) -> usize {
        self.slots.geometry().capacity
    }

    /// The record in `slot`, live or not. Panics when there is no such slot.
    #[inline]
    pub fn get(&self, slot: Slot) -> &R {
        self.slots.record(slot.at())
    }

    /// The record in `slot`, for writing; call [`Records::touch`] afterwards. Panics when there is no such slot.
    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> &mut R {
        self.slots.record_mut(slot.at())
    }

    /// Reuse count and state of `slot`. Panics when there is no such slot.
    #[inline]
    pub fn meta(&self, slot: Slot) -> Meta {
        Meta::decode(self.slots.meta(slot.at()).load(Ordering::Relaxed))
    }

    /// True when `slot` exists and is live: for slot numbers that were read from shared memory.
    #[inline]
    pub fn is_live(&self, slot: Slot) -> bool {
        slot.at() < self.capacity() && self.meta(slot).live
    }

    /// Fills a free slot and makes it live; its incarnation rises by one.
    pub fn fill(&mut self, slot: Slot, record: R) {
        *self.slots.record_mut(slot.at()) = record;
        let incarnation = self.meta(slot).incarnation.wrapping_add(1);
        self.set_meta(slot, Meta { incarnation, live: true });
    }

    /// Makes a live slot free.
    pub fn clear(&mut self, slot: Slot) {
        let meta = Meta { live: false, ..self.meta(slot) };
        self.set_meta(slot, meta);
    }

    fn set_meta(&mut self, slot: Slot, meta: Meta) {
        self.slots.meta(slot.at()).store(meta.encode(), Ordering::Release);
        self.touch(slot);
    }

    /// Marks the slot dirty: unconditionally, after every write. See [`marks`].
    #[inline]
    pub fn touch(&self, slot: Slot) {
        let block = slot.at() / BLOCK_SLOTS;
        marks::mark(self.slots.mark(block), self.slots.group(block), 1 << (slot.at() % BLOCK_SLOTS));
    }

    /// The table's holder writes as `generation` from now on, and marks slot by slot. Called whenever the owner word
    /// names the calling process under a new generation, before the first write.
    pub fn hold(&self, generation: u64) {
        self.slots.geometry().generation(self.segment()).store(generation, Ordering::Release);
    }

    /// Asks for the cache lines of a slot, and of its mark, ahead of their use.
    #[inline]
    pub fn prefetch(&self, slot: Slot) {
        if slot.at() < self.capacity() {
            let record = self.slots.record(slot.at()).as_bytes();
            map::prefetch(self.slots.meta(slot.at()));
            // The record lies behind the meta word.
            record.iter().skip(LINE - 8).step_by(LINE).for_each(map::prefetch);
            // A slot that does not begin with a line ends in one more.
            map::prefetch(&record[record.len() - 1]);
            map::prefetch(self.slots.mark(slot.at() / BLOCK_SLOTS));
        }
    }
}
