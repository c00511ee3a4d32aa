//! Down and up again loses nothing, a reused slot inherits nothing, and what is unknown is carried along.

use proptest::prelude::*;
use shm_state::Layout;
use shm_state::schema::Schema;
use shm_state::segment::Segment;
use shm_state::table::{Records, RecordsView, Slot};
use shm_state::translate::{Copier, Layer, Marking, Origin};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const REGION: [u8; 16] = [5; 16];
const CAPACITY: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 3, name = "trips", version = 3)]
#[repr(C)]
struct Full {
    #[field(id = 1, unsigned, key)]
    key: u64,
    #[field(id = 2, instant = "ns", narrow = "clamp")]
    begun: u64,
    #[field(id = 3, unsigned, unit = "packets", narrow = "clamp")]
    count: u64,
    #[field(id = 4, unsigned, default = 40)]
    only_full: u64,
    #[field(id = 5, unsigned, compute = "half_the_key")]
    half: u64,
}

/// Lacks two fields, knows one more, and holds two less exactly.
#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 3, name = "trips", version = 2)]
#[repr(C)]
struct Middle {
    #[field(id = 2, instant = "us", narrow = "clamp")]
    begun: u64,
    #[field(id = 1, unsigned, key)]
    key: u64,
    #[field(id = 3, unsigned, unit = "packets", narrow = "clamp")]
    count: u32,
    #[field(id = 6, unsigned, default = 60)]
    only_middle: u32,
}

/// Less still.
#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 3, name = "trips", version = 1)]
#[repr(C)]
struct Little {
    #[field(id = 1, unsigned, key)]
    key: u64,
    #[field(id = 2, instant = "ms", narrow = "clamp")]
    begun: u64,
    #[field(id = 3, unsigned, unit = "packets", narrow = "clamp")]
    count: u16,
    #[field(skip)]
    pad: [u8; 6],
}

fn schema() -> Schema {
    use shm_state::row::Value;
    Schema::new("trips").compute("half_the_key", |row| Value::Unsigned(row.unsigned(1).unwrap_or(0) / 2))
}

/// A table, its layers, and the generation of its holder.
struct Held<R> {
    records: Records<R>,
    layers: Vec<Layer>,
    generation: u64,
}

impl<R: Layout> Held<R> {
    fn new() -> Self {
        Self { records: Records::create(REGION, CAPACITY).expect("a table"), layers: Vec::new(), generation: 1 }
    }

    /// The table in another layout, as a swap leaves it behind; layers are attached anew as another process would.
    fn swapped<S: Layout>(&self) -> Held<S> {
        self.swapped_to::<S>(CAPACITY)
    }

    fn swapped_to<S: Layout>(&self, capacity: usize) -> Held<S> {
        let records = Records::<S>::create(REGION, capacity).expect("a table");
        let view = |segment: &Segment| RecordsView::attach(segment.clone()).expect("a table");
        let origin = Origin { marking: Marking::Fine, generation: self.generation, layers: self.layers.clone() };
        let mut copier = Copier::new(view(self.records.segment()), view(records.segment()), &schema(), origin)
            .expect("the layouts fit");
        copier.first(|_, _| {});
        copier.last().expect("nothing refuses");
        let attach = |layer: &Layer| {
            let copy = layer.segment().fd().try_clone_to_owned().expect("a duplicate");
            Layer::attach(Segment::attach(copy).expect("a segment")).expect("a layer")
        };
        let layers = copier.layers().map(attach).collect();
        Held { records, layers, generation: self.generation + 1 }
    }

    fn all(&self) -> Vec<R> {
        let slots = (0..self.records.capacity() as u32).map(Slot);
        slots.filter(|slot| self.records.is_live(*slot)).map(|slot| *self.records.get(slot)).collect()
    }

    fn change(&mut self, slot: u32, change: impl FnOnce(&mut R)) {
        change(self.records.get_mut(Slot(slot)));
        self.records.touch(Slot(slot));
    }
}

fn full(seed: u64) -> Full {
    // Some counts do not fit the smaller layouts, and no time is a whole number of microseconds.
    let count = if seed.is_multiple_of(3) { seed << 33 } else { seed % 100 };
    Full { key: seed, begun: seed * 1_000_003 + 1, count, only_full: seed ^ 77, half: seed + 5 }
}

fn filled() -> Held<Full> {
    let mut held = Held::new();
    (0..CAPACITY as u32 / 2).for_each(|slot| held.records.fill(Slot(slot), full(slot.into())));
    held
}

#[test]
fn down_and_up_again_loses_nothing_by_any_way() {
    let before = filled();
    let middle = before.swapped::<Middle>();
    assert_eq!(middle.records.get(Slot(3)).count, u32::MAX, "clamped while it is served");
    assert_eq!(middle.swapped::<Full>().all(), before.all());
    let little = middle.swapped::<Little>();
    assert_eq!(little.layers.len(), 2, "one of each layout that knew more");
    let up = little.swapped::<Full>();
    assert_eq!(up.all(), before.all(), "at once");
    assert!(
        up.layers.iter().any(|layer| layer.segment().prelude().layout_version == 2),
        "only_middle is not known here"
    );
    let stepwise = little.swapped::<Middle>();
    assert_eq!(stepwise.all(), middle.all());
    assert_eq!(stepwise.swapped::<Full>().all(), before.all(), "step by step");
    assert_eq!(before.swapped::<Little>().swapped::<Full>().all(), before.all(), "without the middle");
}

#[test]
fn what_only_the_older_layout_knows_comes_back_to_it() {
    let mut middle = filled().swapped::<Middle>();
    middle.change(7, |record| record.only_middle = 1234);
    let mut up = middle.swapped::<Full>();
    up.change(7, |record| record.only_full = 4321);
    let down = up.swapped::<Middle>();
    assert_eq!(down.records.get(Slot(7)).only_middle, 1234);
    assert_eq!(down.records.get(Slot(8)).only_middle, 60);
    assert_eq!(down.swapped::<Full>().records.get(Slot(7)).only_full, 4321);
    // A layer is spent when its version returns: there is never more than one of each.
    assert_eq!(down.layers.len(), 1);
}

#[test]
fn what_has_changed_since_is_not_overwritten() {
    let before = filled();
    let mut middle = before.swapped::<Middle>();
    middle.change(4, |record| record.begun += 1);
    middle.change(5, |record| record.count += 1);
    let after = middle.swapped::<Full>();
    let (was, is) = (*before.records.get(Slot(4)), *after.records.get(Slot(4)));
    assert_eq!(is, Full { begun: (was.begun / 1000 + 1) * 1000, ..was }, "the other fields come back");
    let was = *before.records.get(Slot(5));
    assert_eq!(*after.records.get(Slot(5)), Full { count: was.count + 1, ..was });
    // Through two steps: the older layer is more exact, but was overtaken with the newer one.
    let mut little = before.swapped::<Middle>().swapped::<Little>();
    little.change(4, |record| record.begun += 9);
    let after = little.swapped::<Full>();
    let was = *before.records.get(Slot(4));
    assert_eq!(*after.records.get(Slot(4)), Full { begun: (was.begun / 1_000_000 + 9) * 1_000_000, ..was });
}

#[test]
fn a_reused_slot_inherits_nothing() {
    let mut middle = filled().swapped::<Middle>();
    middle.records.clear(Slot(6));
    middle.records.fill(Slot(6), Middle { begun: 9, key: 1000, count: 2, only_middle: 3 });
    middle.records.clear(Slot(9));
    let after = middle.swapped::<Full>();
    let fresh = Full { key: 1000, begun: 9000, count: 2, only_full: 40, half: 500 };
    assert_eq!(*after.records.get(Slot(6)), fresh, "default and computed");
    assert!(!after.records.is_live(Slot(9)));
}

/// A table that shrinks and grows again counts the reuse of its slots anew.
#[test]
fn a_slot_that_was_gone_for_a_while_inherits_nothing() {
    let mut middle = filled().swapped::<Middle>();
    (20..100).for_each(|slot| middle.records.clear(Slot(slot)));
    middle.layers = middle.layers.iter().map(|layer| layer.resized(50).expect("a layer")).collect();
    let small = middle.swapped_to::<Middle>(50);
    let mut large = small.swapped_to::<Middle>(CAPACITY);
    large.records.fill(Slot(60), Middle { begun: 9, key: 1000, count: 2, only_middle: 3 });
    assert_eq!(large.records.meta(Slot(60)).incarnation, 1, "as the one before");
    let after = large.swapped::<Full>();
    assert_eq!(after.records.get(Slot(60)).only_full, 40);
    assert_eq!(*after.records.get(Slot(10)), full(10));
}

#[test]
fn a_segment_that_is_no_layer_is_refused() {
    let held = filled();
    let error = Layer::attach(held.records.segment().clone()).expect_err("a table");
    assert!(error.to_string().contains("side"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever happens to records on the way, what is not touched is as it was at the end.
    #[test]
    fn untouched_records_survive_any_walk(
        walk in proptest::collection::vec((0..3u8, proptest::collection::vec(0..100u32, 0..20)), 1..8),
    ) {
        let before = filled();
        let mut touched = [false; 100];
        enum Any { Full(Held<Full>), Middle(Held<Middle>), Little(Held<Little>) }
        let mut at = Any::Full(filled());
        for (to, reused) in walk {
            macro_rules! step {
                ($held:expr) => {{
                    let mut held = $held;
                    for slot in reused {
                        touched[slot as usize] = true;
                        let record = *held.records.get(Slot(slot));
                        held.records.clear(Slot(slot));
                        held.records.fill(Slot(slot), record);
                    }
                    match to {
                        0 => Any::Full(held.swapped()),
                        1 => Any::Middle(held.swapped()),
                        _ => Any::Little(held.swapped()),
                    }
                }};
            }
            at = match at {
                Any::Full(held) => step!(held),
                Any::Middle(held) => step!(held),
                Any::Little(held) => step!(held),
            };
        }
        let end = match at {
            Any::Full(held) => held,
            Any::Middle(held) => held.swapped(),
            Any::Little(held) => held.swapped(),
        };
        for slot in (0..100u32).filter(|slot| !touched[*slot as usize]) {
            prop_assert_eq!(end.records.get(Slot(slot)), before.records.get(Slot(slot)));
        }
        prop_assert!(end.layers.len() <= 2);
    }
}
