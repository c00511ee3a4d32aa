//! The tables as a naive program would keep them, and as they are read back from the bytes.

use dataplane::state::flow::FlowRecord;
use dataplane::state::flows::FlowTable;
use dataplane::state::identities::Identities;
use shm_state::table::{FreeSlots, Slot};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;

/// Identities that one waking looks at.
const WAKE_MAX: usize = 4;

/// One flow, by what recovery must not confuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub client_port: u16,
    pub row: usize,
    pub identity: u32,
}

/// One backend's identities, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    pub pool: Vec<u32>,
    pub queue: VecDeque<(u32, u64)>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub flows: BTreeMap<u32, Flow>,
    /// Free slots of each shard.
    pub free: Vec<Vec<u32>>,
    pub rows: Vec<Row>,
}

impl Model {
    /// Reads the tables; a backend's id is its row.
    pub fn read<R: FlowRecord>(flows: &FlowTable<R>, identities: &Identities) -> Self {
        let slots = |free: &FreeSlots| (0..free.len()).map(|at| free.get(at).map_or(u32::MAX, |slot| slot.0)).collect();
        Self {
            flows: Self::live(flows),
            free: flows.shards().list().iter().map(|shard| slots(&shard.free)).collect(),
            rows: read_rows(identities),
        }
    }

    /// The live flows.
    pub fn live<R: FlowRecord>(flows: &FlowTable<R>) -> BTreeMap<u32, Flow> {
        let slots = (0..flows.capacity() as u32).map(Slot);
        let live = slots.filter_map(|slot| flows.live_record(slot).map(|record| (slot.0, record)));
        let flow = |record: &R| Flow {
            client_port: record.key().client_port,
            row: record.backend() as usize,
            identity: record.identity(),
        };
        live.map(|(slot, record)| (slot, flow(record))).collect()
    }

    pub fn begin(&mut self, shard: usize, client_port: u16, row: usize, random: u64) -> u32 {
        let pool = &mut self.rows[row].pool;
        let at = ((u128::from(random) * pool.len() as u128) >> 64) as usize;
        let identity = pool.swap_remove(at);
        let slot = self.free[shard].pop().expect("a free slot");
        self.flows.insert(slot, Flow { client_port, row, identity });
        slot
    }

    pub fn end(&mut self, shard: usize, slot: u32, now: u64) {
        let flow = self.flows.remove(&slot).expect("a live flow");
        self.free[shard].push(slot);
        self.rows[flow.row].queue.push_back((flow.identity, now));
    }

    pub fn wake(&mut self, row: usize, now: u64, delay: u64) {
        let Row { pool, queue } = &mut self.rows[row];
        for _ in 0..WAKE_MAX {
            match queue.front() {
                Some((identity, since)) if now - since >= delay => pool.push(*identity),
                _ => return,
            }
            queue.pop_front();
        }
    }
}

/// From the bytes alone, by the format that the segment's version says.
fn read_rows(identities: &Identities) -> Vec<Row> {
    let segment = identities.segment();
    let half = |off: usize| segment.halves(off, 1)[0].load(Ordering::Relaxed);
    let word = |off: usize| segment.words(off, 1)[0].load(Ordering::Relaxed);
    let mut off = 64;
    (0..word(0))
        .map(|_| {
            let (count, free, head, len) = (word(off) >> 32, word(off + 8), word(off + 16), word(off + 24));
            let even = (count as usize).next_multiple_of(2);
            let array = off + 64;
            let (queue, times) = (array + even * 8, array + even * 12);
            let resting = |n: u64| {
                let at = ((head + n) % count) as usize;
                (half(queue + at * 4), word(times + at * 8))
            };
            off = times + even * 8;
            Row {
                pool: (0..free as usize).map(|at| half(array + at * 4)).collect(),
                queue: (0..len).map(resting).collect(),
            }
        })
        .collect()
}
