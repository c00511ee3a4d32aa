//! The wire form: plain old data, little endian, alignment 1, made in constants.

use super::check;
use super::{
    DEFAULT_LEN, ENTRY_LEN, FIELDS_MAX, FLAG_DEFAULT, FLAG_KEY, FieldSpec, FieldType, HEADER_LEN, MAGIC, NAME_LEN,
    Narrow, RECORD_LEN_MAX, Unit, facts,
};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Head of a descriptor, 64 bytes. Its numbers are claims until [`super::Descriptor::parse`] checked them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DescHeader {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// Bytes of the whole descriptor, header included.
    pub total_len: U32,
    /// Bytes of the header, facts included; at least 64.
    pub header_len: U16,
    /// Bytes of one field's entry; at least 96.
    pub entry_len: U16,
    /// Number of entries that follow the header.
    pub field_count: U16,
    /// 1, or 2 if there are arrays; see [`super::ENCODING`].
    pub encoding: U16,
    /// Stable id of the table, from 1.
    pub table_id: U32,
    /// Version of the layout, from 1.
    pub layout_version: U32,
    /// Bytes of one record; a multiple of 8.
    pub record_len: U32,
    /// Name of the table, padded with zeros.
    pub name: [u8; NAME_LEN],
}

/// One field, 96 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FieldDesc {
    /// Stable id of the field within its table, from 1; never used again for anything else.
    pub id: U32,
    /// Number of its [`FieldType`].
    pub ty: u8,
    /// Number of its [`Unit`].
    pub unit: u8,
    /// Number of its [`Narrow`].
    pub narrow: u8,
    /// [`FLAG_KEY`], [`FLAG_DEFAULT`]; other bits are ignored.
    pub flags: u8,
    /// Where the field starts, in bytes from the record's start.
    pub offset: U32,
    /// Bytes of the field.
    pub len: U32,
    /// Value for records of layouts that lack the field, as it lies in the record (in the field's own unit);
    /// the first 16 bytes of a longer field. Zeros after the field's length.
    pub default: [u8; DEFAULT_LEN],
    /// Name, padded with zeros.
    pub name: [u8; NAME_LEN],
    /// Name of the function that computes the field for records of layouts that lack it; empty for none.
    pub compute: [u8; NAME_LEN],
}

/// A whole descriptor with `N` fields and `X` bytes of facts, made in a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ConstDescriptor<const N: usize, const X: usize = 0> {
    /// The head.
    pub header: DescHeader,
    /// The facts for which entries have no room; part of the head.
    pub facts: [u8; X],
    /// The fields, in order of their offsets.
    pub fields: [FieldDesc; N],
}

impl DescHeader {
    /// The head of a descriptor with `field_count` entries, in lengths that this code writes.
    pub(super) const fn new(
        table_id: u32,
        layout_version: u32,
        name: [u8; NAME_LEN],
        record_len: u32,
        field_count: u16,
        facts_len: u16,
        encoding: u16,
    ) -> Self {
        let header_len = HEADER_LEN as u16 + facts_len;
        Self {
            magic: MAGIC,
            total_len: U32::new(header_len as u32 + field_count as u32 * ENTRY_LEN as u32),
            header_len: U16::new(header_len),
            entry_len: U16::new(ENTRY_LEN as u16),
            field_count: U16::new(field_count),
            encoding: U16::new(encoding),
            table_id: U32::new(table_id),
            layout_version: U32::new(layout_version),
            record_len: U32::new(record_len),
            name,
        }
    }
}

impl FieldDesc {
    /// Nothing; to be replaced.
    pub(super) const EMPTY: Self = Self::new(0, "", FieldType::Bytes, 0, 0);

    /// A field without unit, default or compute function, not part of the key, that refuses what does not
    /// fit. `offset` and `len` are in bytes.
    ///
    /// # Panics
    /// (At compile time, in a constant.) When the name is longer than 32 bytes.
    pub const fn new(id: u32, name: &str, ty: FieldType, offset: usize, len: usize) -> Self {
        assert!(offset <= RECORD_LEN_MAX && len <= RECORD_LEN_MAX, "layout: field outside of the longest record");
        Self {
            id: U32::new(id),
            ty: ty as u8,
            unit: Unit::None as u8,
            narrow: Narrow::Refuse as u8,
            flags: 0,
            offset: U32::new(offset as u32),
            len: U32::new(len as u32),
            default: [0; DEFAULT_LEN],
            name: padded(name),
            compute: [0; NAME_LEN],
        }
    }

    /// With a unit.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit as u8;
        self
    }

    /// With a policy for values that do not fit.
    #[must_use]
    pub const fn narrow(mut self, narrow: Narrow) -> Self {
        self.narrow = narrow as u8;
        self
    }

    /// As part of the record's key.
    #[must_use]
    pub const fn key(mut self) -> Self {
        self.flags |= FLAG_KEY;
        self
    }

    /// With a default: the field's bytes as they lie in a record, or the first 16 of them.
    ///
    /// # Panics
    /// (At compile time, in a constant.) When there are more bytes than the field or the entry has.
    #[must_use]
    pub const fn default_bytes(mut self, bytes: &[u8]) -> Self {
        assert!(bytes.len() <= DEFAULT_LEN, "layout: a default has at most 16 bytes");
        assert!(bytes.len() <= self.len.get() as usize, "layout: the default is longer than its field");
        let mut i = 0;
        while i < bytes.len() {
            self.default[i] = bytes[i];
            i += 1;
        }
        self.flags |= FLAG_DEFAULT;
        self
    }

    /// With a number as the default, in the field's own unit.
    ///
    /// # Panics
    /// (At compile time, in a constant.) When the number does not fit the field.
    #[must_use]
    pub const fn default_number(mut self, number: i128) -> Self {
        let len = self.len.get() as usize;
        assert!(len <= 8, "layout: only a field of up to 8 bytes can have a number as its default");
        let bits = len as u32 * 8;
        let (min, max) = if self.ty == FieldType::Signed as u8 {
            (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
        } else {
            (0, (1i128 << bits) - 1)
        };
        assert!(number >= min && number <= max, "layout: the default does not fit its field");
        let bytes = number.to_le_bytes();
        let mut i = 0;
        while i < len {
            self.default[i] = bytes[i];
            i += 1;
        }
        self.flags |= FLAG_DEFAULT;
        self
    }

    /// With the name of the function that computes it for records of layouts that lack it.
    ///
    /// # Panics
    /// (At compile time, in a constant.) When the name is longer than 32 bytes.
    #[must_use]
    pub const fn compute(mut self, function: &str) -> Self {
        self.compute = padded(function);
        self
    }
}

impl<const N: usize> ConstDescriptor<N> {
    /// A descriptor whose fields are given in order of their offsets, and of which their entries say all.
    ///
    /// # Panics
    /// (At compile time, in a constant.) When any rule is broken: see [`super::FieldProblem`].
    pub const fn new(table: u32, version: u32, name: &str, record_len: usize, fields: [FieldDesc; N]) -> Self {
        let mut specs = [FieldSpec::new(FieldDesc::EMPTY); N];
        let mut i = 0;
        while i < N {
            specs[i].entry = fields[i];
            i += 1;
        }
        Self::of(table, version, name, record_len, &specs)
    }
}

impl<const N: usize, const X: usize> ConstDescriptor<N, X> {
    /// A descriptor whose fields are given in order of their offsets; `X` is [`super::facts_len`] of them.
    ///
    /// # Panics
    /// (At compile time, in a constant.) When any rule is broken: see [`super::FieldProblem`].
    pub const fn of(table: u32, version: u32, name: &str, record_len: usize, specs: &[FieldSpec<'_>]) -> Self {
        assert!(N == specs.len(), "layout: another number of fields");
        assert!(N > 0, "layout: no fields");
        assert!(N <= FIELDS_MAX, "layout: too many fields");
        assert!(table != 0, "layout: table id 0");
        assert!(version != 0, "layout: version 0");
        assert!(record_len != 0 && record_len <= RECORD_LEN_MAX, "layout: record length out of range");
        assert!(record_len.is_multiple_of(8), "layout: record length is not a multiple of 8; add padding");
        let name = padded(name);
        if let Err(problem) = check::name(&name) {
            panic!("{}", problem.text());
        }
        assert_rules(specs, record_len);
        let mut fields = [FieldDesc::EMPTY; N];
        let mut i = 0;
        while i < N {
            fields[i] = specs[i].entry;
            i += 1;
        }
        assert!(X == facts::facts_len(specs), "layout: the facts take another number of bytes");
        let mut facts = [0; X];
        facts::write(specs, &mut facts);
        let encoding = facts::encoding(specs);
        let header = DescHeader::new(table, version, name, record_len as u32, N as u16, X as u16, encoding);
        Self { header, facts, fields }
    }
}

/// Fails the build when fields break a rule. For the derive macros.
#[doc(hidden)]
pub const fn assert_rules(specs: &[FieldSpec<'_>], record_len: usize) {
    let mut i = 0;
    while i < specs.len() {
        if let Err(problem) = check::field(specs, i, record_len as u32) {
            panic!("{}", problem.text());
        }
        i += 1;
    }
}

/// `text`, padded with zeros.
pub(super) const fn padded(text: &str) -> [u8; NAME_LEN] {
    let bytes = text.as_bytes();
    assert!(bytes.len() <= NAME_LEN, "layout: a name is longer than 32 bytes");
    let mut out = [0; NAME_LEN];
    let mut i = 0;
    while i < bytes.len() {
        out[i] = bytes[i];
        i += 1;
    }
    out
}

/// The name of a part's field: that of the part, a full stop, its own.
pub(super) const fn joined(part: &str, own: &[u8; NAME_LEN]) -> [u8; NAME_LEN] {
    let mut out = padded(part);
    let mut at = part.len();
    assert!(at < NAME_LEN, "layout: a name is longer than 32 bytes");
    out[at] = b'.';
    let mut i = 0;
    while i < NAME_LEN && own[i] != 0 {
        at += 1;
        assert!(at < NAME_LEN, "layout: the name of a part and of its field are together longer than 31 bytes");
        out[at] = own[i];
        i += 1;
    }
    out
}
