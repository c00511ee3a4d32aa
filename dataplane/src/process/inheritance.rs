//! The tables of a predecessor as its heir has them: all that a process of one worker serves from, before it has a ring
//! or a socket of its own.

use super::heir::Heir;
use super::inherited::{Inherited, bad};
use crate::core::forward::Forwarder;
use crate::core::topology::Topology;
use crate::state::backends::{BackendRecord, BackendTable};
use crate::state::counters::Counters;
use crate::state::flow::FlowRecord;
use crate::state::identities::{self, Identities};
use handover::messages::{Fault, TableWork};
use shm_state::descriptor::Layout;
use shm_state::manifest::{MANIFEST, Manifest};
use shm_state::prelude::SegmentId;
use shm_state::recover::Ledger;
use shm_state::schema::Schema;
use shm_state::table::{Records, Slot};
use shm_state::translate::{Copier, Layer};
use std::sync::Arc;

/// What was taken over, and what is still to be translated.
#[derive(Debug)]
pub struct Inheritance<R> {
    pub manifest: Manifest,
    pub forwarder: Forwarder<R>,
    /// The flow table as its holder has it, in the holder's own layout.
    pub predecessor: Ledger,
    /// Tables that have to be translated before the heir may serve.
    pub copiers: Vec<Copier>,
    pub work: Vec<TableWork>,
    /// What is kept aside from layouts that are not served.
    pub layers: Vec<Layer>,
    /// Layers of the predecessor that are no longer needed.
    pub released: Vec<SegmentId>,
    /// Segments that the heir made.
    pub own: Vec<SegmentId>,
}

/// What the heir's config asks for.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub flows_max: usize,
    pub shards: usize,
    pub workers: usize,
}

impl<R: FlowRecord> Inheritance<R> {
    /// Shares what has the heir's layout, capacity and shards; the rest gets a segment of its own to be translated into.
    ///
    /// # Errors
    /// What cannot be taken over, by table and field.
    pub fn of(
        inherited: &Inherited,
        topology: &Arc<Topology>,
        Shape { flows_max, shards, workers }: Shape,
    ) -> Result<Self, Fault> {
        let manifest = Manifest::attach(inherited.take(MANIFEST)?).map_err(|e| bad(MANIFEST, &e))?;
        let mut heir = Heir::new(inherited, manifest.region_id(), manifest.owner().generation());
        let flows = heir.flows::<R>(flows_max, shards)?;
        let identities = heir.share("identities", identities::ID)?;
        let identities = Identities::attach(identities, &topology.rows()).map_err(|e| bad(identities::ID, &e))?;
        let predecessor = inherited.ledger(Records::<R>::id(), identities.clone())?;
        let (counters, source) = heir.table::<Counters>(&Schema::new(Counters::NAME), None)?;
        if (0..workers).any(|worker| !source.is_live(Slot(worker as u32))) {
            let id = Records::<Counters>::id();
            let message = format!("segment {id} has no counters for each of {workers} workers");
            return Err(Fault::peer("bad-segment", message, "keep runtime.workers as it is in this version"));
        }
        let (backends, source) = heir.table::<BackendRecord>(&Schema::new(BackendRecord::NAME), None)?;
        let backends =
            BackendTable::join(backends, &source, topology).map_err(|e| bad(Records::<BackendRecord>::id(), &e))?;
        let mut forwarder = Forwarder::new(topology.clone(), flows, identities, counters, backends, 0)
            .map_err(|e| bad(Records::<Counters>::id(), &e))?;
        forwarder.prepare_scan().map_err(|e| bad(Records::<R>::id(), &e))?;
        let Heir { own, copiers, work, layers, released, .. } = heir;
        Ok(Self { manifest, forwarder, predecessor, copiers, work, layers, released, own })
    }
}
