//! Runs migrations on one record: decode it into a row, hop by hop, and store what lands in the destination.

use super::chain::{Chain, Hop};
use super::compile::Compiler;
use super::kernel::exceeds;
use super::loss::{EventKind, RowMarks};
use super::plan::Plan;
use super::refusal::{Refusal, RefusalKind};
use super::said::Said;
use super::step::{EventId, Excess};
use super::store::{Stored, store};
use crate::descriptor::{Descriptor, Field};
use crate::row::Row;
use crate::schema::{MigrateFn, Schema};

/// What a plan knows of its migrations.
#[derive(Debug, Clone, Default)]
pub(super) struct Migrated {
    pub(super) chain: Chain,
    /// For a hop that refuses, and why it did.
    refused: Vec<(EventId, Said)>,
    /// What lands.
    landing: Vec<Landing>,
    /// A key is taken, or comes out.
    pub(super) rekeys: bool,
}

#[derive(Debug, Clone)]
struct Landing {
    field: Field,
    excess: Excess,
    other_type: EventId,
}

impl Migrated {
    pub(super) fn plan(chain: Chain, compiler: &mut Compiler<'_>) -> Result<Self, Refusal> {
        let (source, destination) = (compiler.source, compiler.destination);
        let mut landing = Vec::new();
        for field in destination.fields_by_id().filter(|field| chain.landing.contains_key(&field.id())) {
            let other_type = compiler.event(field, EventKind::Refused)?;
            landing.push(Landing { field: field.clone(), excess: compiler.excess(field)?, other_type });
        }
        let mut refused = Vec::new();
        for hop in &chain.hops {
            let event = compiler.ledger.migration(&hop.name, hop.outputs.first().copied().unwrap_or(0));
            refused.push(event.ok_or_else(|| compiler.too_many(&hop.name))?);
        }
        let key = |layout: &Descriptor, id: &u32| layout.field(*id).is_some_and(Field::is_key);
        let rekeys =
            chain.landing.keys().any(|id| key(destination, id)) || chain.consumed.keys().any(|id| key(source, id));
        Ok(Self { chain, refused, landing, rekeys })
    }

    /// Places of what lands, which no step writes.
    pub(super) fn places(&self) -> impl Iterator<Item = (u32, u32)> {
        self.landing.iter().map(|landing| (landing.field.offset() as u32, landing.field.end() as u32))
    }

    /// Finds the code.
    pub(super) fn bind(&self, plan: &Plan, schema: &Schema) -> Result<Option<Migrating>, Refusal> {
        let resolve = |hop: &Hop| {
            let known = schema.migration(&hop.name);
            known.and_then(|known| if hop.forwards { Some(known.up) } else { known.down }).ok_or_else(|| Refusal {
                kind: RefusalKind::UnknownFunction,
                table: plan.destination().name().to_owned(),
                field: None,
                why: format!("it takes migration `{}`, which this binary does not know", hop.name),
                remedy: "register the migration in the table's schema".into(),
            })
        };
        let functions = self.chain.hops.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
        let source = plan.source().clone();
        Ok((!functions.is_empty()).then(|| Migrating { source, what: self.clone(), functions }))
    }
}

/// Migrations with their code.
#[derive(Debug)]
pub(super) struct Migrating {
    source: Descriptor,
    what: Migrated,
    functions: Vec<MigrateFn>,
}

impl Migrating {
    /// `src` is the record, `dst` its translation, zero where something lands.
    pub(super) fn apply(&self, src: &[u8], dst: &mut [u8], marks: &mut RowMarks) {
        let Migrated { chain, refused, landing, .. } = &self.what;
        let mut row = self.source.decode(src);
        for ((hop, function), (event, said)) in chain.hops.iter().zip(&self.functions).zip(refused) {
            if let Err(why) = run(hop, *function, &mut row) {
                said.set(why);
                return marks.reject(*event);
            }
        }
        for Landing { field, excess, other_type } in landing {
            let to = &mut dst[field.offset()..field.end()];
            to.fill(0);
            match row.get_id(field.id()).map(|value| store(field, value, to)) {
                Some(Stored::Fits) => {}
                Some(Stored::Exceeds) => exceeds(*excess, marks),
                Some(Stored::OtherType) | None => marks.reject(*other_type),
            }
        }
    }
}

/// One hop: the row gives what it takes and gets what it gives.
fn run(hop: &Hop, function: MigrateFn, row: &mut Row) -> Result<(), String> {
    let given = function(row)?;
    if let Some(other) = given.iter().find(|cell| !hop.outputs.contains(&cell.id)) {
        return Err(format!("it gave field {}, which it was not declared to give", other.id));
    }
    if let Some(id) = hop.outputs.iter().find(|id| given.get_id(**id).is_none()) {
        return Err(format!("it did not give field {id}"));
    }
    hop.inputs.iter().for_each(|id| drop(row.remove(*id)));
    given.iter().for_each(|cell| drop(row.insert_cell(cell.clone())));
    Ok(())
}
