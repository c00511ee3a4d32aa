//! The tables of a process: made new at a cold start, or taken over, with those whose layout differs made anew.

use super::inheritance::{Inheritance, Shape};
use super::inherited::Inherited;
use crate::config::{Config, Limits};
use crate::core::forward::Forwarder;
use crate::core::topology::Topology;
use crate::io::socket_set::SocketSet;
use crate::io::uring::{IoShape, create_segment};
use crate::limits::RX_HEAD_BYTES;
use crate::state::backends::BackendTable;
use crate::state::counters::Counters;
use crate::state::flow::FlowRecord;
use crate::state::flows::FlowTable;
use crate::state::identities::Identities;
use handover::messages::{DescriptorEntry, Fault, Role as WireRole, TableWork};
use shm_state::directory::{Directory, Role, SegmentEntry};
use shm_state::error::RegionError;
use shm_state::manifest::{MANIFEST, Manifest};
use shm_state::prelude::SegmentId;
use shm_state::recover::Ledger;
use shm_state::segment::Segment;
use shm_state::table::{Records, Slot};
use shm_state::translate::{Copier, Layer};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

/// Sizes of a worker's ring.
const SUBMISSIONS: u32 = 2048;

/// Everything that a process of one worker serves from.
#[derive(Debug)]
pub(super) struct Region<R> {
    pub(super) manifest: Manifest,
    pub(super) sockets: Arc<SocketSet>,
    pub(super) shape: IoShape,
    /// One per worker.
    pub(super) io: Vec<Segment>,
    pub(super) forwarder: Option<Forwarder<R>>,
    /// Tables that have to be translated before this process may serve.
    pub(super) copiers: Vec<Copier>,
    pub(super) tables: Vec<TableWork>,
    /// Segments of the predecessor that nobody needs once the swap is final.
    pub(super) released: Vec<DescriptorEntry>,
    /// The flow table as its holder has it, in the holder's own layout.
    pub(super) predecessor: Option<Ledger>,
    topology: Arc<Topology>,
    segments: Vec<Segment>,
    /// Segments that this process made, as opposed to those it took over.
    own: Vec<SegmentId>,
}

impl<R: FlowRecord> Region<R> {
    /// Makes a new region.
    ///
    /// # Errors
    /// What could not be made, by name.
    pub(super) fn cold(config: &Config, topology: Arc<Topology>, sockets: Arc<SocketSet>) -> Result<Self, Fault> {
        let region_id = random()?;
        let manifest = Manifest::create(region_id).map_err(no_memory)?;
        let limits = &config.limits;
        let flows = FlowTable::create_sharded(region_id, limits.flows_max as usize, limits.shards, random()?);
        let flows = flows.map_err(no_memory)?;
        let identities = Identities::create(region_id, &topology.rows()).map_err(no_memory)?;
        let backends = BackendTable::create(region_id, &topology).map_err(no_memory)?;
        let mut counters = Records::<Counters>::create(region_id, config.runtime.workers).map_err(no_memory)?;
        for worker in 0..config.runtime.workers {
            counters.fill(Slot(worker as u32), Counters::default());
        }
        let forwarder =
            Forwarder::new(topology.clone(), flows, identities, counters, backends, 0).map_err(no_memory)?;
        let mut own: Vec<_> = forwarder.segments().into_iter().map(Segment::id).collect();
        own.push(MANIFEST);
        Self::join(config, topology, sockets, manifest, forwarder, own, Default::default())
    }

    /// Takes a region over: what has our layout is shared, the rest gets a segment of our own to be translated into.
    ///
    /// # Errors
    /// What cannot be taken over, by table and field.
    pub(super) fn inherit(
        config: &Config,
        topology: Arc<Topology>,
        sockets: Arc<SocketSet>,
        inherited: &Inherited,
    ) -> Result<Self, Fault> {
        let Inheritance { manifest, forwarder, predecessor, copiers, work, layers, released, own } =
            Inheritance::of(inherited, &topology, shape_of(config))?;
        let released = released.iter().map(|id| DescriptorEntry::segment(id.kind as u32, id.table, id.shard)).collect();
        let mut region = Self::join(config, topology, sockets, manifest, forwarder, own, (copiers, work, layers))?;
        region.released = released;
        region.predecessor = Some(predecessor);
        Ok(region)
    }

    fn join(
        config: &Config,
        topology: Arc<Topology>,
        sockets: Arc<SocketSet>,
        manifest: Manifest,
        forwarder: Forwarder<R>,
        mut own: Vec<SegmentId>,
        (copiers, tables, layers): (Vec<Copier>, Vec<TableWork>, Vec<Layer>),
    ) -> Result<Self, Fault> {
        let region_id = manifest.region_id();
        let shape = shape(config);
        let io = (0..config.runtime.workers)
            .map(|worker| create_segment(region_id, worker as u32, &shape).map_err(no_memory))
            .collect::<Result<Vec<_>, _>>()?;
        let mut segments = vec![manifest.segment().clone()];
        segments.extend(forwarder.segments().into_iter().cloned());
        segments.extend(layers.iter().map(|layer| layer.segment().clone()));
        segments.extend(io.iter().cloned());
        own.extend(io.iter().map(Segment::id));
        let listed: Vec<_> = segments
            .iter()
            .map(|segment| SegmentEntry {
                id: segment.id(),
                fd: segment.fd().as_raw_fd(),
                layout_version: segment.prelude().layout_version,
                fingerprint: segment.prelude().fingerprint,
            })
            .collect();
        let directory = Directory::create(region_id, &listed, &sockets.entries(&topology)).map_err(no_memory)?;
        own.push(directory.segment().id());
        segments.push(directory.segment().clone());
        let forwarder = Some(forwarder);
        Ok(Self {
            manifest,
            sockets,
            shape,
            io,
            forwarder,
            copiers,
            tables,
            topology,
            segments,
            own,
            released: Vec::new(),
            predecessor: None,
        })
    }

    /// Every descriptor of the region and every socket, for the supervisor or a successor.
    pub(super) fn descriptors(&self) -> Vec<(DescriptorEntry, BorrowedFd<'_>)> {
        let sockets = self.sockets.entries(&self.topology).into_iter().zip(self.sockets.iter()).map(|(entry, fd)| {
            let role = match entry.role {
                Role::Listener => WireRole::Listener,
                Role::Upstream => WireRole::Upstream,
            };
            (DescriptorEntry::socket(role, entry.owner_id, entry.ordinal, entry.shard), fd)
        });
        self.segments.iter().map(described).chain(sockets).collect()
    }

    /// The descriptors of the segments that this process made.
    pub(super) fn own_descriptors(&self) -> Vec<(DescriptorEntry, BorrowedFd<'_>)> {
        self.segments.iter().filter(|segment| self.own.contains(&segment.id())).map(described).collect()
    }
}

fn described(segment: &Segment) -> (DescriptorEntry, BorrowedFd<'_>) {
    let SegmentId { kind, table, shard } = segment.id();
    (DescriptorEntry::segment(kind as u32, table, shard), segment.fd())
}

fn shape_of(config: &Config) -> Shape {
    let Limits { flows_max, shards, .. } = config.limits;
    Shape { flows_max: flows_max as usize, shards, workers: config.runtime.workers }
}

fn shape(config: &Config) -> IoShape {
    let buffers = config.limits.receive_buffers as u32;
    IoShape {
        submissions: SUBMISSIONS,
        // Every buffer may be in the queue at once, beside the turn's own completions.
        completions: (buffers * 2).max(SUBMISSIONS * 2),
        buffers,
        buffer_len: (RX_HEAD_BYTES + config.limits.datagram_bytes_max) as u32,
    }
}

pub(super) fn no_memory(error: RegionError) -> Fault {
    Fault::kernel("no-segment", error.to_string(), "lower [limits] in the config, or free memory")
}

fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| Fault::kernel("no-randomness", format!("getrandom failed: {e}"), "see getrandom(2)"))?;
    Ok(bytes)
}
