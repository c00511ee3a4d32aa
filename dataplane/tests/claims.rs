//! What recovery reads was written by somebody else: whatever lies there, it ends, touches nothing outside, and leaves a
//! table that is whole.

use dataplane::state::flow::FlowStart;
use dataplane::state::flow_v2::FlowV2;
use dataplane::state::flows::FlowTable;
use dataplane::state::identities::{Identities, RowSpec};
use dataplane::state::key::FlowKey;
use proptest::prelude::*;
use shm_state::recover::{Ledger, Operation, Repair, Scan, repair, verify};
use shm_state::segment::Segment;
use std::sync::atomic::Ordering::Relaxed;

const HOLDER: u64 = 5;
/// Words of the index's header: the free slots' number, and the intent block.
const DEPTH: usize = 4;
const INTENT: std::ops::Range<usize> = 8..16;

struct Tables {
    flows: FlowTable<FlowV2>,
    identities: Identities,
}

impl Tables {
    /// 20 slots, 7 and 9 identities, 8 flows.
    fn new() -> Self {
        let rows = [RowSpec { backend: 0, identities: 7 }, RowSpec { backend: 1, identities: 9 }];
        let mut flows = FlowTable::create([7; 16], 20, [9; 16]).expect("flows");
        let mut identities = Identities::create([7; 16], &rows).expect("identities");
        flows.hold(HOLDER);
        flows.shards().scanned();
        for number in 0..8 {
            let key = key(number);
            let hash = flows.hash(&key);
            let row = usize::from(number) % 2;
            let start = |identity| FlowStart { key, backend: row as u32, identity, now_ns: 1 };
            flows.begin(&mut identities, hash, row, hash.number(), start).expect("room for it");
        }
        Self { flows, identities }
    }

    fn ledger(&self) -> Ledger {
        self.flows.ledger(&self.identities).expect("tables that fit")
    }

    fn index(&self) -> &Segment {
        self.flows.segments()[1]
    }

    fn assert_scan_leaves_it_whole(&self) {
        let report = Scan::new(self.ledger()).run(|| 1);
        assert_eq!(verify(&self.ledger()), [], "{report}");
        let again = Scan::new(self.ledger()).run(|| 1);
        assert!(again.is_clean(), "{report}; then {again}");
    }
}

fn key(client_port: u16) -> FlowKey {
    FlowKey { client: [1; 16], local: [2; 16], client_port, local_port: 53, scope: 0, listener: 4 }
}

/// Numbers as they lie in tables: small ones, pairs of small ones, anything.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..24, (0u64..24, 0u64..24).prop_map(|(low, high)| high << 32 | low), any::<u64>(), Just(u64::MAX),]
}

proptest! {
    #[test]
    fn an_intent_is_a_claim(operation in prop_oneof![1u64..5, word()], details in prop::array::uniform5(word())) {
        let tables = Tables::new();
        let words = tables.index().words(INTENT.start * 8, INTENT.len());
        words[0].store(operation, Relaxed);
        for (word, detail) in words[2..].iter().zip(details) {
            word.store(detail, Relaxed);
        }
        repair(&mut tables.ledger(), HOLDER);
        prop_assert!(!tables.ledger().under_way());
        tables.assert_scan_leaves_it_whole();
    }

    #[test]
    fn whatever_lies_there_a_scan_ends(seed: u64, spare in 0usize..8) {
        let tables = Tables::new();
        let mut state = seed | 1;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match state >> 61 {
                0..3 => state % 24,
                3..5 => ((state % 24) << 32) | ((state >> 40) % 24),
                5 => 0,
                _ => state,
            }
        };
        let [records, index] = tables.flows.segments()[..] else { panic!("one shard") };
        // Beyond what is checked on attach: geometry, capacity, whose row it is.
        for (segment, head) in [(records, 8), (index, 16), (tables.identities.segment(), 9)] {
            for word in &segment.words(0, segment.body_len() / 8)[head..] {
                if spare == 0 || random() % spare as u64 == 0 {
                    word.store(random(), Relaxed);
                }
            }
        }
        index.words(0, 16)[DEPTH].store(random(), Relaxed);
        let _ = verify(&tables.ledger());
        tables.assert_scan_leaves_it_whole();
    }
}

#[test]
fn an_intent_that_somebody_has_served_over_is_not_believed() {
    let mut tables = Tables::new();
    let waking = shm_state::identities::Waking { row: 0, head: 0, len: 1, free: 3, count: 1 };
    let ledger = tables.ledger();
    Operation::Wake(waking).open(&ledger.shards().list()[0].intent);
    // An executable without intents takes over, serves, and dies.
    assert_eq!(repair(&mut tables.ledger(), HOLDER + 1), Repair::Unknown);
    assert!(ledger.under_way(), "not touched");
    assert_eq!(verify(&ledger), []);
    ledger.shards().scanned();
    // Or it hands over alive.
    tables.flows.hold(HOLDER + 2);
    assert!(!ledger.under_way() && ledger.shards().scan_owed());
}

#[test]
fn a_scan_is_owed_after_a_death_or_a_holder_without_intents_and_only_then() {
    let mut tables = Tables::new();
    let ledger = tables.ledger();
    for generation in [HOLDER + 1, HOLDER + 2] {
        tables.flows.hold(generation);
        assert!(!ledger.shards().scan_owed(), "a swap, or an offer that was withdrawn");
    }
    tables.flows.hold(HOLDER + 4);
    assert!(ledger.shards().scan_owed(), "somebody else served as the generation between");
    Scan::new(tables.ledger()).run(|| 1);
    assert!(!ledger.shards().scan_owed());
    assert_eq!(repair(&mut tables.ledger(), HOLDER + 4), Repair::Nothing);
    assert!(ledger.shards().scan_owed(), "after a death, whatever it was in the middle of");
}
