//! `state verify`: every claim of every segment, every value, and every link between segments.
//!
//! The copy of a running region is of a span of time, in which flows come and go: what does not agree there is looked
//! for again in later copies, and counts only if it is the same each time.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use shm_state::descriptor::FieldType;
use shm_state::directory::Directory;
use shm_state::manifest::Manifest;
use shm_state::prelude::{Kind, SegmentId};
use shm_state::row::RowView;
use shm_state::table::{Index, RecordsView, Shards, Slot, links};
use shm_state::translate::Layer;

use super::source::{Copied, Named, copy, enough_memory, files, twice};
use super::{Failed, identities, linked};
use crate::ctl::args::{Args, SourceArgs};
use crate::ctl::run::{print, print_json};
use crate::exit;

/// Copies of a running region in which a finding must be.
const LOOKS: usize = 4;
/// Between two of them: longer than any turn of the packet loop.
const PAUSE: Duration = Duration::from_millis(50);
/// Findings that are kept of one kind; more are only counted.
const FINDINGS_MAX: usize = 1000;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Path of the image, or the segment's name.
    pub segment: String,
    /// What it is.
    pub what: String,
}

/// What was looked at, and what is wrong.
#[derive(Debug, Default)]
pub struct Findings {
    /// The first thousand.
    pub found: BTreeSet<Finding>,
    /// Beyond those that were kept.
    pub more: u64,
    /// Segments that were looked at.
    pub segments: u64,
    /// Live records in them.
    pub records: u64,
}

impl Findings {
    fn add(&mut self, segment: &str, what: impl ToString) {
        if self.found.len() < FINDINGS_MAX {
            self.found.insert(Finding { segment: segment.to_owned(), what: what.to_string() });
        } else {
            self.more += 1;
        }
    }
}

pub(super) fn run(source: &SourceArgs, args: &Args) -> Result<u8, Failed> {
    let looks = if source.image.is_some() { 1 } else { LOOKS };
    let mut findings = look(&files(source, args)?)?;
    for _ in 1..looks {
        if findings.found.is_empty() {
            break;
        }
        std::thread::sleep(PAUSE);
        let again = look(&files(source, args)?)?;
        findings.found.retain(|finding| again.found.contains(finding));
        findings.more = 0;
    }
    let Findings { found, more, segments, records } = findings;
    if args.json {
        print_json(&json!({
            "ok": found.is_empty(), "segments": segments, "records": records, "findings": found, "more": more,
        }));
    } else {
        let mut text: String = found.iter().map(|Finding { segment, what }| format!("{segment}: {what}\n")).collect();
        if more > 0 {
            text.push_str(&format!("and {more} more\n"));
        }
        let verdict = if found.is_empty() { "all is well".to_owned() } else { format!("{} findings", found.len()) };
        text.push_str(&format!("{segments} segments, {records} live records: {verdict}\n"));
        print(&text);
    }
    Ok(if found.is_empty() { exit::OK } else { exit::FAILED })
}

/// Copies the segments and checks them.
///
/// # Errors
/// There is no memory for the copies. What is wrong with a segment is a finding.
pub fn look(files: &[Named]) -> Result<Findings, Failed> {
    enough_memory(files)?;
    let mut findings = Findings { segments: files.len() as u64, ..Findings::default() };
    let mut all = Vec::new();
    for named in files {
        match copy(named) {
            Ok(copied) => all.push(copied),
            Err(fault) => findings.add(&named.name, fault.message.trim_start_matches(&format!("{}: ", named.name))),
        }
    }
    if let Some((a, b)) = twice(&all) {
        findings.add(&b.name, format!("is segment {} as is {}", a.segment.id(), a.name));
        return Ok(findings);
    }
    if let Some(first) = all.first() {
        let region = first.segment.prelude().region_id;
        for other in all.iter().filter(|other| other.segment.prelude().region_id != region) {
            findings.add(&other.name, format!("is of another region than {}", first.name));
        }
    }
    for copied in &all {
        alone(copied, &mut findings);
    }
    together(&all, &mut findings);
    Ok(findings)
}

/// The claims of one segment.
fn alone(copied: &Copied, findings: &mut Findings) {
    let Copied { name, segment } = copied;
    let checked = match segment.id().kind {
        Kind::Manifest => Manifest::attach(segment.clone()).map(drop),
        Kind::Directory => Directory::attach(segment.clone())
            .and_then(|directory| directory.segments().and_then(|_| directory.sockets()).map(drop)),
        Kind::Index => Index::attach(segment.clone()).map(drop),
        Kind::Table => RecordsView::attach(segment.clone()).map(|view| values(name, &view, findings)),
        Kind::Identities => {
            match identities::read(segment) {
                Ok(rows) => rows.iter().for_each(|row| identity_lists(name, row, findings)),
                Err(what) => findings.add(name, what),
            }
            Ok(())
        }
        Kind::Side => Layer::attach(segment.clone()).map(drop),
        Kind::Io => Ok(()),
    };
    if let Err(error) = checked {
        findings.add(name, error);
    }
}

/// Marks, states, values and keys of a table's slots.
fn values(name: &str, view: &RecordsView, findings: &mut Findings) {
    let layout = view.descriptor();
    let [_, slots_off, ..] = shm_state::table::places::table_body(view.capacity() as usize, layout.record_len());
    let stride = layout.record_len() + 8;
    let keyed = layout.fields().iter().any(|field| field.is_key());
    // Digests, not keys: a table may have millions.
    let mut keys = HashSet::new();
    let hashers = [RandomState::new(), RandomState::new()];
    let (mut record, mut key) = (vec![0; layout.record_len()], Vec::new());
    for slot in (0..view.capacity() as u32).map(Slot) {
        let state = view.segment().halves(slots_off + slot.at() * stride, 1)[0].load(Relaxed);
        let meta = view.meta(slot);
        if state > 1 {
            findings.add(name, format!("slot {} has state {state}, neither free nor live", slot.0));
        }
        if !meta.live {
            continue;
        }
        findings.records += 1;
        view.read(slot, &mut record);
        let at = |what: String| format!("slot {} (incarnation {}): {what}", slot.0, meta.incarnation);
        for field in layout.fields().iter().filter(|field| field.ty() == FieldType::Bool) {
            if field.bytes(&record).is_some_and(|bytes| bytes[0] > 1) {
                findings.add(name, at(format!("{} is neither true nor false", field.name())));
            }
        }
        layout.key_bytes(&record, &mut key);
        if keyed && !keys.insert(hashers.each_ref().map(|hasher| hasher.hash_one(&key))) {
            findings.add(name, at("another live record has its key".to_owned()));
        }
    }
}

/// Each identity of a backend is in one place: free, resting, or bound to a flow; or just taken.
fn identity_lists(name: &str, row: &identities::Row, findings: &mut Findings) {
    let backend = row.backend;
    let mut place = vec![""; row.identities as usize];
    let bound = (0..).zip(&row.reverse).filter(|(_, slot)| **slot != 0).map(|(identity, _)| ("bound", identity));
    let listed = row.free.iter().map(|&identity| ("free", identity)).chain(row.resting.iter().map(|&i| ("resting", i)));
    for (is, identity) in listed.chain(bound) {
        match place.get_mut(identity as usize) {
            None => {
                findings
                    .add(name, format!("backend {backend:#x}: identity {identity} is {is}, but there is none such"));
            }
            Some(was) if !was.is_empty() => {
                findings.add(name, format!("backend {backend:#x}: identity {identity} is {was} and {is}"));
            }
            Some(was) => *was = is,
        }
    }
}

/// Records against index, free slots and identities.
fn together(all: &[Copied], findings: &mut Findings) {
    let find = |kind, table| all.iter().find(move |copied| copied.segment.id() == SegmentId::new(kind, table));
    for flows in all
        .iter()
        .filter(|copied| (copied.segment.id().kind, copied.segment.id().table) == (Kind::Table, linked::FLOWS))
    {
        let Ok(view) = RecordsView::attach(flows.segment.clone()) else { continue };
        let is_index =
            |copied: &&Copied| (copied.segment.id().kind, copied.segment.id().table) == (Kind::Index, linked::INDEX);
        let attached =
            all.iter().filter(is_index).map(|copied| Some((copied, Index::attach(copied.segment.clone()).ok()?)));
        // One that cannot be read was told of above.
        if let Some(shards) = attached.collect::<Option<Vec<_>>>().filter(|shards| !shards.is_empty()) {
            let (names, indexes): (Vec<_>, Vec<_>) =
                shards.into_iter().map(|(copied, index)| (&copied.name, index)).unzip();
            match Shards::join(indexes.clone()) {
                Ok(_) => links::disagreements(&view, &indexes, |at, found| findings.add(names[at], found)),
                // One is missing, or of another table: nothing can be said of what it may name.
                Err(error) => findings.add(names[0], error),
            }
        }
        if let Some(copied) = find(Kind::Identities, linked::IDENTITIES)
            && let Ok(rows) = identities::read(&copied.segment)
        {
            bindings(&copied.name, &view, &rows, findings);
        }
    }
}

/// Each live flow has its identity, and each bound identity leads to the flow that has it.
fn bindings(name: &str, view: &RecordsView, rows: &[identities::Row], findings: &mut Findings) {
    let mut record = vec![0; view.descriptor().record_len()];
    let mut flow = |slot: Slot| {
        let meta = view.meta(slot);
        view.read(slot, &mut record);
        let row = RowView::new(view.descriptor(), &record);
        let number = |id| row.unsigned(id).and_then(|number| u32::try_from(number).ok());
        (meta, number(linked::FIELD_BACKEND), number(linked::FIELD_IDENTITY))
    };
    for slot in (0..view.capacity() as u32).map(Slot) {
        let (meta, Some(backend), Some(identity)) = flow(slot) else { return };
        if !meta.live {
            continue;
        }
        let row = rows.iter().find(|row| row.backend == backend);
        let bound = row.and_then(|row| row.reverse.get(identity as usize)).copied();
        if bound != Some(slot.0.wrapping_add(1)) {
            let leads = match bound {
                None => "there is none such".to_owned(),
                Some(0) => "it is bound to no flow".to_owned(),
                Some(other) => format!("it leads to slot {}", other - 1),
            };
            let flow = format!("flow in slot {} (incarnation {})", slot.0, meta.incarnation);
            findings.add(name, format!("{flow} has identity {identity} of backend {backend:#x}, but {leads}"));
        }
    }
    for row in rows {
        for (identity, slot) in (0_u32..).zip(&row.reverse).filter(|(_, slot)| **slot != 0) {
            let slot = Slot(slot - 1);
            let whose = if slot.at() as u64 >= view.capacity() {
                Some("which the table does not have".to_owned())
            } else {
                let (meta, backend, has) = flow(slot);
                let right = meta.live && backend == Some(row.backend) && has == Some(identity);
                (!right).then(|| format!("which has another or is free (incarnation {})", meta.incarnation))
            };
            if let Some(whose) = whose {
                let backend = row.backend;
                findings.add(
                    name,
                    format!("identity {identity} of backend {backend:#x} leads to slot {}, {whose}", slot.0),
                );
            }
        }
    }
}
