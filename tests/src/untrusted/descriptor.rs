//! Descriptors: parsed, planned against the layouts of the tree and against each other, and records translated by the
//! plan: one at a time, and by the copier, which must come to the same.

use std::ops::ControlFlow;

use control::shell::holdings::row_json;
use shm_state::Descriptor;
use shm_state::exchange::{Fit, TableHeader};
use shm_state::schema::Schema;
use shm_state::table::{Meta, RECORD_LEN_MAX, RecordsView, Slot};
use shm_state::translate::{Copier, Loss, Marking, Origin, Plan, RowOutcome};

use super::{Outcome, refused, rich};

/// Records that are translated by each plan.
const RECORDS: usize = 20;

/// A descriptor, another if there is one behind it, and bytes for records.
pub fn run(data: &[u8]) -> Outcome {
    let (first, len) = match Descriptor::parse(data) {
        Ok(parsed) => parsed,
        Err(error) => return refused(error),
    };
    let (second, used) = Descriptor::parse(&data[len..]).map_or((None, 0), |(second, used)| (Some(second), used));
    let values = &data[len + used..];
    let canonical = first.to_bytes();
    let (again, _) = Descriptor::parse(&canonical).expect("what was understood is written so that it is understood");
    assert_eq!(again.to_bytes(), canonical);
    row_json(&first.decode(&record(&first, values, 1)));
    let mut worked = second.is_some_and(|second| both_ways(&first, &second, &Schema::new(first.name()), values));
    for (layout, schema) in rich::known() {
        worked |= both_ways(&first, layout, schema, values);
    }
    if worked { Outcome::Worked } else { refused("no layout of the tree can be made of it, or it of them") }
}

/// All known layouts, alone and in pairs, with values behind them.
pub fn seeds() -> Vec<Vec<u8>> {
    let values: Vec<u8> = (0..96).map(|at: u8| at.wrapping_mul(37)).collect();
    let bytes: Vec<_> = rich::known().iter().map(|(layout, _)| layout.to_bytes()).collect();
    let (older, newer) = (&bytes[0], &bytes[1]);
    let pairs = [[older, newer].map(Clone::clone).concat(), [newer, older].map(Clone::clone).concat()];
    bytes.iter().cloned().chain(pairs).map(|bytes| [bytes, values.clone()].concat()).collect()
}

fn both_ways(one: &Descriptor, other: &Descriptor, schema: &Schema, values: &[u8]) -> bool {
    if let Ok(mut fit) = Fit::new(&TableHeader::of(one, 0, 1, [0; 16]), other) {
        let mut to = vec![0; other.record_len()];
        let _ = fit.store(&one.decode(&record(one, values, 2)), &mut to);
    }
    let there = translated(one, other, schema, values);
    let back = translated(other, one, schema, values);
    there | back
}

/// A record: patterns at which numbers end, then the input's own bytes over and over.
fn record(layout: &Descriptor, values: &[u8], nth: usize) -> Vec<u8> {
    let mut record = vec![[0, 0xff, 1, 0x80][nth % 4]; layout.record_len()];
    if nth >= 4 && !values.is_empty() {
        record.iter_mut().zip(values.iter().cycle().skip(nth)).for_each(|(to, from)| *to = *from);
    }
    record
}

fn translated(from: &Descriptor, to: &Descriptor, schema: &Schema, values: &[u8]) -> bool {
    let migrations: Vec<_> = schema.migration_facts().cloned().collect();
    let Ok(plan) = Plan::compile_with(from, to, &migrations) else { return false };
    let Ok(runner) = plan.bind(schema) else { return false };
    let mut loss = Loss::new(&plan);
    let mut expected = Vec::new();
    for nth in 0..RECORDS {
        let mut out = vec![0; to.record_len()];
        let outcome = runner.run(&record(from, values, nth), &mut out, &mut loss);
        expected.push((outcome == RowOutcome::Done).then_some(out));
    }
    loss.report();
    if from.record_len().max(to.record_len()) <= RECORD_LEN_MAX {
        let copied = copied(from, to, schema, values);
        assert!(copied.is_none_or(|copied| copied == expected), "the copier and the plan disagree");
    }
    true
}

/// The same by a copier; nothing where it refuses a record.
fn copied(from: &Descriptor, to: &Descriptor, schema: &Schema, values: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let make = |layout| RecordsView::create(layout, [3; 16], RECORDS as u64, 0).expect("memory");
    let (source, destination) = (make(from), make(to));
    for nth in 0..RECORDS {
        source.put(Slot(nth as u32), Meta { incarnation: 1, live: true }, &record(from, values, nth));
    }
    let origin = Origin { marking: Marking::Fine, generation: 1, layers: Vec::new() };
    let mut copier = Copier::new(source, destination, schema, origin).expect("the plan was compiled before");
    copier.first(|_, _| ());
    copier.last().ok()?;
    let mut records = vec![None; RECORDS];
    copier.destination().for_each_live(|slot, _, record| {
        records[slot as usize] = Some(record.to_vec());
        ControlFlow::Continue(())
    });
    Some(records)
}
