//! Random pairs of layouts: the compiled plan does what a naive translation, value by value through decoded
//! rows and wide arithmetic, does.

use proptest::prelude::*;
use shm_state::Descriptor;
use shm_state::descriptor::{Field, FieldDesc, FieldType, Narrow, Unit};
use shm_state::row::{Row, RowView, Value};
use shm_state::schema::Schema;
use shm_state::translate::{Action, FieldCount, Loss, Plan, RowMarks, RowOutcome, SlotLosses};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use zerocopy::IntoBytes;

const TIMES: [Unit; 4] = [Unit::Ns, Unit::Us, Unit::Ms, Unit::S];

/// How one layout holds a field.
#[derive(Debug, Clone)]
struct Held {
    present: bool,
    width: usize,
    signed: bool,
    unit: usize,
    narrow: usize,
    gap: usize,
    order: u16,
    default: Option<u64>,
}

/// A field in two layouts.
#[derive(Debug, Clone)]
struct Shared {
    ty: FieldType,
    key: bool,
    held: [Held; 2],
}

fn held() -> impl Strategy<Value = Held> {
    let numbers = (0usize..8, any::<bool>(), 0usize..4, 0usize..3, 0usize..4, any::<u16>());
    (prop::bool::weighted(0.8), numbers, prop::option::of(any::<u64>())).prop_map(
        |(present, (width, signed, unit, narrow, gap, order), default)| Held {
            present,
            width,
            signed,
            unit,
            narrow,
            gap,
            order,
            default,
        },
    )
}

fn shared() -> impl Strategy<Value = Shared> {
    let ty = prop::sample::select(FieldType::ALL);
    (ty, prop::bool::weighted(0.1), held(), held()).prop_map(|(ty, key, a, b)| {
        let ty = if ty == FieldType::Signed { FieldType::Unsigned } else { ty };
        Shared { ty, key, held: if key { [a.clone(), a] } else { [a, b] } }
    })
}

fn layout(fields: &[Shared], which: usize) -> Option<Descriptor> {
    let mut chosen: Vec<_> = fields.iter().enumerate().filter(|(_, field)| field.held[which].present).collect();
    chosen.sort_by_key(|(_, field)| field.held[which].order);
    let mut entries = Vec::new();
    let mut offset = 0;
    for (index, Shared { ty, key, held }) in chosen {
        let Held { width, signed, unit, narrow, gap, default, .. } = &held[which];
        let ty = if *ty == FieldType::Unsigned && *signed { FieldType::Signed } else { *ty };
        let len = match ty {
            FieldType::Unsigned | FieldType::Signed | FieldType::Duration => [1, 2, 4, 8][width % 4],
            FieldType::Bool => 1,
            FieldType::Enum => [1, 2, 4][width % 3],
            FieldType::Bytes => width * 3 + 1,
            FieldType::Ip => 16,
            FieldType::Port => 2,
            FieldType::Instant | FieldType::SlotLink => [4, 8][width % 2],
        };
        let narrow = match ty {
            FieldType::Bool | FieldType::Ip | FieldType::Port => Narrow::Refuse,
            FieldType::Enum | FieldType::SlotLink => [Narrow::Refuse, Narrow::Drop][narrow % 2],
            _ => Narrow::ALL[*narrow],
        };
        offset += gap;
        let id = index as u32 + 1;
        let mut entry = FieldDesc::new(id, &format!("f{id}"), ty, offset, len).narrow(narrow);
        if matches!(ty, FieldType::Instant | FieldType::Duration) {
            entry = entry.unit(TIMES[*unit]);
        }
        if *key {
            entry = entry.key();
        }
        entry = match default {
            Some(default) => entry.default_bytes(&default.to_le_bytes()[..len.min(8)]),
            // Half of the functions read rows, half a number.
            None if id % 2 == 0 => entry.compute("from-first"),
            None => entry.compute(ty.name()),
        };
        entries.push(entry);
        offset += len;
    }
    let record_len = (offset.max(1) as u32).next_multiple_of(8);
    (!entries.is_empty())
        .then(|| Descriptor::from_fields(1, which as u32 + 1, "random", record_len, &entries).expect("valid"))
}

/// A number that depends on what the source holds, often too large for a small field.
fn sum(view: &RowView<'_>) -> u64 {
    (1..12).filter_map(|id| view.unsigned(id)).fold(11, u64::wrapping_add)
}

/// Small for one number in two.
fn from_first(number: u64) -> u64 {
    if number & 1 == 0 { number >> 57 } else { number.wrapping_mul(3) }
}

/// The function of a name as the schema has it, applied to one row.
fn computed(name: &str, view: &RowView<'_>) -> Value {
    if name == "from-first" {
        let first = view.descriptor().field(1).filter(|field| field.ty() == FieldType::Unsigned);
        return Value::Unsigned(first.and_then(|_| view.unsigned(1)).map_or(77, from_first));
    }
    schema().function(name).expect("known")(view)
}

fn schema() -> Schema {
    Schema::new("random")
        .compute_number("from-first", 1, 77, from_first)
        .compute("unsigned", |view| Value::Unsigned(sum(view)))
        .compute("signed", |view| Value::Signed((sum(view) as i64).wrapping_neg()))
        .compute("bool", |view| Value::Bool(sum(view) & 1 == 1))
        .compute("enum", |view| Value::Enum(sum(view) as u32))
        .compute("bytes", |view| Value::Bytes(sum(view).to_be_bytes().to_vec()))
        .compute("ip", |view| Value::Ip((sum(view) as u32).to_be_bytes().into()))
        .compute("port", |view| Value::Port(sum(view) as u16))
        .compute("instant", |view| Value::Instant(u128::from(sum(view)) * 7))
        .compute("duration", |view| Value::Duration(u128::from(sum(view)) * 7))
        .compute("slot-link", |view| Value::SlotLink(Some(sum(view)).filter(|sum| sum % 3 != 0)))
}

/// The value as `field` can hold it, whether it did not fit, and whether it was rounded.
fn fitted(field: &Field, value: &Value) -> (Value, bool, bool) {
    let bits = field.len().min(8) as u32 * 8;
    let max = (1u128 << bits) - 1;
    match value {
        Value::Unsigned(_) | Value::Signed(_) => {
            let number = value.as_integer().expect("an integer");
            if field.ty() == FieldType::Signed {
                let stored = number.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
                (Value::Signed(stored as i64), stored != number, false)
            } else {
                let stored = number.clamp(0, max as i128);
                (Value::Unsigned(stored as u64), stored != number, false)
            }
        }
        Value::Instant(nanos) | Value::Duration(nanos) => {
            let unit = u128::from(field.unit().nanos().expect("a time"));
            let stored = (nanos / unit).min(max) * unit;
            let value = if field.ty() == FieldType::Instant { Value::Instant(stored) } else { Value::Duration(stored) };
            (value, nanos / unit > max, nanos % unit != 0)
        }
        Value::Enum(case) => (value.clone(), u128::from(*case) > max, false),
        Value::SlotLink(Some(slot)) => (value.clone(), u128::from(*slot) >= max, false),
        Value::Bytes(bytes) => {
            let mut stored = bytes.clone();
            stored.resize(field.len(), 0);
            let cut = bytes.get(field.len()..).unwrap_or_default();
            (Value::Bytes(stored), cut.iter().any(|&byte| byte != 0), false)
        }
        Value::Bool(_) | Value::Ip(_) | Value::Port(_) | Value::SlotLink(None) => (value.clone(), false, false),
    }
}

/// Whether the field can hold values of this type at all.
fn holds(field: &Field, value: &Value) -> bool {
    let number = matches!(field.ty(), FieldType::Unsigned | FieldType::Signed);
    number || !matches!(value, Value::Unsigned(_) | Value::Signed(_))
}

#[derive(Default)]
struct Counts {
    clamped: BTreeMap<u32, u64>,
    rounded: BTreeMap<u32, u64>,
}

fn naive(from: &Descriptor, to: &Descriptor, record: &[u8], counts: &mut Counts) -> (RowOutcome, Row) {
    let row = from.decode(record);
    let view = RowView::new(from, record);
    let mut out = Row::new();
    let (mut clamped, mut rounded) = (Vec::new(), Vec::new());
    let computes = |field: &&Field| row.get_id(field.id()).is_none() && field.compute().is_some();
    let stored = to.fields().iter().filter(|field| !computes(field));
    for field in stored.chain(to.fields_by_id().filter(computes)) {
        let is_computed = computes(&field);
        let value = match row.get_id(field.id()) {
            Some(value) => value.clone(),
            None if is_computed => computed(field.compute().expect("computed"), &view),
            None => field.default_value().expect("has a default"),
        };
        if is_computed && !holds(field, &value) {
            return (RowOutcome::Refused { field: field.id() }, out);
        }
        let (value, exceeds, rounds) = fitted(field, &value);
        match field.narrow() {
            _ if !exceeds => {}
            Narrow::Clamp => clamped.push(field.id()),
            Narrow::Drop => return (RowOutcome::Dropped, out),
            Narrow::Refuse => return (RowOutcome::Refused { field: field.id() }, out),
        }
        if rounds && !is_computed {
            rounded.push(field.id());
        }
        out.insert(field.id(), field.name().clone(), value);
    }
    clamped.into_iter().for_each(|id| *counts.clamped.entry(id).or_default() += 1);
    rounded.into_iter().for_each(|id| *counts.rounded.entry(id).or_default() += 1);
    (RowOutcome::Done, out)
}

/// Bytes that are often at the ends of their ranges.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(0xff), Just(0x7f), Just(0x80), any::<u8>()];
    let run = (byte, 1usize..9).prop_map(|(byte, len)| vec![byte; len]);
    prop::collection::vec(run, 60).prop_map(|runs| runs.concat())
}

/// A record of this layout that begins with `bytes`.
fn resized(bytes: &[u8], layout: &Descriptor) -> Vec<u8> {
    let mut record = bytes.to_vec();
    record.resize(layout.record_len(), 0x5a);
    record
}

/// Slots with these records and meta words of their own.
fn slots<'a>(records: impl Iterator<Item = &'a [u8]>) -> Vec<AtomicU64> {
    let words = records.flat_map(|record| {
        let words = record.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
        std::iter::once(0xaaaa).chain(words)
    });
    words.map(AtomicU64::new).collect()
}

fn named(report: &[FieldCount]) -> BTreeMap<String, u64> {
    report.iter().map(|FieldCount { field, count }| (field.clone(), *count)).collect()
}

fn by_name(counts: &BTreeMap<u32, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(id, count)| (format!("f{id}"), *count)).collect()
}

fn padding(descriptor: &Descriptor, record: &[u8]) -> Vec<u8> {
    let described = |at| descriptor.fields().iter().any(|field| (field.offset()..field.end()).contains(&at));
    (0..record.len()).filter(|&at| !described(at)).map(|at| record[at]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn plans_do_what_naive_translation_does(
        fields in prop::collection::vec(shared(), 1..12),
        records in prop::collection::vec(record(), 1..8),
    ) {
        let (Some(from), Some(to)) = (layout(&fields, 0), layout(&fields, 1)) else { return Ok(()) };
        let Ok(plan) = Plan::compile(&from, &to) else { return Ok(()) };
        let runner = plan.bind(&schema()).expect("all functions are known");
        let mut loss = Loss::new(&plan);
        let mut counts = Counts::default();
        let (mut done, mut dropped, mut refused) = (0, 0, 0);
        for bytes in &records {
            let mut source = bytes.clone();
            source.resize(from.record_len(), 0x5a);
            let mut out = vec![0xee; to.record_len()];
            let outcome = runner.run(&source, &mut out, &mut loss);
            let (expected, row) = naive(&from, &to, &source, &mut counts);
            prop_assert_eq!(outcome, expected);
            match outcome {
                RowOutcome::Done => {
                    done += 1;
                    prop_assert_eq!(to.decode(&out), row);
                    prop_assert!(padding(&to, &out).iter().all(|&byte| byte == 0));
                    if plan.is_identity() {
                        prop_assert_eq!(from.decode(&source), to.decode(&out));
                    }
                }
                RowOutcome::Dropped => dropped += 1,
                RowOutcome::Refused { .. } => refused += 1,
            }
        }
        let report = loss.report();
        prop_assert_eq!((loss.rows(), loss.dropped_rows(), loss.refused_rows()), (done, dropped, refused));
        prop_assert_eq!(named(&report.clamped), by_name(&counts.clamped));
        prop_assert_eq!(named(&report.rounded), by_name(&counts.rounded));
        prop_assert_eq!(loss.refusal().is_some(), refused > 0);
        let computed = |name: &str| plan.fields().iter().any(|field| {
            field.field == name && matches!(field.action, Action::Computed { .. })
        });
        let clamped = report.clamped.iter().any(|count| !computed(&count.field));
        prop_assert!(plan.lossy() || !clamped && report.rounded.is_empty() && dropped == 0);
    }

    #[test]
    fn many_rows_at_a_time_become_what_they_become_one_by_one(
        fields in prop::collection::vec(shared(), 1..12),
        records in prop::collection::vec((prop::bool::weighted(0.9), record()), 1..80),
    ) {
        let (Some(from), Some(to)) = (layout(&fields, 0), layout(&fields, 1)) else { return Ok(()) };
        let Ok(plan) = Plan::compile(&from, &to) else { return Ok(()) };
        let runner = plan.bind(&schema()).expect("all functions are known");
        let sources: Vec<_> = records.iter().map(|(_, bytes)| resized(bytes, &from)).collect();
        let there = |at: usize| if records[at].0 { RowMarks::DONE } else { RowMarks::NONE };
        let mut marks: Vec<_> = (0..records.len()).map(there).collect();
        let mut many = vec![0xee; to.record_len() * records.len()];
        runner.run_many(&sources.concat(), &mut many, &mut marks);

        let mut slot_marks: Vec<_> = (0..records.len()).map(there).collect();
        let (from_slots, to_slots) = (slots(sources.iter().map(|source| &**source)), slots(many.chunks(to.record_len())));
        to_slots.iter().for_each(|word| word.store(0xeeee, Relaxed));
        runner.run_slots(&from_slots, &to_slots, &mut slot_marks);
        prop_assert_eq!(&slot_marks, &marks);

        let out_slots = to_slots.chunks(to.record_len() / 8 + 1);
        for (at, (out, out_slot)) in many.chunks(to.record_len()).zip(out_slots).enumerate() {
            prop_assert_eq!(out_slot[0].load(Relaxed), 0xeeee, "meta words are left alone");
            if !records[at].0 {
                prop_assert_eq!(marks[at], RowMarks::NONE);
                continue;
            }
            let mut one = vec![0xee; to.record_len()];
            let (outcome, one_marks) = runner.run_marked(&sources[at], &mut one);
            prop_assert_eq!((runner.outcome(marks[at]), marks[at]), (outcome, one_marks));
            if outcome == RowOutcome::Done {
                prop_assert_eq!(out, &*one);
                let words: Vec<u64> = out_slot[1..].iter().map(|word| word.load(Relaxed)).collect();
                prop_assert_eq!(words.as_bytes(), &*one);
            }
        }
    }

    #[test]
    fn what_is_not_lossy_comes_back(
        fields in prop::collection::vec(shared(), 1..12),
        bytes in record(),
    ) {
        let (Some(from), Some(to)) = (layout(&fields, 0), layout(&fields, 1)) else { return Ok(()) };
        let (Ok(up), Ok(down)) = (Plan::compile(&from, &to), Plan::compile(&to, &from)) else { return Ok(()) };
        if up.lossy() {
            return Ok(());
        }
        let mut source = bytes;
        source.resize(from.record_len(), 0x5a);
        let (mut there, mut back) = (vec![0; to.record_len()], vec![0; from.record_len()]);
        let bind = |plan: &Plan| plan.bind(&schema()).expect("all functions are known");
        if bind(&up).run(&source, &mut there, &mut Loss::new(&up)) == RowOutcome::Done {
            let mut loss = Loss::new(&down);
            prop_assert_eq!(bind(&down).run(&there, &mut back, &mut loss), RowOutcome::Done);
            prop_assert_eq!(from.decode(&source), from.decode(&back));
            prop_assert!(loss.report().clamped.is_empty() && loss.report().rounded.is_empty());
        }
    }

    #[test]
    fn only_the_last_copy_of_a_slot_counts(
        fields in prop::collection::vec(shared(), 1..8),
        copies in prop::collection::vec((0usize..5, prop::option::weighted(0.9, record())), 1..30),
    ) {
        let (Some(from), Some(to)) = (layout(&fields, 0), layout(&fields, 1)) else { return Ok(()) };
        let Ok(plan) = Plan::compile(&from, &to) else { return Ok(()) };
        let runner = plan.bind(&schema()).expect("all functions are known");
        let mut losses = SlotLosses::new(&plan, 5);
        let mut last = BTreeMap::new();
        let mut out = vec![0; to.record_len()];
        for (slot, record) in copies {
            match record {
                Some(mut record) => {
                    record.resize(from.record_len(), 0);
                    let (_, marks) = runner.run_marked(&record, &mut out);
                    losses.note(slot, marks);
                    last.insert(slot, record);
                }
                None => {
                    losses.note(slot, Default::default());
                    last.remove(&slot);
                }
            }
        }
        let mut expected = Loss::new(&plan);
        for record in last.values() {
            let mut part = Loss::new(&plan);
            let _ = runner.run(record, &mut out, &mut part);
            expected.merge(&part);
        }
        prop_assert_eq!(losses.total().report(), expected.report());
    }
}

#[test]
fn random_layouts_are_mostly_translatable() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut compiled = 0;
    for _ in 0..200 {
        let tree = prop::collection::vec(shared(), 1..12).new_tree(&mut runner).expect("generates");
        let fields = proptest::strategy::ValueTree::current(&tree);
        if let (Some(from), Some(to)) = (layout(&fields, 0), layout(&fields, 1)) {
            compiled += u32::from(Plan::compile(&from, &to).is_ok());
        }
    }
    assert!(compiled > 100, "only {compiled} of 200 pairs compile: the properties above test little");
}
