//! What recovery needs to know of a record, read through its descriptor: its key, its backend, its identity.

use crate::descriptor::Descriptor;
use crate::error::RegionError;
use crate::segment::Segment;

/// Longest key in bytes.
const KEY_MAX: usize = 64;

/// Stable ids of the fields that tie a record to its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkFields {
    /// Stable id of the backend.
    pub backend: u32,
    /// Number of the identity at that backend.
    pub identity: u32,
}

/// Canonical bytes of a key: its fields in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    bytes: [u8; KEY_MAX],
    len: usize,
}

impl Key {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Where the facts lie in a record of one layout.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    key: Vec<(usize, usize)>,
    backend: (usize, usize),
    identity: (usize, usize),
}

impl Facts {
    /// Looks the fields up.
    pub(super) fn new(descriptor: &Descriptor, fields: LinkFields, segment: &Segment) -> Result<Self, RegionError> {
        let claim = |what, found: usize, expected: String| RegionError::Claim {
            segment: segment.id(),
            what,
            found: found as u64,
            expected,
        };
        let number = |id: u32, what| {
            let field = descriptor.fields().iter().find(|field| field.id() == id);
            let place = field.map(|field| (field.offset(), field.len())).filter(|(_, len)| *len <= 4);
            place.ok_or_else(|| claim(what, 0, format!("field {id}, of at most 4 bytes")))
        };
        let mut key: Vec<_> = descriptor.fields().iter().filter(|field| field.is_key()).collect();
        key.sort_by_key(|field| field.id());
        let key: Vec<_> = key.into_iter().map(|field| (field.offset(), field.len())).collect();
        let len: usize = key.iter().map(|(_, len)| len).sum();
        if len == 0 || len > KEY_MAX {
            return Err(claim("key length", len, format!("1..={KEY_MAX}")));
        }
        let (backend, identity) =
            (number(fields.backend, "backend field")?, number(fields.identity, "identity field")?);
        Ok(Self { key, backend, identity })
    }

    pub(super) fn key(&self, record: &[u8]) -> Key {
        let mut key = Key { bytes: [0; KEY_MAX], len: 0 };
        for &(offset, len) in &self.key {
            key.bytes[key.len..key.len + len].copy_from_slice(&record[offset..offset + len]);
            key.len += len;
        }
        key
    }

    pub(super) fn backend(&self, record: &[u8]) -> u32 {
        number(record, self.backend)
    }

    pub(super) fn identity(&self, record: &[u8]) -> u32 {
        number(record, self.identity)
    }
}

fn number(record: &[u8], (offset, len): (usize, usize)) -> u32 {
    record[offset..offset + len].iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
}
