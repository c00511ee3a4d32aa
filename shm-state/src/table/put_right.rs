//! What may be changed in a table without knowing its records: the state of a slot, and its dirty mark.

use super::marks::{self, BLOCK_SLOTS, GROUP_BLOCKS};
use super::{Meta, RecordsView, Slot};
use std::sync::atomic::Ordering;

impl RecordsView {
    /// Makes a slot free. For whoever holds the table, or answers for a holder that is dead. Panics when there is no
    /// such slot.
    pub fn clear(&self, slot: Slot) {
        let meta = Meta { live: false, ..self.meta(slot) };
        self.slots().slot(slot.at()).0.store(meta.encode(), Ordering::Release);
        self.touch(slot);
    }

    /// Marks a slot as changed, so that a background copy takes it again. As [`RecordsView::clear`].
    pub fn touch(&self, slot: Slot) {
        let block = slot.at() / BLOCK_SLOTS;
        let group = self.groups().map(|groups| &groups[block / GROUP_BLOCKS]);
        marks::mark(&self.marks()[block], group, 1 << (slot.at() % BLOCK_SLOTS));
    }
}
