//! Tables of a handful of slots, and operations on them.

use super::image::{FIRST_INDEX, Image};
use super::model::{Flow, Model};
use dataplane::state::flow::{FlowRecord, FlowStart};
use dataplane::state::flows::FlowTable;
use dataplane::state::identities::{Identities, RowSpec};
use dataplane::state::key::FlowKey;
use shm_state::identities::Waking;
use shm_state::recover::{Begin, End, Ledger};
use shm_state::segment::Segment;
use shm_state::table::{Index, Slot};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

/// The generation of the holder that dies.
pub const GENERATION: u64 = 7;
/// How long an identity rests.
pub const DELAY: u64 = 1000;
const REGION: [u8; 16] = [7; 16];
const KEY: [u8; 16] = [9; 16];

/// Sizes.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    capacity: usize,
    identities: [u32; 2],
    /// All keys share their two buckets, so that the index refuses before the table is full.
    colliding: bool,
    shards: usize,
}

impl Shape {
    pub const SMALL: Self = Self { capacity: 16, identities: [9, 11], colliding: false, shards: 1 };
    pub const COLLIDING: Self = Self { capacity: 24, identities: [12, 13], colliding: true, shards: 1 };
    pub const SCARCE: Self = Self { capacity: 16, identities: [1, 3], colliding: false, shards: 1 };

    pub const SHARDED: Self = Self { capacity: 19, identities: [9, 11], colliding: false, shards: 3 };

    pub fn rows(&self) -> Vec<RowSpec> {
        self.identities.iter().enumerate().map(|(row, &n)| RowSpec { backend: row as u32, identities: n }).collect()
    }
}

/// A small generator; the same seed gives the same sequence.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// What is done to the tables.
#[derive(Debug, Clone, Copy)]
pub enum Operation {
    Begin { client_port: u16, row: usize, random: u64, now: u64 },
    End { slot: u32, row: usize, now: u64 },
    Wake { row: usize, now: u64 },
    Update { slot: u32, now: u64 },
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    Begun(Begin),
    Ended(End),
    Woken(Waking),
    Updated,
    Refused,
    Nothing,
}

/// The tables of one holder, and the model of them.
pub struct Scene<R> {
    pub flows: FlowTable<R>,
    pub identities: Identities,
    pub model: Model,
    now: u64,
    ports: Vec<u16>,
}

fn key(client_port: u16) -> FlowKey {
    FlowKey { client: [1; 16], local: [2; 16], client_port, local_port: 53, scope: 0, listener: 4 }
}

impl<R: FlowRecord> Scene<R> {
    pub fn new(shape: Shape) -> Self {
        let mut flows = FlowTable::create_sharded(REGION, shape.capacity, shape.shards, KEY).expect("flows");
        let identities = Identities::create(REGION, &shape.rows()).expect("identities");
        flows.hold(GENERATION);
        let model = Model::read(&flows, &identities);
        let ports = ports(&flows, shape);
        Self { flows, identities, model, now: 1, ports }
    }

    /// Records, identities, the index of each shard.
    pub fn segments(&self) -> Vec<Segment> {
        let mut segments: Vec<_> = self.flows.segments().into_iter().cloned().collect();
        segments.insert(1, self.identities.segment().clone());
        segments
    }

    /// The shard that a key falls to.
    fn shard(&self, client_port: u16) -> usize {
        self.flows.shards().number(self.flows.hash(&key(client_port)))
    }

    pub fn ledger(&self) -> Ledger {
        self.flows.ledger(&self.identities).expect("tables that fit")
    }

    /// A busy table: half full, some identities at rest.
    pub fn grow(&mut self, random: &mut Random) {
        for _ in 0..60 {
            let operation = self.choose(random);
            self.apply(operation);
            self.follow(operation);
        }
        assert_eq!(Model::read(&self.flows, &self.identities), self.model);
    }

    /// An operation that is possible now, or is refused.
    pub fn choose(&mut self, random: &mut Random) -> Operation {
        self.now += random.next() % 400;
        let (now, row) = (self.now, random.below(self.model.rows.len()));
        let live: Vec<u32> = self.model.flows.keys().copied().collect();
        let slot = (!live.is_empty()).then(|| live[random.below(live.len())]);
        match (random.below(20), slot) {
            (0..6, Some(slot)) => Operation::End { slot, row: self.model.flows[&slot].row, now },
            (6..9, _) => Operation::Wake { row, now },
            (9..11, Some(slot)) => Operation::Update { slot, now },
            _ => {
                let taken = |port: &u16| self.model.flows.values().any(|flow| flow.client_port == *port);
                let unused: Vec<u16> = self.ports.iter().copied().filter(|port| !taken(port)).collect();
                let client_port = unused[random.below(unused.len())];
                Operation::Begin { client_port, row, random: random.next(), now }
            }
        }
    }

    /// Makes the operation in the tables. Allocates nothing.
    pub fn apply(&mut self, operation: Operation) -> Done {
        let Self { flows, identities, .. } = self;
        match operation {
            Operation::Begin { client_port, row, random, now } => {
                let key = key(client_port);
                let hash = flows.hash(&key);
                let start = |identity| FlowStart { key, backend: row as u32, identity, now_ns: now };
                flows.begin(identities, hash, row, random, start).map_or(Done::Refused, Done::Begun)
            }
            Operation::End { slot, row, now } => Done::Ended(flows.end(identities, Slot(slot), Some(row), now)),
            Operation::Wake { row, now } => flows.wake(identities, row, now, DELAY).map_or(Done::Nothing, Done::Woken),
            Operation::Update { slot, now } => {
                flows.update(Slot(slot), |record| record.count_up(now * 1_000_000, 100));
                Done::Updated
            }
        }
    }

    /// Whether the tables must refuse.
    pub fn is_refused(&self, operation: Operation) -> bool {
        let Operation::Begin { client_port, row, .. } = operation else { return false };
        let hash = self.flows.hash(&key(client_port));
        let full = self.flows.shards().of(hash).index.vacancy(hash).is_err();
        self.model.free[self.shard(client_port)].is_empty() || self.model.rows[row].pool.is_empty() || full
    }

    /// Makes the operation in the model, if the tables do not refuse it.
    pub fn follow(&mut self, operation: Operation) {
        match operation {
            // The tables have it already, or refused.
            Operation::Begin { client_port, row, random, .. } => {
                if self.is_known(operation) {
                    self.model.begin(self.shard(client_port), client_port, row, random);
                }
            }
            Operation::End { slot, now, .. } => {
                let shard = self.shard(self.model.flows[&slot].client_port);
                self.model.end(shard, slot, now);
            }
            Operation::Wake { row, now } => self.model.wake(row, now, DELAY),
            Operation::Update { .. } => {}
        }
    }

    /// The live flows, from the tables.
    pub fn live(&self) -> BTreeMap<u32, Flow> {
        Model::live(&self.flows)
    }

    /// Whether the tables find the flow that an operation is to begin.
    pub fn is_known(&self, operation: Operation) -> bool {
        let Operation::Begin { client_port, .. } = operation else { return false };
        self.flows.find(self.flows.hash(&key(client_port)), &key(client_port), None).is_some()
    }

    /// Clears all dirty marks, as a copier does.
    pub fn clear_marks(&self) {
        let segment = self.flows.segments()[0];
        let word = |at: usize| segment.words(at * 8, 1)[0].load(Relaxed) as usize;
        let (capacity, block, marks) = (word(0), word(3), word(4));
        for mark in segment.bytes(marks, capacity.div_ceil(block)) {
            mark.store(0, Relaxed);
        }
    }
}

impl Scene<dataplane::state::flow_v2::FlowV2> {
    /// Puts random values into a few words that matter.
    pub fn damage(&self, random: &mut Random) {
        let image = Image::of(&self.segments());
        for _ in 0..1 + random.below(6) {
            let segments = self.segments();
            let which = random.below(segments.len());
            let words = image.words(which);
            // Not the headers, which are checked on attach; but the number of free slots is no claim of that kind.
            let first = if which >= FIRST_INDEX { 16 } else { 8 };
            let free_slots = which >= FIRST_INDEX && random.one_in(8);
            let at = if free_slots { 4 } else { first + random.below(words.len() - first) };
            let segment = &segments[which];
            let other = words[first + random.below(words.len() - first)];
            let value = if random.one_in(2) { other } else { random.next() >> random.below(64) };
            segment.words(at * 8, 1)[0].store(value, Relaxed);
        }
    }
}

/// Client ports to choose from.
fn ports<R: FlowRecord>(flows: &FlowTable<R>, shape: Shape) -> Vec<u16> {
    let mut index = Index::create(REGION, 2, shape.capacity, KEY).expect("an index");
    // The second entry of one hash goes to the emptier bucket, which is the other one.
    let mut buckets = |port: u16| {
        let hash = flows.hash(&key(port));
        let places = [Slot(0), Slot(1)].map(|slot| {
            index.insert(hash, slot).expect("an empty index");
            index.place_of(hash, slot).expect("just entered").0 / 8
        });
        assert_eq!([Slot(0), Slot(1)].map(|slot| index.remove(hash, slot)), [true; 2]);
        (places[0].min(places[1]), places[0].max(places[1]))
    };
    let all = 1000..=u16::MAX;
    if !shape.colliding {
        return all.take(shape.capacity * 2).collect();
    }
    let wanted = buckets(1000);
    all.filter(|&port| buckets(port) == wanted).take(shape.capacity * 2).collect()
}
