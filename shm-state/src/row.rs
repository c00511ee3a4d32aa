//! Values and rows: a record freed of its layout, with names, canonical units and no offsets.
//!
//! A [`Row`] owns its values (for people, dumps and migrations); a [`RowView`] reads them one by one from a
//! record's bytes and allocates nothing (for compute functions, which run once per record).

mod cell;
mod view;
pub use cell::Cell;
pub use view::RowView;

use crate::descriptor::{FieldType, Unit};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Times in the intermediate schema. Wide enough for any stored count in any unit.
pub type Nanos = u128;

/// The value of a field, freed of width and unit of storage.
///
/// Serialised as a number, a bool or text; bytes as hexadecimal digits, times in nanoseconds, an absent
/// slot link as null, a number of nanoseconds above 64 bits as its decimal digits in text, and a list as a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// Integer from 0.
    Unsigned(u64),
    /// Integer.
    Signed(i64),
    /// True or false.
    Bool(bool),
    /// Stable number of a case.
    Enum(u32),
    /// Byte string, padded to the width of the field it came from.
    Bytes(Vec<u8>),
    /// Address; IPv4 where it was stored as a mapped one.
    Ip(IpAddr),
    /// Port.
    Port(u16),
    /// Nanoseconds of CLOCK_MONOTONIC.
    Instant(Nanos),
    /// Nanoseconds.
    Duration(Nanos),
    /// Slot of another table.
    SlotLink(Option<u64>),
    /// Elements of an array, all of one sort and none of them a list.
    List(Vec<Self>),
}

impl Value {
    /// The value in a field's bytes. `bytes` has a width that the type allows.
    pub(crate) fn decode(ty: FieldType, unit: Unit, bytes: &[u8]) -> Self {
        let nanos = || Nanos::from(load(bytes)) * Nanos::from(unit.nanos().unwrap_or(1));
        match ty {
            FieldType::Unsigned => Self::Unsigned(load(bytes)),
            FieldType::Signed => Self::Signed(load_signed(bytes)),
            FieldType::Bool => Self::Bool(load(bytes) != 0),
            FieldType::Enum => Self::Enum(load(bytes) as u32),
            FieldType::Bytes => Self::Bytes(bytes.to_vec()),
            FieldType::Ip => Self::Ip(load_ip(bytes)),
            FieldType::Port => Self::Port(load(bytes) as u16),
            FieldType::Instant => Self::Instant(nanos()),
            FieldType::Duration => Self::Duration(nanos()),
            FieldType::SlotLink => Self::SlotLink(load_slot(bytes)),
        }
    }

    /// The value as an integer, if it is signed or unsigned.
    pub fn as_integer(&self) -> Option<i128> {
        match *self {
            Self::Unsigned(value) => Some(value.into()),
            Self::Signed(value) => Some(value.into()),
            _ => None,
        }
    }

    /// The value in nanoseconds, if it is an instant or a duration.
    pub fn as_nanos(&self) -> Option<Nanos> {
        match *self {
            Self::Instant(nanos) | Self::Duration(nanos) => Some(nanos),
            _ => None,
        }
    }
}

/// Up to 8 little-endian bytes as a word; longer ones give their first 8.
#[inline]
pub(crate) fn load(bytes: &[u8]) -> u64 {
    match *bytes {
        [a] => a.into(),
        [a, b] => u16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h, ..] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

/// As [`load`], with the sign of the highest bit.
#[inline]
pub(crate) fn load_signed(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len().clamp(1, 8);
    (load(bytes) as i64) << unused >> unused
}

fn load_ip(bytes: &[u8]) -> IpAddr {
    let octets = <[u8; 16]>::try_from(bytes).unwrap_or_default();
    Ipv6Addr::from(octets).to_canonical()
}

fn load_slot(bytes: &[u8]) -> Option<u64> {
    let none = if bytes.len() == 4 { u32::MAX.into() } else { u64::MAX };
    Some(load(bytes)).filter(|&slot| slot != none)
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Enum(value) => value.fmt(f),
            Self::Bytes(bytes) => f.pad(&hex(bytes)),
            Self::Ip(ip) => ip.fmt(f),
            Self::Port(port) => port.fmt(f),
            Self::Instant(nanos) | Self::Duration(nanos) => f.pad(&seconds(*nanos)),
            Self::SlotLink(Some(slot)) => f.pad(&format!("#{slot}")),
            Self::SlotLink(None) => f.pad("none"),
            Self::List(values) => cell::list(f, values, |value, f| write!(f, "{value}")),
        }
    }
}

/// Nanoseconds as seconds without needless zeros: `61.5s`.
fn seconds(nanos: Nanos) -> String {
    let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    if rest == 0 {
        return format!("{whole}s");
    }
    let fraction = format!("{rest:09}");
    format!("{whole}.{}s", fraction.trim_end_matches('0'))
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Enum(value) => serializer.serialize_u32(*value),
            Self::Bytes(bytes) => serializer.serialize_str(&hex(bytes)),
            Self::Ip(ip) => serializer.collect_str(ip),
            Self::Port(port) => serializer.serialize_u16(*port),
            Self::Instant(nanos) | Self::Duration(nanos) => match u64::try_from(*nanos) {
                Ok(nanos) => serializer.serialize_u64(nanos),
                Err(_) => serializer.collect_str(nanos),
            },
            Self::SlotLink(Some(slot)) => serializer.serialize_u64(*slot),
            Self::SlotLink(None) => serializer.serialize_none(),
            Self::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                values.iter().try_for_each(|value| list.serialize_element(value))?;
                list.end()
            }
        }
    }
}

/// A record's values in order of their field ids. Serialised as a map from names to values; cases by name where it is
/// known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    cells: Vec<Cell>,
}

impl Row {
    /// A row without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of a field; gives back the one that it had.
    pub fn insert(&mut self, id: u32, name: impl Into<Arc<str>>, value: Value) -> Option<Value> {
        match self.cells.binary_search_by_key(&id, |cell| cell.id) {
            Ok(at) => Some(std::mem::replace(&mut self.cells[at].value, value)),
            Err(at) => {
                self.cells.insert(at, Cell { id, name: name.into(), value, cases: None });
                None
            }
        }
    }

    /// Sets a field's cell; gives back the one that it had.
    pub fn insert_cell(&mut self, cell: Cell) -> Option<Cell> {
        match self.cells.binary_search_by_key(&cell.id, |cell| cell.id) {
            Ok(at) => Some(std::mem::replace(&mut self.cells[at], cell)),
            Err(at) => {
                self.cells.insert(at, cell);
                None
            }
        }
    }

    /// The cell of the field with this name.
    pub fn cell(&self, name: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| &*cell.name == name)
    }

    /// Takes a field's value out.
    pub fn remove(&mut self, id: u32) -> Option<Value> {
        let at = self.cells.binary_search_by_key(&id, |cell| cell.id).ok()?;
        Some(self.cells.remove(at).value)
    }

    /// The value of the field with this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.cell(name).map(|cell| &cell.value)
    }

    /// The value of the field with this id.
    pub fn get_id(&self, id: u32) -> Option<&Value> {
        let at = self.cells.binary_search_by_key(&id, |cell| cell.id).ok()?;
        Some(&self.cells[at].value)
    }

    /// The values in order of their field ids.
    pub fn iter(&self) -> std::slice::Iter<'_, Cell> {
        self.cells.iter()
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

impl<'a> IntoIterator for &'a Row {
    type Item = &'a Cell;
    type IntoIter = std::slice::Iter<'a, Cell>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, cell) in self.cells.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            write!(f, "{gap}{}={}", cell.name, cell.shown())?;
        }
        Ok(())
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.cells.len()))?;
        for cell in &self.cells {
            map.serialize_entry(&*cell.name, &cell.shown())?;
        }
        map.end()
    }
}
