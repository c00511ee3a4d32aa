//! `state dump`: live records as text, JSON lines, CSV, or rows on the wire.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;

use handover::messages::Fault;
use serde_json::{Value, json};
use shm_state::exchange::{TableHeader, Writer};
use shm_state::row::Row;
use shm_state::table::{RecordsView, Slot};

use super::source::{Named, copy_all, tables};
use super::{Failed, bad_file};
use crate::ctl::args::Format;
use crate::exit;

pub(super) fn run(files: Vec<Named>, table: Option<&str>, format: Format, out: Option<&Path>) -> Result<u8, Failed> {
    let all = copy_all(&files)?;
    let mut views: Vec<RecordsView> = tables(&all)?.into_iter().map(|(_, view)| view).collect();
    let known: Vec<_> = views.iter().map(|view| view.descriptor().name().to_owned()).collect();
    views.retain(|view| table.is_none_or(|name| view.descriptor().name() == name));
    if views.is_empty() {
        let message = match table {
            Some(name) => format!("there is no table `{name}`; there are: {}", known.join(", ")),
            None => "there is no table among the segments".to_owned(),
        };
        return Err(bad_file("no-table", message, "name a table that is there"));
    }
    let names: std::collections::BTreeSet<_> = views.iter().map(|view| view.descriptor().name()).collect();
    if format == Format::Csv && names.len() > 1 {
        let message = format!("CSV has one header, and there are several tables: {}", known.join(", "));
        return Err(bad_file("several-tables", message, "choose one with --table"));
    }
    if format == Format::Rows && out.is_none() && io::stdout().is_terminal() {
        let message = "rows are binary and not for a terminal".to_owned();
        return Err(bad_file("terminal", message, "name a file with --out"));
    }
    let not_written = |error: &io::Error| {
        let name = out.map_or("standard output".to_owned(), |path| path.display().to_string());
        let (exit, remedy) = match error.kind() {
            ErrorKind::AlreadyExists => (exit::USAGE, "name a new file; nothing is overwritten"),
            _ => (exit::FAILED, "name a file that can be made, with room"),
        };
        (Fault::operator("not-written", format!("{name}: {error}"), remedy), exit)
    };
    let to: Box<dyn Write> = match out {
        Some(path) => Box::new(File::create_new(path).map_err(|error| not_written(&error))?),
        None => Box::new(io::stdout().lock()),
    };
    match write(&views, format, BufWriter::with_capacity(1 << 16, to)) {
        // A reader that has gone away is no error.
        Err(error) if error.kind() == ErrorKind::BrokenPipe && out.is_none() => Ok(exit::OK),
        Err(error) => Err(not_written(&error)),
        Ok(()) => Ok(exit::OK),
    }
}

/// Writes the tables' live records; with [`Format::Rows`] also what free slots say of their reuse.
///
/// # Errors
/// What `to` says.
///
/// # Panics
/// When there is no table.
pub fn write(views: &[RecordsView], format: Format, mut to: impl Write) -> io::Result<()> {
    match format {
        Format::Rows => return rows(views, to),
        Format::Text => views.iter().try_for_each(|view| text(view, &mut to))?,
        Format::Jsonl => views.iter().try_for_each(|view| json_lines(view, &mut to))?,
        Format::Csv => {
            let header = views[0].descriptor().fields().iter().map(|field| field.name().to_string());
            let columns: Vec<_> = ["slot", "incarnation"].map(str::to_owned).into_iter().chain(header).collect();
            writeln!(to, "{}", columns.join(","))?;
            views.iter().try_for_each(|view| csv(view, &columns[2..], &mut to))?;
        }
    }
    to.flush()
}

/// Calls `visit` for each live record until it fails.
fn each(view: &RecordsView, mut visit: impl FnMut(u64, u32, Row) -> io::Result<()>) -> io::Result<()> {
    let mut result = Ok(());
    view.for_each_live(|slot, incarnation, record| {
        result = visit(slot, incarnation, view.descriptor().decode(record));
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    result
}

fn text(view: &RecordsView, to: &mut impl Write) -> io::Result<()> {
    let layout = view.descriptor();
    let (name, version) = (layout.name(), layout.layout_version());
    writeln!(to, "{name} {version}: {} of {} slots live", view.live(), view.capacity())?;
    each(view, |slot, incarnation, row| writeln!(to, "  #{slot}/{incarnation} {row}"))
}

fn json_lines(view: &RecordsView, to: &mut impl Write) -> io::Result<()> {
    let (table, shard) = (view.descriptor().name(), view.segment().id().shard);
    each(view, |slot, incarnation, row| {
        let line = json!({"table": table, "shard": shard, "slot": slot, "incarnation": incarnation, "row": row});
        writeln!(to, "{line}")
    })
}

fn csv(view: &RecordsView, columns: &[String], to: &mut impl Write) -> io::Result<()> {
    each(view, |slot, incarnation, row| {
        write!(to, "{slot},{incarnation}")?;
        for name in columns {
            let value = row.cell(name).and_then(|cell| serde_json::to_value(cell.shown()).ok()).unwrap_or(Value::Null);
            write!(to, ",{}", cell(&value))?;
        }
        writeln!(to)
    })
}

/// A value as a cell: as in JSON without quotes, nothing for null, quoted where CSV needs it.
fn cell(value: &Value) -> String {
    let plain = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if plain.contains([',', '"', '\n', '\r']) { format!("\"{}\"", plain.replace('"', "\"\"")) } else { plain }
}

/// All slots that were ever used, so that a table made of them knows every incarnation.
fn rows(views: &[RecordsView], to: impl Write) -> io::Result<()> {
    let mut writer = Writer::new(to)?;
    for view in views {
        let prelude = view.segment().prelude();
        writer.table(TableHeader::of(view.descriptor(), prelude.shard, view.capacity(), prelude.region_id))?;
        let mut record = vec![0; view.descriptor().record_len()];
        for slot in (0..view.capacity() as u32).map(Slot) {
            let meta = view.meta(slot);
            if meta.live {
                view.read(slot, &mut record);
                writer.row(slot.0.into(), meta.incarnation, &view.descriptor().decode(&record))?;
            } else if meta.incarnation != 0 {
                writer.free(slot.0.into(), meta.incarnation)?;
            }
        }
    }
    writer.end().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_a_comma_would_end_them() {
        assert_eq!(cell(&Value::Null), "");
        assert_eq!(cell(&json!(5)), "5");
        assert_eq!(cell(&json!("192.0.2.1")), "192.0.2.1");
        assert_eq!(cell(&json!([1, 2])), "\"[1,2]\"");
        assert_eq!(cell(&json!("a\"b")), "\"a\"\"b\"");
    }
}
