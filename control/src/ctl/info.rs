//! `controlctl info BINARY`: what an executable is and serves, from the file alone.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};
use shm_state::descriptor::{Descriptor, Field};
use shm_state::schema::MigrationFacts;

use super::render::{right, table};
use super::run::{give_up, print, print_json};
use crate::exit;
use crate::verify::{Binary, Facts, Linked, Versions};

/// Runs it; gives the exit code.
pub(super) fn run(path: &Path, as_json: bool) -> u8 {
    let path = match std::path::absolute(path) {
        Ok(path) => path,
        Err(_) => path.to_owned(),
    };
    let binary = match Binary::inspect(&path) {
        Ok(binary) => binary,
        Err(error) => return give_up(&error.fault(), exit::USAGE, as_json),
    };
    if as_json {
        print_json(&document(&binary));
    } else {
        print(&text(&binary));
    }
    exit::OK
}

fn document(binary: &Binary) -> Value {
    let Facts { bytes, machine, linked, interpreter, versions } = &*binary.facts;
    let Versions { package, executable, ranges } = versions.clone().unwrap_or_default();
    json!({
        "path": binary.path,
        "sha256": binary.sha256,
        "bytes": bytes,
        "machine": machine,
        "linked": linked,
        "interpreter": interpreter,
        "executable": executable,
        "version": package,
        "versions": versions.is_some().then_some(ranges),
        "migrations": binary.migrations.iter().map(migration_document).collect::<Vec<_>>(),
        "tables": binary.layouts.iter().map(layout_document).collect::<Vec<_>>(),
    })
}

fn migration_document(migration: &MigrationFacts) -> Value {
    let MigrationFacts { table, name, from, to, consumes, produces, one_way } = migration;
    json!({
        "table_id": table,
        "name": &**name,
        "from": from,
        "to": to,
        "consumes": consumes,
        "produces": produces,
        "one_way": one_way,
    })
}

fn layout_document(layout: &Descriptor) -> Value {
    let field = |field: &Field| {
        json!({
            "id": field.id(),
            "name": &**field.name(),
            "offset": field.offset(),
            "bytes": field.len(),
            "type": field.type_text(),
            "unit": field.unit(),
            "key": field.is_key(),
            "narrow": field.narrow(),
            "default": field.default_value(),
            "compute": field.compute(),
            "elements": field.elements(),
            "range": field.range().map(|(min, max)| [min, max].map(end)),
            "cases": field.cases().map(|cases| {
                let case = |(number, name): (u32, &str)| (name.to_owned(), json!(number));
                cases.iter().map(case).collect::<serde_json::Map<_, _>>()
            }),
        })
    };
    json!({
        "table": layout.name(),
        "table_id": layout.table_id(),
        "layout_version": layout.layout_version(),
        "record_bytes": layout.record_len(),
        "fingerprint": format!("{:#018x}", layout.fingerprint()),
        "fields": layout.fields().iter().map(field).collect::<Vec<_>>(),
    })
}

fn text(binary: &Binary) -> String {
    let Facts { bytes, machine, linked, interpreter, versions } = &*binary.facts;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<11} {value}");
    };
    line("path", &binary.path.display().to_string());
    line("sha256", &binary.sha256);
    line("size", &format!("{bytes} bytes"));
    line("machine", machine);
    let linked = match linked {
        Linked::Dynamic => format!("dynamic, loaded by {}", interpreter.as_deref().unwrap_or("?")),
        Linked::Static => "static".to_owned(),
        Linked::StaticPie => "static, position independent".to_owned(),
    };
    line("linked", &linked);
    let said = versions.clone().unwrap_or_default();
    let or_not = |value: Option<String>| value.unwrap_or_else(|| "not said".to_owned());
    line("executable", &or_not(said.executable));
    line("version", &or_not(said.package));
    let ranges: Vec<_> = said.ranges.iter().map(|(subject, range)| format!("{subject} {range}")).collect();
    line("supports", &or_not(versions.is_some().then(|| ranges.join(", "))));
    for MigrationFacts { table, name, from, to, consumes, produces, one_way } in binary.migrations.iter() {
        let arrow = if *one_way { "→" } else { "↔" };
        let _ = writeln!(
            text,
            "{:<11} {name}: table {table}, layout {from} {arrow} {to}, fields {consumes:?} {arrow} {produces:?}",
            "migration"
        );
    }
    for layout in binary.layouts.iter() {
        text.push('\n');
        text.push_str(&layout_text(layout));
    }
    text
}

/// A range's end: it has 64 bits, with a sign or without.
fn end(number: i128) -> Value {
    u64::try_from(number).map_or_else(|_| json!(number as i64), |number| json!(number))
}

/// What a field may hold, where not all that fits is valid: `1..=64`, `0 down, 1 up`.
fn valid(field: &Field) -> String {
    match (field.range(), field.cases()) {
        (Some((min, max)), _) => format!("{min}..={max}"),
        (None, Some(cases)) => {
            cases.iter().map(|(number, name)| format!("{number} {name}")).collect::<Vec<_>>().join(", ")
        }
        (None, None) => String::new(),
    }
}

fn layout_text(layout: &Descriptor) -> String {
    let mut fields = table(&["offset", "bytes", "id", "field", "type", "unit", "valid", "does not fit", "if lacking"]);
    for field in layout.fields() {
        let lacking = match (field.compute(), field.default_value()) {
            (Some(function), _) => format!("computed by `{function}`"),
            (None, Some(value)) => field.cell(value).shown().to_string(),
            (None, None) => "refused".to_owned(),
        };
        fields.add_row([
            field.offset().to_string(),
            field.len().to_string(),
            field.id().to_string(),
            format!("{}{}", field.name(), if field.is_key() { " (key)" } else { "" }),
            field.type_text(),
            if field.unit().name() == "none" { String::new() } else { field.unit().to_string() },
            valid(field),
            field.narrow().to_string(),
            lacking,
        ]);
    }
    right(&mut fields, [0, 1, 2]);
    format!(
        "{} {}: table {}, {} bytes a record, fingerprint {:#018x}\n{}\n",
        layout.name(),
        layout.layout_version(),
        layout.table_id(),
        layout.record_len(),
        layout.fingerprint(),
        fields.trim_fmt()
    )
}
