//! Stores a value of the intermediate schema into a record: the slow path, for computed fields and for rows from elsewhere.

use super::step::{Width, is_signed};
use super::valid::settle;
use crate::descriptor::{Field, FieldType};
use crate::row::{Nanos, Value};
use std::net::IpAddr;

/// How storing a value went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// As it was; times are rounded down to the field's unit.
    Fits,
    /// It does not fit; the nearest value that does was stored.
    Exceeds,
    /// It is of another type; nothing was stored.
    OtherType,
}

/// Stores `value` as `field` holds it into `to`, which is as long as the field and zero. What the field's range or cases
/// do not allow does not fit; of a list that is too short, the elements that are lacking get the default.
#[inline]
pub(crate) fn store(field: &Field, value: &Value, to: &mut [u8]) -> Stored {
    let stored = match (field.elements(), value) {
        (None, value) => store_one(field, value, to),
        (Some(_), Value::List(values)) => store_list(field, values, to),
        (Some(_), _) => Stored::OtherType,
    };
    if stored == Stored::OtherType || settle(field, to) { stored } else { Stored::Exceeds }
}

fn store_list(field: &Field, values: &[Value], to: &mut [u8]) -> Stored {
    let len = field.element_len();
    let mut all = if values.len() * len > to.len() { Stored::Exceeds } else { Stored::Fits };
    if let Some(default) = field.default_bytes().filter(|_| values.len() * len < to.len()) {
        to.copy_from_slice(&default);
        to[..values.len() * len].fill(0);
    } else if values.len() * len < to.len() {
        all = Stored::OtherType;
    }
    for (index, (value, to)) in values.iter().zip(to.chunks_exact_mut(len)).enumerate() {
        let Some(element) = field.element(index) else { break };
        match store_one(&element, value, to) {
            Stored::Fits => {}
            Stored::OtherType => return Stored::OtherType,
            Stored::Exceeds => all = if all == Stored::OtherType { all } else { Stored::Exceeds },
        }
    }
    all
}

fn store_one(field: &Field, value: &Value, to: &mut [u8]) -> Stored {
    match (field.ty(), value) {
        (FieldType::Unsigned | FieldType::Signed, Value::Unsigned(_) | Value::Signed(_)) => {
            let number = value.as_integer().unwrap_or(0);
            store_number(to, number, Width::of(field).range(is_signed(field.ty())))
        }
        (FieldType::Bool, Value::Bool(value)) => {
            to[0] = u8::from(*value);
            Stored::Fits
        }
        (FieldType::Enum, Value::Enum(case)) => {
            let stored = store_number(to, i128::from(*case), Width::of(field).range(false));
            if let (Stored::Exceeds, Some(default)) = (stored, field.default_bytes()) {
                to.copy_from_slice(&default[..to.len()]);
            }
            stored
        }
        (FieldType::Port, Value::Port(port)) => store_number(to, i128::from(*port), Width::of(field).range(false)),
        (FieldType::Instant, Value::Instant(nanos)) | (FieldType::Duration, Value::Duration(nanos)) => {
            let count = nanos / Nanos::from(field.unit().nanos().unwrap_or(1));
            let count = i128::try_from(count).unwrap_or(i128::MAX);
            store_number(to, count, Width::of(field).range(false))
        }
        (FieldType::SlotLink, Value::SlotLink(None)) => {
            to.fill(0xff);
            Stored::Fits
        }
        (FieldType::SlotLink, Value::SlotLink(Some(slot))) => {
            let none = i128::from(Width::of(field).max());
            store_number(to, i128::from(*slot), (0, none - 1))
        }
        (FieldType::Ip, Value::Ip(ip)) => {
            let ip = match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => *ip,
            };
            to.copy_from_slice(&ip.octets());
            Stored::Fits
        }
        (FieldType::Bytes, Value::Bytes(bytes)) => {
            let (kept, cut) = bytes.split_at(bytes.len().min(to.len()));
            to.fill(0);
            to[..kept.len()].copy_from_slice(kept);
            if cut.iter().all(|&byte| byte == 0) { Stored::Fits } else { Stored::Exceeds }
        }
        _ => Stored::OtherType,
    }
}

fn store_number(to: &mut [u8], number: i128, (min, max): (i128, i128)) -> Stored {
    let stored = number.clamp(min, max);
    let bytes = stored.to_le_bytes();
    match to.len() {
        1 => to[0] = bytes[0],
        2 => to.copy_from_slice(&bytes[..2]),
        4 => to.copy_from_slice(&bytes[..4]),
        _ => to.copy_from_slice(&bytes[..8]),
    }
    if stored == number { Stored::Fits } else { Stored::Exceeds }
}
