//! Flows looked up at random, a batch at a time: with memory asked for in stages, and without.

use std::hint::black_box;
use std::time::Duration;

use dataplane::state::flow::FlowStart;
use dataplane::state::flow_v2::FlowV2;
use dataplane::state::flows::FlowTable;
use dataplane::state::key::FlowKey;
use shm_state::table::{KeyHash, Slot};

use super::{Numbers, timed};
use crate::error::{Error, Result};

/// Look-ups that go through the stages together: what the packet path has of a busy ring.
pub const BATCH: usize = 64;

/// A full flow table.
pub struct Lookup {
    table: FlowTable<FlowV2>,
    numbers: Numbers,
    keys: Vec<FlowKey>,
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookup").field("flows", &self.table.live()).finish_non_exhaustive()
    }
}

impl Lookup {
    /// A table of `flows` flows, as full as it may be, and room for `lookups` keys that are looked up together.
    pub fn new(flows: usize, lookups: usize) -> Result<Self> {
        let mut numbers = Numbers(flows as u64);
        let secret = u128::from(numbers.next()) << 64 | u128::from(numbers.next());
        let mut table =
            FlowTable::create([7; 16], flows, secret.to_le_bytes()).map_err(|error| Error::World(error.to_string()))?;
        for flow in 0..flows as u32 {
            let key = key(flow);
            let start = FlowStart { key, backend: 1, identity: flow, now_ns: 1 };
            let hash = table.hash(&key);
            table.insert(hash, start).map_err(|why| Error::World(format!("flow {flow} of {flows}: {why:?}")))?;
        }
        Ok(Self { table, numbers, keys: vec![key(0); lookups] })
    }

    /// Other flows are looked up from now on, each as likely as any other.
    pub fn shuffle(&mut self) {
        let flows = self.table.live() as u64;
        let numbers = &mut self.numbers;
        self.keys.iter_mut().for_each(|at| *at = key((numbers.next() % flows) as u32));
    }

    /// How long all look-ups take, in the packet path's stages: hash, ask for the buckets, ask for the record, find.
    ///
    /// # Errors
    /// A flow was not found.
    pub fn staged(&self) -> Result<Duration> {
        let table = &self.table;
        self.time(|keys, stages| {
            for (stage, key) in stages.iter_mut().zip(keys) {
                stage.hash = table.hash(key);
                table.prefetch_buckets(stage.hash);
            }
            stages.iter_mut().for_each(|stage| stage.candidate = table.prefetch(stage.hash));
        })
    }

    /// How long they take when each waits for its memory. Errors like [`Lookup::staged`].
    pub fn plain(&self) -> Result<Duration> {
        self.time(|keys, stages| {
            stages.iter_mut().zip(keys).for_each(|(stage, key)| stage.hash = self.table.hash(key));
        })
    }

    fn time(&self, prepare: impl Fn(&[FlowKey], &mut [Stage])) -> Result<Duration> {
        let mut found = 0;
        let time = timed(|| {
            let mut stages = [Stage { hash: self.table.hash(&key(0)), candidate: None }; BATCH];
            for keys in self.keys.chunks(BATCH) {
                let stages = &mut stages[..keys.len()];
                prepare(keys, stages);
                for (Stage { hash, candidate }, key) in stages.iter().zip(keys) {
                    found += usize::from(black_box(self.table.find(*hash, key, *candidate)).is_some());
                }
            }
        });
        if found == self.keys.len() { Ok(time) } else { Err(Error::World("a flow was not found".to_owned())) }
    }
}

/// What is known of a key that is looked up.
#[derive(Clone, Copy)]
struct Stage {
    hash: KeyHash,
    candidate: Option<Slot>,
}

/// The key of flow number `flow`.
fn key(flow: u32) -> FlowKey {
    let mut client = [0; 16];
    client[10..12].fill(0xff);
    client[12..].copy_from_slice(&flow.to_be_bytes());
    FlowKey { client, local: [1; 16], client_port: flow as u16, local_port: 53, scope: 0, listener: 1 }
}
