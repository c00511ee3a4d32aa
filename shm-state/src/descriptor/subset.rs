//! A layout made of some fields of another.

use super::{Descriptor, DescriptorError, FLAG_KEY};
use zerocopy::little_endian::U32;

impl Descriptor {
    /// A layout of the fields with these ids as they are here, packed one behind the other, of the same table and
    /// version; `None` without fields. Which of them are part of the key is not told.
    ///
    /// # Errors
    /// As [`Descriptor::parse`].
    pub fn subset(&self, ids: impl IntoIterator<Item = u32>) -> Result<Option<Self>, DescriptorError> {
        let mut offset = 0;
        let mut entries = Vec::new();
        for field in ids.into_iter().filter_map(|id| self.field(id)) {
            let mut entry = field.to_wire();
            entry.flags &= !FLAG_KEY;
            entry.offset = U32::new(offset);
            offset += field.len() as u32;
            entries.push(entry);
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let record_len = offset.next_multiple_of(8);
        Self::from_fields(self.table_id(), self.layout_version(), self.name(), record_len, &entries).map(Some)
    }
}
