//! `state load`: the image of a table from rows, in the layout of a binary.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use handover::messages::Fault;
use serde_json::json;
use shm_state::descriptor::Descriptor;
use shm_state::exchange::{Fit, FitCounts, Fitted, Item, Reader, RowsError, TableHeader};
use shm_state::table::{Meta, RecordsView, Slot};
use shm_state::translate::Refusal;

use super::source::room_for;
use super::{Failed, bad_file};
use crate::ctl::run::{print, print_json};
use crate::exit;
use crate::verify::Binary;

/// What was asked for.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub binary: &'a Path,
    pub rows: &'a Path,
    pub out: &'a Path,
    pub table: Option<&'a str>,
    pub capacity: Option<u64>,
}

pub(super) fn run(wanted: &Wanted<'_>, as_json: bool) -> Result<u8, Failed> {
    let binary = Binary::inspect(wanted.binary).map_err(|error| (error.fault(), exit::USAGE))?;
    let (header, view, counts) = fill(wanted, &binary.layouts)?;
    let not_written = |error: std::io::Error| {
        let message = format!("{}: {error}", wanted.out.display());
        bad_file("not-written", message, "name a new file that can be made, with room; nothing is overwritten")
    };
    let mut to = BufWriter::new(File::create_new(wanted.out).map_err(not_written)?);
    shm_state::image::save(view.segment(), &mut to).and_then(|()| to.flush()).map_err(not_written)?;
    let (layout, live) = (view.descriptor(), view.live());
    let FitCounts { clamped, rounded, dropped_rows } = counts;
    if as_json {
        print_json(&json!({
            "table": layout.name(), "from_version": header.layout_version, "to_version": layout.layout_version(),
            "capacity": view.capacity(), "live": live, "file": wanted.out,
            "clamped": clamped, "rounded": rounded, "dropped_rows": dropped_rows,
        }));
    } else {
        let (name, from, to) = (layout.name(), header.layout_version, layout.layout_version());
        let mut text = format!(
            "{name} {from} → {to}: {live} of {} slots live, written to {}\n",
            view.capacity(),
            wanted.out.display()
        );
        for (what, counts) in [("clamped", clamped), ("rounded down", rounded)] {
            counts.iter().for_each(|(field, count)| text.push_str(&format!("{what}: {count} values of {field}\n")));
        }
        if dropped_rows > 0 {
            text.push_str(&format!("dropped: {dropped_rows} rows\n"));
        }
        print(&text);
    }
    Ok(exit::OK)
}

/// Reads the rows of the wanted table into a table of its own, in one of the binary's layouts.
///
/// # Errors
/// Rows that cannot be trusted, or that do not fit, by name.
pub fn fill(wanted: &Wanted<'_>, layouts: &[Descriptor]) -> Result<(TableHeader, RecordsView, FitCounts), Failed> {
    let path = wanted.rows.display();
    let bad_rows =
        |error: RowsError| bad_file("bad-rows", format!("{path} {error}"), "dump the rows again and compare checksums");
    let file = File::open(wanted.rows).map_err(|error| bad_rows(error.into()))?;
    let mut reader = Reader::new(BufReader::with_capacity(1 << 16, file)).map_err(bad_rows)?;
    let mut making: Option<Making> = None;
    while let Some(item) = reader.next_item().map_err(bad_rows)? {
        match item {
            Item::Table(header) if wanted.table.is_none_or(|name| *name == *header.name) => {
                if let Some(making) = &making {
                    let message = format!(
                        "{path} has rows of {} (shard {}) and of {} (shard {})",
                        making.header.name, making.header.shard, header.name, header.shard
                    );
                    return Err(bad_file("several-tables", message, "choose one with --table, or dump one"));
                }
                making = Some(Making::begin(header, wanted, layouts)?);
            }
            Item::Row { table, shard, slot } => {
                if let Some(making) = making.as_mut().filter(|m| (m.header.table, m.header.shard) == (table, shard)) {
                    making.put(slot, wanted)?;
                }
            }
            Item::Table(_) | Item::EndOfTable { .. } => {}
        }
    }
    let Some(Making { header, view, fit, .. }) = making else {
        let names: Vec<_> = reader.tables().map(|header| header.name.to_string()).collect();
        let message = format!("{path} has no rows of such a table; it has: {}", names.join(", "));
        return Err(bad_file("no-table", message, "choose a table that was dumped"));
    };
    Ok((header, view, fit.counts().clone()))
}

struct Making {
    header: TableHeader,
    view: RecordsView,
    fit: Fit,
    record: Vec<u8>,
    seen: Vec<bool>,
}

fn refused(refusal: &Refusal) -> Failed {
    (Fault::operator("rows-refused", refusal.to_string(), refusal.remedy.clone()), exit::REFUSED)
}

impl Making {
    fn begin(header: TableHeader, wanted: &Wanted<'_>, layouts: &[Descriptor]) -> Result<Self, Failed> {
        let Some(layout) = layouts.iter().find(|layout| layout.table_id() == header.table) else {
            let message =
                format!("{} does not know table {} (id {})", wanted.binary.display(), header.name, header.table);
            let fault = Fault::operator("table-unknown", message, "use a binary that serves the table");
            return Err((fault, exit::REFUSED));
        };
        let fit = Fit::new(&header, layout).map_err(|refusal| refused(&refusal))?;
        let capacity = wanted.capacity.unwrap_or(header.capacity);
        room_for(RecordsView::bytes(layout, capacity).unwrap_or(u64::MAX))?;
        let view = RecordsView::create(layout, header.region_id, capacity, header.shard)
            .map_err(|error| (Fault::kernel("no-segment", error.to_string(), "free memory"), exit::FAILED))?;
        let seen = vec![false; capacity as usize];
        Ok(Self { record: vec![0; layout.record_len()], header, view, fit, seen })
    }

    fn put(&mut self, row: shm_state::exchange::SlotRow, wanted: &Wanted<'_>) -> Result<(), Failed> {
        let shm_state::exchange::SlotRow { slot, incarnation, row } = row;
        if slot >= self.view.capacity() {
            let Some(_) = row else { return Ok(()) };
            let message = format!("slot {slot} is live, and a table of {} slots has none such", self.view.capacity());
            return Err((Fault::operator("too-small", message, "give it a larger --capacity"), exit::REFUSED));
        }
        if std::mem::replace(&mut self.seen[slot as usize], true) {
            let message = format!("{} tells slot {slot} of {} twice", wanted.rows.display(), self.header.name);
            return Err(bad_file("bad-rows", message, "dump the rows again"));
        }
        self.record.fill(0);
        let live = match &row {
            None => false,
            Some(row) => self.fit.store(row, &mut self.record).map_err(|refusal| refused(&refusal))? == Fitted::Done,
        };
        if !live {
            self.record.fill(0);
        }
        self.view.put(Slot(slot as u32), Meta { incarnation, live }, &self.record);
        Ok(())
    }
}
