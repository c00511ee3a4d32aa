//! One field of a checked descriptor.

use super::check::FieldProblem;
use super::{
    Case, CaseList, DEFAULT_LEN, FLAG_DEFAULT, FLAG_KEY, FieldDesc, FieldFacts, FieldSpec, FieldType, Meaning,
    NAME_LEN, Narrow, Unit,
};
use crate::row::{Cell, Value};
use std::sync::Arc;
use zerocopy::little_endian::U32;

/// One field of a checked descriptor. It lies inside the record and shares no byte with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    id: u32,
    name: Arc<str>,
    ty: FieldType,
    unit: Unit,
    narrow: Narrow,
    key: bool,
    offset: usize,
    len: usize,
    default: Option<[u8; DEFAULT_LEN]>,
    compute: Option<Arc<str>>,
    elements: Option<usize>,
    range: Option<(i128, i128)>,
    cases: Option<CaseList>,
}

impl Field {
    pub(super) fn from_spec(spec: &FieldSpec<'_>) -> Result<Self, FieldProblem> {
        let FieldDesc { id, ty, unit, narrow, flags, offset, len, default, name, compute } = spec.entry;
        let FieldFacts { elements, range, cases } = spec.facts;
        Ok(Self {
            id: id.get(),
            name: text(&name),
            ty: FieldType::from_number(ty).ok_or(FieldProblem::UnknownType { number: ty })?,
            unit: Unit::from_number(unit).ok_or(FieldProblem::UnknownUnit { number: unit })?,
            narrow: Narrow::from_number(narrow).ok_or(FieldProblem::UnknownNarrow { number: narrow })?,
            key: flags & FLAG_KEY != 0,
            offset: offset.get() as usize,
            len: len.get() as usize,
            default: (flags & FLAG_DEFAULT != 0).then_some(default),
            compute: Some(text(&compute)).filter(|name| !name.is_empty()),
            elements: elements.map(|elements| elements as usize),
            range,
            cases: CaseList::of(cases),
        })
    }

    /// The cases as they lie in a descriptor, for [`Field::to_spec`].
    pub(super) fn wire_cases(&self) -> Vec<Case> {
        self.cases.as_ref().map(CaseList::to_wire).unwrap_or_default()
    }

    pub(super) fn to_spec<'a>(&self, wire_cases: &'a [Case]) -> FieldSpec<'a> {
        let Self { id, name, ty, unit, narrow, key, offset, len, default, compute, elements, range, cases: _ } = self;
        let flag = |set: bool, flag| if set { flag } else { 0 };
        let entry = FieldDesc {
            id: U32::new(*id),
            ty: *ty as u8,
            unit: *unit as u8,
            narrow: *narrow as u8,
            flags: flag(*key, FLAG_KEY) | flag(default.is_some(), FLAG_DEFAULT),
            offset: U32::new(*offset as u32),
            len: U32::new(*len as u32),
            default: default.unwrap_or_default(),
            name: padded(name),
            compute: padded(compute.as_deref().unwrap_or("")),
        };
        let facts = FieldFacts { elements: elements.map(|n| n as u32), range: *range, cases: wire_cases };
        FieldSpec { entry, facts }
    }

    /// Stable id within the table.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Name; shared, so that rows need not copy it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What the field is.
    pub fn ty(&self) -> FieldType {
        self.ty
    }

    /// What its number counts.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// What it means, whatever its width.
    pub fn meaning(&self) -> Meaning {
        let one = Meaning::of(self.ty, self.unit);
        if self.elements.is_some() { one.list() } else { one }
    }

    /// Elements of an array; nothing for a single value.
    pub fn elements(&self) -> Option<usize> {
        self.elements
    }

    /// Bytes of one element; of the field, if it is a single value.
    pub fn element_len(&self) -> usize {
        self.len / self.elements.unwrap_or(1)
    }

    /// One element of an array as a field of its own, with the array's id and name; of a single value, element 0 is
    /// the field itself.
    pub fn element(&self, index: usize) -> Option<Self> {
        let len = self.element_len();
        (index < self.elements.unwrap_or(1)).then(|| Self {
            offset: self.offset + index * len,
            len,
            elements: None,
            ..self.clone()
        })
    }

    /// Lowest and highest valid number, in the field's own unit.
    pub fn range(&self) -> Option<(i128, i128)> {
        self.range
    }

    /// The cases of an enum, if they are listed.
    pub fn cases(&self) -> Option<&CaseList> {
        self.cases.as_ref()
    }

    /// What is done with values that do not fit when records are translated into this layout.
    pub fn narrow(&self) -> Narrow {
        self.narrow
    }

    /// Whether it is part of the record's key.
    pub fn is_key(&self) -> bool {
        self.key
    }

    /// Start in bytes from the record's start.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Width in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a width, never zero")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// First byte behind the field.
    pub fn end(&self) -> usize {
        self.offset + self.len
    }

    /// The default as it lies in a record, [`Field::len`] bytes; every element of an array has the same.
    pub fn default_bytes(&self) -> Option<Vec<u8>> {
        let default = self.default?;
        let mut bytes = vec![0; self.len];
        for element in bytes.chunks_exact_mut(self.element_len()) {
            let stored = element.len().min(DEFAULT_LEN);
            element[..stored].copy_from_slice(&default[..stored]);
        }
        Some(bytes)
    }

    /// The default as a value.
    pub fn default_value(&self) -> Option<Value> {
        self.default_bytes().map(|bytes| self.value(&bytes))
    }

    /// Name of the function that computes the field for records of layouts that lack it.
    pub fn compute(&self) -> Option<&str> {
        self.compute.as_deref()
    }

    /// The field's bytes in a record; nothing if the record is too short.
    #[inline]
    pub fn bytes<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        record.get(self.offset..self.offset + self.len)
    }

    /// The field's value in a record; nothing if the record is too short.
    pub fn decode(&self, record: &[u8]) -> Option<Value> {
        self.bytes(record).map(|bytes| self.value(bytes))
    }

    /// The value in the field's own bytes.
    fn value(&self, bytes: &[u8]) -> Value {
        let one = |bytes: &[u8]| Value::decode(self.ty, self.unit, bytes);
        match self.elements {
            None => one(bytes),
            Some(_) => Value::List(bytes.chunks_exact(self.element_len()).map(one).collect()),
        }
    }

    /// A value as that of this field, with its name and the names of its cases.
    pub fn cell(&self, value: Value) -> Cell {
        Cell { id: self.id, name: self.name.clone(), value, cases: self.cases.clone() }
    }

    /// Type with width as people write it: `u32`, `i64`, `bytes[16]`, `ip`, `[u32; 4]`.
    pub fn type_text(&self) -> String {
        let bits = self.element_len() * 8;
        let one = match self.ty {
            FieldType::Unsigned => format!("u{bits}"),
            FieldType::Signed => format!("i{bits}"),
            FieldType::Bytes => format!("bytes[{}]", self.element_len()),
            FieldType::Bool | FieldType::Ip | FieldType::Port => self.ty.name().into(),
            FieldType::Enum | FieldType::Instant | FieldType::Duration | FieldType::SlotLink => {
                format!("{} u{bits}", self.ty)
            }
        };
        self.elements.map_or(one.clone(), |elements| format!("[{one}; {elements}]"))
    }
}

/// The text of a padded name that passed its check.
pub(super) fn text(bytes: &[u8; NAME_LEN]) -> Arc<str> {
    printable(bytes).into()
}

/// The text of a padded name that may be anything, safe to show.
pub(super) fn printable(bytes: &[u8; NAME_LEN]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(NAME_LEN);
    bytes[..end].escape_ascii().to_string()
}

pub(super) fn padded(name: &str) -> [u8; NAME_LEN] {
    let mut bytes = [0; NAME_LEN];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}
