//! What an heir does with each table of its predecessor: shares it as it is, or makes it anew, to be translated into.
//!
//! A table is made anew when its layout or its capacity differs, or the number of its shards. An index follows the
//! capacity of its records; slots stay what they are, so that everything else that names them is shared.

use super::inherited::{Inherited, bad};
use super::memory;
use super::region::no_memory;
use crate::state::FLOWS_INDEX;
use crate::state::flow::FlowRecord;
use crate::state::flows::FlowTable;
use handover::messages::{Fault, TableAction, TableWork};
use shm_state::descriptor::Layout;
use shm_state::error::RegionError;
use shm_state::prelude::SegmentId;
use shm_state::schema::Schema;
use shm_state::segment::Segment;
use shm_state::table::{Index, Records, RecordsView, Shards};
use shm_state::translate::{Copier, CopyError, INDEX_BUILDER_SLOT_BYTES, IndexBuilder, Layer, Marking, Origin};

/// A process that takes tables over.
#[derive(Debug)]
pub(super) struct Heir<'a> {
    inherited: &'a Inherited,
    region_id: [u8; 16],
    /// The predecessor's.
    generation: u64,
    /// Tables that have to be translated before the heir may serve.
    pub(super) copiers: Vec<Copier>,
    pub(super) work: Vec<TableWork>,
    /// What is kept aside from layouts that are not served.
    pub(super) layers: Vec<Layer>,
    /// Layers of the predecessor that are no longer needed.
    pub(super) released: Vec<SegmentId>,
    /// Segments that the heir made.
    pub(super) own: Vec<SegmentId>,
}

impl<'a> Heir<'a> {
    pub(super) fn new(inherited: &'a Inherited, region_id: [u8; 16], generation: u64) -> Self {
        Self {
            inherited,
            region_id,
            generation,
            copiers: Vec::new(),
            work: Vec::new(),
            layers: Vec::new(),
            released: Vec::new(),
            own: Vec::new(),
        }
    }

    /// A segment that is shared whatever it holds.
    ///
    /// # Errors
    /// It was not handed over.
    pub(super) fn share(&mut self, name: &str, id: SegmentId) -> Result<Segment, Fault> {
        let segment = self.inherited.take(id)?;
        let version = segment.prelude().layout_version;
        self.note(name, (version, version), TableAction::Shared, 0);
        Ok(segment)
    }

    /// The flows with their shards, for `capacity` of them in `shards`. The index is made anew where slots are added or
    /// taken away, where it is divided otherwise, and where a migration changes keys.
    ///
    /// # Errors
    /// What cannot be taken over, by table and field.
    pub(super) fn flows<R: FlowRecord>(&mut self, capacity: usize, shards: usize) -> Result<FlowTable<R>, Fault> {
        let id = Index::id(FLOWS_INDEX);
        let old = self.inherited.flow_shards()?;
        let bytes = Shards::bytes(capacity, shards) as u64;
        let builder = INDEX_BUILDER_SLOT_BYTES * capacity as u64;
        let reshaped = (old.capacity(), old.count()) != (capacity, shards);
        if reshaped {
            let all = bytes + builder + Records::<R>::bytes(capacity) as u64;
            memory::check(all, "another capacity or number of shards of table flows")?;
        }
        let copiers = self.copiers.len();
        // The new index hears of every record from the copy of the records.
        let remake = reshaped.then_some(capacity);
        let (records, _) = self.table::<R>(&R::schema(), remake)?;
        let rekeyed = self.copiers[copiers..].iter().any(Copier::rekeys);
        let version = old.list()[0].index.segment().prelude().layout_version;
        if !reshaped && !rekeyed {
            self.note("flows.index", (version, version), TableAction::Shared, 0);
            return FlowTable::join(records, old).map_err(|e| bad(id, &e));
        }
        if rekeyed {
            memory::check(bytes + builder, "other keys in table flows")?;
        }
        let rebuilt = old.another(capacity, shards).map_err(no_memory)?;
        let builder = IndexBuilder::new(rebuilt.clone(), |record: &[u8]| {
            R::read_from_bytes(record).map(|record| record.key().bytes()).unwrap_or([0; crate::state::key::KEY_LEN])
        });
        if let Some(copier) = self.copiers.last_mut() {
            copier.follow(Box::new(builder));
        }
        self.note("flows.index", (version, version), TableAction::Rebuilt, bytes);
        self.own.extend(rebuilt.segments().map(Segment::id));
        // Shards that there are no longer.
        self.released.extend(old.segments().map(Segment::id).skip(shards));
        FlowTable::join(records, rebuilt).map_err(|e| bad(id, &e))
    }

    /// A table's records, and as the predecessor has them. With `remake` they are made anew whatever the layout, for so
    /// many of them.
    ///
    /// # Errors
    /// What cannot be taken over, by table and field.
    pub(super) fn table<T: Layout>(
        &mut self,
        schema: &Schema,
        remake: Option<usize>,
    ) -> Result<(Records<T>, RecordsView), Fault> {
        let id = Records::<T>::id();
        let source = self.inherited.take(id)?;
        let versions = (source.prelude().layout_version, T::VERSION);
        let view = RecordsView::attach(source.clone()).map_err(|e| bad(id, &e))?;
        match Records::<T>::attach(source) {
            Ok(records) if remake.is_none() => {
                self.note(T::NAME, versions, TableAction::Shared, 0);
                self.layers.extend(self.inherited.layers(T::TABLE)?);
                return Ok((records, view));
            }
            Ok(_) | Err(RegionError::Layout { .. }) => {}
            Err(error) => return Err(bad(id, &error)),
        }
        let capacity = remake.unwrap_or(view.capacity() as usize);
        let bytes = Records::<T>::bytes(capacity) as u64;
        let migrations: Vec<_> = schema.migration_facts().cloned().collect();
        let aside = Layer::bytes_between(view.descriptor(), &T::descriptor(), &migrations, capacity);
        let aside = aside.map_err(|e| refused(T::NAME, e.into()))? as u64;
        memory::check(bytes + aside, &format!("the new layout of table {}", T::NAME))?;
        let records = Records::<T>::create(self.region_id, capacity).map_err(no_memory)?;
        let destination = RecordsView::attach(records.segment().clone()).map_err(|e| bad(id, &e))?;
        let marking = if view.marks_are_fine(self.generation) { Marking::Fine } else { Marking::Coarse };
        let layers = self.layers_for(T::TABLE, capacity)?;
        let origin = Origin { marking, generation: self.generation, layers };
        let copier = Copier::new(view.clone(), destination, schema, origin).map_err(|e| refused(T::NAME, e))?;
        self.own.push(id);
        self.note(T::NAME, versions, TableAction::Translated, bytes);
        if let Some(layer) = copier.made_layer() {
            self.own.push(layer.segment().id());
            self.note(&format!("{}.aside", T::NAME), versions, TableAction::KeptAside, aside);
        }
        self.layers.extend(copier.layers().cloned());
        let held = self.inherited.layers(T::TABLE)?;
        let gone = held.iter().map(|layer| layer.segment().id());
        self.released.extend(gone.filter(|id| self.layers.iter().all(|layer| layer.segment().id() != *id)));
        self.copiers.push(copier);
        Ok((records, view))
    }

    /// The predecessor's layers. Where the table shrinks so do they: slots that come back one day inherit nothing.
    fn layers_for(&mut self, table: u32, capacity: usize) -> Result<Vec<Layer>, Fault> {
        let mut layers = self.inherited.layers(table)?;
        for layer in layers.iter_mut().filter(|layer| layer.capacity() > capacity) {
            *layer = layer.resized(capacity).map_err(no_memory)?;
            self.own.push(layer.segment().id());
        }
        Ok(layers)
    }

    fn note(&mut self, table: &str, (from_version, to_version): (u32, u32), action: TableAction, bytes: u64) {
        let table = table.to_owned();
        self.work.push(TableWork { table, from_version, to_version, action, bytes, ..TableWork::default() });
    }
}

fn refused(table: &str, error: CopyError) -> Fault {
    match error {
        CopyError::Refused(refusal) => Fault::operator("layout-refused", refusal.to_string(), refusal.remedy.clone()),
        CopyError::Region(error) => Fault::peer("bad-segment", format!("table {table}: {error}"), ""),
    }
}
