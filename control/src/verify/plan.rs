//! What a swap would do to each table, from the live tables and the layouts of the new binary.

use handover::messages::Fault;
use serde::{Deserialize, Serialize};
use shm_state::descriptor::Descriptor;
use shm_state::schema::MigrationFacts;
use shm_state::translate::{FieldAction, Plan};

/// Bytes of a slot beside its record.
const SLOT_HEAD: u64 = 8;

/// A table as it lies in the running region.
#[derive(Clone, Debug)]
pub struct LiveTable {
    /// How its records lie.
    pub descriptor: Descriptor,
    /// Slots.
    pub capacity: u64,
    /// Slots in use, counted just now.
    pub live: u64,
}

/// What happens to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableStep {
    /// Same layout: the segment is used as it is.
    Shared,
    /// Another layout: records are translated into a new segment.
    Translated,
    /// The old binary has no such table: the new one begins with an empty one.
    Created,
}

/// The plan for one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePlan {
    /// Name of the table.
    pub table: String,
    /// What happens to it.
    pub step: TableStep,
    /// Layout version now; 0 if there is no such table.
    pub from_version: u32,
    /// Layout version afterwards.
    pub to_version: u32,
    /// Live records now.
    pub records: u64,
    /// Slots now.
    pub capacity: u64,
    /// Bytes of slots to allocate; 0 where shared.
    pub bytes: u64,
    /// What happens to each field; empty where shared.
    pub fields: Vec<FieldAction>,
}

/// The plan of a swap, as a dry run shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The new binary.
    pub binary: String,
    /// Its SHA-256.
    pub sha256: String,
    /// At least one table would be translated.
    pub layout_changed: bool,
    /// All tables.
    pub tables: Vec<TablePlan>,
}

/// Plans one table; `layouts` and `migrations` are those of the new binary.
///
/// # Errors
/// A fault that names the table and, where it is one field's fault, the field.
pub fn plan_table(
    table: &LiveTable,
    layouts: &[Descriptor],
    migrations: &[MigrationFacts],
) -> Result<TablePlan, Fault> {
    let from = &table.descriptor;
    let Some(to) = layouts.iter().find(|layout| layout.table_id() == from.table_id()) else {
        return Err(Fault::operator(
            "table-unknown",
            format!("the new binary does not know table {} (id {})", from.name(), from.table_id()),
            "use a binary that serves the same tables",
        ));
    };
    let shared = from.fingerprint() == to.fingerprint();
    let (bytes, fields) = if shared {
        (0, Vec::new())
    } else {
        let plan = Plan::compile_with(from, to, migrations)
            .map_err(|refusal| Fault::operator("not-translatable", refusal.to_string(), refusal.remedy.clone()))?;
        (slot_bytes(table.capacity, to), plan.fields().to_vec())
    };
    Ok(TablePlan {
        table: to.name().to_owned(),
        step: if shared { TableStep::Shared } else { TableStep::Translated },
        from_version: from.layout_version(),
        to_version: to.layout_version(),
        records: table.live,
        capacity: table.capacity,
        bytes,
        fields,
    })
}

/// Plans every table.
///
/// # Errors
/// See [`plan_table`].
pub fn plan(
    live: &[LiveTable],
    layouts: &[Descriptor],
    migrations: &[MigrationFacts],
) -> Result<Vec<TablePlan>, Fault> {
    let mut tables = live.iter().map(|table| plan_table(table, layouts, migrations)).collect::<Result<Vec<_>, _>>()?;
    let created = layouts.iter().filter(|to| live.iter().all(|t| t.descriptor.table_id() != to.table_id()));
    tables.extend(created.map(|to| TablePlan {
        table: to.name().to_owned(),
        step: TableStep::Created,
        from_version: 0,
        to_version: to.layout_version(),
        records: 0,
        capacity: 0,
        bytes: 0,
        fields: Vec::new(),
    }));
    Ok(tables)
}

fn slot_bytes(capacity: u64, layout: &Descriptor) -> u64 {
    capacity.saturating_mul(SLOT_HEAD + layout.record_len() as u64)
}
