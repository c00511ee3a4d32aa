//! A layout made of some fields of another.

use super::{Descriptor, DescriptorError, FLAG_KEY, Field};
use zerocopy::little_endian::U32;

impl Descriptor {
    /// A layout of the fields with these ids as they are here, facts included, packed one behind the other, of the same
    /// table and version; `None` without fields. Which of them are part of the key is not told.
    ///
    /// # Errors
    /// As [`Descriptor::parse`].
    pub fn subset(&self, ids: impl IntoIterator<Item = u32>) -> Result<Option<Self>, DescriptorError> {
        let fields: Vec<&Field> = ids.into_iter().filter_map(|id| self.field(id)).collect();
        if fields.is_empty() {
            return Ok(None);
        }
        let cases: Vec<_> = fields.iter().map(|field| field.wire_cases()).collect();
        let (mut offset, mut specs) = (0, Vec::with_capacity(fields.len()));
        for (field, cases) in fields.iter().zip(&cases) {
            let mut spec = field.to_spec(cases);
            spec.entry.flags &= !FLAG_KEY;
            spec.entry.offset = U32::new(offset);
            offset += field.len() as u32;
            specs.push(spec);
        }
        let record_len = offset.next_multiple_of(8);
        Self::from_specs(self.table_id(), self.layout_version(), self.name(), record_len, &specs).map(Some)
    }
}
