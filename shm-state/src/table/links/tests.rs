//! A table that agrees with itself, and each way not to.

use super::*;
use crate::descriptor::{FieldDesc, FieldType};
use crate::table::{FreeSlots, Meta};

const SLOTS: u64 = 20;

struct Table {
    records: RecordsView,
    index: Index,
    free: FreeSlots,
}

impl Table {
    fn new() -> Self {
        let fields = [
            FieldDesc::new(2, "b", FieldType::Port, 0, 2).key(),
            FieldDesc::new(1, "a", FieldType::Unsigned, 4, 4).key(),
        ];
        let layout = Descriptor::from_fields(9, 1, "pairs", 8, &fields).expect("valid");
        let records = RecordsView::create(&layout, [0; 16], SLOTS, 0).expect("a table");
        let index = Index::create([0; 16], 10, SLOTS as usize, [3; 16]).expect("an index");
        let free = FreeSlots::of(&index);
        let mut table = Self { records, index, free };
        for a in 0..12 {
            table.add(a);
        }
        table
    }

    fn record(a: u8) -> [u8; 8] {
        [7, 0, 0, 0, a, 0, 0, 0]
    }

    fn key(a: u8) -> [u8; 6] {
        [a, 0, 0, 0, 7, 0]
    }

    fn add(&mut self, a: u8) {
        let slot = self.free.pop().expect("room");
        self.records.put(slot, Meta { incarnation: 1, live: true }, &Self::record(a));
        self.index.insert(self.index.hash(&Self::key(a)), slot).expect("room");
    }

    fn found(&self) -> Vec<Disagreement> {
        let mut all = Vec::new();
        disagreements(&self.records, std::slice::from_ref(&self.index), |_, found| all.push(found));
        all
    }
}

#[test]
fn a_whole_table_agrees_with_itself() {
    let table = Table::new();
    assert_eq!(table.found(), []);
    let occupancy = occupancy(&table.index);
    let entries: u64 = (0..).zip(&occupancy).map(|(used, buckets)| used * buckets).sum();
    assert_eq!((entries, occupancy.iter().sum::<u64>()), (12, table.index.buckets() as u64));
}

#[test]
fn each_way_to_disagree_is_found() {
    let live = |live| Meta { incarnation: 1, live };
    let mut table = Table::new();
    let slot = table.free.pop().expect("room");
    assert_eq!(table.found(), [Disagreement::Leaked { slot: slot.0, incarnation: 0 }]);

    let mut table = Table::new();
    table.records.put(Slot(3), live(false), &Table::record(3));
    let found = table.found();
    assert!(matches!(found[..], [Disagreement::Phantom { slot: 3, .. }, Disagreement::Leaked { slot: 3, .. }]));
    table.free.push(Slot(3));
    table.free.push(Slot(4));
    assert!(table.found().contains(&Disagreement::NotFree { slot: 4, incarnation: 1, is: "live" }));
    table.free.push(Slot(3));
    assert!(table.found().contains(&Disagreement::NotFree { slot: 3, incarnation: 1, is: "there twice" }));

    let mut table = Table::new();
    table.index.remove(table.index.hash(&Table::key(5)), Slot(5));
    assert_eq!(table.found(), [Disagreement::Unnamed { slot: 5, incarnation: 1 }]);
    table.index.insert(table.index.hash(&Table::key(99)), Slot(5)).expect("room");
    assert!(matches!(table.found()[..], [Disagreement::WrongKey { slot: 5, .. }]));
    table.index.insert(table.index.hash(&Table::key(5)), Slot(5)).expect("room");
    assert!(table.found().contains(&Disagreement::NamedTwice { slot: 5, incarnation: 1 }));
    table.index.insert(table.index.hash(&Table::key(8)), Slot(500)).expect("room");
    assert!(table.found().iter().any(|found| matches!(found, Disagreement::NoSuchSlot { slot: 500, .. })));

    let table = Table::new();
    table.index.segment().words(0, HEADER_WORDS)[DEPTH].store(1 << 40, Ordering::Relaxed);
    assert!(table.found().contains(&Disagreement::FreeDepth { depth: 1 << 40, room: SLOTS }));

    let table = Table::new();
    let other = Index::create([0; 16], 10, 5, [3; 16]).expect("an index");
    let mut all = Vec::new();
    disagreements(&table.records, &[other], |_, found| all.push(found));
    assert_eq!(all, [Disagreement::Capacity { index: 5, table: SLOTS }]);
}

proptest::proptest! {
    /// Whatever lies in an index, looking at it ends, and damage that makes a difference to a look-up is found.
    #[test]
    fn any_index_is_looked_through(changes in proptest::collection::vec((0usize..80, proptest::num::u64::ANY), 1..6)) {
        let table = Table::new();
        let words = table.index.segment().words(0, table.index.segment().body_len() / 8);
        for (at, word) in changes {
            // Behind the words that were checked when the index was attached.
            words[4 + at % (words.len() - 4)].store(word, Ordering::Relaxed);
        }
        let found = table.found();
        for a in 0..12 {
            let key = Table::key(a);
            let is_it = |slot| table.records.meta(slot).live && slot.0 == u32::from(a);
            let lost = table.index.find(table.index.hash(&key), is_it).is_none();
            proptest::prop_assert!(!lost || !found.is_empty(), "record {} is lost unsaid", a);
        }
    }
}
