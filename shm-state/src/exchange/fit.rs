//! From rows to the records of a layout: what the header promises is checked once, each row is stored field by field,
//! and what does not fit is handled by the field's policy and counted.
//!
//! A field that the rows lack gets its default. One that only a function can compute is refused: functions read the
//! records of layouts, and rows have none.

use super::TableHeader;
use crate::descriptor::{Descriptor, Narrow};
use crate::row::{Row, Value};
use crate::translate::{Refusal, RefusalKind, Stored, store};
use std::collections::BTreeMap;

/// Stores rows as records of one layout.
#[derive(Debug)]
pub struct Fit {
    layout: Descriptor,
    counts: FitCounts,
}

/// What did not fit, by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FitCounts {
    /// Values that were replaced by the nearest that fits.
    pub clamped: BTreeMap<String, u64>,
    /// Times that were rounded down.
    pub rounded: BTreeMap<String, u64>,
    /// Rows that were left out.
    pub dropped_rows: u64,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fitted {
    /// The record is whole.
    Done,
    /// A value does not fit, and the policy is to leave the row out. The record's bytes mean nothing.
    Dropped,
}

impl Fit {
    /// Checks that rows of this header can become records of this layout.
    ///
    /// # Errors
    /// The first field that stands in the way, by name.
    pub fn new(header: &TableHeader, layout: &Descriptor) -> Result<Self, Refusal> {
        let refuse = |kind, field: Option<&str>, why: String, remedy: &str| Refusal {
            kind,
            table: layout.name().to_owned(),
            field: field.map(str::to_owned),
            why,
            remedy: remedy.to_owned(),
        };
        if header.table != layout.table_id() {
            let why = format!("the rows are of table `{}` (id {})", header.name, header.table);
            return Err(refuse(RefusalKind::OtherTable, None, why, "choose rows and layout of one table"));
        }
        for field in layout.fields() {
            let name = Some(&**field.name());
            let Some(from) = header.field(field.id()) else {
                if field.is_key() {
                    let why = "it is part of the key, and the rows lack it".to_owned();
                    return Err(refuse(RefusalKind::Key, name, why, "use a layout with the key of the rows"));
                }
                if field.default_bytes().is_none() {
                    let (kind, why) = match field.compute() {
                        Some(function) => {
                            let why =
                                format!("the rows lack it, and `{function}`, which computes it, reads records only");
                            (RefusalKind::UnknownFunction, why)
                        }
                        None => (RefusalKind::MissingField, "the rows lack it, and it has no default".to_owned()),
                    };
                    return Err(refuse(kind, name, why, "use the layout that was dumped, and let a swap translate it"));
                }
                continue;
            };
            if from.meaning != Some(field.meaning()) {
                let found = from.meaning.map_or("of a later version".to_owned(), |meaning| meaning.to_string());
                let why = format!("id {} is {found} in the rows, {} in the layout", field.id(), field.meaning());
                let remedy = "an id keeps its meaning for ever; use another layout";
                return Err(refuse(RefusalKind::OtherMeaning, name, why, remedy));
            }
            let have = from.elements.map_or(usize::MAX, |elements| elements as usize);
            if field.elements().is_some_and(|want| have < want) && field.default_bytes().is_none() {
                let why = format!("the rows have {have} of its elements, and it has no default for the others");
                return Err(refuse(RefusalKind::MissingField, name, why, "use a layout with as few elements"));
            }
            if from.key != field.is_key() {
                let why = "it is part of the key in only one of rows and layout".to_owned();
                return Err(refuse(RefusalKind::Key, name, why, "use a layout with the key of the rows"));
            }
        }
        Ok(Self { layout: layout.clone(), counts: FitCounts::default() })
    }

    /// The layout.
    pub fn layout(&self) -> &Descriptor {
        &self.layout
    }

    /// What did not fit so far.
    pub fn counts(&self) -> &FitCounts {
        &self.counts
    }

    /// Stores a row. Bytes that no field describes are zero.
    ///
    /// # Errors
    /// A value that the field's policy refuses, or that is missing and has no default.
    ///
    /// # Panics
    /// When `record` is not as long as the layout's records.
    pub fn store(&mut self, row: &Row, record: &mut [u8]) -> Result<Fitted, Refusal> {
        assert_eq!(record.len(), self.layout.record_len(), "record of another length");
        record.fill(0);
        let refuse = |field: &str, why: String| Refusal {
            kind: RefusalKind::Value,
            table: self.layout.name().to_owned(),
            field: Some(field.to_owned()),
            why,
            remedy: "use a layout whose field holds it".to_owned(),
        };
        let (mut clamped, mut rounded) = (Vec::new(), Vec::new());
        for field in self.layout.fields() {
            let Some(value) = row.get_id(field.id()) else {
                let default = field.default_bytes();
                let default = default.ok_or_else(|| refuse(field.name(), "a row lacks it".to_owned()))?;
                record[field.offset()..field.end()].copy_from_slice(&default);
                continue;
            };
            match (store(field, value, &mut record[field.offset()..field.end()]), field.narrow()) {
                (Stored::Fits, _) => {}
                (Stored::Exceeds, Narrow::Clamp) => clamped.push(field.name()),
                (Stored::Exceeds, Narrow::Drop) => {
                    self.counts.dropped_rows += 1;
                    return Ok(Fitted::Dropped);
                }
                (Stored::Exceeds, Narrow::Refuse) => {
                    return Err(refuse(field.name(), format!("value {value} does not fit {}", field.type_text())));
                }
                (Stored::OtherType, _) => {
                    return Err(refuse(field.name(), format!("value {value} is no {}", field.meaning())));
                }
            }
            if field.unit().nanos().is_some_and(|unit| is_rounded(value, unit.into())) {
                rounded.push(field.name());
            }
        }
        let count = |names: Vec<&std::sync::Arc<str>>, counts: &mut BTreeMap<String, u64>| {
            names.into_iter().for_each(|name| *counts.entry(name.to_string()).or_default() += 1);
        };
        count(clamped, &mut self.counts.clamped);
        count(rounded, &mut self.counts.rounded);
        Ok(Fitted::Done)
    }
}

/// Whether a time, or one of a list of them, is no whole number of units.
fn is_rounded(value: &Value, unit: u128) -> bool {
    match value {
        Value::List(values) => values.iter().any(|value| is_rounded(value, unit)),
        value => value.as_nanos().is_some_and(|nanos| nanos % unit != 0),
    }
}
