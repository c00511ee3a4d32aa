//! A plan: what happens to each field, and the steps that do it.

use super::action::{Action, FieldAction};
use super::chain::Chain;
use super::compile::Compiler;
use super::computed::Function;
use super::loss::Ledger;
use super::migrate::Migrated;
use super::refusal::{Refusal, RefusalKind};
use super::run::Runner;
use super::step::{self, EventId, Excess, Step};
use super::valid::Check;
use crate::descriptor::{Descriptor, Field};
use crate::schema::{MigrationFacts, Schema};
use std::sync::Arc;

/// How records of one layout become records of another. Compiled once, applied to any number of records.
#[derive(Debug, Clone)]
pub struct Plan {
    source: Descriptor,
    destination: Descriptor,
    fields: Vec<FieldAction>,
    steps: Vec<Step>,
    computed: Vec<Computed>,
    template: Vec<u8>,
    ledger: Arc<Ledger>,
    /// Fields whose values are checked after they were stored.
    checks: Vec<Check>,
    migrated: Migrated,
    identity: bool,
}

/// A field that a function computes.
#[derive(Debug, Clone)]
pub(super) struct Computed {
    pub(super) field: Field,
    pub(super) function: Arc<str>,
    /// For a value that does not fit.
    pub(super) excess: Excess,
    /// For a value of another type than the field's.
    pub(super) other_type: EventId,
}

impl Plan {
    /// Compiles the plan from layout `source` to layout `destination`. Pure; knows nothing of functions, whose
    /// names [`Plan::bind`] resolves.
    ///
    /// # Errors
    /// The first thing that cannot be done, with table and field, reason and remedy.
    pub fn compile(source: &Descriptor, destination: &Descriptor) -> Result<Self, Refusal> {
        Self::compile_with(source, destination, &[])
    }

    /// The same by way of those of the migrations that lead from one layout to the other. Knows nothing of their code.
    ///
    /// # Errors
    /// As [`Plan::compile`]; also a migration that leads forwards only, where it is needed backwards.
    pub fn compile_with(
        source: &Descriptor,
        destination: &Descriptor,
        migrations: &[MigrationFacts],
    ) -> Result<Self, Refusal> {
        let mut compiler = Compiler::new(source, destination)?;
        let chain = Chain::plan(source, destination, migrations)?;
        let mut identity = source.record_len() == destination.record_len() && chain.hops.is_empty();
        for field in destination.fields_by_id() {
            let from = source.field(field.id()).filter(|from| !chain.consumed.contains_key(&from.id()));
            let action = match (from, chain.landing.get(&field.id())) {
                (_, Some(&hop)) => Action::Migrated {
                    migration: chain.hops[hop].name.to_string(),
                    one_way: chain.hops[hop].one_way,
                    policy: field.narrow(),
                },
                (Some(from), None) => compiler.translated(from, field)?,
                (None, None) => compiler.lacking(field)?,
            };
            identity &= action == Action::Copied && from.is_some_and(|from| from.offset() == field.offset());
            let was = from.map(|from| from.name()).filter(|name| *name != field.name()).map(|name| name.to_string());
            compiler.done(field, was, action);
        }
        for field in source.fields_by_id().filter(|field| destination.field(field.id()).is_none()) {
            match chain.consumed.get(&field.id()) {
                Some(&hop) => compiler.consumed(field, &chain.hops[hop], chain.spills(hop)),
                None => compiler.unknown_to_destination(field)?,
            }
            identity = false;
        }
        let migrated = Migrated::plan(chain, &mut compiler)?;
        let Compiler { source, destination, fields, steps, computed, template, ledger, checks } = compiler;
        let ranges = computed.iter().map(|each| (each.field.offset() as u32, each.field.end() as u32));
        let ranges: Vec<_> = ranges.chain(migrated.places()).collect();
        Ok(Self {
            steps: step::finish(steps, &ranges, destination.record_len() as u32),
            source: source.clone(),
            destination: destination.clone(),
            fields,
            computed,
            template,
            ledger: Arc::new(ledger),
            identity: identity && checks.is_empty(),
            checks,
            migrated,
        })
    }

    /// Adds the code that computed fields need.
    ///
    /// # Errors
    /// When the schema is of another table, gives a field another meaning, or lacks a function or a migration.
    pub fn bind(&self, schema: &Schema) -> Result<Runner, Refusal> {
        schema.check_table(self.destination.name())?;
        self.destination.fields().iter().try_for_each(|field| schema.check_field(field))?;
        let resolve = |computed: &Computed| {
            let row = || schema.function(&computed.function).map(Function::Row);
            let number = || schema.number(&computed.function).cloned().map(Function::Number);
            row().or_else(number).ok_or_else(|| Refusal {
                kind: RefusalKind::UnknownFunction,
                table: self.destination.name().to_owned(),
                field: Some(computed.field.name().to_string()),
                why: format!("it is computed by `{}`, which this binary does not know", computed.function),
                remedy: "register the function in the table's schema, or give the field a default".into(),
            })
        };
        let functions = self.computed.iter().map(resolve).collect::<Result<_, _>>()?;
        Ok(Runner::new(self, functions, self.migrated.bind(self, schema)?))
    }

    /// Layout of the records that are read.
    pub fn source(&self) -> &Descriptor {
        &self.source
    }

    /// Layout of the records that are written.
    pub fn destination(&self) -> &Descriptor {
        &self.destination
    }

    /// What happens to each field, for dry runs: the destination's fields in order of their ids, then those
    /// that the destination does not know.
    pub fn fields(&self) -> &[FieldAction] {
        &self.fields
    }

    /// Whether records lie the same in both layouts, so that the table can be handed over as it is.
    pub fn is_identity(&self) -> bool {
        self.identity
    }

    /// Whether a migration makes or takes a part of the key: indexes over the records have to be made anew then.
    pub fn rekeys(&self) -> bool {
        self.migrated.rekeys
    }

    /// Fields of the destination that migrations make.
    pub(super) fn migrated(&self) -> impl Iterator<Item = u32> {
        self.migrated.chain.landing.keys().copied()
    }

    /// Whether information of the source may be lost.
    pub fn lossy(&self) -> bool {
        self.fields.iter().any(|field| field.lossy)
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn computed(&self) -> &[Computed] {
        &self.computed
    }

    pub(super) fn checks(&self) -> &[Check] {
        &self.checks
    }

    pub(super) fn template(&self) -> &[u8] {
        &self.template
    }

    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }
}
