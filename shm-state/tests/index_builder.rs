//! An index that is made anew beside a table under change names, in the end, every live record and no other, each in the
//! shard that its key falls to, and its free slots are all the others.

use std::collections::HashSet;

use proptest::prelude::*;
use shm_state::Layout;
use shm_state::schema::Schema;
use shm_state::table::{Records, RecordsView, SHARDS_MAX, Shards, Slot};
use shm_state::translate::{Copier, IndexBuilder, Marking, Origin, RefusalKind};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const REGION: [u8; 16] = [3; 16];
const CAPACITY: usize = 600;

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 9, name = "guests", version = 1)]
#[repr(C)]
struct Guest {
    #[field(id = 1, unsigned, key)]
    name: u64,
    #[field(id = 2, unsigned)]
    nights: u64,
}

fn origin() -> Origin {
    Origin { marking: Marking::Fine, generation: 1, layers: Vec::new() }
}

fn key(record: &[u8]) -> [u8; 8] {
    Guest::read_from_bytes(record).expect("a guest").name.to_le_bytes()
}

fn view(records: &Records<Guest>) -> RecordsView {
    RecordsView::attach(records.segment().clone()).expect("a table")
}

fn check(records: &Records<Guest>, shards: &Shards) {
    let mut live = 0;
    for slot in (0..records.capacity() as u32).map(Slot).filter(|slot| records.is_live(*slot)) {
        let hash = shards.hash(&records.get(slot).name.to_le_bytes());
        assert_eq!(shards.of(hash).index.find(hash, |found| found == slot), Some(slot));
        live += 1;
    }
    let entries: usize = shards.list().iter().map(|shard| shard.index.len()).sum();
    assert_eq!(entries, live, "no entry names anything else");
    assert_eq!(shards.free(), records.capacity() - live);
    let mut seen = HashSet::new();
    for mut free in shards.list().iter().map(|shard| shard.free.clone()) {
        while let Some(slot) = free.pop() {
            assert!(!records.is_live(slot) && seen.insert(slot), "{slot:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn follows_every_change(
        steps in proptest::collection::vec((0..CAPACITY as u32, 0u64..5000, any::<bool>()), 1..600),
        grown in any::<bool>(),
        before in 1..=4_usize,
        after in 1..=SHARDS_MAX,
    ) {
        let mut source = Records::<Guest>::create(REGION, CAPACITY).expect("a table");
        let old = Shards::create(REGION, 9, CAPACITY, before, [5; 16]).expect("an index");
        let capacity = if grown { CAPACITY * 3 } else { CAPACITY };
        let copy = Records::<Guest>::create(REGION, capacity).expect("a table");
        let shards = old.another(capacity, after).expect("an index");
        let mut copier =
            Copier::new(view(&source), view(&copy), &Schema::new("guests"), origin()).expect("a plan");
        copier.follow(Box::new(IndexBuilder::new(shards.clone(), key)));
        for (at, (slot, name, pass)) in steps.into_iter().enumerate() {
            let slot = Slot(slot);
            match (source.is_live(slot), name % 3) {
                (false, _) => source.fill(slot, Guest { name, nights: 1 }),
                (true, 0) => source.clear(slot),
                // A slot that is reused between two passes: another key without a free moment in between.
                (true, 1) => {
                    source.clear(slot);
                    source.fill(slot, Guest { name: name + 10_000, nights: 2 });
                }
                (true, _) => {
                    source.get_mut(slot).nights += 1;
                    source.touch(slot);
                }
            }
            if at == 20 {
                copier.first(|_, _| {});
            } else if at > 20 && pass {
                copier.again();
            }
        }
        if copier.passes() == 0 {
            copier.first(|_, _| {});
        }
        copier.last().expect("nothing refuses");
        check(&copy, &shards);
    }
}

/// Keys that all want the same buckets: those that find no place are a refusal, until they are gone.
#[test]
fn records_without_a_place_refuse_the_copy() {
    let mut source = Records::<Guest>::create(REGION, CAPACITY).expect("a table");
    let shards = Shards::create(REGION, 9, CAPACITY, 1, [5; 16]).expect("an index");
    let copy = Records::<Guest>::create(REGION, CAPACITY).expect("a table");
    let mut copier = Copier::new(view(&source), view(&copy), &Schema::new("guests"), origin()).expect("a plan");
    copier.follow(Box::new(IndexBuilder::new(shards.clone(), |_: &[u8]| [7; 8])));
    (0..17).for_each(|slot| source.fill(Slot(slot), Guest { name: slot.into(), nights: 0 }));
    copier.first(|_, _| {});
    assert_eq!(copier.capacity_refusal().map(|refusal| refusal.kind), Some(RefusalKind::Capacity));
    assert!(copier.last().expect_err("one too many").why.starts_with("1 records"));
    source.clear(Slot(16));
    copier.last().expect("sixteen fill two buckets");
    assert_eq!(shards.list()[0].index.len(), 16);
}
