//! The operations that take more than one store, as the intent block tells them.
//!
//! Each is decided by one store or by none: a beginning has happened once its index entry stands, and is taken back
//! before that; an end and a waking are always finished. What an intent says is a claim like all else.

use super::ledger::Ledger;
use crate::identities::{Identities, Resting, Taking, Waking};
use crate::table::{DETAIL_WORDS, Intent, Place, Shard, Shards, Slot};

const BEGIN: u8 = 1;
const END: u8 = 2;
const WAKE: u8 = 3;
/// In place of a row: there is no identity.
const NO_ROW: u32 = u32::MAX;

/// A record begins: identity taken, slot popped, record filled, index entry stored, identity bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// The shard that its key falls to; the intent block that tells of it is that shard's.
    pub shard: usize,
    pub taking: Taking,
    pub slot: Slot,
    /// Free slots of the shard before.
    pub depth: u32,
    /// Where its index entry goes.
    pub place: Place,
}

/// A record ends: index entry withdrawn, slot cleared and pushed, identity unbound and put to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// As with [`Begin`].
    pub shard: usize,
    pub resting: Option<Resting>,
    pub slot: Slot,
    /// Free slots of the shard before.
    pub depth: u32,
    /// Where its index entry is.
    pub place: Option<Place>,
}

impl End {
    /// All that an end stores, the same for a holder and for whoever finishes it: done again, it changes nothing.
    /// `clear` makes the slot free in the records.
    #[inline]
    pub fn finish(&self, shards: &mut Shards, clear: impl FnOnce(Slot), identities: &mut Identities) {
        let Self { shard, resting, slot, depth, place } = self;
        let Shard { index, free, .. } = &mut shards.list_mut()[*shard];
        if let Some(place) = place {
            index.withdraw(*place, *slot);
        }
        clear(*slot);
        free.push_at(*depth as usize, *slot);
        if let Some(resting) = resting {
            identities.rest(resting);
        }
    }
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Begin(Begin),
    End(End),
    /// Identities wake. Told in the intent block of any shard: identities are common to all.
    Wake(Waking),
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

impl Operation {
    /// Tells the operation; its stores may follow.
    #[inline]
    pub fn open(&self, intent: &Intent) {
        match self {
            Self::Begin(Begin { shard: _, taking: Taking { row, identity, at, free }, slot, depth, place }) => {
                let details = [pair(*row, *identity), pair(*at, *free), pair(slot.0, *depth), place.0, 0];
                intent.open(BEGIN, details);
            }
            Self::End(End { shard: _, resting, slot, depth, place }) => {
                let Resting { row, identity, head, len, now_ns } =
                    resting.unwrap_or(Resting { row: NO_ROW, identity: 0, head: 0, len: 0, now_ns: 0 });
                let place = place.map_or(0, |place| place.0 + 1);
                intent.open(END, [pair(row, identity), pair(head, len), pair(slot.0, *depth), place, now_ns]);
            }
            Self::Wake(Waking { row, head, len, free, count }) => {
                intent.open(WAKE, [pair(*row, *count), pair(*head, *len), pair(*free, 0), 0, 0]);
            }
        }
    }

    /// Reads an intent of a shard; `None` for one that cannot be of this table.
    pub(super) fn decode(number: u64, words: [u64; DETAIL_WORDS], ledger: &Ledger, shard: usize) -> Option<Self> {
        let [first, second, third, fourth, fifth] = words;
        let slots = ledger.capacity() as u64;
        let places = ledger.shards.list()[shard].index.places();
        let identities = |row: u32| {
            let known = (row as usize) < ledger.identities.rows();
            known.then(|| ledger.identities.spec(row as usize).identities)
        };
        let (row, identity) = halves(first);
        let (head, len) = halves(second);
        let (slot, depth) = halves(third);
        match u8::try_from(number).ok()? {
            BEGIN => {
                let (at, free) = halves(second);
                let count = identities(row)?;
                let fits = identity < count && at < free && free <= count;
                let fits = fits && u64::from(slot) < slots && depth > 0 && u64::from(depth) <= slots;
                let taking = Taking { row, identity, at, free };
                let begin = Begin { shard, taking, slot: Slot(slot), depth, place: Place(fourth) };
                (fits && fourth < places).then_some(Self::Begin(begin))
            }
            END => {
                let resting = match row {
                    NO_ROW => None,
                    _ => {
                        let count = identities(row)?;
                        let fits = identity < count && head < count && len < count;
                        Some(fits.then_some(Resting { row, identity, head, len, now_ns: fifth })?)
                    }
                };
                let fits = u64::from(slot) < slots && u64::from(depth) < slots && fourth <= places;
                let place = fourth.checked_sub(1).map(Place);
                fits.then_some(Self::End(End { shard, resting, slot: Slot(slot), depth, place }))
            }
            WAKE => {
                let (count, free) = (identity, halves(third).0);
                let all = identities(row)?;
                let fits = count <= len && len <= all && head < all && free <= all;
                fits.then_some(Self::Wake(Waking { row, head, len, free, count }))
            }
            _ => None,
        }
    }
}
