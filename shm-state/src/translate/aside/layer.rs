//! The segment of a layer.

use crate::descriptor::Descriptor;
use crate::error::RegionError;
use crate::prelude::{Kind, SegmentId};
use crate::schema::MigrationFacts;
use crate::segment::{Segment, Spec};
use crate::table::{Geometry, Meta, RecordsView, Slot};
use crate::translate::{Plan, Refusal};

/// Fields kept aside from one layout version, by slot and incarnation.
#[derive(Debug, Clone)]
pub struct Layer {
    view: RecordsView,
}

impl Layer {
    /// Which segment the layer of a table's layout version is. The version takes the place above the shard.
    pub const fn id(table: u32, version: u32, shard: u8) -> SegmentId {
        SegmentId { kind: Kind::Side, table, shard: version << 8 | shard as u32 }
    }

    /// Bytes of shared memory that a layer of `capacity` slots takes.
    pub fn bytes(fields: &Descriptor, capacity: usize) -> usize {
        Geometry::new(capacity, fields.record_len()).body_len()
    }

    /// The same for what a translation between two layouts keeps aside; 0 where that is nothing.
    ///
    /// # Errors
    /// What cannot be translated.
    pub fn bytes_between(
        source: &Descriptor,
        destination: &Descriptor,
        migrations: &[MigrationFacts],
        capacity: usize,
    ) -> Result<usize, Refusal> {
        let fields = super::Keeper::fields(&Plan::compile_with(source, destination, migrations)?);
        Ok(fields.ok().flatten().map_or(0, |fields| Self::bytes(&fields, capacity)))
    }

    /// Makes an empty layer. `generation` orders layers by age: it is that of the holder from whom the values are.
    /// What is kept aside of secrets is `secret`.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn create(
        region_id: [u8; 16],
        fields: &Descriptor,
        capacity: usize,
        generation: u64,
        secret: bool,
    ) -> Result<Self, RegionError> {
        let geometry = Geometry::new(capacity, fields.record_len());
        let create = if secret { Segment::create_secret } else { Segment::create };
        let segment = create(Spec {
            id: Self::id(fields.table_id(), fields.layout_version(), 0),
            region_id,
            layout_version: fields.layout_version(),
            descriptor: Some(fields.as_bytes()),
            body_len: geometry.body_len() as u64,
        })?;
        geometry.write(&segment);
        geometry.generation(&segment).store(generation, std::sync::atomic::Ordering::Release);
        Self::attach(segment)
    }

    /// Checks a segment that is said to be a layer.
    ///
    /// # Errors
    /// The claim that does not hold, by name.
    pub fn attach(segment: Segment) -> Result<Self, RegionError> {
        let id = segment.id();
        let expected = Self::id(id.table, segment.prelude().layout_version, id.shard as u8);
        if id != expected {
            return Err(RegionError::WrongSegment { expected, found: id });
        }
        Ok(Self { view: RecordsView::attach_kind(segment, Kind::Side)? })
    }

    /// A copy for another number of slots: those beyond it are forgotten, so that slots which come back to life when the
    /// table grows again inherit nothing.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn resized(&self, capacity: usize) -> Result<Self, RegionError> {
        let region_id = self.segment().prelude().region_id;
        let copy =
            Self::create(region_id, self.fields(), capacity, self.generation(), self.segment().prelude().is_secret())?;
        let (from, to) = (self.view.slots(), copy.view.slots());
        for slot in 0..capacity.min(self.capacity()) {
            for (to, from) in to.words(slot).iter().zip(from.words(slot)) {
                to.store(from.load(std::sync::atomic::Ordering::Relaxed), std::sync::atomic::Ordering::Relaxed);
            }
        }
        Ok(copy)
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        self.view.segment()
    }

    /// The fields that are kept, as they lie in the layer.
    pub fn fields(&self) -> &Descriptor {
        self.view.descriptor()
    }

    /// Slots.
    pub fn capacity(&self) -> usize {
        self.view.capacity() as usize
    }

    /// Generation of the holder from whom the values are.
    pub fn generation(&self) -> u64 {
        self.view.geometry.generation(self.segment()).load(std::sync::atomic::Ordering::Acquire)
    }

    /// Whether the layer has values of the record that `meta` says is in `slot`.
    #[inline]
    pub(super) fn knows(&self, slot: usize, meta: Meta) -> bool {
        slot < self.capacity() && {
            let kept = self.view.meta(Slot(slot as u32));
            kept.live && kept.incarnation == meta.incarnation
        }
    }

    pub(super) fn view(&self) -> &RecordsView {
        &self.view
    }
}
