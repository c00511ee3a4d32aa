//! Migrations: split, merge, recompute and re-key, forwards and backwards, in chains, beside what is kept aside.

use proptest::prelude::*;
use shm_state::row::{Row, Value};
use shm_state::schema::{MigrateFn, Migration, MigrationDesc, MigrationFacts, Schema};
use shm_state::table::{Records, RecordsView, Shards, Slot};
use shm_state::translate::{
    Action, Copier, IndexBuilder, Layer, Loss, Marking, Origin, Plan, Refusal, RefusalKind, RowMarks, RowOutcome,
};
use shm_state::{Descriptor, Layout};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

macro_rules! layout {
    ($name:ident, $version:literal, { $($body:tt)* }) => {
        #[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
        #[layout(table = 4, name = "calls", version = $version)]
        #[repr(C)]
        struct $name { $($body)* }
    };
}

layout!(V1, 1, {
    #[field(id = 1, unsigned, key)]
    number: u64,
    /// Seconds in the upper half, nanoseconds in the lower one.
    #[field(id = 2, unsigned, default = 0)]
    stamp: u64,
});
layout!(V2, 2, {
    #[field(id = 3, unsigned)]
    seconds: u32,
    #[field(id = 4, unsigned)]
    nanos: u32,
    #[field(id = 1, unsigned, key)]
    number: u64,
});
layout!(V3, 3, {
    #[field(id = 5, unsigned, key)]
    prefixed: u64,
    /// Counts half seconds from here on.
    #[field(id = 3, unsigned, narrow = "clamp")]
    seconds: u32,
    #[field(id = 4, unsigned)]
    nanos: u32,
});
layout!(V4, 4, {
    #[field(id = 5, unsigned, key)]
    prefixed: u64,
    #[field(id = 6, unsigned)]
    rounded: u64,
});
// Of another branch: what is split has only half a place here.
layout!(Half, 5, {
    #[field(id = 1, unsigned, key)]
    number: u64,
    #[field(id = 3, unsigned, default = 0)]
    seconds: u64,
});

const SPLIT: MigrationDesc = MigrationDesc::new(4, "split-stamp", 1, 2, &[2], &[3, 4]);
const REKEY: MigrationDesc = MigrationDesc::new(4, "prefix-numbers", 2, 3, &[1], &[5]);
const RECOUNT: MigrationDesc = MigrationDesc::new(4, "half-seconds", 2, 3, &[3], &[3]);
const MERGE: MigrationDesc = MigrationDesc::new(4, "round", 3, 4, &[3, 4], &[6]).one_way();

const PREFIX: u64 = 49 << 56;

fn number(row: &Row, id: u32) -> Result<u64, String> {
    match row.get_id(id) {
        Some(Value::Unsigned(number)) => Ok(*number),
        other => Err(format!("field {id} is {other:?}")),
    }
}

fn row<const N: usize>(values: [(u32, u64); N]) -> Result<Row, String> {
    let mut row = Row::new();
    values.into_iter().for_each(|(id, value)| drop(row.insert(id, "made", Value::Unsigned(value))));
    Ok(row)
}

fn split() -> Migration {
    let up = |from: &Row| {
        let stamp = number(from, 2)?;
        if stamp as u32 >= 1_000_000_000 {
            return Err(format!("{} nanoseconds are more than a second", stamp as u32));
        }
        row([(3, stamp >> 32), (4, u64::from(stamp as u32))])
    };
    Migration::both_ways(&SPLIT, up, |from| row([(2, number(from, 3)? << 32 | number(from, 4)?)]))
}

fn schema() -> Schema {
    let rekey = Migration::both_ways(
        &REKEY,
        |from| row([(5, number(from, 1)? ^ PREFIX)]),
        |from| row([(1, number(from, 5)? ^ PREFIX)]),
    );
    let recount = Migration::both_ways(
        &RECOUNT,
        |from| row([(3, number(from, 3)? * 2)]),
        |from| row([(3, number(from, 3)? / 2)]),
    );
    let merge = Migration::one_way(&MERGE, |from| row([(6, number(from, 3)? * 1_000_000 + number(from, 4)? / 1000)]));
    Schema::new("calls").migrate(split()).migrate(rekey).migrate(recount).migrate(merge)
}

fn facts(schema: &Schema) -> Vec<MigrationFacts> {
    schema.migration_facts().cloned().collect()
}

fn plan(from: &Descriptor, to: &Descriptor) -> Result<Plan, Refusal> {
    Plan::compile_with(from, to, &facts(&schema()))
}

fn translated<A: Layout, B: Layout>(record: &A) -> B {
    let plan = plan(&A::descriptor(), &B::descriptor()).expect("a plan");
    let (mut to, mut loss) = (B::new_zeroed(), Loss::new(&plan));
    let outcome = plan.bind(&schema()).expect("code").run(record.as_bytes(), to.as_mut_bytes(), &mut loss);
    assert_eq!(outcome, RowOutcome::Done);
    assert!(loss.report().clamped.is_empty());
    to
}

fn v1(number: u64, seconds: u32, nanos: u32) -> V1 {
    V1 { number, stamp: u64::from(seconds) << 32 | u64::from(nanos) }
}

#[test]
fn split_recompute_rekey_and_merge() {
    let first = v1(7, 30, 999);
    let second: V2 = translated(&first);
    assert_eq!(second, V2 { seconds: 30, nanos: 999, number: 7 });
    let third: V3 = translated(&second);
    assert_eq!(third, V3 { prefixed: PREFIX | 7, seconds: 60, nanos: 999 });
    let fourth: V4 = translated(&third);
    assert_eq!(fourth, V4 { prefixed: PREFIX | 7, rounded: 60_000_000 });
    assert_eq!(translated::<V1, V4>(&first), fourth);
}

proptest! {
    #[test]
    fn chains_are_what_their_steps_are(number: u64, seconds in 0..u32::MAX / 2, nanos in 0..1_000_000_000u32) {
        let first = v1(number, seconds, nanos);
        let (second, third): (V2, V3) = (translated(&first), translated(&first));
        prop_assert_eq!(translated::<V2, V3>(&second), third);
        prop_assert_eq!(translated::<V3, V4>(&third), translated::<V1, V4>(&first));
        prop_assert_eq!(translated::<V3, V2>(&third), second);
        prop_assert_eq!(translated::<V2, V1>(&second), first);
        prop_assert_eq!(translated::<V3, V1>(&third), first, "and backwards at once");
    }

    /// Slots and bytes, one record and many: all the same.
    #[test]
    fn many_rows_become_what_one_does(stamps in prop::collection::vec((any::<u64>(), any::<bool>()), 1..50)) {
        let plan = plan(&V1::descriptor(), &V3::descriptor()).expect("a plan");
        let runner = plan.bind(&schema()).expect("code");
        let stamp = |(stamp, fits): &(u64, bool)| if *fits { stamp & !(3 << 30) } else { *stamp };
        let records: Vec<V1> = stamps.iter().map(|each| V1 { number: 1, stamp: stamp(each) }).collect();
        let mut marks = vec![RowMarks::DONE; records.len()];
        let mut many = vec![V3::new_zeroed(); records.len()];
        runner.run_many(records.as_bytes(), many.as_mut_bytes(), &mut marks);
        let slots = |records: &[u8], len: usize| -> Vec<AtomicU64> {
            let word = |bytes: &[u8]| AtomicU64::new(u64::from_le_bytes(bytes.try_into().expect("8 bytes")));
            records.chunks(len).flat_map(|record| [&[0; 8], record].concat().chunks(8).map(word).collect::<Vec<_>>()).collect()
        };
        let from = slots(records.as_bytes(), size_of::<V1>());
        let to = slots(&vec![0xee; size_of_val(&many[..])], size_of::<V3>());
        let mut slot_marks = vec![RowMarks::DONE; records.len()];
        runner.run_slots(&from, &to, &mut slot_marks);
        prop_assert_eq!(&marks, &slot_marks);
        for (at, record) in records.iter().enumerate() {
            let done = (record.stamp as u32) < 1_000_000_000;
            prop_assert_eq!(runner.outcome(marks[at]) == RowOutcome::Done, done);
            if done {
                let seconds = ((record.stamp >> 32) as u32).saturating_mul(2);
                prop_assert_eq!(many[at], V3 { prefixed: PREFIX ^ 1, seconds, nanos: record.stamp as u32 });
                let words: Vec<u64> = to[at * 3 + 1..at * 3 + 3].iter().map(|word| word.load(Relaxed)).collect();
                prop_assert_eq!(words.as_bytes(), many[at].as_bytes());
            }
        }
    }
}

#[test]
fn the_plan_says_what_becomes_of_which_field() {
    let plan = plan(&V1::descriptor(), &V3::descriptor()).expect("a plan");
    let action = |id| plan.fields().iter().find(|field| field.id == id).map(|field| field.action.to_string());
    assert_eq!(action(4).as_deref(), Some("made by migration `split-stamp`, refused if a value does not fit"));
    assert_eq!(
        action(3).as_deref(),
        Some("made by migration `half-seconds`, clamped and counted where it does not fit")
    );
    assert_eq!(action(2).as_deref(), Some("taken by migration `split-stamp`"));
    assert!(plan.rekeys() && !plan.is_identity());
    let without = Plan::compile_with(&V1::descriptor(), &V2::descriptor(), &facts(&schema())).expect("a plan");
    assert!(!without.rekeys() && !without.lossy());
    let spilt = Plan::compile_with(&V1::descriptor(), &Half::descriptor(), &[facts(&schema())[0].clone()]);
    let taken = spilt.expect("a plan").fields().iter().find(|field| field.id == 2).cloned().expect("the stamp");
    assert_eq!(taken.action, Action::Consumed { migration: "split-stamp".into(), spilt: true });
    assert!(taken.lossy);
}

#[test]
fn a_one_way_migration_is_refused_backwards_by_name() {
    let refused = plan(&V4::descriptor(), &V3::descriptor()).expect_err("no way back");
    assert_eq!(refused.kind, RefusalKind::OneWay);
    assert!(refused.to_string().contains("`round` leads forwards only"), "{refused}");
    assert!(plan(&V4::descriptor(), &V1::descriptor()).is_err(), "at no distance");
    assert!(plan(&V3::descriptor(), &V4::descriptor()).expect("a plan").lossy());
}

#[test]
fn what_a_migration_needs_is_refused_without_it() {
    let bare = Plan::compile(&V1::descriptor(), &V2::descriptor()).expect_err("no source of the seconds");
    assert_eq!(bare.kind, RefusalKind::MissingField);
    let bare = Plan::compile(&V2::descriptor(), &V3::descriptor()).expect_err("another key");
    assert_eq!(bare.kind, RefusalKind::Key);
    let declared = plan(&V1::descriptor(), &V2::descriptor()).expect("a plan");
    let unknown = declared.bind(&Schema::new("calls")).expect_err("no code");
    assert_eq!(unknown.kind, RefusalKind::UnknownFunction);
    assert!(unknown.to_string().contains("split-stamp"), "{unknown}");
    let long = MigrationFacts::of(&MigrationDesc::new(4, "long", 1, 3, &[2], &[3, 4])).expect("good");
    let past = Plan::compile_with(&V1::descriptor(), &V2::descriptor(), &[long]).expect_err("leads past");
    assert!(past.to_string().contains("`long` leads from layout 1 to layout 3"), "{past}");
}

#[test]
fn a_row_that_a_migration_refuses_is_counted_with_its_reason() {
    let plan = plan(&V1::descriptor(), &V2::descriptor()).expect("a plan");
    let runner = plan.bind(&schema()).expect("code");
    let (mut to, mut loss) = (V2::new_zeroed(), Loss::new(&plan));
    let outcome = runner.run(v1(1, 1, u32::MAX).as_bytes(), to.as_mut_bytes(), &mut loss);
    assert_eq!(outcome, RowOutcome::Refused { field: 3 });
    assert_eq!(loss.report().rows_refused[0].field, "migration split-stamp");
    let refusal = loss.refusal().expect("refused").to_string();
    assert!(refusal.contains("refused 1 records, the last because 4294967295 nanoseconds are more than"), "{refusal}");
}

#[test]
fn values_that_do_not_fit_are_handled_by_the_fields_policy() {
    let plan = plan(&V2::descriptor(), &V3::descriptor()).expect("a plan");
    let runner = plan.bind(&schema()).expect("code");
    let (mut to, mut loss) = (V3::new_zeroed(), Loss::new(&plan));
    let from = V2 { seconds: u32::MAX, nanos: 1, number: 1 };
    assert_eq!(runner.run(from.as_bytes(), to.as_mut_bytes(), &mut loss), RowOutcome::Done);
    assert_eq!(to.seconds, u32::MAX);
    assert_eq!(loss.report().clamped[0].field, "seconds");
}

#[test]
fn a_migration_gives_what_it_was_declared_to_give() {
    let cases: [(MigrateFn, &str); 3] = [
        (|_| row([(3, 1)]), "it did not give field 4"),
        (|_| row([(3, 1), (4, 1), (9, 1)]), "it gave field 9, which it was not declared to give"),
        (|from| row([(3, 1), (4, number(from, 77)?)]), "field 77 is None"),
    ];
    for (up, why) in cases {
        let schema = Schema::new("calls").migrate(Migration::both_ways(&SPLIT, up, |_| row([])));
        let plan = Plan::compile_with(&V1::descriptor(), &V2::descriptor(), &facts(&schema)).expect("a plan");
        let (mut to, mut loss) = (V2::new_zeroed(), Loss::new(&plan));
        let outcome = plan.bind(&schema).expect("code").run(v1(1, 1, 1).as_bytes(), to.as_mut_bytes(), &mut loss);
        assert!(matches!(outcome, RowOutcome::Refused { .. }));
        assert!(loss.refusal().expect("refused").to_string().contains(why), "{why}");
    }
}

#[test]
fn steps_do_not_overlap_and_have_one_name_each() {
    let register = |desc: MigrationDesc| {
        std::panic::catch_unwind(|| schema().migrate(Migration::both_ways(&desc, |_| row([]), |_| row([])))).is_ok()
    };
    assert!(register(MigrationDesc::new(4, "later", 4, 6, &[6], &[7])));
    assert!(register(MigrationDesc::new(4, "beside", 2, 3, &[4], &[8])));
    assert!(!register(MigrationDesc::new(4, "across", 1, 3, &[4], &[8])));
    assert!(!register(MigrationDesc::new(4, "round", 7, 8, &[4], &[8])));
}

const REGION: [u8; 16] = [6; 16];
const CAPACITY: usize = 64;

fn origin(layers: Vec<Layer>, generation: u64) -> Origin {
    Origin { marking: Marking::Fine, generation, layers }
}

fn view<R: Layout>(records: &Records<R>) -> RecordsView {
    RecordsView::attach(records.segment().clone()).expect("a table")
}

fn swapped<A: Layout, B: Layout>(from: &Records<A>, schema: &Schema, origin: Origin) -> (Records<B>, Vec<Layer>) {
    let to = Records::<B>::create(REGION, CAPACITY).expect("a table");
    let mut copier = Copier::new(view(from), view(&to), schema, origin).expect("the layouts fit");
    copier.first(|_, _| {});
    copier.last().expect("nothing refuses");
    (to, copier.layers().cloned().collect())
}

fn calls() -> Records<V1> {
    let mut calls = Records::<V1>::create(REGION, CAPACITY).expect("a table");
    (0..40).for_each(|at| calls.fill(Slot(at), v1(at.into(), at * 3, at * 1_000_001)));
    calls
}

#[test]
fn what_is_migrated_is_not_kept_aside_and_comes_back_all_the_same() {
    let first = calls();
    let (mut second, layers) = swapped::<V1, V2>(&first, &schema(), origin(Vec::new(), 1));
    assert!(layers.is_empty(), "nothing is lost");
    second.get_mut(Slot(5)).seconds = 1000;
    let (back, layers) = swapped::<V2, V1>(&second, &schema(), origin(layers, 2));
    assert!(layers.is_empty());
    for at in (0..40).map(Slot) {
        let was = *first.get(at);
        let is = if at == Slot(5) { V1 { stamp: 1000 << 32 | was.stamp & 0xffff_ffff, ..was } } else { was };
        assert_eq!(*back.get(at), is);
    }
}

#[test]
fn what_is_migrated_in_part_is_kept_aside_and_restored() {
    let schema = Schema::new("calls").migrate(split());
    let first = calls();
    let (half, layers) = swapped::<V1, Half>(&first, &schema, origin(Vec::new(), 1));
    assert_eq!(half.get(Slot(7)).seconds, 21);
    assert_eq!(layers.len(), 1, "the nanoseconds have no place");
    let (back, _) = swapped::<Half, V1>(&half, &schema, origin(layers, 2));
    (0..40).map(Slot).for_each(|at| assert_eq!(back.get(at), first.get(at)));
}

/// A layer knows the stamp of long ago; what the migration makes of the record is newer.
#[test]
fn what_a_migration_makes_is_not_overwritten_by_a_layer() {
    let schema = schema();
    let split_only = Schema::new("calls").migrate(split());
    let first = calls();
    let (_, layers) = swapped::<V1, Half>(&first, &split_only, origin(Vec::new(), 1));
    let mut second = Records::<V2>::create(REGION, CAPACITY).expect("a table");
    (0..40).for_each(|at| second.fill(Slot(at), V2 { seconds: 1, nanos: 2, number: at.into() }));
    let (back, layers) = swapped::<V2, V1>(&second, &schema, origin(layers, 3));
    (0..40).map(Slot).for_each(|at| assert_eq!(back.get(at).stamp, 1 << 32 | 2));
    assert!(layers.is_empty(), "and the layer is spent");
}

#[test]
fn an_index_is_made_anew_where_keys_change() {
    let (second, _) = swapped::<V1, V2>(&calls(), &schema(), origin(Vec::new(), 1));
    let to = Records::<V3>::create(REGION, CAPACITY).expect("a table");
    let mut copier = Copier::new(view(&second), view(&to), &schema(), origin(Vec::new(), 2)).expect("they fit");
    assert!(copier.rekeys());
    let shards = Shards::create(REGION, 4, CAPACITY, 1, [7; 16]).expect("an index");
    let index = shards.list()[0].index.clone();
    let key = |record: &[u8]| V3::read_from_bytes(record).map_or([0; 8], |record| record.prefixed.to_le_bytes());
    copier.follow(Box::new(IndexBuilder::new(shards, key)));
    copier.first(|_, _| {});
    copier.last().expect("nothing refuses");
    assert_eq!(index.len(), 40);
    for at in 0..40_u32 {
        let hash = index.hash(&(PREFIX | u64::from(at)).to_le_bytes());
        assert_eq!(index.find(hash, |slot| slot == Slot(at)), Some(Slot(at)));
    }
}

#[test]
fn the_schema_knows_what_layouts_say() {
    use shm_state::descriptor::{Case, FieldDesc, FieldSpec, FieldType, Unit};
    let cases = [[Case::new(1, "up")], [Case::new(2, "down")], [Case::new(1, "upper")]];
    let layout = |version: u32, cases: &[Case]| {
        let timeouts = FieldDesc::new(1, "timeouts", FieldType::Duration, 0, 2).unit(Unit::Ms);
        let state = FieldSpec::new(FieldDesc::new(2, "state", FieldType::Enum, 8, 1)).cases(cases);
        let specs = [FieldSpec::new(timeouts).array(3).range(1, 9), state];
        Descriptor::from_specs(1, version, "t", 16, &specs).expect("good")
    };
    let schema = Schema::new("t").learn(&layout(1, &cases[0])).and_then(|schema| schema.learn(&layout(2, &cases[1])));
    let schema = schema.expect("they agree");
    let [timeouts, state] = schema.fields().collect::<Vec<_>>()[..] else { panic!("two fields") };
    assert_eq!((timeouts.elements, timeouts.range), (Some(3), Some((1_000_000, 9_000_000))));
    let names: Vec<_> = state.cases.as_ref().expect("cases").iter().collect();
    assert_eq!(names, [(1, "up"), (2, "down")]);
    let renamed = schema.learn(&layout(3, &cases[2])).expect_err("a case number is for ever");
    assert_eq!((renamed.kind, renamed.field.as_deref()), (RefusalKind::OtherMeaning, Some("state")));
}
