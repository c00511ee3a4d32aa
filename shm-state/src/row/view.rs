//! Reads values out of a record one by one.

use super::{Nanos, Row, Value, load, load_ip, load_signed, load_slot};
use crate::descriptor::{Descriptor, Field, FieldType};
use std::net::IpAddr;

/// A record seen as a row without being turned into one: values are read when they are asked for, by the
/// stable id of their field. Every reader gives nothing when the layout lacks the field, when the record is
/// too short, or when the field means something else.
#[derive(Debug, Clone, Copy)]
pub struct RowView<'a> {
    descriptor: &'a Descriptor,
    record: &'a [u8],
}

impl<'a> RowView<'a> {
    /// A view of `record`, which lies as `descriptor` says.
    #[inline]
    pub fn new(descriptor: &'a Descriptor, record: &'a [u8]) -> Self {
        Self { descriptor, record }
    }

    /// The layout of the record.
    pub fn descriptor(&self) -> &'a Descriptor {
        self.descriptor
    }

    /// A field's value; allocates for byte strings and lists only.
    pub fn value(&self, id: u32) -> Option<Value> {
        self.descriptor.field(id)?.decode(self.record)
    }

    /// An integer, signed or unsigned.
    #[inline]
    pub fn integer(&self, id: u32) -> Option<i128> {
        let (field, bytes) = self.raw(id)?;
        match field.ty() {
            FieldType::Unsigned => Some(load(bytes).into()),
            FieldType::Signed => Some(load_signed(bytes).into()),
            _ => None,
        }
    }

    /// An integer that is not negative.
    #[inline]
    pub fn unsigned(&self, id: u32) -> Option<u64> {
        let (field, bytes) = self.raw(id)?;
        match field.ty() {
            FieldType::Unsigned => Some(load(bytes)),
            FieldType::Signed => u64::try_from(load_signed(bytes)).ok(),
            _ => None,
        }
    }

    /// An instant or a duration in nanoseconds.
    #[inline]
    pub fn nanos(&self, id: u32) -> Option<Nanos> {
        let (field, bytes) = self.raw(id)?;
        let scale = field.unit().nanos()?;
        Some(Nanos::from(load(bytes)) * Nanos::from(scale))
    }

    /// True or false.
    #[inline]
    pub fn bool(&self, id: u32) -> Option<bool> {
        self.typed(id, FieldType::Bool).map(|bytes| load(bytes) != 0)
    }

    /// Stable number of a case.
    #[inline]
    pub fn case(&self, id: u32) -> Option<u32> {
        self.typed(id, FieldType::Enum).map(|bytes| load(bytes) as u32)
    }

    /// An address; IPv4 where it was stored as a mapped one.
    #[inline]
    pub fn ip(&self, id: u32) -> Option<IpAddr> {
        self.typed(id, FieldType::Ip).map(load_ip)
    }

    /// A port.
    #[inline]
    pub fn port(&self, id: u32) -> Option<u16> {
        self.typed(id, FieldType::Port).map(|bytes| load(bytes) as u16)
    }

    /// A byte string in its full width.
    #[inline]
    pub fn bytes(&self, id: u32) -> Option<&'a [u8]> {
        self.typed(id, FieldType::Bytes)
    }

    /// A slot of another table, if there is one.
    #[inline]
    pub fn slot(&self, id: u32) -> Option<u64> {
        self.typed(id, FieldType::SlotLink).and_then(load_slot)
    }

    /// All values.
    pub fn to_row(&self) -> Row {
        self.descriptor.decode(self.record)
    }

    #[inline]
    fn raw(&self, id: u32) -> Option<(&'a Field, &'a [u8])> {
        // Only as a whole is an array a value.
        let field = self.descriptor.field(id).filter(|field| field.elements().is_none())?;
        Some((field, field.bytes(self.record)?))
    }

    #[inline]
    fn typed(&self, id: u32, ty: FieldType) -> Option<&'a [u8]> {
        self.raw(id).filter(|(field, _)| field.ty() == ty).map(|(_, bytes)| bytes)
    }
}
