//! Translation value by value, through decoded rows and wide arithmetic.

use shm_state::Descriptor;
use shm_state::descriptor::{Field, FieldType, Narrow};
use shm_state::row::{Row, RowView, Value};
use shm_state::schema::Schema;
use shm_state::translate::RowOutcome;
use std::collections::BTreeMap;

/// A number that depends on what the source holds, often too large for a small field.
fn sum(view: &RowView<'_>) -> u64 {
    (1..12).filter_map(|id| view.unsigned(id)).fold(11, u64::wrapping_add)
}

/// Small for one number in two.
fn from_first(number: u64) -> u64 {
    if number & 1 == 0 { number >> 57 } else { number.wrapping_mul(3) }
}

/// The function of a name as the schema has it, applied to one row.
fn computed(name: &str, view: &RowView<'_>) -> Value {
    if name == "from-first" {
        let first = view.descriptor().field(1).filter(|field| field.ty() == FieldType::Unsigned);
        return Value::Unsigned(first.and_then(|_| view.unsigned(1)).map_or(77, from_first));
    }
    if name == "first-is-not-0" {
        let first = view.descriptor().field(1).filter(|field| field.ty() == FieldType::Unsigned);
        return Value::Unsigned(first.and_then(|_| view.unsigned(1)).map_or(0, |number| u64::from(number != 0)));
    }
    schema().function(name).expect("known")(view)
}

pub fn schema() -> Schema {
    Schema::new("random")
        .compute_number("from-first", 1, 77, from_first)
        .compute_flag("first-is-not-0", 1)
        .compute("list", |view| Value::List([sum(view), 3, 1 << 40].map(Value::Unsigned).to_vec()))
        .compute("unsigned", |view| Value::Unsigned(sum(view)))
        .compute("signed", |view| Value::Signed((sum(view) as i64).wrapping_neg()))
        .compute("bool", |view| Value::Bool(sum(view) & 1 == 1))
        .compute("enum", |view| Value::Enum(sum(view) as u32))
        .compute("bytes", |view| Value::Bytes(sum(view).to_be_bytes().to_vec()))
        .compute("ip", |view| Value::Ip((sum(view) as u32).to_be_bytes().into()))
        .compute("port", |view| Value::Port(sum(view) as u16))
        .compute("instant", |view| Value::Instant(u128::from(sum(view)) * 7))
        .compute("duration", |view| Value::Duration(u128::from(sum(view)) * 7))
        .compute("slot-link", |view| Value::SlotLink(Some(sum(view)).filter(|sum| sum % 3 != 0)))
}

/// The value as `field` can hold it, whether it did not fit, and whether it was rounded.
fn fitted(from: Option<&Field>, field: &Field, value: &Value) -> (Value, bool, bool) {
    let Value::List(values) = value else { return one_fitted(field, value) };
    let room = field.elements().expect("an array");
    let (mut stored, mut exceeds, mut rounds) = (Vec::new(), false, false);
    for (index, value) in values.iter().enumerate() {
        match field.element(index) {
            Some(element) => {
                let (value, exceeded, rounded) = one_fitted(&element, value);
                stored.push(value);
                exceeds |= exceeded;
                rounds |= rounded;
            }
            None => exceeds |= from.is_none_or(|from| *value != blank(from, value)),
        }
    }
    if let (true, Some(Value::List(defaults))) = (stored.len() < room, field.default_value()) {
        stored.extend_from_slice(&defaults[stored.len()..]);
    }
    (Value::List(stored), exceeds, rounds)
}

/// What an element is that nobody has set.
fn blank(from: &Field, like: &Value) -> Value {
    match (from.default_value(), like) {
        (Some(Value::List(defaults)), _) => defaults[0].clone(),
        (_, Value::Unsigned(_)) => Value::Unsigned(0),
        (_, Value::Signed(_)) => Value::Signed(0),
        (_, Value::Bool(_)) => Value::Bool(false),
        (_, Value::Enum(_)) => Value::Enum(0),
        (_, Value::Bytes(bytes)) => Value::Bytes(vec![0; bytes.len()]),
        (_, Value::Ip(_)) => Value::Ip(std::net::Ipv6Addr::UNSPECIFIED.into()),
        (_, Value::Port(_)) => Value::Port(0),
        (_, Value::Instant(_)) => Value::Instant(0),
        (_, Value::Duration(_)) => Value::Duration(0),
        (_, Value::SlotLink(_)) => Value::SlotLink(Some(0)),
        (_, Value::List(_)) => unreachable!("lists of lists"),
    }
}

fn one_fitted(field: &Field, value: &Value) -> (Value, bool, bool) {
    let bits = field.len().min(8) as u32 * 8;
    let max = (1u128 << bits) - 1;
    match value {
        Value::Unsigned(_) | Value::Signed(_) => {
            let number = value.as_integer().expect("an integer");
            if field.ty() == FieldType::Signed {
                let stored = number.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
                (Value::Signed(stored as i64), stored != number, false)
            } else {
                let stored = number.clamp(0, max as i128);
                (Value::Unsigned(stored as u64), stored != number, false)
            }
        }
        Value::Instant(nanos) | Value::Duration(nanos) => {
            let unit = u128::from(field.unit().nanos().expect("a time"));
            let stored = (nanos / unit).min(max) * unit;
            let value = if field.ty() == FieldType::Instant { Value::Instant(stored) } else { Value::Duration(stored) };
            (value, nanos / unit > max, nanos % unit != 0)
        }
        Value::Enum(case) => {
            let exceeds = u128::from(*case) > max;
            let default = field.default_value().filter(|_| exceeds && field.narrow() == Narrow::Clamp);
            (default.unwrap_or(value.clone()), exceeds, false)
        }
        Value::SlotLink(Some(slot)) => (value.clone(), u128::from(*slot) >= max, false),
        Value::Bytes(bytes) => {
            let mut stored = bytes.clone();
            stored.resize(field.len(), 0);
            let cut = bytes.get(field.len()..).unwrap_or_default();
            (Value::Bytes(stored), cut.iter().any(|&byte| byte != 0), false)
        }
        Value::List(_) => unreachable!("lists of lists"),
        Value::Bool(_) | Value::Ip(_) | Value::Port(_) | Value::SlotLink(None) => (value.clone(), false, false),
    }
}

/// The valid value that takes the place of this one, and whether it is another.
fn valid(field: &Field, value: &Value) -> (Value, bool) {
    if let Value::List(values) = value {
        let all: Vec<_> = values.iter().map(|value| valid(&field.element(0).expect("an array"), value)).collect();
        let changed = all.iter().any(|(_, changed)| *changed);
        return (Value::List(all.into_iter().map(|(value, _)| value).collect()), changed);
    }
    let nearest = |number: i128| field.range().map_or(number, |(min, max)| number.clamp(min, max));
    let nanos = |nanos: u128| {
        let unit = u128::from(field.unit().nanos().expect("a time"));
        nearest((nanos / unit) as i128) as u128 * unit
    };
    let valid = match value {
        Value::Unsigned(number) => Value::Unsigned(nearest((*number).into()) as u64),
        Value::Signed(number) => Value::Signed(nearest((*number).into()) as i64),
        Value::Instant(time) => Value::Instant(nanos(*time)),
        Value::Duration(time) => Value::Duration(nanos(*time)),
        Value::Enum(case) if field.cases().is_some_and(|cases| cases.name(*case).is_none()) => {
            return (field.default_value().unwrap_or(value.clone()), true);
        }
        other => other.clone(),
    };
    let changed = valid != *value;
    (valid, changed)
}

/// Whether the field can hold values of this type at all.
fn holds(field: &Field, value: &Value) -> bool {
    let number = matches!(field.ty(), FieldType::Unsigned | FieldType::Signed);
    let one = |value: &Value| number == matches!(value, Value::Unsigned(_) | Value::Signed(_));
    match (field.elements(), value) {
        (Some(elements), Value::List(values)) => {
            values.iter().all(one) && (values.len() >= elements || field.default_value().is_some())
        }
        (None, Value::List(_)) | (Some(_), _) => false,
        // What else is computed is of the field's type.
        (None, value) => number || one(value),
    }
}

/// Rows that lost something, by field.
#[derive(Default)]
pub struct Counts {
    pub clamped: BTreeMap<u32, u64>,
    pub rounded: BTreeMap<u32, u64>,
}

/// What translation makes of a record, row by row.
pub fn naive(from: &Descriptor, to: &Descriptor, record: &[u8], counts: &mut Counts) -> (RowOutcome, Row) {
    let row = from.decode(record);
    let view = RowView::new(from, record);
    let mut out = Row::new();
    let (mut clamped, mut rounded) = (Vec::new(), Vec::new());
    let computes = |field: &&Field| row.get_id(field.id()).is_none() && field.compute().is_some();
    let handle = |field: &Field, exceeds: bool, clamped: &mut Vec<u32>| match field.narrow() {
        _ if !exceeds => Ok(()),
        Narrow::Clamp => {
            clamped.push(field.id());
            Ok(())
        }
        Narrow::Drop => Err(RowOutcome::Dropped),
        Narrow::Refuse => Err(RowOutcome::Refused { field: field.id() }),
    };
    let stored: Vec<_> = to.fields().iter().filter(|field| !computes(field)).collect();
    for field in stored.iter().copied().chain(to.fields_by_id().filter(computes)) {
        let is_computed = computes(&field);
        let value = match row.get_id(field.id()) {
            Some(value) => value.clone(),
            None if is_computed => computed(field.compute().expect("computed"), &view),
            None => field.default_value().expect("has a default"),
        };
        if is_computed && !holds(field, &value) {
            return (RowOutcome::Refused { field: field.id() }, out);
        }
        let (mut value, mut exceeds, rounds) = fitted(from.field(field.id()), field, &value);
        if is_computed {
            let (nearest, changed) = valid(field, &value);
            (value, exceeds) = (nearest, exceeds || changed);
        }
        if let Err(outcome) = handle(field, exceeds, &mut clamped) {
            return (outcome, out);
        }
        if rounds && !is_computed {
            rounded.push(field.id());
        }
        out.insert_cell(field.cell(value));
    }
    // What is valid is looked at last, in order of the ids.
    stored_by_id(stored)
        .into_iter()
        .try_for_each(|field| {
            let (nearest, changed) = valid(field, out.get_id(field.id()).expect("stored"));
            out.insert_cell(field.cell(nearest));
            handle(field, changed, &mut clamped)
        })
        .map_or_else(
            |outcome| (outcome, Row::new()),
            |()| {
                clamped.sort_unstable();
                clamped.dedup();
                clamped.iter().for_each(|id| *counts.clamped.entry(*id).or_default() += 1);
                rounded.iter().for_each(|id| *counts.rounded.entry(*id).or_default() += 1);
                (RowOutcome::Done, out)
            },
        )
}

fn stored_by_id(mut fields: Vec<&Field>) -> Vec<&Field> {
    fields.sort_by_key(|field| field.id());
    fields
}
