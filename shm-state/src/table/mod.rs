//! Tables of fixed capacity: records in stable slots, a keyed index that names slots, free slots.
//!
//! Only the holder of the owner word writes. It writes a record before it publishes it in the index, so that
//! whoever finds a slot finds a whole record.

mod entries;
mod free;
mod geometry;
mod index;
mod intent;
pub mod links;
mod make;
pub mod marks;
pub mod places;
mod put_right;
mod records;
mod shards;
mod slots;
mod view;

pub use entries::Place;
pub use free::FreeSlots;
pub(crate) use geometry::Geometry;
pub use geometry::RECORD_LEN_MAX;
pub use index::{Full, INDEX_VERSION, Index, KeyHash, SHARDS_MAX};
pub use intent::{DETAIL_WORDS, Intent, Writer};
pub use marks::BLOCK_SLOTS;
pub use records::Records;
pub use shards::{Shard, Shards};
pub use view::RecordsView;
pub(crate) use view::{RecordBuffer, SlotWords};

/// Number of a slot; stable for the life of its record, across translations too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

impl Slot {
    /// As an array index.
    #[inline]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// State of a slot, in the low half of its meta word.
pub(crate) const FREE: u32 = 0;
pub(crate) const LIVE: u32 = 1;

/// The meta word of a slot: how often it was reused, and whether it is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    pub incarnation: u32,
    pub live: bool,
}

impl Meta {
    #[inline]
    pub(crate) fn decode(word: u64) -> Self {
        Self { incarnation: (word >> 32) as u32, live: word as u32 == LIVE }
    }

    #[inline]
    pub(crate) fn encode(self) -> u64 {
        u64::from(self.incarnation) << 32 | u64::from(if self.live { LIVE } else { FREE })
    }
}
