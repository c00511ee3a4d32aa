//! Values: how each meaning is written, and read from bytes that are claims.

use super::error::Wrong;
use super::varint::{Rest, put, unzigzag, zigzag};
use crate::descriptor::{ELEMENTS_MAX, Meaning, Unit};
use crate::row::Value;
use std::net::IpAddr;

/// Added to the number of a meaning for a list of it.
const LIST: u8 = 64;

/// How a value is delimited, so that one of unknown meaning can be skipped. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Varint = 0,
    Bytes = 1,
}

impl Form {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Varint),
            1 => Some(Self::Bytes),
            _ => None,
        }
    }

    pub(super) fn of(meaning: Meaning) -> Self {
        match meaning {
            Meaning::Bytes | Meaning::Ip | Meaning::List(_) => Self::Bytes,
            _ => Self::Varint,
        }
    }

    pub(super) fn skip(self, rest: &mut Rest<'_>) -> Result<(), Wrong> {
        match self {
            Self::Varint => rest.number("value").map(drop),
            Self::Bytes => rest.part("value").map(drop),
        }
    }
}

/// Stable number of a meaning, and of its unit: those of the types, signed and unsigned being one.
pub(super) fn numbers(meaning: Meaning) -> (u8, u8) {
    match meaning {
        Meaning::Integer(unit) => (1, unit as u8),
        Meaning::Bool => (3, 0),
        Meaning::Enum => (4, 0),
        Meaning::Bytes => (5, 0),
        Meaning::Ip => (6, 0),
        Meaning::Port => (7, 0),
        Meaning::Instant => (8, 0),
        Meaning::Duration => (9, 0),
        Meaning::SlotLink => (10, 0),
        Meaning::List(one) => {
            let (number, unit) = numbers(*one);
            (LIST + number, unit)
        }
    }
}

/// The meaning with these numbers; nothing for one of a later version.
pub(super) fn meaning(number: u8, unit: u8) -> Option<Meaning> {
    Some(match number {
        1 => Meaning::Integer(Unit::from_number(unit).filter(|unit| unit.nanos().is_none())?),
        3 => Meaning::Bool,
        4 => Meaning::Enum,
        5 => Meaning::Bytes,
        6 => Meaning::Ip,
        7 => Meaning::Port,
        8 => Meaning::Instant,
        9 => Meaning::Duration,
        10 => Meaning::SlotLink,
        LIST.. => match meaning(number - LIST, unit)? {
            Meaning::List(_) => return None,
            one => one.list(),
        },
        _ => return None,
    })
}

/// Whether a value has this meaning.
pub(super) fn has_meaning(value: &Value, meaning: Meaning) -> bool {
    if let (Value::List(values), Meaning::List(one)) = (value, meaning) {
        return values.iter().all(|value| has_meaning(value, *one));
    }
    matches!(
        (value, meaning),
        (Value::Unsigned(_) | Value::Signed(_), Meaning::Integer(_))
            | (Value::Bool(_), Meaning::Bool)
            | (Value::Enum(_), Meaning::Enum)
            | (Value::Bytes(_), Meaning::Bytes)
            | (Value::Ip(_), Meaning::Ip)
            | (Value::Port(_), Meaning::Port)
            | (Value::Instant(_), Meaning::Instant)
            | (Value::Duration(_), Meaning::Duration)
            | (Value::SlotLink(_), Meaning::SlotLink)
    )
}

/// Appends a value.
pub(super) fn write(to: &mut Vec<u8>, value: &Value) {
    let mut part = |bytes: &[u8]| {
        put(to, bytes.len() as u128);
        to.extend_from_slice(bytes);
    };
    match value {
        Value::Bytes(bytes) => part(bytes),
        Value::Ip(IpAddr::V4(ip)) => part(&ip.octets()),
        Value::Ip(IpAddr::V6(ip)) => part(&ip.octets()),
        Value::Unsigned(number) => put(to, zigzag((*number).into())),
        Value::Signed(number) => put(to, zigzag((*number).into())),
        Value::Bool(value) => put(to, u128::from(*value)),
        Value::Enum(case) => put(to, (*case).into()),
        Value::Port(port) => put(to, (*port).into()),
        Value::Instant(nanos) | Value::Duration(nanos) => put(to, *nanos),
        Value::SlotLink(slot) => put(to, slot.map_or(0, |slot| u128::from(slot) + 1)),
        Value::List(values) => {
            let mut elements = Vec::new();
            values.iter().for_each(|value| write(&mut elements, value));
            part(&elements);
        }
    }
}

/// Reads a value. Integers that are not negative come as unsigned ones.
pub(super) fn read(rest: &mut Rest<'_>, meaning: Meaning) -> Result<Option<Value>, Wrong> {
    Ok(match Form::of(meaning) {
        Form::Bytes => {
            let bytes = rest.part("value")?.0;
            match meaning {
                Meaning::List(one) => list(bytes, *one)?,
                Meaning::Ip => ip(bytes).map(Value::Ip),
                _ => Some(Value::Bytes(bytes.to_vec())),
            }
        }
        Form::Varint => {
            let number = rest.number("value")?;
            match meaning {
                Meaning::Integer(_) => integer(unzigzag(number)),
                Meaning::Bool => [Value::Bool(false), Value::Bool(true)].get(number.min(9) as usize).cloned(),
                Meaning::Enum => u32::try_from(number).ok().map(Value::Enum),
                Meaning::Port => u16::try_from(number).ok().map(Value::Port),
                Meaning::Instant => Some(Value::Instant(number)),
                Meaning::Duration => Some(Value::Duration(number)),
                _ => match number.checked_sub(1) {
                    None => Some(Value::SlotLink(None)),
                    Some(slot) => u64::try_from(slot).ok().map(|slot| Value::SlotLink(Some(slot))),
                },
            }
        }
    })
}

/// Elements one behind the other.
fn list(bytes: &[u8], one: Meaning) -> Result<Option<Value>, Wrong> {
    let mut rest = Rest(bytes);
    let mut values = Vec::new();
    while !rest.0.is_empty() {
        let Some(value) = read(&mut rest, one)?.filter(|_| values.len() < ELEMENTS_MAX) else { return Ok(None) };
        values.push(value);
    }
    Ok(Some(Value::List(values)))
}

fn integer(number: i128) -> Option<Value> {
    match u64::try_from(number) {
        Ok(number) => Some(Value::Unsigned(number)),
        Err(_) => i64::try_from(number).ok().map(Value::Signed),
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        // A mapped one is written as its IPv4 address, and nothing else is that address.
        16 => <[u8; 16]>::try_from(bytes).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_canonical()),
        _ => None,
    }
}
