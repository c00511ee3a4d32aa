//! Counts what a translation loses, field by field.
//!
//! A slot may be copied several times while its owner writes; only its last copy counts, and which copy that
//! was is known only afterwards. So a run gives [`RowMarks`] (one word: which losses this record suffered),
//! and [`SlotLosses`] replaces a slot's marks whenever the slot is copied again: its totals are those of the
//! last copies at any time.

use super::plan::Plan;
use super::refusal::{Refusal, RefusalKind};
use super::run::RowOutcome;
use super::said::Said;
use super::step::EventId;
use crate::descriptor::Field;
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;

/// Most sorts of losses (a field and a [`EventKind`]) in one plan: a record's marks fit one word.
pub(super) const EVENTS_MAX: usize = 63;
/// The bit of [`RowMarks`] that says that there is a translated record.
const DONE_BIT: u32 = 63;

const _: () = assert!(EVENTS_MAX as u32 == DONE_BIT);

/// What can happen to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventKind {
    /// The nearest value that fits was stored.
    Clamped,
    /// A time was rounded down to a coarser unit.
    Rounded,
    /// The row was left out.
    RowDropped,
    /// The translation is refused.
    Refused,
}

/// What a plan can lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ledger {
    table: String,
    events: Vec<Event>,
    defaulted: Vec<String>,
    dropped: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    id: u32,
    /// Name of the field, or of the migration.
    field: String,
    kind: EventKind,
    /// Of a migration that refused: why.
    said: Option<Said>,
}

impl Ledger {
    pub(super) fn new(table: &str) -> Self {
        Self { table: table.to_owned(), events: Vec::new(), defaulted: Vec::new(), dropped: Vec::new() }
    }

    /// A number for this loss, the same whenever it is asked for; nothing when they have run out.
    pub(super) fn event(&mut self, field: &Field, kind: EventKind) -> Option<EventId> {
        let known =
            self.events.iter().position(|event| event.id == field.id() && event.kind == kind && event.said.is_none());
        let at = known.unwrap_or(self.events.len());
        if at == EVENTS_MAX {
            return None;
        }
        if known.is_none() {
            self.events.push(Event { id: field.id(), field: field.name().to_string(), kind, said: None });
        }
        Some(at as EventId)
    }

    /// A number for the refusal of a migration; `id` is that of a field that it gives.
    pub(super) fn migration(&mut self, name: &str, id: u32) -> Option<(EventId, Said)> {
        let (at, said) = (self.events.len(), Said::default());
        if at == EVENTS_MAX {
            return None;
        }
        let field = format!("migration {name}");
        self.events.push(Event { id, field, kind: EventKind::Refused, said: Some(said.clone()) });
        Some((at as EventId, said))
    }

    pub(super) fn defaulted(&mut self, field: &str) {
        self.defaulted.push(field.to_owned());
    }

    pub(super) fn dropped(&mut self, field: &str) {
        self.dropped.push(field.to_owned());
    }

    /// What becomes of a row that is rejected by each event; those that do not reject are never asked for.
    pub(super) fn rejections(&self) -> impl Iterator<Item = RowOutcome> {
        self.events.iter().map(|event| match event.kind {
            EventKind::RowDropped => RowOutcome::Dropped,
            EventKind::Clamped | EventKind::Rounded | EventKind::Refused => RowOutcome::Refused { field: event.id },
        })
    }
}

/// Which losses one record suffered in its last copy, and whether there is a translated record at all. Eight
/// bytes, meaningful only with the plan that made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowMarks(u64);

impl RowMarks {
    /// There is no record, and nothing was lost.
    pub const NONE: Self = Self(0);
    /// There is a record, and nothing was lost so far.
    pub const DONE: Self = Self(1 << DONE_BIT);

    /// Whether there is a translated record.
    #[inline(always)]
    pub fn is_done(self) -> bool {
        self.0 >> DONE_BIT != 0
    }

    /// Notes a loss if there is one; a row that was rejected has lost nothing else.
    #[inline(always)]
    pub(super) fn set_if(&mut self, event: EventId, lost: bool) {
        self.0 |= (u64::from(lost) & self.0 >> DONE_BIT) << event;
    }

    /// There will be no translated record, for this reason; the first reason stands.
    pub(super) fn reject(&mut self, event: EventId) {
        if self.is_done() {
            *self = Self(1 << event);
        }
    }

    /// Why there is no translated record, for marks that a run has made.
    pub(super) fn rejection(self) -> Option<EventId> {
        (!self.is_done()).then_some(self.0.trailing_zeros() as EventId)
    }
}

/// Counts of what was lost. Mergeable; serialised as its [`LossReport`].
#[derive(Debug, Clone)]
pub struct Loss {
    ledger: Arc<Ledger>,
    /// Translated records.
    rows: u64,
    /// One per event of the ledger.
    counts: Box<[u64]>,
}

impl Loss {
    /// Counts of zero for this plan.
    pub fn new(plan: &Plan) -> Self {
        let ledger = plan.ledger().clone();
        Self { rows: 0, counts: vec![0; ledger.events.len()].into(), ledger }
    }

    /// Counts a record's losses.
    #[inline]
    pub fn add(&mut self, marks: RowMarks) {
        self.each(marks, |count| *count += 1);
    }

    /// Takes a record's losses back, which were counted before.
    #[inline]
    pub fn remove(&mut self, marks: RowMarks) {
        self.each(marks, |count| *count -= 1);
    }

    #[inline]
    fn each(&mut self, marks: RowMarks, apply: impl Fn(&mut u64)) {
        let mut events = marks.0 & !RowMarks::DONE.0;
        if events != marks.0 {
            apply(&mut self.rows);
        }
        while events != 0 {
            apply(&mut self.counts[events.trailing_zeros() as usize]);
            events &= events - 1;
        }
    }

    /// Adds the counts of another part of the same table.
    ///
    /// # Panics
    /// When `other` counts for a plan with other losses.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.ledger, other.ledger, "counts of different plans");
        self.rows += other.rows;
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// Records that were translated.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Records that were left out.
    pub fn dropped_rows(&self) -> u64 {
        self.total(EventKind::RowDropped)
    }

    /// Records for whose sake the translation has to be refused.
    pub fn refused_rows(&self) -> u64 {
        self.total(EventKind::Refused)
    }

    /// The refusal, if a record holds a value that its field's policy refuses.
    pub fn refusal(&self) -> Option<Refusal> {
        let (event, count) = self.of_kind(EventKind::Refused).find(|(_, count)| *count > 0)?;
        if let Some(said) = &event.said {
            return Some(Refusal {
                kind: RefusalKind::Value,
                table: self.ledger.table.clone(),
                field: None,
                why: format!("{} refused {count} records, the last because {}", event.field, said.get()),
                remedy: "wait until those records end, or use a binary whose migration takes them".into(),
            });
        }
        Some(Refusal {
            kind: RefusalKind::Value,
            table: self.ledger.table.clone(),
            field: Some(event.field.clone()),
            why: format!("{count} records hold a value that does not fit"),
            remedy: "widen the field, declare narrow = clamp or drop, or wait until those records end".into(),
        })
    }

    /// The counts by name; only what happened.
    pub fn report(&self) -> LossReport {
        let happened = |kind| {
            let counts = self.of_kind(kind).filter(|(_, count)| *count > 0);
            counts.map(|(event, count)| FieldCount { field: event.field.clone(), count }).collect()
        };
        let every_row = |fields: &[String]| {
            let fields = fields.iter().filter(|_| self.rows > 0);
            fields.map(|field| FieldCount { field: field.clone(), count: self.rows }).collect()
        };
        LossReport {
            table: self.ledger.table.clone(),
            rows: self.rows,
            clamped: happened(EventKind::Clamped),
            rounded: happened(EventKind::Rounded),
            rows_dropped: happened(EventKind::RowDropped),
            rows_refused: happened(EventKind::Refused),
            defaulted: every_row(&self.ledger.defaulted),
            fields_dropped: every_row(&self.ledger.dropped),
        }
    }

    fn of_kind(&self, kind: EventKind) -> impl Iterator<Item = (&Event, u64)> {
        let events = self.ledger.events.iter().zip(self.counts.iter().copied());
        events.filter(move |(event, _)| event.kind == kind)
    }

    fn total(&self, kind: EventKind) -> u64 {
        self.of_kind(kind).map(|(_, count)| count).sum()
    }
}

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report().serialize(serializer)
    }
}

/// How many records lost something in one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldCount {
    /// Name of the field.
    pub field: String,
    /// Number of records.
    pub count: u64,
}

/// What a translation lost, by name. Lists hold only what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossReport {
    /// Name of the table.
    pub table: String,
    /// Records that were translated.
    pub rows: u64,
    /// Values that were replaced by the nearest that fits.
    pub clamped: Vec<FieldCount>,
    /// Times that were rounded down to a coarser unit.
    pub rounded: Vec<FieldCount>,
    /// Records that were left out, by the field that did not fit.
    pub rows_dropped: Vec<FieldCount>,
    /// Records for whose sake the translation has to be refused, by the field that did not fit.
    pub rows_refused: Vec<FieldCount>,
    /// Fields that the source lacks and that got their default.
    pub defaulted: Vec<FieldCount>,
    /// Fields that the destination lacks.
    pub fields_dropped: Vec<FieldCount>,
}

/// The losses of each slot's last copy, and their totals. Eight bytes a slot.
#[derive(Debug, Clone)]
pub struct SlotLosses {
    marks: Vec<RowMarks>,
    total: Loss,
}

impl SlotLosses {
    /// No losses yet, for `capacity` slots. Touches all its memory, so that no page fault is left for later.
    pub fn new(plan: &Plan, capacity: usize) -> Self {
        // `resize` writes every element; a zeroed allocation would be faulted in only when used.
        let mut marks = Vec::with_capacity(capacity);
        marks.resize(capacity, RowMarks::NONE);
        Self { marks, total: Loss::new(plan) }
    }

    /// Notes the marks of a slot's newest copy in place of those of the copy before;
    /// [`RowMarks::NONE`] for a slot that is found free.
    ///
    /// # Panics
    /// When the slot is outside of the capacity.
    #[inline]
    pub fn note(&mut self, slot: usize, marks: RowMarks) {
        let before = std::mem::replace(&mut self.marks[slot], marks);
        if before != marks {
            self.total.remove(before);
            self.total.add(marks);
        }
    }

    /// Totals over the last copies of all slots.
    pub fn total(&self) -> &Loss {
        &self.total
    }
}
