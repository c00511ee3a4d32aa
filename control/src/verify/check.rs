//! What a swap between two binaries would do to each table, from the files alone.

use handover::messages::Fault;
use serde::Serialize;
use shm_state::descriptor::Descriptor;
use shm_state::table::{RecordsView, places};
use shm_state::translate::{FieldAction, Plan};

use super::binary::Binary;
use super::plan::{LiveTable, TablePlan, TableStep, plan_table};
use super::rate::Rate;

/// How it would end, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is lost.
    Ok,
    /// It can be done, and some information may be lost; by which policy stands with each field.
    Lossy,
    /// It cannot be done.
    Refused,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Lossy => "lossy",
            Self::Refused => "refused",
        })
    }
}

/// What the files do not say: how full the tables are. All slots count as live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Assumed {
    /// Slots of table `flows`.
    pub flows: u64,
    /// Slots of table `counters`: workers.
    pub workers: u64,
    /// Slots of table `backends`.
    pub backends: u64,
}

impl Assumed {
    fn slots(&self, layout: &Descriptor) -> u64 {
        match layout.name() {
            "flows" => self.flows,
            "counters" => self.workers,
            "backends" => self.backends,
            // A table of a later version: as large as the largest.
            _ => self.flows,
        }
    }
}

/// What happens to one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableCheck {
    /// Name of the table.
    pub table: String,
    /// What happens to it; nothing where it is refused.
    pub step: Option<TableStep>,
    /// Layout version of the old binary; 0 if it has no such table.
    pub from_version: u32,
    /// Layout version of the new binary; 0 if it has no such table.
    pub to_version: u32,
    /// How it ends.
    pub verdict: Verdict,
    /// Why it is refused.
    pub refusal: Option<Fault>,
    /// What happens to each field; empty where the table is shared.
    pub fields: Vec<FieldAction>,
    /// Slots that were reckoned with.
    pub slots: u64,
    /// Bytes of the segment as it is.
    pub bytes: u64,
    /// Bytes of the new segment that stands beside it during the swap; 0 where shared.
    pub new_bytes: u64,
    /// Estimated time of one background pass.
    pub background_ns: u64,
    /// What that estimate rests on; nothing where nothing is translated.
    pub rate: Option<Rate>,
}

/// One swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Direction {
    /// Path of the old binary.
    pub from: String,
    /// Path of the new binary.
    pub to: String,
    /// The worst of all tables and of the formats.
    pub verdict: Verdict,
    /// Formats and protocols that the two do not share.
    pub refusals: Vec<Fault>,
    /// All tables.
    pub tables: Vec<TableCheck>,
    /// Bytes of all tables before the swap.
    pub bytes_before: u64,
    /// Bytes of the index over the flows, which both processes share.
    pub index_bytes: u64,
    /// Bytes that the swap needs beside them, until the old process is gone.
    pub bytes_beside: u64,
    /// Estimated time of one background pass over all translated tables.
    pub background_ns: u64,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was reckoned with.
    pub assumed: Assumed,
    /// The worst of all directions.
    pub verdict: Verdict,
    /// Old to new and, if asked for, back.
    pub directions: Vec<Direction>,
}

/// Checks a swap from `old` to `new` and, with `both`, the way back. A `rate` that is given is not measured.
pub fn check(old: &Binary, new: &Binary, both: bool, assumed: Assumed, rate: Option<Rate>) -> Check {
    let mut directions = vec![direction(old, new, &assumed, rate)];
    if both {
        directions.push(direction(new, old, &assumed, rate));
    }
    let verdict = directions.iter().map(|direction| direction.verdict).max().unwrap_or(Verdict::Ok);
    Check { assumed, verdict, directions }
}

fn direction(old: &Binary, new: &Binary, assumed: &Assumed, rate: Option<Rate>) -> Direction {
    let mut tables: Vec<_> = old.layouts.iter().map(|from| table(from, new, assumed, rate)).collect();
    let unknown = new.layouts.iter().filter(|to| old.layouts.iter().all(|from| from.table_id() != to.table_id()));
    tables.extend(unknown.map(|to| created(to, assumed)));
    let encoding = old.layouts.iter().map(|layout| layout.encoding().into()).max().unwrap_or(0);
    let refusals = match (&old.facts.versions, &new.facts.versions) {
        (Some(old), Some(new)) => old.refusals(new, encoding),
        _ => Vec::new(),
    };
    let worst = tables.iter().map(|table| table.verdict).max().unwrap_or(Verdict::Ok);
    Direction {
        from: old.path.display().to_string(),
        to: new.path.display().to_string(),
        verdict: if refusals.is_empty() { worst } else { Verdict::Refused },
        refusals,
        index_bytes: places::index_body(assumed.flows as usize)[2] as u64,
        bytes_before: tables.iter().map(|table| table.bytes).sum(),
        bytes_beside: tables.iter().map(|table| table.new_bytes).sum(),
        background_ns: tables.iter().map(|table| table.background_ns).sum(),
        tables,
    }
}

fn table(from: &Descriptor, new: &Binary, assumed: &Assumed, rate: Option<Rate>) -> TableCheck {
    let Binary { layouts, migrations, .. } = new;
    let slots = assumed.slots(from);
    let live = LiveTable { descriptor: from.clone(), capacity: slots, live: slots };
    let to = layouts.iter().find(|to| to.table_id() == from.table_id());
    let mut check = TableCheck {
        table: from.name().to_owned(),
        step: None,
        from_version: from.layout_version(),
        to_version: to.map_or(0, Descriptor::layout_version),
        verdict: Verdict::Refused,
        refusal: None,
        fields: Vec::new(),
        slots,
        bytes: bytes(from, slots),
        new_bytes: 0,
        background_ns: 0,
        rate: None,
    };
    match plan_table(&live, layouts, migrations) {
        Err(fault) => check.refusal = Some(fault),
        Ok(TablePlan { step, fields, .. }) => {
            let lossy = fields.iter().any(|field| field.lossy);
            check.verdict = if lossy { Verdict::Lossy } else { Verdict::Ok };
            (check.step, check.fields) = (Some(step), fields);
            if let (TableStep::Translated, Some(to)) = (step, to) {
                check.new_bytes = bytes(to, slots);
                let plan = || Plan::compile_with(from, to, migrations).ok();
                let rate = rate.or_else(|| plan().map(|plan| Rate::measure(&plan, migrations)));
                let moved = slots.saturating_mul((from.record_len() + to.record_len()) as u64);
                check.background_ns = rate.map_or(0, |rate| rate.nanos(moved));
                check.rate = rate;
            }
        }
    }
    check
}

fn created(to: &Descriptor, assumed: &Assumed) -> TableCheck {
    let slots = assumed.slots(to);
    TableCheck {
        table: to.name().to_owned(),
        step: Some(TableStep::Created),
        from_version: 0,
        to_version: to.layout_version(),
        verdict: Verdict::Ok,
        refusal: None,
        fields: Vec::new(),
        slots,
        bytes: 0,
        new_bytes: bytes(to, slots),
        background_ns: 0,
        rate: None,
    }
}

fn bytes(layout: &Descriptor, slots: u64) -> u64 {
    RecordsView::bytes(layout, slots).unwrap_or(u64::MAX)
}
