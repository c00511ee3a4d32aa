//! How fast this host translates records, measured in a short self-test: the plan at hand over more records than the
//! caches hold.

use std::time::{Duration, Instant};

use serde::Serialize;
use shm_state::descriptor::{Descriptor, Field, FieldType};
use shm_state::row::{RowView, Value};
use shm_state::schema::{ComputeFn, MigrationFacts, Schema};
use shm_state::translate::{Loss, Plan};

/// Records of one round.
const RECORDS: usize = 1 << 16;
/// Measured rounds; the median counts.
const ROUNDS: usize = 5;

/// Where a rate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateSource {
    /// Measured on this host just now.
    SelfTest,
    /// Given on the command line.
    Given,
}

/// Bytes read and written per second by one thread that does nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Bytes per second, read and written together.
    pub bytes_per_s: u64,
    /// Where it comes from.
    pub source: RateSource,
}

impl Rate {
    /// As given.
    pub fn given(bytes_per_s: u64) -> Self {
        Self { bytes_per_s, source: RateSource::Given }
    }

    /// Measures a plan. Functions of the binary are not at hand: a constant is computed in their place.
    pub fn measure(plan: &Plan, migrations: &[MigrationFacts]) -> Self {
        let (from, to) = (plan.source(), plan.destination());
        let bytes = (from.record_len() + to.record_len()) * RECORDS;
        // A plan that cannot be bound is one that cannot be measured: as slow as can be said.
        let Ok(runner) = plan.bind(&stand_ins(to, migrations)) else {
            return Self { bytes_per_s: 1, source: RateSource::SelfTest };
        };
        let source = vec![1_u8; from.record_len() * RECORDS];
        let mut destination = vec![0_u8; to.record_len() * RECORDS];
        let mut round = || {
            let begin = Instant::now();
            let mut loss = Loss::new(plan);
            let records = source.chunks_exact(from.record_len()).zip(destination.chunks_exact_mut(to.record_len()));
            for (record, to) in records {
                let _ = runner.run(record, to, &mut loss);
            }
            std::hint::black_box(&mut destination);
            begin.elapsed()
        };
        // The first one touches the memory.
        round();
        let mut times: [Duration; ROUNDS] = std::array::from_fn(|_| round());
        times.sort_unstable();
        let nanos = times[ROUNDS / 2].as_nanos().max(1);
        let bytes_per_s = u64::try_from(bytes as u128 * 1_000_000_000 / nanos).unwrap_or(u64::MAX);
        Self { bytes_per_s, source: RateSource::SelfTest }
    }

    /// Time for `bytes`, read and written together, in nanoseconds.
    pub fn nanos(&self, bytes: u64) -> u64 {
        u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_s.max(1))).unwrap_or(u64::MAX)
    }
}

/// A schema with a constant in place of each function that the layout names.
fn stand_ins(layout: &Descriptor, migrations: &[MigrationFacts]) -> Schema {
    let computed = layout.fields().iter().filter_map(|field| Some((field.compute()?, stand_in(field))));
    let schema = computed.fold(Schema::new(layout.name()), |schema, (name, function)| schema.compute(name, function));
    schema.stand_in(migrations)
}

fn stand_in(field: &Field) -> ComputeFn {
    match field.elements() {
        None => constant(field.ty()),
        // How long it is hardly matters here: one that does not fit costs more, not less.
        Some(_) => |_| Value::List(Vec::new()),
    }
}

fn constant(ty: FieldType) -> ComputeFn {
    fn first(row: &RowView<'_>) -> u64 {
        row.unsigned(1).unwrap_or(1)
    }
    match ty {
        FieldType::Unsigned => |row| Value::Unsigned(first(row) & 1),
        FieldType::Signed => |row| Value::Signed((first(row) & 1) as i64),
        FieldType::Bool => |row| Value::Bool(first(row) == 0),
        FieldType::Enum => |_| Value::Enum(0),
        FieldType::Bytes => |_| Value::Bytes(Vec::new()),
        FieldType::Ip => |_| Value::Ip(std::net::Ipv4Addr::UNSPECIFIED.into()),
        FieldType::Port => |_| Value::Port(0),
        FieldType::Instant => |_| Value::Instant(0),
        FieldType::Duration => |_| Value::Duration(0),
        FieldType::SlotLink => |_| Value::SlotLink(None),
    }
}
