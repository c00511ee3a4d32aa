//! One value of a row, and how it is shown.

use super::Value;
use crate::descriptor::CaseList;
use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::fmt;
use std::sync::Arc;

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Stable id of the field.
    pub id: u32,
    /// Name of the field.
    pub name: Arc<str>,
    /// Its value.
    pub value: Value,
    /// Names of the cases that it may be one of, if they are known.
    pub cases: Option<CaseList>,
}

impl Cell {
    /// The value as people and scripts see it: a case by its name where that is known, by its number otherwise. To be
    /// displayed or serialised.
    pub fn shown(&self) -> impl fmt::Display + Serialize + '_ {
        Shown { value: &self.value, cases: self.cases.as_ref() }
    }
}

#[derive(Clone, Copy)]
struct Shown<'a> {
    value: &'a Value,
    cases: Option<&'a CaseList>,
}

impl<'a> Shown<'a> {
    fn case(&self) -> Option<&'a str> {
        match self.value {
            Value::Enum(number) => self.cases?.name(*number),
            _ => None,
        }
    }

    fn with(self, value: &'a Value) -> Self {
        Self { value, ..self }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.case(), self.value) {
            (Some(name), _) => f.pad(name),
            (None, Value::List(values)) => list(f, values, |value, f| write!(f, "{}", self.with(value))),
            (None, value) => value.fmt(f),
        }
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.case(), self.value) {
            (Some(name), _) => serializer.serialize_str(name),
            (None, Value::List(values)) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                values.iter().try_for_each(|value| list.serialize_element(&self.with(value)))?;
                list.end()
            }
            (None, value) => value.serialize(serializer),
        }
    }
}

/// `[1,2,3]`, without spaces: those stand between the fields of a row.
pub(super) fn list(
    f: &mut fmt::Formatter<'_>,
    values: &[Value],
    one: impl Fn(&Value, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    f.write_str("[")?;
    for (index, value) in values.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { "," })?;
        one(value, f)?;
    }
    f.write_str("]")
}
