//! Where the facts lie for which entries have no room: behind the head's 64 bytes, in front of the entries.
//!
//! Readers of the first release skip what is longer in a head, so they read such a descriptor as if the facts were not
//! there. That is right for ranges and cases, which bind whoever *writes* records of the layout. It would be wrong for
//! arrays, which therefore take encoding 2. A descriptor without such facts is what it always was, byte for byte.

use super::{Case, FieldFacts, FieldSpec, FieldType, HEADER_LEN};
use std::collections::BTreeMap;
use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First bytes of the facts.
pub const FACTS_MAGIC: [u8; 8] = *b"HLFACTS\0";

const ELEMENTS: u16 = 1;
const RANGE: u16 = 2;
const CASES: u16 = 3;

/// In front of the facts, 16 bytes.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FactsHeader {
    /// [`FACTS_MAGIC`].
    pub magic: [u8; 8],
    /// Bytes of the facts behind this.
    pub len: U32,
    /// 0; not looked at.
    pub reserved: U32,
}

/// In front of each fact, 8 bytes.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FactHead {
    /// Id of the field.
    pub field: U32,
    /// What sort of fact; those that are unknown are skipped.
    pub kind: U16,
    /// Bytes of its value, behind this; a multiple of 4.
    pub len: U16,
}

const HEADER: usize = size_of::<FactsHeader>();
const HEAD: usize = size_of::<FactHead>();
const CASE: usize = size_of::<Case>();
const _: () = assert!(HEADER == 16 && HEAD == 8);

/// What is wrong with the facts as a whole, or with one that belongs to no field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FactsProblem {
    /// A length that reaches beyond what holds it.
    #[error("reaches beyond the end of the facts")]
    Truncated,
    /// A value of another length than its kind has.
    #[error("is of kind {kind} and cannot have {len} bytes")]
    Length {
        /// The claimed kind.
        kind: u16,
        /// The claimed length.
        len: u16,
    },
    /// The same fact of the same field.
    #[error("says for the second time of field {field} what kind {kind} says")]
    Twice {
        /// Id of the field.
        field: u32,
        /// The kind.
        kind: u16,
    },
    /// A fact of a field that is not there.
    #[error("is of field {field}, which the layout does not have")]
    NoField {
        /// The claimed id.
        field: u32,
    },
    /// An array where readers of encoding 1 would see a single value.
    #[error("makes field {field} an array, which takes encoding 2")]
    Encoding {
        /// Id of the field.
        field: u32,
    },
}

/// Bytes that the facts of `specs` take in the head: 0 without facts, and a multiple of 4.
pub const fn facts_len(specs: &[FieldSpec<'_>]) -> usize {
    let (mut len, mut i) = (0, 0);
    while i < specs.len() {
        let FieldFacts { elements, range, cases } = specs[i].facts;
        len += if elements.is_some() { HEAD + 4 } else { 0 };
        len += if range.is_some() { HEAD + 16 } else { 0 };
        len += if cases.is_empty() { 0 } else { HEAD + cases.len() * CASE };
        i += 1;
    }
    if len == 0 { 0 } else { HEADER + len }
}

/// The encoding that descriptors of such fields need.
pub(super) const fn encoding(specs: &[FieldSpec<'_>]) -> u16 {
    let mut i = 0;
    while i < specs.len() {
        if specs[i].facts.elements.is_some() {
            return 2;
        }
        i += 1;
    }
    1
}

/// Writes the facts of `specs`, which obey the rules, into `out` of [`facts_len`] bytes.
pub(super) const fn write(specs: &[FieldSpec<'_>], out: &mut [u8]) {
    if out.is_empty() {
        return;
    }
    assert!(HEADER_LEN + out.len() <= u16::MAX as usize, "layout: more facts than a descriptor has room for");
    let mut at = put(out, 0, &FACTS_MAGIC);
    at = put(out, at, &((out.len() - HEADER) as u32).to_le_bytes());
    at = put(out, at, &[0; 4]);
    let mut i = 0;
    while i < specs.len() {
        let FieldSpec { entry, facts } = &specs[i];
        let id = entry.id.get();
        if let Some(elements) = facts.elements {
            at = put_head(out, at, id, ELEMENTS, 4);
            at = put(out, at, &elements.to_le_bytes());
        }
        if let Some((min, max)) = facts.range {
            at = put_head(out, at, id, RANGE, 16);
            // Both lie within the field's width: the low words say all.
            at = put(out, at, &(min as u64).to_le_bytes());
            at = put(out, at, &(max as u64).to_le_bytes());
        }
        if !facts.cases.is_empty() {
            at = put_head(out, at, id, CASES, facts.cases.len() * CASE);
            let mut case = 0;
            while case < facts.cases.len() {
                at = put(out, at, &facts.cases[case].number.get().to_le_bytes());
                at = put(out, at, &facts.cases[case].name);
                case += 1;
            }
        }
        i += 1;
    }
    assert!(at == out.len(), "layout: facts were miscounted");
}

const fn put_head(out: &mut [u8], at: usize, field: u32, kind: u16, len: usize) -> usize {
    let at = put(out, at, &field.to_le_bytes());
    let at = put(out, at, &kind.to_le_bytes());
    put(out, at, &(len as u16).to_le_bytes())
}

const fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let mut i = 0;
    while i < bytes.len() {
        out[at + i] = bytes[i];
        i += 1;
    }
    at + bytes.len()
}

/// Facts by field id, as claimed: what they say of their field is still to be checked.
pub(super) type Claimed<'a> = BTreeMap<u32, FieldFacts<'a>>;

/// Reads what lies in a head behind its first 64 bytes; `ty` knows the claimed type of a field. An error says at which
/// byte of `extra` the culprit starts.
pub(super) fn parse(
    extra: &[u8],
    encoding: u16,
    ty: impl Fn(u32) -> Option<u8>,
) -> Result<Claimed<'_>, (usize, FactsProblem)> {
    let mut claimed = Claimed::new();
    let Ok((header, rest)) = FactsHeader::read_from_prefix(extra) else { return Ok(claimed) };
    if header.magic != FACTS_MAGIC {
        return Ok(claimed);
    }
    let mut rest = rest.get(..header.len.get() as usize).ok_or((0, FactsProblem::Truncated))?;
    let end = HEADER + rest.len();
    while !rest.is_empty() {
        let at = end - rest.len();
        let wrong = |problem| (at, problem);
        let (FactHead { field, kind, len }, behind) =
            FactHead::read_from_prefix(rest).map_err(|_| wrong(FactsProblem::Truncated))?;
        let (field, kind, len) = (field.get(), kind.get(), len.get());
        let (value, behind) = behind.split_at_checked(len.into()).ok_or(wrong(FactsProblem::Truncated))?;
        rest = behind;
        let length = wrong(FactsProblem::Length { kind, len });
        if !len.is_multiple_of(4) {
            return Err(length);
        }
        let ty = ty(field).ok_or(wrong(FactsProblem::NoField { field }))?;
        let facts = claimed.entry(field).or_insert(FieldFacts::NONE);
        let before = match kind {
            ELEMENTS => {
                let elements = U32::read_from_bytes(value).map_err(|_| length)?.get();
                if encoding < 2 {
                    return Err(wrong(FactsProblem::Encoding { field }));
                }
                facts.elements.replace(elements).is_some()
            }
            RANGE => facts.range.replace(range(value, ty).ok_or(length)?).is_some(),
            CASES => {
                let cases = <[Case]>::ref_from_bytes(value).ok().filter(|cases| !cases.is_empty()).ok_or(length)?;
                !std::mem::replace(&mut facts.cases, cases).is_empty()
            }
            _ => false,
        };
        if before {
            return Err(wrong(FactsProblem::Twice { field, kind }));
        }
    }
    Ok(claimed)
}

/// Two numbers with the sign that the field's type has.
fn range(value: &[u8], ty: u8) -> Option<(i128, i128)> {
    if ty == FieldType::Signed as u8 {
        let [min, max] = <[I64; 2]>::read_from_bytes(value).ok()?;
        Some((min.get().into(), max.get().into()))
    } else {
        let [min, max] = <[U64; 2]>::read_from_bytes(value).ok()?;
        Some((min.get().into(), max.get().into()))
    }
}
