//! Forwarding as decisions: a packet in, where it goes out. No clock, no descriptor, no randomness of its own.
//!
//! Work on a batch goes in stages, so that memory is on its way before it is needed: `key`/`hash`, `prefetch`, then
//! `up`; for replies `locate`, then `down`.

use super::topology::Topology;
use crate::io::errors::{PathError, PathErrorOrigin};
use crate::state::backends::BackendTable;
use crate::state::counters::{Counters, count};
use crate::state::flow::{FlowRecord, FlowStart};
use crate::state::flows::{FlowTable, NoRoom};
use crate::state::identities::Identities;
use crate::state::key::FlowKey;
use crate::wire::sockaddr::{Endpoint, from_ip16};
use shm_state::error::RegionError;
use shm_state::recover::{Report, Scan};
use shm_state::segment::Segment;
use shm_state::table::{Index, KeyHash, Records, Slot};
use std::sync::Arc;

/// A received datagram, without its payload.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    pub sender: Endpoint,
    /// The address that it was sent to; IPv4 is IPv4-mapped.
    pub local: [u8; 16],
    /// The TOS or traffic class byte: DSCP and ECN.
    pub tos: u8,
    /// Payload bytes.
    pub len: u32,
}

/// Where a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// Position of the socket.
    pub socket: usize,
    pub to: Endpoint,
    /// Local address to send from; `None` is the socket's own.
    pub from: Option<[u8; 16]>,
    pub tos: u8,
}

/// A look-up under way.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    key: FlowKey,
    hash: KeyHash,
    candidate: Option<Slot>,
}

/// One worker's forwarding state.
#[derive(Debug)]
pub struct Forwarder<R> {
    topology: Arc<Topology>,
    flows: FlowTable<R>,
    identities: Identities,
    counters: Records<Counters>,
    backends: BackendTable,
    worker: Slot,
    /// Where the expiry sweep goes on.
    swept: usize,
    /// Counts the unpredictable choices made, so that no two are alike.
    choices: u64,
    /// Hashes flows onto backends and makes choices; keyed apart from the flow index by its input.
    mixer: Index,
    /// Made ready for a table that was taken over.
    scan: Option<Scan>,
    scanning: bool,
    recovered: Option<Report>,
}

impl<R: FlowRecord> Forwarder<R> {
    /// Joins a worker's tables.
    ///
    /// # Errors
    /// [`RegionError::Claim`] when the counters have no record for this worker.
    pub fn new(
        topology: Arc<Topology>,
        flows: FlowTable<R>,
        identities: Identities,
        counters: Records<Counters>,
        backends: BackendTable,
        worker: u32,
    ) -> Result<Self, RegionError> {
        let worker = Slot(worker);
        if worker.at() >= counters.capacity() {
            return Err(RegionError::Claim {
                segment: counters.segment().id(),
                what: "workers",
                found: counters.capacity() as u64,
                expected: format!("a record {}", worker.0),
            });
        }
        let mixer = flows.shards().list()[0].index.clone();
        Ok(Self {
            topology,
            flows,
            identities,
            counters,
            backends,
            worker,
            swept: 0,
            choices: 0,
            mixer,
            scan: None,
            scanning: false,
            recovered: None,
        })
    }

    /// Makes the memory for a full scan of the flow table, should one be owed when this worker begins to serve.
    ///
    /// # Errors
    /// The claim that does not hold, by name.
    pub fn prepare_scan(&mut self) -> Result<(), RegionError> {
        self.scan = Some(Scan::new(self.flows.ledger(&self.identities)?));
        Ok(())
    }

    /// The topology.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// The tables are this worker's from now on, as `generation`: goes on where the one before stopped. Before the first
    /// write.
    pub fn resume(&mut self, generation: u64) {
        self.flows.hold(generation);
        self.counters.hold(generation);
        self.backends.hold(generation);
        self.scanning = self.scan.as_ref().is_some_and(Scan::is_owed);
        self.choices = self.counters().flows_created;
    }

    /// This worker's counters.
    #[inline]
    pub fn counters(&mut self) -> &mut Counters {
        self.counters.get_mut(self.worker)
    }

    /// Flows now.
    pub fn live(&self) -> usize {
        self.flows.live()
    }

    /// The segments of the tables: flows with the index of each shard, identities, counters, backends.
    pub fn segments(&self) -> Vec<&Segment> {
        let others = [self.identities.segment(), self.counters.segment(), self.backends.segment()];
        self.flows.segments().into_iter().chain(others).collect()
    }

    /// From a client, stage 1: the key, its hash, and its buckets asked for.
    #[inline]
    pub fn begin(&self, listening: usize, packet: &Packet) -> Lookup {
        let socket = &self.topology.listening[listening];
        let key = FlowKey {
            client: packet.sender.ip,
            local: packet.local,
            client_port: packet.sender.port,
            local_port: socket.address.port(),
            scope: packet.sender.scope,
            listener: socket.id,
        };
        let hash = self.flows.hash(&key);
        self.flows.prefetch_buckets(hash);
        Lookup { key, hash, candidate: None }
    }

    /// From a client, stage 2: the record asked for.
    #[inline]
    pub fn prefetch(&self, lookup: &mut Lookup) {
        lookup.candidate = self.flows.prefetch(lookup.hash);
    }

    /// From a client, stage 3: where the datagram goes; `None` when it is dropped, and counted.
    #[inline]
    pub fn up(&mut self, listening: usize, packet: &Packet, lookup: &Lookup, now_ns: u64) -> Option<Departure> {
        count(&mut self.counters().rx_up, 1);
        if packet.sender.port == 0 {
            count(&mut self.counters().drop_port_zero, 1);
            return None;
        }
        let slot = match self.flows.find(lookup.hash, &lookup.key, lookup.candidate) {
            Some(slot) => slot,
            None => self.start(listening, lookup, now_ns)?,
        };
        let record = self.flows.get(slot);
        let (backend, identity) = (record.backend(), record.identity());
        // A backend that the config no longer has, or a record that something wrote over: nothing can be sent, and the
        // flow expires.
        let place = self.topology.target_at(backend);
        let place = place.and_then(|target| Some((target, self.topology.targets[target].resolve(identity)?)));
        let Some((target, (socket, from))) = place else {
            count(&mut self.counters().drop_no_flow, 1);
            return None;
        };
        self.flows.update(slot, |record| record.count_up(now_ns, packet.len));
        let to = self.topology.targets[target].endpoint;
        Some(Departure { socket, to, from, tos: packet.tos })
    }

    /// From a backend, stage 1: the flow that the reply belongs to, its record asked for; `None` when it is dropped,
    /// and counted.
    #[inline]
    pub fn locate(&mut self, socket: usize, packet: &Packet) -> Option<(usize, u32, Slot)> {
        count(&mut self.counters().rx_down, 1);
        let Some(target) = self.topology.target_from(&packet.sender.ip, packet.sender.port) else {
            count(&mut self.counters().drop_unknown_source, 1);
            return None;
        };
        let identity = self.topology.targets[target].identity(socket, from_ip16(&packet.local));
        let found = identity.and_then(|identity| Some((target, identity, self.identities.slot(target, identity)?)));
        match found {
            Some((_, _, slot)) => self.flows.prefetch_slot(slot),
            None => count(&mut self.counters().drop_no_flow, 1),
        }
        found
    }

    /// From a backend, stage 2: which client the reply goes to; `None` when it is dropped, and counted.
    #[inline]
    pub fn down(
        &mut self,
        (target, identity, slot): (usize, u32, Slot),
        packet: &Packet,
        now_ns: u64,
    ) -> Option<Departure> {
        let id = self.topology.targets[target].id;
        let record = self.flows.live_record(slot).filter(|r| r.backend() == id && r.identity() == identity);
        let Some(key) = record.map(FlowRecord::key) else {
            count(&mut self.counters().drop_no_flow, 1);
            return None;
        };
        let Some(socket) = self.topology.listening_at(key.listener) else {
            count(&mut self.counters().drop_no_flow, 1);
            return None;
        };
        self.flows.update(slot, |record| record.count_down(now_ns, packet.len));
        let from = self.topology.listening[socket].is_wildcard().then_some(key.local);
        let to = Endpoint { ip: key.client, port: key.client_port, scope: key.scope };
        Some(Departure { socket, to, from, tos: packet.tos })
    }

    /// Ends flows that were idle too long: looks at the next `slots` slots. Returns how many ended.
    pub fn sweep(&mut self, slots: usize, now_ns: u64) -> usize {
        let mut ended = 0;
        for _ in 0..slots.min(self.flows.capacity()) {
            let slot = Slot(self.swept as u32);
            self.swept = (self.swept + 1) % self.flows.capacity();
            let Some(record) = self.flows.live_record(slot) else { continue };
            let listening = self.topology.listening_at(record.key().listener);
            let idle_max = match (record.idle_max_ns(), listening) {
                (0, Some(at)) => self.topology.listening[at].idle_ns,
                // Nobody listens for it any more.
                (0, None) => 0,
                (own, _) => own,
            };
            if now_ns.saturating_sub(record.last_seen_ns()) <= idle_max {
                continue;
            }
            let backend = record.backend();
            let target = self.topology.target_at(backend);
            let end = self.flows.end(&mut self.identities, slot, target, now_ns);
            if let Some(scan) = self.scan.as_mut().filter(|_| self.scanning) {
                scan.ended(&end);
            }
            ended += 1;
        }
        if ended > 0 {
            count(&mut self.counters().flows_expired, ended as u64);
        }
        ended
    }

    /// Whether a full scan of the flow table is under way.
    #[inline]
    pub fn recovering(&self) -> bool {
        self.scanning
    }

    /// Goes on with the full scan.
    #[cold]
    pub fn recover(&mut self, steps: usize, now_ns: u64) {
        let report = self.scan.as_mut().and_then(|scan| scan.step(steps, now_ns));
        if report.is_some() {
            self.scanning = false;
            self.scan = None;
            self.recovered = report;
        }
    }

    /// What the full scan found, once.
    #[inline]
    pub fn recovered(&mut self) -> Option<Report> {
        self.recovered.take()
    }

    /// Counts what the network reported about an earlier datagram against its backend.
    #[cold]
    pub fn path_error(&mut self, error: &PathError) {
        // What this host itself refused was counted by the send.
        if error.origin != PathErrorOrigin::Network {
            return;
        }
        count(&mut self.counters().icmp_errors, 1);
        let target = error.destination.and_then(|to| self.topology.target_from(&to.ip, to.port));
        if let Some(target) = target {
            self.backends.update(target, |backend| count(&mut backend.icmp_errors, 1));
        }
    }

    /// Slots in all, for pacing the sweep.
    pub fn capacity(&self) -> usize {
        self.flows.capacity()
    }

    #[cold]
    fn start(&mut self, listening: usize, lookup: &Lookup, now_ns: u64) -> Option<Slot> {
        let (balance, members) = &self.topology.pools[self.topology.listening[listening].pool];
        let target = members[balance.lookup(&lookup.key.bytes())];
        let backend = self.topology.targets[target].id;
        let random = self.choose();
        let Self { flows, identities, scan, scanning, .. } = self;
        let mut scan = scan.as_mut().filter(|_| *scanning);
        if let Some(waking) = flows.wake(identities, target, now_ns, self.topology.reuse_delay_ns)
            && let Some(scan) = &mut scan
        {
            scan.woken(&waking);
        }
        let start = |identity| FlowStart { key: lookup.key, backend, identity, now_ns };
        match flows.begin(identities, lookup.hash, target, random, start) {
            Ok(begin) => {
                if let Some(scan) = &mut scan {
                    scan.begun(&begin);
                }
                count(&mut self.counters().flows_created, 1);
                self.backends.update(target, |backend| count(&mut backend.flows_created, 1));
                Some(begin.slot)
            }
            Err(why) => {
                match why {
                    NoRoom::Identity => count(&mut self.counters().refused_no_identity, 1),
                    NoRoom::Table => count(&mut self.counters().refused_table_full, 1),
                    NoRoom::Index => count(&mut self.counters().refused_index_full, 1),
                }
                None
            }
        }
    }

    /// A number that nobody without the region's key can predict.
    fn choose(&mut self) -> u64 {
        self.choices = self.choices.wrapping_add(1);
        // Shorter than any flow key's bytes, so never the hash of one.
        self.mixer.hash(&self.choices.to_le_bytes()).number()
    }
}
