//! A table is copied into another layout while its writer works at full speed; after the last pass every record is
//! what a translation of that one record gives, and losses are counted once each.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use shm_state::Layout;
use shm_state::row::{RowView, Value};
use shm_state::schema::Schema;
use shm_state::table::{BLOCK_SLOTS, Records, RecordsView, Slot};
use shm_state::translate::{Converge, Copier, CopyError, Follower, Marking, Origin, RefusalKind};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// No multiple of the block's size, so that the last block is a short one.
const CAPACITY: usize = 4 * 1024 + 3;
const REGION: [u8; 16] = [7; 16];

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 77, name = "visits", version = 2)]
#[repr(C)]
struct Wide {
    #[field(id = 1, unsigned, key)]
    key: u64,
    /// Always the key's complement plus `count`: a torn record shows.
    #[field(id = 2, unsigned)]
    check: u64,
    #[field(id = 3, unsigned, unit = "packets", narrow = "clamp")]
    count: u64,
    #[field(id = 4, instant = "ns")]
    seen: u64,
    #[field(id = 5, unsigned)]
    only_here: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 77, name = "visits", version = 1)]
#[repr(C)]
struct Narrow {
    #[field(id = 3, unsigned, unit = "packets", narrow = "clamp")]
    count: u32,
    #[field(id = 6, unsigned, default = 9)]
    only_there: u32,
    #[field(id = 4, instant = "us")]
    seen: u64,
    #[field(id = 2, unsigned)]
    check: u64,
    #[field(id = 1, unsigned, key)]
    key: u64,
    #[field(id = 7, unsigned, compute = "twice_the_key")]
    twice: u64,
}

fn twice_the_key(row: &RowView<'_>) -> Value {
    Value::Unsigned(row.unsigned(1).unwrap_or(0).wrapping_mul(2))
}

fn schema() -> Schema {
    Schema::new("visits").compute("twice_the_key", twice_the_key)
}

/// What the row by itself translates into.
fn translated(wide: &Wide) -> Narrow {
    let Wide { key, check, count, seen, only_here: _ } = *wide;
    Narrow {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        only_there: 9,
        seen: seen / 1000,
        check,
        key,
        twice: key.wrapping_mul(2),
    }
}

/// Small, fast, and the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// One random change to the table: a record is written, made, or ended.
fn change(table: &mut Records<Wide>, dice: &mut Dice) {
    let slot = Slot((dice.roll() % CAPACITY as u64) as u32);
    let number = dice.roll();
    if !table.is_live(slot) {
        let key = number;
        // Every eighth begins with a count that the narrow layout cannot hold.
        let count = if number.is_multiple_of(8) { 1 << 40 } else { number % 1000 };
        table.fill(slot, Wide { key, check: (!key).wrapping_add(count), count, seen: number >> 8, only_here: number });
    } else if number.is_multiple_of(16) {
        table.clear(slot);
    } else {
        let record = table.get_mut(slot);
        // Some counts grow beyond 32 bits, others come back.
        let count = if number.is_multiple_of(5) { record.count ^ (1 << 35) } else { record.count + 1 };
        *record = Wide { count, check: (!record.key).wrapping_add(count), seen: number >> 8, ..*record };
        table.touch(slot);
    }
}

fn empty<R: Layout>() -> Records<R> {
    Records::create(REGION, CAPACITY).expect("a table")
}

fn view<R: Layout>(table: &Records<R>) -> RecordsView {
    RecordsView::attach(table.segment().clone()).expect("a table")
}

fn copier<A: Layout, B: Layout>(from: &Records<A>, to: &Records<B>) -> Copier {
    copier_of(from, to, Marking::Fine)
}

fn copier_of<A: Layout, B: Layout>(from: &Records<A>, to: &Records<B>, marking: Marking) -> Copier {
    Copier::new(view(from), view(to), &schema(), Origin { marking, generation: 1, layers: Vec::new() }).expect("a plan")
}

/// Slot by slot: the same slots live, in the same incarnation, with the translated record. The live ones' number.
#[track_caller]
fn assert_translated(from: &Records<Wide>, to: &Records<Narrow>) -> u64 {
    let mut live = 0;
    for slot in (0..CAPACITY as u32).map(Slot) {
        let (meta, source) = (from.meta(slot), from.get(slot));
        assert_eq!(to.meta(slot), meta, "slot {slot:?}");
        if meta.live {
            assert_eq!(source.check, (!source.key).wrapping_add(source.count), "the test's own writer");
            assert_eq!(*to.get(slot), translated(source), "slot {slot:?}");
            live += 1;
        }
    }
    live
}

#[track_caller]
fn assert_loss_is_of_the_last_copies(copier: &Copier, from: &Records<Wide>, live: u64) {
    let rows = || (0..CAPACITY as u32).map(Slot).filter(|slot| from.is_live(*slot)).map(|slot| *from.get(slot));
    let clamped = rows().filter(|row| row.count > u64::from(u32::MAX)).count() as u64;
    let rounded = rows().filter(|row| row.seen % 1000 != 0).count() as u64;
    let report = copier.loss().report();
    let count = |list: &[shm_state::translate::FieldCount], field: &str| {
        list.iter().find(|count| count.field == field).map_or(0, |count| count.count)
    };
    assert!(clamped > 0, "the test means something");
    assert_eq!(
        (report.rows, count(&report.clamped, "count"), count(&report.rounded, "seen")),
        (live, clamped, rounded)
    );
    assert_eq!((count(&report.defaulted, "only_there"), count(&report.fields_dropped, "only_here")), (live, live));
    assert_eq!((copier.loss().dropped_rows(), copier.loss().refused_rows()), (0, 0));
}

/// Both as executables of this release mark, and as a copier has to read the marks of an older one: any mark of a block
/// is good for the whole block.
#[test]
fn a_table_under_full_writing_is_copied_exactly() {
    for marking in [Marking::Fine, Marking::Coarse] {
        copied_under_full_writing(marking);
    }
}

fn copied_under_full_writing(marking: Marking) {
    let (mut source, destination) = (empty::<Wide>(), empty::<Narrow>());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..CAPACITY {
        change(&mut source, &mut dice);
    }
    let mut copier = copier_of(&source, &destination, marking);
    let (end, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    let source = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !end.load(Ordering::Relaxed) {
                change(&mut source, &mut dice);
                changes.fetch_add(1, Ordering::Relaxed);
            }
            source
        });
        copier.first(|_, _| {});
        for _ in 0..200 {
            // On one processor too, something is to be found dirty in every pass.
            let before = changes.load(Ordering::Relaxed);
            while changes.load(Ordering::Relaxed) < before + 1000 {
                thread::yield_now();
            }
            copier.again();
        }
        copier.converge(&mut Converge::new(Duration::ZERO, 4));
        end.store(true, Ordering::Relaxed);
        writer.join().expect("the writer does not panic")
    });
    let pass = copier.last().expect("nothing refuses");
    assert!(pass.records <= pass.slots);
    let live = assert_translated(&source, &destination);
    assert_loss_is_of_the_last_copies(&copier, &source, live);
    assert!(copier.copied() > live && copier.passes() >= 201);
    assert_eq!(copier.dirty(), 0);
}

/// Marks that a given-up copy took away are no loss to the next one, which begins with a full pass.
#[test]
fn a_copy_that_was_given_up_can_be_begun_again() {
    let (mut source, first, second) = (empty::<Wide>(), empty::<Narrow>(), empty::<Narrow>());
    let mut dice = Dice(42);
    (0..CAPACITY * 2).for_each(|_| change(&mut source, &mut dice));
    let mut given_up = copier(&source, &first);
    given_up.first(|_, _| {});
    (0..1000).for_each(|_| change(&mut source, &mut dice));
    given_up.again();
    drop(given_up);

    let mut copier = copier(&source, &second);
    copier.first(|_, _| {});
    (0..1000).for_each(|_| change(&mut source, &mut dice));
    copier.last().expect("nothing refuses");
    let live = assert_translated(&source, &second);
    assert_loss_is_of_the_last_copies(&copier, &source, live);
}

#[test]
fn a_pass_copies_what_was_marked_and_no_more() {
    let (mut source, destination) = (empty::<Wide>(), empty::<Narrow>());
    let mut copier = copier(&source, &destination);
    let mut told = Vec::new();
    let pass = copier.first(|done, total| told.push((done, total)));
    assert_eq!((pass.slots, pass.records), (CAPACITY as u64, 0));
    assert!(told.is_sorted() && told.iter().all(|&(done, total)| done < total && total == CAPACITY as u64), "{told:?}");
    assert_eq!((copier.dirty(), copier.again().slots), (0, 0));
    // Two slots of one block, and the very last slot.
    for slot in [Slot(8), Slot(9), Slot(CAPACITY as u32 - 1)] {
        source.fill(slot, Wide::new_zeroed());
    }
    assert_eq!(copier.dirty(), 3);
    let pass = copier.last().expect("nothing refuses");
    assert_eq!((pass.slots, pass.records), (3, 3));
}

#[test]
fn where_whole_blocks_are_marked_whole_blocks_are_copied() {
    let (mut source, destination) = (empty::<Wide>(), empty::<Narrow>());
    let mut copier = copier_of(&source, &destination, Marking::Coarse);
    copier.first(|_, _| {});
    source.fill(Slot(9), Wide::new_zeroed());
    assert_eq!(copier.dirty(), BLOCK_SLOTS as u64);
    let pass = copier.last().expect("nothing refuses");
    assert_eq!((pass.slots, pass.records), (BLOCK_SLOTS as u64, 1));
}

#[test]
fn whose_marks_are_fine_is_said_by_generation() {
    let table = empty::<Wide>();
    let view = view(&table);
    assert!(!view.marks_are_fine(7), "nobody has said so");
    table.hold(7);
    assert!(view.marks_are_fine(7) && !view.marks_are_fine(8));
}

/// A small table is copied whole at the end, so that its holder need not mark what it writes.
#[test]
fn a_small_table_is_copied_without_marks() {
    let mut source = Records::<Wide>::create(REGION, 40).expect("a table");
    let destination = Records::<Narrow>::create(REGION, 40).expect("a table");
    let mut copier = copier(&source, &destination);
    copier.first(|_, _| {});
    source.fill(Slot(3), Wide::new_zeroed());
    copier.again();
    source.get_mut(Slot(3)).key = 77;
    assert_eq!(copier.last().expect("nothing refuses").records, 1);
    assert_eq!(destination.get(Slot(3)).key, 77);
}

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Shadow(Arc<Mutex<Vec<Option<Vec<u8>>>>>);

impl Follower for Shadow {
    fn changed(&mut self, slot: Slot, before: Option<&[u8]>, after: Option<&[u8]>) {
        let mut records = self.0.lock().expect("one thread");
        assert_eq!(records[slot.at()].as_deref(), before, "slot {slot:?}");
        records[slot.at()] = after.map(<[u8]>::to_vec);
    }
}

#[test]
fn followers_are_told_of_every_change_with_what_was_before() {
    let (mut source, destination) = (empty::<Wide>(), empty::<Narrow>());
    let mut dice = Dice(4711);
    (0..CAPACITY).for_each(|_| change(&mut source, &mut dice));
    let records = Arc::new(Mutex::new(vec![None; CAPACITY]));
    let mut copier = copier(&source, &destination);
    copier.follow(Box::new(Shadow(records.clone())));
    copier.first(|_, _| {});
    for _ in 0..20 {
        (0..1000).for_each(|_| change(&mut source, &mut dice));
        copier.again();
    }
    copier.last().expect("nothing refuses");
    let records = records.lock().expect("one thread");
    for (at, record) in records.iter().enumerate() {
        let slot = Slot(at as u32);
        let there = destination.is_live(slot).then(|| destination.get(slot).as_bytes());
        assert_eq!(record.as_deref(), there, "slot {at}");
    }
}

#[test]
fn a_larger_table_has_room_and_a_smaller_one_refuses_what_lies_beyond() {
    let mut source = empty::<Wide>();
    source.fill(Slot(7), Wide::new_zeroed());
    let larger = Records::<Narrow>::create(REGION, CAPACITY * 2).expect("a table");
    let mut copier = copier(&source, &larger);
    copier.first(|_, _| {});
    assert_eq!(copier.last().expect("there is room").records, 0, "nothing changed since");
    assert!(larger.is_live(Slot(7)) && !larger.is_live(Slot(CAPACITY as u32 + 7)));

    let smaller = Records::<Narrow>::create(REGION, 1000).expect("a table");
    let mut copier = copier_of(&source, &smaller, Marking::Fine);
    source.fill(Slot(1000), Wide::new_zeroed());
    copier.first(|_, _| {});
    source.fill(Slot(1001), Wide::new_zeroed());
    let refusal = copier.last().expect_err("two have no slot");
    assert_eq!(refusal.kind, RefusalKind::Capacity);
    assert!(refusal.why.contains("2 live records") && refusal.why.contains("1000"), "{refusal}");
    source.clear(Slot(1000));
    source.clear(Slot(1001));
    copier.last().expect("all that is left has its slot");
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 77, name = "visits", version = 3)]
#[repr(C)]
struct Strict {
    #[field(id = 1, unsigned, key)]
    key: u64,
    #[field(id = 3, unsigned, unit = "packets")]
    count: u32,
    #[field(skip)]
    pad: [u8; 4],
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 77, name = "visits", version = 4)]
#[repr(C)]
struct Dropping {
    #[field(id = 1, unsigned, key)]
    key: u64,
    #[field(id = 3, unsigned, unit = "packets", narrow = "drop")]
    count: u32,
    #[field(skip)]
    pad: [u8; 4],
}

fn set(table: &mut Records<Wide>, slot: u32, count: u64) {
    let record = Wide { key: slot.into(), count, ..Wide::new_zeroed() };
    if table.is_live(Slot(slot)) {
        *table.get_mut(Slot(slot)) = record;
        table.touch(Slot(slot));
    } else {
        table.fill(Slot(slot), record);
    }
}

/// Whatever a background pass met, torn or passing, only what is there at the end may refuse.
#[test]
fn a_value_that_does_not_fit_refuses_only_if_it_stays() {
    let (mut source, destination) = (empty::<Wide>(), empty::<Strict>());
    set(&mut source, 5, 1 << 40);
    set(&mut source, 6, 60);
    let mut copier = copier(&source, &destination);
    copier.first(|_, _| {});
    set(&mut source, 5, 50);
    assert_eq!(copier.last().expect("it fits now").records, 1);
    assert_eq!((destination.get(Slot(5)).count, destination.get(Slot(6)).count), (50, 60));

    set(&mut source, 6, 1 << 32);
    let refusal = copier.last().expect_err("it does not fit");
    assert_eq!(
        (refusal.kind, refusal.table.as_str(), refusal.field.as_deref()),
        (RefusalKind::Value, "visits", Some("count"))
    );
    set(&mut source, 6, u32::MAX.into());
    copier.last().expect("the largest that fits");
}

#[test]
fn rows_that_are_dropped_are_free_in_the_copy_and_counted_once() {
    let (mut source, destination) = (empty::<Wide>(), empty::<Dropping>());
    for slot in 0..20 {
        set(&mut source, slot, if slot % 4 == 0 { 1 << 33 } else { slot.into() });
    }
    let mut copier = copier(&source, &destination);
    copier.first(|_, _| {});
    (0..20).for_each(|slot| source.touch(Slot(slot)));
    copier.again();
    // One of the five comes back into range before the end.
    set(&mut source, 8, 8);
    copier.last().expect("dropping is no refusal");
    let live: Vec<_> = (0..20).filter(|slot| destination.is_live(Slot(*slot))).collect();
    assert_eq!(live.len(), 16);
    assert!(!destination.is_live(Slot(4)) && destination.is_live(Slot(8)));
    assert_eq!((copier.loss().rows(), copier.loss().dropped_rows()), (16, 4));
    for slot in live {
        assert_eq!(destination.meta(Slot(slot)), source.meta(Slot(slot)));
    }
}

#[test]
fn a_function_that_is_missing_is_named() {
    let (source, destination) = (empty::<Wide>(), empty::<Narrow>());
    match Copier::new(
        view(&source),
        view(&destination),
        &Schema::new("visits"),
        Origin { marking: Marking::Fine, generation: 1, layers: Vec::new() },
    ) {
        Err(CopyError::Refused(refusal)) => {
            assert_eq!(refusal.field.as_deref(), Some("twice"));
            assert!(refusal.to_string().contains("twice_the_key"), "{refusal}");
        }
        other => panic!("{other:?}"),
    }
}
