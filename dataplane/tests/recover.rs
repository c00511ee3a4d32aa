//! The full scan of a large table that was damaged in known ways: what it drops, what it puts right, and its time.
//!
//! A small table in the normal tests; `RECOVER_FLOWS=1000000 cargo test --release -p dataplane --test recover --
//! --nocapture` for a large one.

use dataplane::state::flow::{FlowRecord, FlowStart};
use dataplane::state::flow_v2::FlowV2;
use dataplane::state::flows::FlowTable;
use dataplane::state::identities::{Identities, RowSpec};
use dataplane::state::key::FlowKey;
use shm_state::recover::{Finding, Scan, verify};
use shm_state::table::{FreeSlots, Index, Shard, Slot};
use std::time::Instant;

const BACKENDS: usize = 8;
/// Of each kind of damage.
const DAMAGES: usize = 50;
const NOW: u64 = 1_000_000;

fn key(number: usize) -> FlowKey {
    let mut client = [0; 16];
    client[..8].copy_from_slice(&(number as u64).to_le_bytes());
    FlowKey { client, local: [2; 16], client_port: 9, local_port: 53, scope: 0, listener: 4 }
}

fn start(number: usize, row: usize, identity: u32) -> FlowStart {
    FlowStart { key: key(number), backend: row as u32, identity, now_ns: NOW }
}

struct Tables {
    flows: FlowTable<FlowV2>,
    identities: Identities,
    index: Index,
    free: FreeSlots,
}

/// Tables with room for a quarter more than `count` flows; every tenth that began has ended.
fn tables(count: usize) -> Tables {
    let capacity = count + count / 4 + DAMAGES * 8;
    let row = |row| RowSpec { backend: row as u32, identities: (capacity / BACKENDS + DAMAGES * 4) as u32 };
    let rows: Vec<_> = (0..BACKENDS).map(row).collect();
    let mut flows = FlowTable::create([7; 16], capacity, [9; 16]).expect("flows");
    let mut identities = Identities::create([7; 16], &rows).expect("identities");
    for number in 0..count {
        let row = number % BACKENDS;
        let hash = flows.hash(&key(number));
        let random = hash.number();
        let begun = flows.begin(&mut identities, hash, row, random, |identity| start(number, row, identity));
        let slot = begun.expect("room for it").slot;
        if number % 10 == 9 {
            flows.end(&mut identities, slot, Some(row), NOW);
        }
    }
    let Shard { index, free, .. } = flows.shards().list()[0].clone();
    Tables { flows, identities, index, free }
}

/// Damages the tables; what a scan has to find, and the flows that it has to drop.
fn damage(tables: &mut Tables, count: usize) -> (Vec<(Finding, u64)>, Vec<FlowKey>) {
    let Tables { flows, identities, index, free } = tables;
    let mut dropped = Vec::new();
    // Far apart, and never one that has ended.
    let mut victims = (0..count).step_by(count / (DAMAGES * 5) / 10 * 10).map(|number| {
        let key = key(number);
        let slot = flows.find(flows.hash(&key), &key, None).expect("a live flow");
        (key, slot)
    });
    let mut some = || -> Vec<(FlowKey, Slot)> { victims.by_ref().take(DAMAGES).collect() };
    let (unindexed, unfinished, unbound, doubled, shared) = (some(), some(), some(), some(), some());
    let mut withdraw = |key: &FlowKey, slot| assert!(index.remove(index.hash(&key.bytes()), slot));
    unindexed.iter().for_each(|(key, slot)| withdraw(key, *slot));
    for (key, slot) in &unfinished {
        withdraw(key, *slot);
        let record = flows.get(*slot);
        identities.unbind(record.backend() as usize, record.identity());
        dropped.push(*key);
    }
    for (_, slot) in &unbound {
        let record = flows.get(*slot);
        identities.unbind(record.backend() as usize, record.identity());
    }
    for (key, _) in &doubled {
        let identity = identities.take(0, NOW, u64::MAX, 0).expect("a free identity");
        let second = FlowStart { key: *key, ..start(0, 0, identity) };
        let slot = flows.insert(flows.hash(key), second).expect("room for it");
        identities.bind(0, identity, slot);
    }
    for (number, (_, slot)) in shared.iter().enumerate() {
        let record = flows.get(*slot);
        let (row, identity) = (record.backend() as usize, record.identity());
        let key = key(count + number);
        flows.insert(flows.hash(&key), start(count + number, row, identity)).expect("room for it");
        dropped.push(key);
    }
    for number in 0..DAMAGES {
        let slot = free.pop().expect("a free slot");
        let nothing = index.hash(&u64::from(slot.0).to_le_bytes());
        index.insert(nothing, slot).expect("room for it");
        identities.take(1, NOW, u64::MAX, 0).expect("a free identity");
        let elsewhere = identities.to_take(2, u64::MAX / DAMAGES as u64 * number as u64).expect("a free identity");
        identities.bind(2, elsewhere.identity, Slot(3));
    }
    let all = DAMAGES as u64;
    let found = [
        (Finding::PhantomEntry, all),
        (Finding::LeakedSlot, all),
        (Finding::MissingEntry, all),
        (Finding::Unreachable, all),
        (Finding::DuplicateKey, all),
        (Finding::IdentityTwice, all),
        (Finding::MissingBinding, all),
        (Finding::BrokenBinding, all),
        // Those that were taken, and those of the flows that had not begun.
        (Finding::LostIdentity, all * 2),
    ];
    (found.into(), dropped)
}

#[test]
fn known_damage_is_found_and_counted() {
    let count = std::env::var("RECOVER_FLOWS").ok().and_then(|count| count.parse().ok()).unwrap_or(5_000);
    let mut tables = tables(count);
    assert_eq!(verify(&tables.flows.ledger(&tables.identities).expect("tables that fit")), []);
    let before = tables.flows.live();
    let (expected, dropped) = damage(&mut tables, count);
    let ledger = tables.flows.ledger(&tables.identities).expect("tables that fit");
    let (scan, clock) = (Scan::new(ledger.clone()), Instant::now());
    let report = scan.run(|| NOW + clock.elapsed().as_nanos() as u64);
    println!("{count} flows in {:?}: {report}", clock.elapsed());
    assert_eq!(report.found().collect::<Vec<_>>(), expected);
    assert_eq!(verify(&ledger), []);
    assert_eq!(report.dropped() as usize, DAMAGES * 3);
    assert_eq!(report.live as usize, before - DAMAGES);
    let Tables { flows, .. } = &tables;
    for key in dropped {
        assert_eq!(flows.find(flows.hash(&key), &key, None), None, "dropped");
    }
    for number in (0..count).filter(|number| number % 10 != 9) {
        let key = key(number);
        let kept = flows.find(flows.hash(&key), &key, None).is_some();
        assert!(kept || report.count(Finding::Unreachable) > 0, "flow {number}");
    }
}
