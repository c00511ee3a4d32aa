//! All slots of a flow table from layout 1 into layout 2: by the engine, by hand, and merely copied.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dataplane::state::flow::FlowRecord;
use dataplane::state::flow_v1::FlowV1;
use dataplane::state::flow_v2::FlowV2;
use shm_state::Layout;
use shm_state::translate::{Plan, RowMarks, Runner};
use zerocopy::{FromBytes, IntoBytes};

use super::by_hand::{SlotV1, SlotV2};
use super::{Numbers, timed};
use crate::error::{Error, Result};

/// A live slot's meta word: used once.
const LIVE: u64 = 1 | 1 << 32;
/// Slots that the engine is given at a time, as a swap does.
const ROWS: usize = 64;

/// Who translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// A plan compiled from two descriptors.
    Engine,
    /// Code that knows both structs.
    ByHand,
    /// As many bytes of each slot as both have, as they are.
    Memcpy,
}

impl Contender {
    pub const ALL: [Self; 3] = [Self::Engine, Self::ByHand, Self::Memcpy];
}

/// Two tables in memory that is there.
#[derive(Debug)]
pub struct Translation {
    runner: Runner,
    source: Vec<AtomicU64>,
    destination: Vec<AtomicU64>,
}

impl Translation {
    /// `records` flows of plausible and differing values.
    pub fn new(records: usize) -> Result<Self> {
        let mut numbers = Numbers(1);
        let mut source: Vec<AtomicU64> = Vec::new();
        source.resize_with(records * size_of::<SlotV1>() / 8, AtomicU64::default);
        for (at, slot) in slots_mut::<SlotV1>(&mut source).iter_mut().enumerate() {
            *slot = flow(at, &mut numbers);
        }
        let mut destination = Vec::new();
        destination.resize_with(records * size_of::<SlotV2>() / 8, AtomicU64::default);
        let mut translation = Self { runner: runner()?, source, destination };
        translation.check()?;
        Ok(translation)
    }

    /// How long `contender` takes for all records.
    pub fn time(&mut self, contender: Contender) -> Duration {
        match contender {
            Contender::Engine => self.engine(),
            Contender::ByHand => {
                let (from, to) = self.typed();
                timed(|| from.iter().zip(to).for_each(|(from, to)| *to = from.into()))
            }
            Contender::Memcpy => {
                let (from, to) = self.typed();
                timed(|| {
                    let len = size_of::<SlotV1>();
                    for (from, to) in from.iter().zip(to) {
                        to.as_mut_bytes()[..len].copy_from_slice(from.as_bytes());
                    }
                })
            }
        }
    }

    /// The two that translate must agree in every bit, or one of them does not do the work.
    fn check(&mut self) -> Result<()> {
        self.time(Contender::ByHand);
        let by_hand = slots_mut::<SlotV2>(&mut self.destination).to_vec();
        slots_mut::<SlotV2>(&mut self.destination).as_mut_bytes().fill(0xee);
        self.time(Contender::Engine);
        let engine = slots_mut::<SlotV2>(&mut self.destination);
        // Meta words are not the engine's but its caller's.
        let same = by_hand.iter().zip(&*engine).all(|(want, got)| SlotV2 { meta: want.meta, ..*got } == *want);
        if same { Ok(()) } else { Err(Error::World("engine and hand-written code translate differently".to_owned())) }
    }

    fn engine(&mut self) -> Duration {
        let Self { runner, source, destination } = self;
        let [from, to] = runner.strides();
        timed(|| {
            let mut marks = [RowMarks::DONE; ROWS];
            for (from, to) in source.chunks(from * ROWS).zip(destination.chunks(to * ROWS)) {
                let marks = &mut marks[..from.len() * 8 / size_of::<SlotV1>()];
                marks.fill(RowMarks::DONE);
                runner.run_slots(from, to, marks);
                assert!(marks.iter().all(|&marks| marks == RowMarks::DONE), "a record lost something");
            }
        })
    }

    fn typed(&mut self) -> (&[SlotV1], &mut [SlotV2]) {
        (slots_mut(&mut self.source), slots_mut(&mut self.destination))
    }
}

/// The plan that a swap from layout 1 to layout 2 uses.
fn runner() -> Result<Runner> {
    let plan =
        Plan::compile(&FlowV1::descriptor(), &FlowV2::descriptor()).map_err(|error| Error::World(error.to_string()))?;
    plan.bind(&FlowV2::schema()).map_err(|error| Error::World(error.to_string()))
}

fn flow(at: usize, numbers: &mut Numbers) -> SlotV1 {
    let (id, packets) = (at as u32, numbers.next());
    let mut client = [0; 16];
    client[10..12].fill(0xff);
    client[12..].copy_from_slice(&id.to_be_bytes());
    let created_us = 1 + numbers.next() % 1_000_000_000;
    SlotV1 {
        meta: LIVE,
        client,
        local: [1; 16],
        client_port: packets as u16 | 1,
        local_port: 53,
        scope: 0,
        listener: 1,
        backend: id % 2,
        identity: id,
        packets_up: (packets >> 32) as u32,
        // Half of the flows were answered.
        packets_down: if packets & 1 == 0 { 0 } else { (packets >> 16) as u32 },
        last_len: 64,
        bytes_up: packets,
        bytes_down: packets >> 3,
        created_us,
        last_seen_us: created_us + 1_000_000,
    }
}

fn slots_mut<T: FromBytes + IntoBytes>(words: &mut [AtomicU64]) -> &mut [T] {
    <[T]>::mut_from_bytes(words.as_mut_bytes()).expect("words of whole slots, aligned as they are")
}
