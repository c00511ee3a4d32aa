//! The checked form, made from claimed bytes.

use super::check::{self, DescriptorError};
use super::field::{Field, padded, printable, text};
use super::{
    DESCRIPTOR_LEN_MAX, DescHeader, ENCODING, ENCODING_MIN, ENTRY_LEN, FIELDS_MAX, FieldDesc, FieldFacts, FieldSpec,
    HEADER_LEN, MAGIC, NAME_LEN, NameProblem, RECORD_LEN_MAX, facts,
};
use crate::row::Row;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

/// Fingerprint of a descriptor's bytes: the first 8 bytes of their SHA-256 as a little-endian word.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

/// Ids below this are found by index.
const SMALL_IDS: usize = 1024;
/// In place of an index: no field has this id.
const NO_FIELD: u16 = u16::MAX;

const _: () = assert!(FIELDS_MAX < NO_FIELD as usize);

/// A descriptor whose every claim was checked. Clones share the facts.
#[derive(Clone)]
pub struct Descriptor {
    inner: Arc<Inner>,
}

struct Inner {
    encoding: u16,
    table_id: u32,
    layout_version: u32,
    record_len: usize,
    name: Arc<str>,
    /// In order of offsets.
    fields: Vec<Field>,
    /// (id, index into `fields`), in order of ids.
    by_id: Vec<(u32, u16)>,
    /// Index into `fields` by id, for small ids, which are the usual ones; `u16::MAX` for none. Compute
    /// functions look fields up once per record.
    small_ids: Vec<u16>,
    /// As they were parsed.
    bytes: Box<[u8]>,
    fingerprint: u64,
}

impl Descriptor {
    /// Parses and checks the descriptor at the start of `bytes`; more may follow it. Gives the descriptor and
    /// the number of bytes that it took.
    ///
    /// # Errors
    /// The first claim that does not hold, by name. Never panics, whatever the bytes.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), DescriptorError> {
        let truncated = |need| DescriptorError::Truncated { need, have: bytes.len() };
        let (header, _) = DescHeader::read_from_prefix(bytes).map_err(|_| truncated(HEADER_LEN))?;
        let total = checked_total_len(&header)?;
        let bytes = bytes.get(..total).ok_or_else(|| truncated(total))?;
        check::name(&header.name).map_err(DescriptorError::TableName)?;

        let entries = bytes[header.header_len.get().into()..].chunks_exact(header.entry_len.get().into());
        let raw: Vec<FieldDesc> = entries
            .map(|entry| FieldDesc::read_from_prefix(entry).map(|(field, _)| field))
            .collect::<Result<_, _>>()
            .map_err(|_| truncated(total))?;
        let ty = |id| raw.iter().find(|field| field.id.get() == id).map(|field| field.ty);
        let facts = facts::parse(&bytes[HEADER_LEN..header.header_len.get().into()], header.encoding.get(), ty)
            .map_err(|(at, problem)| DescriptorError::Facts { offset: HEADER_LEN + at, problem })?;
        let facts_of = |field: &FieldDesc| facts.get(&field.id.get()).copied().unwrap_or(FieldFacts::NONE);
        let specs: Vec<_> = raw.iter().map(|field| FieldSpec { entry: *field, facts: facts_of(field) }).collect();
        let record_len = header.record_len.get();
        let mut fields = Vec::with_capacity(raw.len());
        for (index, (field, spec)) in raw.iter().zip(&specs).enumerate() {
            let checked = check::field(&specs, index, record_len).and_then(|()| Field::from_spec(spec));
            fields.push(checked.map_err(|problem| DescriptorError::Field {
                index,
                id: field.id.get(),
                name: printable(&field.name),
                problem,
            })?);
        }
        let mut by_id: Vec<_> = (0..).zip(&fields).map(|(index, field)| (field.id(), index)).collect();
        by_id.sort_unstable();
        let mut small_ids = Vec::new();
        for &(id, index) in by_id.iter().filter(|(id, _)| (*id as usize) < SMALL_IDS) {
            small_ids.resize(id as usize, NO_FIELD);
            small_ids.push(index);
        }
        let inner = Inner {
            encoding: header.encoding.get(),
            table_id: header.table_id.get(),
            layout_version: header.layout_version.get(),
            record_len: record_len as usize,
            name: text(&header.name),
            fields,
            by_id,
            small_ids,
            bytes: bytes.into(),
            fingerprint: fingerprint(bytes),
        };
        Ok((Self { inner: Arc::new(inner) }, total))
    }

    /// Makes a descriptor at run time, from fields in order of their offsets; `record_len` is in bytes.
    ///
    /// # Errors
    /// As [`Descriptor::parse`].
    pub fn from_fields(
        table_id: u32,
        layout_version: u32,
        name: &str,
        record_len: u32,
        fields: &[FieldDesc],
    ) -> Result<Self, DescriptorError> {
        let specs: Vec<_> = fields.iter().map(|field| FieldSpec::new(*field)).collect();
        Self::from_specs(table_id, layout_version, name, record_len, &specs)
    }

    /// The same with facts.
    ///
    /// # Errors
    /// As [`Descriptor::parse`].
    pub fn from_specs(
        table_id: u32,
        layout_version: u32,
        name: &str,
        record_len: u32,
        specs: &[FieldSpec<'_>],
    ) -> Result<Self, DescriptorError> {
        if name.len() > NAME_LEN {
            return Err(DescriptorError::TableName(NameProblem::TooLong));
        }
        let bytes = encode((table_id, layout_version, record_len), name, specs)?;
        Self::parse(&bytes).map(|(descriptor, _)| descriptor)
    }

    /// The canonical encoding: what this version understands, in headers and entries of its own length.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Inner { table_id, layout_version, record_len, name, fields, .. } = &*self.inner;
        let cases: Vec<_> = fields.iter().map(Field::wire_cases).collect();
        let specs: Vec<_> = fields.iter().zip(&cases).map(|(field, cases)| field.to_spec(cases)).collect();
        encode((*table_id, *layout_version, *record_len as u32), name, &specs)
            .expect("there was room for the facts when the bytes were parsed")
    }

    /// The bytes that were parsed, which [`Descriptor::fingerprint`] covers.
    pub fn as_bytes(&self) -> &[u8] {
        &self.inner.bytes
    }

    /// Fingerprint of the bytes that were parsed. Equal fingerprints mean equal layouts.
    pub fn fingerprint(&self) -> u64 {
        self.inner.fingerprint
    }

    /// The encoding of the bytes that were parsed: what a reader has to know.
    pub fn encoding(&self) -> u16 {
        self.inner.encoding
    }

    /// Stable id of the table.
    pub fn table_id(&self) -> u32 {
        self.inner.table_id
    }

    /// Name of the table.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Version of the layout.
    pub fn layout_version(&self) -> u32 {
        self.inner.layout_version
    }

    /// Bytes of one record; a multiple of 8.
    pub fn record_len(&self) -> usize {
        self.inner.record_len
    }

    /// The fields in order of their offsets.
    pub fn fields(&self) -> &[Field] {
        &self.inner.fields
    }

    /// The fields in order of their ids.
    pub fn fields_by_id(&self) -> impl ExactSizeIterator<Item = &Field> {
        self.inner.by_id.iter().map(|&(_, index)| &self.inner.fields[usize::from(index)])
    }

    /// The field with this id.
    #[inline]
    pub fn field(&self, id: u32) -> Option<&Field> {
        let inner = &*self.inner;
        let index = match inner.small_ids.get(id as usize) {
            Some(&index) => index,
            None => inner.by_id[inner.by_id.binary_search_by_key(&id, |&(id, _)| id).ok()?].1,
        };
        inner.fields.get(usize::from(index))
    }

    /// The field with this name.
    pub fn field_named(&self, name: &str) -> Option<&Field> {
        self.inner.fields.iter().find(|field| &**field.name() == name)
    }

    /// The record as values with names. A record that is too short gives a row without the fields it lacks.
    pub fn decode(&self, record: &[u8]) -> Row {
        let mut row = Row::new();
        for field in self.fields_by_id() {
            if let Some(value) = field.decode(record) {
                row.insert_cell(field.cell(value));
            }
        }
        row
    }
}

fn encode(
    (table_id, layout_version, record_len): (u32, u32, u32),
    name: &str,
    specs: &[FieldSpec<'_>],
) -> Result<Vec<u8>, DescriptorError> {
    let room = usize::from(u16::MAX) - HEADER_LEN;
    let facts_len = u16::try_from(facts::facts_len(specs)).ok().filter(|&len| usize::from(len) <= room).ok_or(
        DescriptorError::Header {
            what: "length of the facts",
            found: u32::try_from(facts::facts_len(specs)).unwrap_or(u32::MAX),
            expected: "at most 65471",
        },
    )?;
    let field_count = u16::try_from(specs.len()).unwrap_or(u16::MAX);
    let encoding = facts::encoding(specs);
    let header = DescHeader::new(table_id, layout_version, padded(name), record_len, field_count, facts_len, encoding);
    let mut bytes = header.as_bytes().to_vec();
    let facts_at = bytes.len();
    bytes.resize(facts_at + usize::from(facts_len), 0);
    facts::write(specs, &mut bytes[facts_at..]);
    specs.iter().for_each(|spec| bytes.extend_from_slice(spec.entry.as_bytes()));
    Ok(bytes)
}

fn checked_total_len(header: &DescHeader) -> Result<usize, DescriptorError> {
    let wrong = |what, found, expected| Err(DescriptorError::Header { what, found, expected });
    if header.magic != MAGIC {
        return Err(DescriptorError::BadMagic);
    }
    if !(ENCODING_MIN..=ENCODING).contains(&header.encoding.get()) {
        return Err(DescriptorError::UnknownEncoding { found: header.encoding.get() });
    }
    let DescHeader { total_len, header_len, entry_len, field_count, table_id, layout_version, record_len, .. } =
        *header;
    if usize::from(header_len.get()) < HEADER_LEN {
        return wrong("header length", header_len.get().into(), "at least 64");
    }
    if usize::from(entry_len.get()) < ENTRY_LEN {
        return wrong("entry length", entry_len.get().into(), "at least 96");
    }
    if !(1..=FIELDS_MAX).contains(&field_count.get().into()) {
        return wrong("field count", field_count.get().into(), "1..=256");
    }
    if table_id.get() == 0 {
        return wrong("table id", 0, "at least 1");
    }
    if layout_version.get() == 0 {
        return wrong("layout version", 0, "at least 1");
    }
    if !(8..=RECORD_LEN_MAX).contains(&(record_len.get() as usize)) || !record_len.get().is_multiple_of(8) {
        return wrong("record length", record_len.get(), "a multiple of 8 in 8..=65536");
    }
    // Cannot overflow: 16-bit factors in 64 bits.
    let computed = u64::from(header_len.get()) + u64::from(entry_len.get()) * u64::from(field_count.get());
    if u64::from(total_len.get()) != computed {
        return Err(DescriptorError::TotalLength { total: total_len.get(), computed });
    }
    if total_len.get() as usize > DESCRIPTOR_LEN_MAX {
        return wrong("total length", total_len.get(), "at most 262144");
    }
    Ok(total_len.get() as usize)
}

impl PartialEq for Descriptor {
    fn eq(&self, other: &Self) -> bool {
        self.inner.bytes == other.inner.bytes
    }
}

impl Eq for Descriptor {}

impl std::fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descriptor")
            .field("table_id", &self.inner.table_id)
            .field("name", &self.inner.name)
            .field("layout_version", &self.inner.layout_version)
            .field("record_len", &self.inner.record_len)
            .field("fingerprint", &format_args!("{:#018x}", self.inner.fingerprint))
            .field("fields", &self.inner.fields)
            .finish()
    }
}
