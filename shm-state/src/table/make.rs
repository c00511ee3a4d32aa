//! Tables whose layout is known only at run time: made from a descriptor, filled record by record.

use super::geometry::{Geometry, RECORD_LEN_MAX};
use super::{Meta, RecordsView, Slot};
use crate::descriptor::Descriptor;
use crate::error::RegionError;
use crate::prelude::{Kind, SegmentId};
use crate::segment::{Segment, Spec};
use std::sync::atomic::Ordering;

impl RecordsView {
    /// Bytes of a body for `capacity` records of `descriptor`'s layout, overhead included; nothing where there can be
    /// no such table.
    pub fn bytes(descriptor: &Descriptor, capacity: u64) -> Option<u64> {
        let possible = (1..=u64::from(u32::MAX)).contains(&capacity) && descriptor.record_len() <= RECORD_LEN_MAX;
        possible.then(|| Geometry::new(capacity as usize, descriptor.record_len()).body_len() as u64)
    }

    /// Makes an empty table of this layout.
    ///
    /// # Errors
    /// See [`RegionError`]; a record that is too long or a capacity out of range is a [`RegionError::Claim`].
    pub fn create(
        descriptor: &Descriptor,
        region_id: [u8; 16],
        capacity: u64,
        shard: u32,
    ) -> Result<Self, RegionError> {
        let id = SegmentId { kind: Kind::Table, table: descriptor.table_id(), shard };
        let body_len = Self::bytes(descriptor, capacity).ok_or_else(|| RegionError::Claim {
            segment: id,
            what: "capacity or record length",
            found: capacity,
            expected: format!("1..=4294967295 records of up to {RECORD_LEN_MAX} bytes"),
        })?;
        let segment = Segment::create(Spec {
            id,
            region_id,
            layout_version: descriptor.layout_version(),
            descriptor: Some(descriptor.as_bytes()),
            body_len,
        })?;
        Geometry::new(capacity as usize, descriptor.record_len()).write(&segment);
        Self::attach(segment)
    }

    /// Stores a slot: record, then reuse count and state. For a table that is this process's own and not yet in use.
    ///
    /// # Panics
    /// When there is no such slot, or `record` has another length than the layout's.
    pub fn put(&self, slot: Slot, meta: Meta, record: &[u8]) {
        assert_eq!(record.len(), self.descriptor().record_len(), "record of another length");
        let slots = self.slots();
        let (word, words) = slots.slot(slot.at());
        for (word, bytes) in words.iter().zip(record.chunks_exact(8)) {
            word.store(u64::from_ne_bytes(bytes.try_into().expect("chunks of 8 bytes")), Ordering::Relaxed);
        }
        word.store(meta.encode(), Ordering::Release);
    }

    /// Copies a slot's record, live or not, into `to`, which is as long as the layout's records.
    ///
    /// # Panics
    /// When there is no such slot, or `to` has another length.
    pub fn read(&self, slot: Slot, to: &mut [u8]) {
        let mut buffer = [0; RECORD_LEN_MAX / 8];
        to.copy_from_slice(self.copy(slot, &mut buffer));
    }
}
