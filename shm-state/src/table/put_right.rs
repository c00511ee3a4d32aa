//! What may be changed in a table without knowing its records: the state of a slot, and its dirty mark.

use super::{BLOCK_SLOTS, Meta, RecordsView, Slot};
use std::sync::atomic::Ordering;

impl RecordsView {
    /// Makes a slot free. For whoever holds the table, or answers for a holder that is dead. Panics when there is no
    /// such slot.
    pub fn clear(&self, slot: Slot) {
        self.store_meta(slot, Meta { live: false, ..self.meta(slot) });
        self.touch(slot);
    }

    /// Marks a slot as changed, so that a background copy takes it again. As [`RecordsView::clear`].
    // PAIR dirty: release here, acquire in translate::dirty.
    pub fn touch(&self, slot: Slot) {
        self.mark(slot.at() / BLOCK_SLOTS).store(1, Ordering::Release);
    }
}
