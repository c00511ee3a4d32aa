//! The scan's steps over index, free slots and slots.

use super::super::ledger::Entry;
use super::super::operation::Begin;
use super::super::report::Finding;
use super::Scan;
use crate::table::{Place, Slot};

impl Scan {
    /// The next entry of the shard's index.
    pub(super) fn index_entry(&mut self) -> bool {
        let place = Place(self.at);
        let ledger = &mut self.ledger;
        let index = &ledger.shards.list()[self.shard].index;
        if self.at == index.places() {
            return false;
        }
        self.at += 1;
        if index.is_vacant(place) {
            return true;
        }
        let live = index.named(place).filter(|&slot| ledger.is_live(slot));
        let first = live.and_then(|slot| index.place_of(ledger.entry(slot).hash, slot));
        let finding = match first {
            Some(first) if first == place => return true,
            // The record has its entry, and this is another.
            Some(_) => Finding::DoubleEntry,
            None => Finding::PhantomEntry,
        };
        ledger.shards.list_mut()[self.shard].index.vacate(place);
        self.report.note(finding);
        true
    }

    /// The next place among the shard's free slots, from below: what changes meanwhile changes on top.
    pub(super) fn free_slot(&mut self) -> bool {
        let stack = &self.ledger.shards.list()[self.shard].free;
        let seen = &mut self.free_seen[self.shard];
        *seen = (*seen).min(stack.len());
        if *seen == stack.len() {
            return false;
        }
        let finding = match stack.get(*seen) {
            Some(slot) if self.ledger.is_live(slot) => Finding::LiveSlotFree,
            Some(slot) if self.free.insert(slot.at()) => {
                *seen += 1;
                return true;
            }
            _ => Finding::BadFreeSlot,
        };
        let at = *seen;
        self.report.note(finding);
        self.ledger.shards.list_mut()[self.shard].free.swap_remove(at);
        true
    }

    /// The next slot.
    pub(super) fn slot(&mut self, now_ns: u64) -> bool {
        if self.at == self.ledger.capacity() as u64 {
            return false;
        }
        let slot = Slot(self.at as u32);
        self.at += 1;
        self.report.slots += 1;
        if !self.ledger.is_live(slot) {
            if !self.free.has(slot.at()) {
                self.report.note(Finding::LeakedSlot);
                let shard = self.ledger.shards.scarcest();
                let free = &mut self.ledger.shards.list_mut()[shard].free;
                let depth = free.len();
                free.push_at(depth, slot);
                self.pushed(shard, slot, depth);
            }
            return true;
        }
        let entry = self.ledger.entry(slot);
        let problem = self.reach(slot, &entry).err().or_else(|| self.tie(slot, &entry).err());
        match problem {
            None => self.report.live += 1,
            Some(finding) => {
                self.report.note(finding);
                let end = self.ledger.to_end(slot, &entry, now_ns);
                self.ledger.end(&end);
                self.ended(&end);
            }
        }
        true
    }

    /// Makes sure that a live record is found by its key.
    fn reach(&mut self, slot: Slot, entry: &Entry) -> Result<(), Finding> {
        match self.ledger.find(entry) {
            Some(found) if found == slot => return Ok(()),
            Some(_) => return Err(Finding::DuplicateKey),
            None => {}
        }
        // Only a record that was in use is bound. One whose end had begun ends again when its time comes.
        let bound = entry.row.is_some_and(|row| self.ledger.identities.slot(row, entry.identity) == Some(slot));
        let shard = self.ledger.shards.number(entry.hash);
        if bound && self.ledger.shards.list_mut()[shard].index.insert(entry.hash, slot).is_ok() {
            self.report.note(Finding::MissingEntry);
            return Ok(());
        }
        Err(Finding::Unreachable)
    }

    /// Makes sure that a live record's identity leads to it.
    fn tie(&mut self, slot: Slot, entry: &Entry) -> Result<(), Finding> {
        // A backend that the config no longer has: nothing is sent, and the flow expires.
        let Some(row) = entry.row else { return Ok(()) };
        if entry.identity >= self.ledger.identities.spec(row).identities {
            return Err(Finding::NoSuchIdentity);
        }
        match self.ledger.identities.slot(row, entry.identity) {
            Some(leads) if leads == slot => Ok(()),
            Some(leads) if self.ledger.has_identity(leads, row, entry.identity) => Err(Finding::IdentityTwice),
            _ => {
                self.report.note(Finding::MissingBinding);
                self.ledger.identities.bind(row, entry.identity, slot);
                Ok(())
            }
        }
    }

    pub(super) fn popped(&mut self, begin: &Begin) {
        let (left, seen) = (begin.depth as usize - 1, &mut self.free_seen[begin.shard]);
        if *seen > left {
            self.free.remove(begin.slot.at());
            *seen = left;
        }
    }

    pub(super) fn pushed(&mut self, shard: usize, slot: Slot, depth: usize) {
        let seen = &mut self.free_seen[shard];
        if *seen >= depth {
            self.free.insert(slot.at());
            *seen = depth + 1;
        }
    }
}
