//! Which migrations lead from one layout to another, in which order, and what becomes of whose fields.

use super::refusal::{Refusal, RefusalKind};
use crate::descriptor::Descriptor;
use crate::schema::MigrationFacts;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One migration, in the direction in which it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) name: Arc<str>,
    pub(super) forwards: bool,
    pub(super) one_way: bool,
    pub(super) inputs: Vec<u32>,
    pub(super) outputs: Vec<u32>,
}

/// The migrations of one plan, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) hops: Vec<Hop>,
    /// Fields of the destination, each with the hop that it comes from.
    pub(super) landing: BTreeMap<u32, usize>,
    /// Fields of the source, each with the hop that takes it.
    pub(super) consumed: BTreeMap<u32, usize>,
}

impl Chain {
    /// The migrations among `known` that lead from `source` to `destination` and have something to do: all that they take
    /// is there, and something that they give is wanted. The others are as if they were not, so that what they would have
    /// taken is kept aside.
    ///
    /// # Errors
    /// One of them has no way back, or leads past one of the two layouts.
    pub(super) fn plan(
        source: &Descriptor,
        destination: &Descriptor,
        known: &[MigrationFacts],
    ) -> Result<Self, Refusal> {
        let (from, to) = (source.layout_version(), destination.layout_version());
        let (low, high) = (from.min(to), from.max(to));
        let forwards = from < to;
        let mut hops = Vec::new();
        let mut available: BTreeSet<u32> = source.fields().iter().map(|field| field.id()).collect();
        for migration in ordered(known, source.table_id(), forwards).filter(|each| each.from < high && low < each.to) {
            if migration.from < low || high < migration.to {
                return Err(leads_past(destination, migration));
            }
            let ends = (migration.consumes.clone(), migration.produces.clone());
            let (inputs, outputs) = if forwards { ends } else { (ends.1, ends.0) };
            if inputs.iter().all(|id| available.contains(id)) {
                available.retain(|id| !inputs.contains(id));
                available.extend(&outputs);
                let (name, one_way) = (migration.name.clone(), migration.one_way);
                hops.push(Hop { name, forwards, one_way, inputs, outputs });
            }
        }
        let mut wanted: BTreeSet<u32> = destination.fields().iter().map(|field| field.id()).collect();
        let mut kept = Vec::new();
        for hop in hops.into_iter().rev().filter(|hop| !hop.outputs.is_empty()) {
            if hop.outputs.iter().any(|id| wanted.contains(id)) {
                wanted.retain(|id| !hop.outputs.contains(id));
                wanted.extend(&hop.inputs);
                kept.push(hop);
            }
        }
        kept.reverse();
        match kept.iter().find(|hop| hop.one_way && !hop.forwards) {
            Some(hop) => Err(no_way_back(destination, hop)),
            None => Ok(Self::of(kept, source, destination)),
        }
    }

    fn of(hops: Vec<Hop>, source: &Descriptor, destination: &Descriptor) -> Self {
        let (mut landing, mut consumed) = (BTreeMap::new(), BTreeMap::new());
        for (at, hop) in hops.iter().enumerate() {
            for id in &hop.inputs {
                if landing.remove(id).is_none() && source.field(*id).is_some() {
                    consumed.insert(*id, at);
                }
            }
            landing.extend(hop.outputs.iter().map(|id| (*id, at)));
        }
        landing.retain(|id, _| destination.field(*id).is_some());
        Self { hops, landing, consumed }
    }

    /// Whether something that a hop gives has no place, so that what it took is the only full account.
    pub(super) fn spills(&self, hop: usize) -> bool {
        let lost = |id: &u32| {
            let taken = self.hops[hop + 1..].iter().position(|later| later.inputs.contains(id));
            match taken {
                Some(later) => self.spills(hop + 1 + later),
                None => !self.landing.contains_key(id),
            }
        };
        self.hops[hop].outputs.iter().any(lost)
    }
}

/// The migrations of a table in the order in which they are used.
fn ordered(known: &[MigrationFacts], table: u32, forwards: bool) -> impl Iterator<Item = &MigrationFacts> {
    let mut ordered: Vec<_> = known.iter().filter(|migration| migration.table == table).collect();
    ordered.sort_by_key(|migration| (migration.to, migration.from));
    if !forwards {
        ordered.reverse();
    }
    ordered.into_iter()
}

fn no_way_back(destination: &Descriptor, hop: &Hop) -> Refusal {
    Refusal {
        kind: RefusalKind::OneWay,
        table: destination.name().to_owned(),
        field: None,
        why: format!("migration `{}` leads forwards only", hop.name),
        remedy: "stay with this layout or a newer one, or give the migration a way back".into(),
    }
}

fn leads_past(destination: &Descriptor, MigrationFacts { name, from, to, .. }: &MigrationFacts) -> Refusal {
    Refusal {
        kind: RefusalKind::OneWay,
        table: destination.name().to_owned(),
        field: None,
        why: format!(
            "migration `{name}` leads from layout {from} to layout {to}, and one of the two at hand lies between"
        ),
        remedy: "divide the migration at that layout".into(),
    }
}
