//! Why one layout cannot be translated into another.

use serde::{Deserialize, Serialize};

/// What sort of thing stands in the way. The names are stable, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RefusalKind {
    /// The layouts are of different tables.
    OtherTable,
    /// A field id means something else in the other layout.
    OtherMeaning,
    /// The source lacks a field that has neither a default nor a compute function.
    MissingField,
    /// The keys of the layouts differ, or a key could change its value.
    Key,
    /// A byte string would be cut off, and its policy does not allow that.
    BytesShrink,
    /// Elements of an array would be cut off, and its policy does not allow that.
    ArrayShrinks,
    /// A migration leads forwards only, or past one of the layouts.
    OneWay,
    /// A compute function or a migration is not known to this binary.
    UnknownFunction,
    /// More sorts of losses than can be counted.
    TooManyLosses,
    /// A record holds a value that does not fit, and the field's policy is to refuse.
    Value,
    /// Records lie in slots that the destination does not have.
    Capacity,
}

/// Why a translation was refused: table, field, reason and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("table {table}{}: {why}; {remedy}", field_text(.field))]
pub struct Refusal {
    /// What sort of thing stands in the way.
    pub kind: RefusalKind,
    /// Name of the table.
    pub table: String,
    /// Name of the field, if it is one field's fault.
    pub field: Option<String>,
    /// The reason.
    pub why: String,
    /// What the operator or the author of the layout can do.
    pub remedy: String,
}

fn field_text(field: &Option<String>) -> String {
    field.as_ref().map(|name| format!(", field {name}")).unwrap_or_default()
}
