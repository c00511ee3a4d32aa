//! The intermediate schema: what a table means, whatever the layout.
//!
//! Field ids, meanings, canonical units and defaults come from descriptors; what no field mapping can say is
//! code, registered under the name that descriptors use. Every layout maps to the schema and from it, so that
//! layouts need not know each other.

mod migration;
mod number;
pub use migration::{MIGRATION_IDS_MAX, MIGRATION_PLACES, MigrateFn, Migration, MigrationDesc, MigrationFacts};
pub use number::NumberFn;

use crate::descriptor::{CaseList, Descriptor, Field, Meaning};
use crate::row::{RowView, Value};
use crate::translate::{Refusal, RefusalKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Computes a field's value from a record of a layout that lacks the field. Runs once per record: it reads
/// what it needs by field id, and copes with layouts that lack that too.
pub type ComputeFn = fn(&RowView<'_>) -> Value;

/// What is known of a field in every layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMeaning {
    /// Stable id.
    pub id: u32,
    /// Name in the layout that was learned last.
    pub name: Arc<str>,
    /// What the field means; times are in nanoseconds here.
    pub meaning: Meaning,
    /// Whether it is part of the record's key.
    pub key: bool,
    /// Value for records of layouts that lack the field, in the layout that was learned last.
    pub default: Option<Value>,
    /// Lowest and highest valid number in the layout that was learned last; of times, in nanoseconds.
    pub range: Option<(i128, i128)>,
    /// Known cases, of all layouts.
    pub cases: Option<CaseList>,
    /// Elements of an array, in the layout that was learned last.
    pub elements: Option<usize>,
}

/// Meaning of one table.
#[derive(Debug, Clone)]
pub struct Schema {
    table: Arc<str>,
    fields: BTreeMap<u32, FieldMeaning>,
    functions: BTreeMap<Arc<str>, ComputeFn>,
    numbers: BTreeMap<Arc<str>, NumberFn>,
    migrations: Vec<Migration>,
}

impl Schema {
    /// A schema of which nothing is known but the table's name.
    pub fn new(table: impl Into<Arc<str>>) -> Self {
        Self {
            table: table.into(),
            fields: BTreeMap::new(),
            functions: BTreeMap::new(),
            numbers: BTreeMap::new(),
            migrations: Vec::new(),
        }
    }

    /// With a compute function under the name that descriptors use. The last one of a name counts.
    #[must_use]
    pub fn compute(mut self, name: impl Into<Arc<str>>, function: ComputeFn) -> Self {
        self.functions.insert(name.into(), function);
        self
    }

    /// With a function that computes a number from the number in field `input`, under the name that descriptors use:
    /// several times faster than one that reads a row. `without` is its result for layouts that lack the field.
    #[must_use]
    pub fn compute_number(
        mut self,
        name: impl Into<Arc<str>>,
        input: u32,
        without: u64,
        function: impl Fn(u64) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.numbers.insert(name.into(), NumberFn::new(input, without, function));
        self
    }

    /// With a function that is 1 where the number in field `input` is not 0, and 0 elsewhere: the fastest of all.
    #[must_use]
    pub fn compute_flag(mut self, name: impl Into<Arc<str>>, input: u32) -> Self {
        self.numbers.insert(name.into(), NumberFn::flag(input));
        self
    }

    /// With a migration between two of the table's layouts.
    ///
    /// # Panics
    /// When there is one of the name already, or one whose versions overlap with this one's in part: steps follow each
    /// other.
    #[must_use]
    pub fn migrate(mut self, migration: Migration) -> Self {
        let MigrationFacts { name, from, to, .. } = &migration.facts;
        for MigrationFacts { name: other, from: start, to: end, .. } in self.migration_facts() {
            assert!(name != other, "two migrations are named `{name}`");
            let apart = to <= start || end <= from || (from, to) == (start, end);
            assert!(apart, "migrations `{name}` and `{other}` overlap");
        }
        self.migrations.push(migration);
        self
    }

    /// With code that refuses every row in place of migrations of which only the declarations are at hand, to bind a plan
    /// that is never to be used. Whether they contradict each other is not looked at.
    #[must_use]
    pub fn stand_in(mut self, migrations: &[MigrationFacts]) -> Self {
        self.migrations.extend(migrations.iter().cloned().map(Migration::stand_in));
        self
    }

    /// With the fields of a layout.
    ///
    /// # Errors
    /// When the layout is of another table, or gives an id, or one of its cases, another meaning than an earlier one: ids
    /// and case numbers are for ever.
    pub fn learn(mut self, layout: &Descriptor) -> Result<Self, Refusal> {
        self.check_table(layout.name())?;
        for field in layout.fields() {
            self.check_field(field)?;
            let meaning = FieldMeaning {
                id: field.id(),
                name: field.name().clone(),
                meaning: field.meaning(),
                key: field.is_key(),
                default: field.default_value(),
                range: field.range().map(|(min, max)| {
                    let unit = field.unit().nanos().map_or(1, i128::from);
                    (min * unit, max * unit)
                }),
                cases: self.cases_with(field)?,
                elements: field.elements(),
            };
            self.fields.insert(field.id(), meaning);
        }
        Ok(self)
    }

    /// Name of the table.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The fields that were learned, in order of their ids.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &FieldMeaning> {
        self.fields.values()
    }

    /// The compute function of this name.
    pub fn function(&self, name: &str) -> Option<ComputeFn> {
        self.functions.get(name).copied()
    }

    /// The function of this name that computes a number from a number.
    pub fn number(&self, name: &str) -> Option<&NumberFn> {
        self.numbers.get(name)
    }

    /// The migration of this name.
    pub fn migration(&self, name: &str) -> Option<&Migration> {
        self.migrations.iter().find(|migration| &*migration.facts.name == name)
    }

    /// What is declared of the migrations.
    pub fn migration_facts(&self) -> impl ExactSizeIterator<Item = &MigrationFacts> {
        self.migrations.iter().map(|migration| &migration.facts)
    }

    /// The cases of a field that are known, and those of this layout.
    fn cases_with(&self, field: &Field) -> Result<Option<CaseList>, Refusal> {
        let known = self.fields.get(&field.id()).and_then(|known| known.cases.as_ref());
        let (Some(known), Some(more)) = (known, field.cases()) else {
            return Ok(known.or(field.cases()).cloned());
        };
        let renamed = more.iter().find(|(number, name)| known.name(*number).is_some_and(|known| known != *name));
        let mut all: BTreeMap<u32, Arc<str>> = known.iter().map(|(number, name)| (number, name.into())).collect();
        all.extend(more.iter().map(|(number, name)| (number, name.into())));
        match (renamed, CaseList::new(all)) {
            (None, Some(cases)) => Ok(Some(cases)),
            (renamed, _) => Err(Refusal {
                kind: RefusalKind::OtherMeaning,
                table: self.table.to_string(),
                field: Some(field.name().to_string()),
                why: match renamed {
                    Some((number, name)) => {
                        format!("case {number} is `{name}` here, but has another name in the schema")
                    }
                    None => "two of its cases have one name".to_owned(),
                },
                remedy: "give the case a new number; a case number keeps its meaning for ever".into(),
            }),
        }
    }

    /// Names of the compute functions.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().chain(self.numbers.keys()).map(|name| &**name)
    }

    /// Refuses a layout of another table.
    pub(crate) fn check_table(&self, table: &str) -> Result<(), Refusal> {
        if *self.table == *table {
            return Ok(());
        }
        Err(Refusal {
            kind: RefusalKind::OtherTable,
            table: table.to_owned(),
            field: None,
            why: format!("the schema at hand is that of table `{}`", self.table),
            remedy: "bind the plan to the schema of its own table".into(),
        })
    }

    /// Refuses a field that means something else than the schema learned.
    pub(crate) fn check_field(&self, field: &Field) -> Result<(), Refusal> {
        match self.fields.get(&field.id()) {
            Some(known) if known.meaning != field.meaning() => Err(Refusal {
                kind: RefusalKind::OtherMeaning,
                table: self.table.to_string(),
                field: Some(field.name().to_string()),
                why: format!(
                    "id {} means {} here, but {} (`{}`) in the schema",
                    field.id(),
                    field.meaning(),
                    known.meaning,
                    known.name
                ),
                remedy: "give the field a new id; an id keeps its meaning for ever".into(),
            }),
            _ => Ok(()),
        }
    }
}
