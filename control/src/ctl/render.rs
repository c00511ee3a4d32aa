//! Answers as text for people.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

use crate::report::SwapReport;
use crate::verify::{PlanView, TableStep};

pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header.to_vec());
    table
}

pub(super) fn right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Bytes for people.
pub(super) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A JSON value without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn status(value: &Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<11} {value}");
    };
    line("service", format!("{} ({})", plain(&value["service"]), plain(&value["state"])));
    line("controld", format!("pid {}, {}", value["controld"]["pid"], plain(&value["controld"]["version"])));
    let dataplane = &value["dataplane"];
    if dataplane.is_null() {
        line("dataplane", "none".to_owned());
    } else {
        line("dataplane", format!("pid {}, {}", dataplane["pid"], plain(&dataplane["version"])));
        line("binary", plain(&dataplane["binary"]));
        line("generation", format!("{} (party {})", dataplane["generation"], dataplane["party"]));
        let layouts = dataplane["layouts"].as_object().into_iter().flatten();
        line("layouts", layouts.map(|(table, version)| format!("{table} {version}")).collect::<Vec<_>>().join(", "));
        line("scheduling", plain(&dataplane["scheduling"]));
        for warning in dataplane["warnings"].as_array().into_iter().flatten() {
            line("warning", plain(warning));
        }
        let recovered = &dataplane["recovered"];
        if !recovered.is_null() {
            let mut words = vec![format!("operation under way: {}", plain(&recovered["operation"]))];
            words.push(format!("{} flows, {} dropped", recovered["flows"], recovered["dropped"]));
            let found = recovered["found"].as_object().into_iter().flatten();
            words.extend(found.map(|(what, count)| format!("{what} {count}")));
            line("recovered", words.join(", "));
        }
    }
    line("flows", format!("{} of {}", value["flows_live"], value["flows_max"]));
    let swaps = &value["swaps"];
    line(
        "swaps",
        format!("{} committed, {} undone, {} refused", swaps["committed"], swaps["undone"], swaps["refused"]),
    );
    let swap = &value["swap"];
    if !swap.is_null() {
        line("swap", format!("{} to {}: {}", swap["id"], plain(&swap["binary"]), plain(&swap["phase"])));
    }
    text
}

pub(super) fn flows(value: &Value) -> String {
    let rows = value["flows"].as_array().map(Vec::as_slice).unwrap_or_default();
    // The columns are whatever the table's descriptor names.
    let header: Vec<&str> = value["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut table = table(&header);
    for row in rows {
        table.add_row(header.iter().map(|name| plain(&row[name])));
    }
    let shown = rows.len();
    let body = if rows.is_empty() { String::new() } else { format!("{}\n", table.trim_fmt()) };
    format!("{body}{shown} shown, {} live, room for {}\n", value["flows_live"], value["flows_max"])
}

pub(super) fn counters(value: &Value) -> String {
    let mut table = table(&["counter", "value"]);
    for (name, count) in value["counters"].as_object().into_iter().flatten() {
        table.add_row([name.clone(), plain(count)]);
    }
    right(&mut table, [1]);
    format!("{}\n", table.trim_fmt())
}

pub(super) fn reports(value: &Value) -> String {
    let reports: Vec<String> = value["reports"].as_array().into_iter().flatten().map(report).collect();
    if reports.is_empty() { "no swap yet\n".to_owned() } else { reports.join("\n") }
}

pub(super) fn report(value: &Value) -> String {
    let Ok(report) = serde_json::from_value::<SwapReport>(value.clone()) else { return format!("{value:#}\n") };
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<11} {value}");
    };
    line("swap", format!("{} {}{}", report.id, report.outcome, if report.steal { " (descriptors taken)" } else { "" }));
    line("from", format!("{} (pid {}, {})", report.from.binary, report.from.pid, report.from.version));
    line("to", format!("{} (pid {}, {})", report.to.binary, report.to.pid, report.to.version));
    if let Some(error) = &report.error {
        line("because", error.to_string());
    }
    let ms = |ns: u64| format!("{:.1} ms", ns as f64 / 1e6);
    let phases: Vec<String> = report.phases.iter().map(|p| format!("{} {}", p.name, ms(p.elapsed_ns))).collect();
    line("phases", phases.join(", "));
    if report.blackout_ns > 0 {
        let (blackout, estimate) = (report.blackout_ns as f64 / 1e3, report.estimate_ns as f64 / 1e3);
        line("blackout", format!("{blackout:.1} µs (expected {estimate:.1} µs)"));
        let records = report.records_translated;
        let (passes, last) = (report.background_passes, report.foreground_records);
        line("translated", format!("{records} records in {passes} background passes, {last} in the blackout"));
    }
    if report.old_gone_ms > 0.0 {
        line("old gone", format!("{:.1} ms after commit, probation {:.0} ms", report.old_gone_ms, report.probation_ms));
    }
    for clamped in &report.clamped {
        line("clamped", format!("{} values of {}.{}", clamped.count, clamped.table, clamped.field));
    }
    if report.dropped_rows > 0 {
        line("dropped", format!("{} rows", report.dropped_rows));
    }
    let drops = report.kernel_drops;
    line(
        "kernel",
        format!("{} packets dropped at the sockets during the swap", drops.after - drops.before.min(drops.after)),
    );
    if !report.tables.is_empty() {
        let mut table = table(&["table", "action", "layout", "records", "bytes", "passes", "time"]);
        for work in &report.tables {
            table.add_row([
                work.table.clone(),
                format!("{:?}", work.action).to_lowercase(),
                format!("{} → {}", work.from_version, work.to_version),
                work.records.to_string(),
                work.bytes.to_string(),
                work.passes.to_string(),
                ms(work.elapsed_ns),
            ]);
        }
        right(&mut table, 3..7);
        let _ = writeln!(text, "{}", table.trim_fmt());
    }
    text
}

pub(super) fn plan(value: &Value) -> String {
    let Ok(plan) = serde_json::from_value::<PlanView>(value.clone()) else { return format!("{value:#}\n") };
    let mut tables = table(&["table", "step", "layout", "live records", "bytes to allocate"]);
    let mut fields = table(&["table", "field", "what happens", ""]);
    for step in &plan.tables {
        let name = match step.step {
            TableStep::Shared => "shared as it is",
            TableStep::Translated => "translated",
            TableStep::Created => "created empty",
        };
        let versions = format!("{} → {}", step.from_version, step.to_version);
        tables.add_row([&step.table, name, &versions, &step.records.to_string(), &step.bytes.to_string()]);
        for field in &step.fields {
            let was = field.was.as_ref().map(|was| format!(" (was {was})")).unwrap_or_default();
            fields.add_row([
                step.table.clone(),
                field.field.clone(),
                format!("{}{was}", field.action),
                field.loss().to_owned(),
            ]);
        }
    }
    right(&mut tables, 3..5);
    let mut text = format!("{}\n", tables.trim_fmt());
    if !fields.is_empty() {
        let _ = write!(text, "\n{}\n", fields.trim_fmt());
    }
    let _ = writeln!(text, "\nNothing was changed: this is what `swap {}` would do.", plan.binary);
    text
}

#[cfg(test)]
mod tests;
