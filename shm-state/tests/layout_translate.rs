//! Random pairs of layouts: the compiled plan does what a naive translation, value by value through decoded
//! rows and wide arithmetic, does.

mod random;

use proptest::prelude::*;
use random::{Counts, bytes, layout, naive, record, schema, shared};
use shm_state::Descriptor;
use shm_state::row::Row;
use shm_state::translate::{Action, FieldCount, Loss, Plan, RowMarks, RowOutcome, SlotLosses};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use zerocopy::IntoBytes;

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
        records in prop::collection::vec(bytes(), 1..8),
    ) {
        let (Some(from), Some(to)) = (layout(&fields, 0), layout(&fields, 1)) else { return Ok(()) };
        let Ok(plan) = Plan::compile(&from, &to) else { return Ok(()) };
        let runner = plan.bind(&schema()).expect("all functions are known");
        let mut loss = Loss::new(&plan);
        let mut counts = Counts::default();
        let (mut done, mut dropped, mut refused) = (0, 0, 0);
        for bytes in &records {
            let source = record(bytes, &from);
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
                        // Names of cases may have been added or taken away.
                        let values = |row: Row| row.iter().map(|cell| (cell.id, cell.value.clone())).collect::<Vec<_>>();
                        prop_assert_eq!(values(from.decode(&source)), values(to.decode(&out)));
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
        records in prop::collection::vec((prop::bool::weighted(0.9), bytes()), 1..80),
    ) {
        let (Some(from), Some(to)) = (layout(&fields, 0), layout(&fields, 1)) else { return Ok(()) };
        let Ok(plan) = Plan::compile(&from, &to) else { return Ok(()) };
        let runner = plan.bind(&schema()).expect("all functions are known");
        let sources: Vec<_> = records.iter().map(|(_, bytes)| record(bytes, &from)).collect();
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
        bytes in bytes(),
    ) {
        let (Some(from), Some(to)) = (layout(&fields, 0), layout(&fields, 1)) else { return Ok(()) };
        let (Ok(up), Ok(down)) = (Plan::compile(&from, &to), Plan::compile(&to, &from)) else { return Ok(()) };
        if up.lossy() {
            return Ok(());
        }
        let source = record(&bytes, &from);
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
        copies in prop::collection::vec((0usize..5, prop::option::weighted(0.9, bytes())), 1..30),
    ) {
        let (Some(from), Some(to)) = (layout(&fields, 0), layout(&fields, 1)) else { return Ok(()) };
        let Ok(plan) = Plan::compile(&from, &to) else { return Ok(()) };
        let runner = plan.bind(&schema()).expect("all functions are known");
        let mut losses = SlotLosses::new(&plan, 5);
        let mut last = BTreeMap::new();
        let mut out = vec![0; to.record_len()];
        for (slot, record) in copies {
            match record {
                Some(bytes) => {
                    let record = random::record(&bytes, &from);
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
