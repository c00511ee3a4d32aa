//! `state stats`: how full everything is.

use std::fmt::Write;

use serde_json::{Value, json};
use shm_state::manifest::Manifest;
use shm_state::prelude::Kind;
use shm_state::table::places::table_body;
use shm_state::table::{BLOCK_SLOTS, FreeSlots, Index, RecordsView, Slot, links};

use super::source::{Copied, Named, copy_all, tables};
use super::{Failed, bad_file, identities};
use crate::ctl::render::{right, table};
use crate::ctl::run::{print, print_json};
use crate::exit;

pub(super) fn run(files: Vec<Named>, as_json: bool) -> Result<u8, Failed> {
    let document = document(&copy_all(&files)?)?;
    if as_json {
        print_json(&document);
    } else {
        print(&text(&document));
    }
    Ok(exit::OK)
}

/// How full the segments are.
///
/// # Errors
/// The first segment that cannot be trusted, by name.
pub fn document(all: &[Copied]) -> Result<Value, Failed> {
    let tables: Vec<_> = tables(all)?.iter().map(|(_, view)| of_table(view)).collect();
    let of_kind = |kind| all.iter().filter(move |copied| copied.segment.id().kind == kind);
    let indexes = of_kind(Kind::Index).map(of_index).collect::<Result<Vec<_>, _>>()?;
    let mut backends = Vec::new();
    for copied in of_kind(Kind::Identities) {
        let rows = identities::read(&copied.segment).map_err(|what| bad(copied, &what))?;
        backends.extend(rows.iter().map(of_backend));
    }
    let region = of_kind(Kind::Manifest).next().map(of_manifest).transpose()?;
    Ok(json!({"region": region, "tables": tables, "indexes": indexes, "identities": backends}))
}

fn bad(copied: &Copied, what: &str) -> Failed {
    bad_file("bad-segment", format!("{}: {what}", copied.name), "see `state verify`")
}

fn of_table(view: &RecordsView) -> Value {
    let (layout, capacity) = (view.descriptor(), view.capacity());
    let blocks = (capacity as usize).div_ceil(BLOCK_SLOTS);
    let marks = view.segment().bytes(table_body(capacity as usize, layout.record_len())[0], blocks);
    let dirty = marks.iter().filter(|mark| mark.load(std::sync::atomic::Ordering::Relaxed) != 0).count();
    let (mut live, mut incarnation_max) = (0_u64, 0);
    for slot in (0..capacity as u32).map(Slot) {
        let meta = view.meta(slot);
        live += u64::from(meta.live);
        incarnation_max = incarnation_max.max(meta.incarnation);
    }
    json!({
        "table": layout.name(),
        "table_id": layout.table_id(),
        "shard": view.segment().id().shard,
        "layout_version": layout.layout_version(),
        "fingerprint": format!("{:#018x}", layout.fingerprint()),
        "record_bytes": layout.record_len(),
        "capacity": capacity,
        "live": live,
        "free": capacity - live,
        "bytes": view.segment().prelude().segment_len,
        "blocks": blocks,
        "blocks_dirty": dirty,
        "incarnation_max": incarnation_max,
    })
}

fn of_index(copied: &Copied) -> Result<Value, Failed> {
    let index = Index::attach(copied.segment.clone()).map_err(|error| bad(copied, &error.to_string()))?;
    Ok(json!({
        "table_id": copied.segment.id().table,
        "shard": copied.segment.id().shard,
        "capacity": index.capacity(),
        "entries": index.len(),
        "free_slots": FreeSlots::of(&index).len(),
        "buckets": index.buckets(),
        "buckets_by_entries": links::occupancy(&index),
        "bytes": copied.segment.prelude().segment_len,
    }))
}

fn of_backend(row: &identities::Row) -> Value {
    json!({
        "backend": row.backend,
        "identities": row.identities,
        "free": row.free.len(),
        "bound": row.reverse.iter().filter(|&&slot| slot != 0).count(),
        "resting": row.resting.len(),
    })
}

fn of_manifest(copied: &Copied) -> Result<Value, Failed> {
    let manifest = Manifest::attach(copied.segment.clone()).map_err(|error| bad(copied, &error.to_string()))?;
    let owner = manifest.owner();
    let id: String = manifest.region_id().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({
        "region_id": id,
        "generation": owner.generation(),
        "holder": owner.holder().map(|party| party.number()),
        "swaps": manifest.swap_count(),
    }))
}

/// The same for people.
pub fn text(document: &Value) -> String {
    let mut text = String::new();
    if let Some(region) = document["region"].as_object() {
        let value = |key: &str| region[key].to_string().replace('"', "");
        let (id, generation, holder) = (value("region_id"), value("generation"), value("holder"));
        let _ = writeln!(text, "region {id}, generation {generation}, holder {holder}, {} swaps\n", value("swaps"));
    }
    let mut list = |title: &str, columns: &[&str]| {
        let rows = document[title].as_array().map(Vec::as_slice).unwrap_or_default();
        if rows.is_empty() {
            return;
        }
        let mut cells = table(columns);
        for row in rows {
            cells.add_row(columns.iter().map(|column| row[column].to_string().replace('"', "")));
        }
        right(&mut cells, 1..columns.len());
        let _ = writeln!(text, "{title}\n{}\n", cells.trim_fmt());
    };
    list(
        "tables",
        &["table", "shard", "layout_version", "capacity", "live", "free", "bytes", "blocks_dirty", "incarnation_max"],
    );
    list("indexes", &["table_id", "shard", "capacity", "entries", "free_slots", "buckets", "buckets_by_entries"]);
    list("identities", &["backend", "identities", "free", "bound", "resting"]);
    text
}
