//! What is known of each backend: one record each, in the region, so that it goes on across swaps.

use crate::core::topology::Topology;
use shm_state::Layout;
use shm_state::error::RegionError;
use shm_state::row::RowView;
use shm_state::segment::Segment;
use shm_state::table::{Records, RecordsView, Slot};
use std::ops::ControlFlow;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Stable id of the field that tells backends apart.
const ID: u32 = 3;

/// One backend.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 5, name = "backends", version = 1)]
#[repr(C)]
pub struct BackendRecord {
    /// Its address, for people.
    #[field(id = 1, ip)]
    pub address: [u8; 16],
    #[field(id = 2, port)]
    pub port: u16,
    #[field(skip)]
    reserved: [u8; 2],
    /// Stable id.
    #[field(id = 3, unsigned, key)]
    pub id: u32,
    /// Flows that were given to it.
    #[field(id = 4, unsigned)]
    pub flows_created: u64,
    /// ICMP errors that the network reported about datagrams to it.
    #[field(id = 5, unsigned)]
    pub icmp_errors: u64,
}

impl BackendRecord {
    /// A backend that has done nothing yet.
    pub fn new(id: u32, address: [u8; 16], port: u16) -> Self {
        Self { address, port, reserved: [0; 2], id, flows_created: 0, icmp_errors: 0 }
    }
}

/// The records of all backends, by the topology's positions.
#[derive(Debug)]
pub struct BackendTable {
    records: Records<BackendRecord>,
    /// Slot of each backend.
    slots: Vec<Slot>,
}

impl BackendTable {
    /// Makes a record for each backend.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn create(region_id: [u8; 16], topology: &Topology) -> Result<Self, RegionError> {
        let mut records = Records::create(region_id, topology.targets.len())?;
        for (at, target) in topology.targets.iter().enumerate() {
            let record = BackendRecord::new(target.id, target.endpoint.ip, target.endpoint.port);
            records.fill(Slot(at as u32), record);
        }
        let source = RecordsView::attach(records.segment().clone())?;
        Self::join(records, &source, topology)
    }

    /// Joins records with the topology. `source` is the table as its holder has it, in whatever layout: `records` may be
    /// a translation that is still to be made.
    ///
    /// # Errors
    /// The backend that has no record, by name.
    pub fn join(
        records: Records<BackendRecord>,
        source: &RecordsView,
        topology: &Topology,
    ) -> Result<Self, RegionError> {
        // By copies: somebody else may hold the table still, and write to it.
        let mut known = Vec::new();
        source.for_each_live(|slot, _, bytes| {
            // The two may have been attached at different times, and what they said of their size been written over
            // in between.
            if slot >= records.capacity() as u64 {
                return ControlFlow::Break(());
            }
            let id = RowView::new(source.descriptor(), bytes).unsigned(ID);
            known.extend(id.map(|id| (id, Slot(slot as u32))));
            ControlFlow::Continue(())
        });
        let slot = |id| {
            known.iter().find(|(known, _)| *known == u64::from(id)).map(|(_, slot)| *slot).ok_or_else(|| {
                RegionError::Claim {
                    segment: records.segment().id(),
                    what: "backends",
                    found: records.capacity() as u64,
                    expected: format!("one with id {id:#010x} as in the config"),
                }
            })
        };
        let slots = topology.targets.iter().map(|target| slot(target.id)).collect::<Result<_, _>>()?;
        Ok(Self { records, slots })
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        self.records.segment()
    }

    /// The calling process writes as `generation` from now on.
    pub fn hold(&self, generation: u64) {
        self.records.hold(generation);
    }

    /// Changes the record of the backend at `target`.
    pub fn update(&mut self, target: usize, change: impl FnOnce(&mut BackendRecord)) {
        let slot = self.slots[target];
        change(self.records.get_mut(slot));
        self.records.touch(slot);
    }
}
