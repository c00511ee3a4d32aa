//! What is said of a table before its rows.

use super::error::Wrong;
use super::value::{Form, meaning, numbers};
use super::varint::{Rest, put};
use super::{FLAG_FACTS, FLAG_KEY, SLOTS_MAX, WIRE_VERSION};
use crate::descriptor::{CASES_MAX, CaseList, Descriptor, FIELDS_MAX, Meaning};
use crate::row::Value;
use std::sync::Arc;

/// A field of the rows that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldHeader {
    /// Stable id.
    pub id: u32,
    /// Name in the source's layout.
    pub name: Arc<str>,
    /// What it means; nothing for a meaning of a later version, whose values are skipped.
    pub meaning: Option<Meaning>,
    /// Whether it is part of the key.
    pub key: bool,
    /// Elements of each list; nothing for single values, or if it is not said.
    pub elements: Option<u32>,
    /// Names of the cases, where they are listed.
    pub cases: Option<CaseList>,
    form: u8,
}

/// The table that rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHeader {
    /// Stable id of the table.
    pub table: u32,
    /// Shard within the table.
    pub shard: u32,
    /// Name of the table.
    pub name: Arc<str>,
    /// Version of the layout that the rows were read from. Says nothing of how they are written here.
    pub layout_version: u32,
    /// Slots of the table.
    pub capacity: u64,
    /// The region that it is part of.
    pub region_id: [u8; 16],
    /// The fields, in the order of their values.
    pub fields: Vec<FieldHeader>,
}

impl TableHeader {
    /// Of a table with this layout.
    pub fn of(descriptor: &Descriptor, shard: u32, capacity: u64, region_id: [u8; 16]) -> Self {
        let field = |field: &crate::descriptor::Field| FieldHeader {
            id: field.id(),
            name: field.name().clone(),
            meaning: Some(field.meaning()),
            key: field.is_key(),
            elements: field.elements().map(|elements| elements as u32),
            cases: field.cases().cloned(),
            form: Form::of(field.meaning()) as u8,
        };
        Self {
            table: descriptor.table_id(),
            shard,
            name: descriptor.name().into(),
            layout_version: descriptor.layout_version(),
            capacity,
            region_id,
            fields: descriptor.fields_by_id().map(field).collect(),
        }
    }

    /// The field with this id.
    pub fn field(&self, id: u32) -> Option<&FieldHeader> {
        self.fields.iter().find(|field| field.id == id)
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let Self { table, shard, name, layout_version, capacity, region_id, fields } = self;
        for number in [WIRE_VERSION.into(), (*table).into(), (*shard).into(), (*layout_version).into(), *capacity] {
            put(to, number.into());
        }
        to.extend_from_slice(region_id);
        put_name(to, name);
        put(to, fields.len() as u128);
        let mut part = Vec::new();
        for field in fields {
            let FieldHeader { id, name, meaning, key, form, elements: _, cases: _ } = field;
            let (number, unit) = meaning.map_or((0, 0), numbers);
            let facts = field.facts();
            let flag = |set: bool, flag| if set { flag } else { 0 };
            part.clear();
            put(&mut part, (*id).into());
            for byte in [number, *form, unit, flag(*key, FLAG_KEY) | flag(!facts.is_empty(), FLAG_FACTS)] {
                put(&mut part, byte.into());
            }
            put_name(&mut part, name);
            part.extend_from_slice(&facts);
            put(to, part.len() as u128);
            to.extend_from_slice(&part);
        }
    }

    pub(super) fn read(payload: &[u8]) -> Result<Self, Wrong> {
        let mut rest = Rest(payload);
        let version = rest.number("version")?;
        if version != u128::from(WIRE_VERSION) {
            return Err(Wrong::Version(version));
        }
        let table = rest.half("table id")?;
        let shard = rest.half("shard")?;
        let layout_version = rest.half("layout version")?;
        let capacity = rest.word("number of slots")?;
        if !(1..=SLOTS_MAX).contains(&capacity) {
            let found = capacity.into();
            return Err(Wrong::Number { what: "number of slots", found, expected: "1..=4294967295" });
        }
        let mut region_id = [0; 16];
        region_id.copy_from_slice(rest.bytes(16, "region id")?);
        let name = rest.name("table")?.into();
        let count = rest.number("number of fields")?;
        if !(1..=FIELDS_MAX as u128).contains(&count) {
            return Err(Wrong::Number { what: "number of fields", found: count, expected: "1..=256" });
        }
        let mut fields: Vec<FieldHeader> = Vec::new();
        for _ in 0..count {
            let field = FieldHeader::read(rest.part("field")?)?;
            if field.id == 0 || fields.iter().any(|other| other.id == field.id) {
                return Err(Wrong::FieldTwice(field.id));
            }
            fields.push(field);
        }
        Ok(Self { table, shard, name, layout_version, capacity, region_id, fields })
    }
}

impl FieldHeader {
    fn read(mut rest: Rest<'_>) -> Result<Self, Wrong> {
        let id = rest.half("field id")?;
        let number = rest.byte("meaning")?;
        let form = rest.byte("form")?;
        let unit = rest.byte("unit")?;
        let flags = rest.byte("flags")?;
        let name: Arc<str> = rest.name("field")?.into();
        let meaning = meaning(number, unit);
        let right = match meaning {
            Some(meaning) => form == Form::of(meaning) as u8,
            None => Form::from_number(form).is_some(),
        };
        if !right {
            return Err(Wrong::Form(name.to_string()));
        }
        let (mut elements, mut cases) = (None, None);
        if flags & FLAG_FACTS != 0 {
            elements = match rest.half("number of elements")? {
                0 => None,
                number => Some(number),
            };
            cases = read_cases(&mut rest, &name)?;
        }
        Ok(Self { id, name, meaning, key: flags & FLAG_KEY != 0, elements, cases, form })
    }

    /// What follows the name, if anything: elements (0 where that is not said), number of cases, and of each case its
    /// number and name.
    fn facts(&self) -> Vec<u8> {
        let mut facts = Vec::new();
        if self.elements.is_none() && self.cases.is_none() {
            return facts;
        }
        put(&mut facts, self.elements.unwrap_or(0).into());
        put(&mut facts, self.cases.as_ref().map_or(0, CaseList::len) as u128);
        for (number, name) in self.cases.iter().flat_map(CaseList::iter) {
            put(&mut facts, number.into());
            put_name(&mut facts, name);
        }
        facts
    }

    /// Whether a value has as many elements as was said.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match (value, self.elements) {
            (Value::List(values), Some(elements)) => values.len() == elements as usize,
            _ => true,
        }
    }

    /// How a value of a meaning that is not known here is skipped.
    pub(super) fn form(&self) -> Form {
        Form::from_number(self.form).unwrap_or(Form::Bytes)
    }
}

fn read_cases(rest: &mut Rest<'_>, field: &str) -> Result<Option<CaseList>, Wrong> {
    let count = rest.number("number of cases")?;
    if count > CASES_MAX as u128 {
        return Err(Wrong::Number { what: "number of cases", found: count, expected: "0..=256" });
    }
    let mut cases = Vec::new();
    for _ in 0..count {
        cases.push((rest.half("case")?, rest.name("case")?.into()));
    }
    match CaseList::new(cases) {
        None if count > 0 => Err(Wrong::Cases(field.to_owned())),
        cases => Ok(cases),
    }
}

fn put_name(to: &mut Vec<u8>, name: &str) {
    put(to, name.len() as u128);
    to.extend_from_slice(name.as_bytes());
}
