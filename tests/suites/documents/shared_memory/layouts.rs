//! The released layouts: each record as a table of its bytes.

use std::fmt::Write;

use dataplane::state::glossary;
use shm_state::Descriptor;
use shm_state::descriptor::{Field, Unit};
use tests::layouts::RELEASED;

use super::say;

pub fn all(page: &mut String) {
    say(page, "## Layouts of records\n\nReleased layouts never change; a change is a new version.");
    for descriptor in RELEASED.iter().map(|released| released.descriptor()) {
        layout(page, &descriptor);
    }
}

fn layout(page: &mut String, descriptor: &Descriptor) {
    let heading = format!(
        "### {} {}\n\nTable {}, {} bytes a record, fingerprint `{:#018x}`.",
        descriptor.name(),
        descriptor.layout_version(),
        descriptor.table_id(),
        descriptor.record_len(),
        descriptor.fingerprint()
    );
    say(page, &heading);
    say(
        page,
        "| offset | bytes | id | field | type | unit | does not fit | lacking | meaning |\n\
         |---:|---:|---:|---|---|---|---|---|---|",
    );
    let mut at = 0;
    for field in descriptor.fields() {
        gap(page, at, field.offset());
        let key = if field.is_key() { " (key)" } else { "" };
        let unit = if field.unit() == Unit::None { "" } else { field.unit().name() };
        let meaning = glossary::meaning(descriptor.table_id(), field.id()).unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} | {} | {} | `{}`{key} | {} | {unit} | {} | {} | {meaning} |",
            field.offset(),
            field.len(),
            field.id(),
            field.name(),
            field.type_text(),
            field.narrow(),
            lacking(field),
        );
        at = field.end();
    }
    gap(page, at, descriptor.record_len());
}

/// What a record of a layout without the field gets.
fn lacking(field: &Field) -> String {
    match (field.compute(), field.default_value()) {
        (Some(function), _) => format!("computed by `{function}`"),
        (None, Some(value)) => format!("{value}"),
        (None, None) => "refused".to_owned(),
    }
}

fn gap(page: &mut String, from: usize, to: usize) {
    if from < to {
        let _ = writeln!(page, "| {from} | {} | | – | | | | | not described |", to - from);
    }
}
