//! Unsafe fence: typed references to the records of a table that its process holds.
#![allow(unsafe_code)]

use super::geometry::Geometry;
use super::marks::GROUP_BLOCKS;
use crate::descriptor::Layout;
use crate::segment::Segment;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64};

/// Typed access to slots. One per table and process, made by [`super::Records`], whose `&mut` methods are the
/// only way to a `&mut` record; so within the process the borrow checker rules, and between processes the owner
/// word does: a successor reads records by atomic words only, into private buffers, until it has won the word.
#[derive(Debug)]
pub(super) struct Slots<R> {
    base: NonNull<u8>,
    geometry: Geometry,
    /// Keeps the mapping alive for as long as `base` is in use.
    segment: Segment,
    records: PhantomData<R>,
}

// SAFETY: `base` points into a mapping that `segment` keeps alive and that any thread may use; access to records
// is through `&self`/`&mut self` as for a `Box<[R]>`, and `Layout` types are `Copy` plain data.
unsafe impl<R: Layout> Send for Slots<R> {}

impl<R: Layout> Slots<R> {
    /// `geometry` was checked against `segment` and against `R`'s size by the caller.
    pub(super) fn new(segment: Segment, geometry: Geometry) -> Self {
        assert!(geometry.record_len == size_of::<R>() && align_of::<R>() <= 8);
        assert!(geometry.body_len() <= segment.body_len());
        let base = NonNull::new(segment.body_ptr(0, geometry.body_len())).expect("a mapping is never at address 0");
        Self { base, geometry, segment, records: PhantomData }
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    #[inline]
    pub(super) fn record(&self, slot: usize) -> &R {
        let off = self.geometry.slot_off(slot) + 8;
        // SAFETY: `slot < capacity` is asserted in `slot_off`, and `new` asserted that all slots lie inside the
        // mapping; offsets are multiples of 8 and `align_of::<R>() <= 8`; `R: FromBytes` accepts any bytes.
        unsafe { &*self.base.as_ptr().add(off).cast::<R>() }
    }

    #[inline]
    pub(super) fn record_mut(&mut self, slot: usize) -> &mut R {
        let off = self.geometry.slot_off(slot) + 8;
        // SAFETY: as in `record`; `&mut self` makes the reference unique in this process, and other processes
        // read these bytes by atomic words only.
        unsafe { &mut *self.base.as_ptr().add(off).cast::<R>() }
    }

    #[inline]
    pub(super) fn meta(&self, slot: usize) -> &AtomicU64 {
        let off = self.geometry.slot_off(slot);
        // SAFETY: as in `record`; the meta word is 8-byte aligned and only ever accessed as an atomic.
        unsafe { &*self.base.as_ptr().add(off).cast::<AtomicU64>() }
    }

    #[inline]
    pub(super) fn mark(&self, block: usize) -> &AtomicU8 {
        assert!(block < self.geometry.blocks());
        // SAFETY: `block < blocks` was just asserted and the marks lie inside the body (`new`); marks are only
        // ever accessed as atomic bytes.
        unsafe { &*self.base.as_ptr().add(self.geometry.marks_off + block).cast::<AtomicU8>() }
    }

    #[inline]
    pub(super) fn group(&self, block: usize) -> Option<&AtomicU8> {
        assert!(block < self.geometry.blocks());
        let off = self.geometry.groups_off? + block / GROUP_BLOCKS;
        // SAFETY: `block < blocks` was just asserted, so its group is one of `groups`, which lie inside the body (`new`);
        // groups are only ever accessed as atomic bytes.
        Some(unsafe { &*self.base.as_ptr().add(off).cast::<AtomicU8>() })
    }
}
