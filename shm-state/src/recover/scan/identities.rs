//! The scan's steps over one backend's pool, queue and identities.

use super::super::report::Finding;
use super::Scan;
use crate::identities::{Resting, Taking, Waking};

impl Scan {
    /// The next place of the pool, from below: it grows on top.
    pub(super) fn pooled(&mut self) -> bool {
        let (free, _) = self.ledger.identities.spare(self.row);
        self.pool_seen = self.pool_seen.min(free);
        if self.pool_seen == free {
            return false;
        }
        let identity = self.ledger.identities.free_at(self.row, self.pool_seen);
        match self.admit(identity) {
            Ok(()) => self.pool_seen += 1,
            Err(finding) => {
                self.report.note(finding);
                self.ledger.identities.drop_free(self.row, self.pool_seen);
            }
        }
        true
    }

    /// The next of the queue, from its oldest: it grows at the other end.
    pub(super) fn queued(&mut self, now_ns: u64) -> bool {
        let (_, len) = self.ledger.identities.spare(self.row);
        self.queue_seen = self.queue_seen.min(len);
        if self.queue_seen == len {
            return false;
        }
        let (identity, since_ns) = self.ledger.identities.resting_at(self.row, self.queue_seen);
        if since_ns > now_ns {
            self.report.note(Finding::FutureRest);
            self.ledger.identities.rest_anew(self.row, self.queue_seen, now_ns);
        }
        match self.admit(identity) {
            Ok(()) => self.queue_seen += 1,
            Err(finding) => {
                self.report.note(finding);
                // The oldest takes its place. If that was seen, it is seen at its new place: one less is to be looked
                // at before it, and the count stays.
                self.ledger.identities.drop_resting(self.row, self.queue_seen);
            }
        }
        true
    }

    /// The next identity: what was seen spare is exact by now.
    pub(super) fn identity(&mut self, now_ns: u64) -> bool {
        if self.at == u64::from(self.ledger.identities.spec(self.row).identities) {
            return false;
        }
        let identity = self.at as u32;
        self.at += 1;
        if let Some(slot) = self.ledger.identities.slot(self.row, identity) {
            if self.ledger.has_identity(slot, self.row, identity) {
                return true;
            }
            self.report.note(Finding::BrokenBinding);
            self.ledger.identities.unbind(self.row, identity);
        }
        if self.spare.has(identity as usize) {
            return true;
        }
        self.report.note(Finding::LostIdentity);
        // It may have been in use a moment before the death.
        if let Some(resting) = self.ledger.identities.to_rest(self.row, identity, now_ns) {
            self.ledger.identities.rest(&resting);
            self.rested(&resting);
        }
        true
    }

    /// Whether a place of pool or queue may stand; it counts as seen then.
    fn admit(&mut self, identity: Option<u32>) -> Result<(), Finding> {
        let identity = identity.ok_or(Finding::BadSpareIdentity)?;
        if let Some(slot) = self.ledger.identities.slot(self.row, identity) {
            if self.ledger.has_identity(slot, self.row, identity) {
                return Err(Finding::UsedIdentitySpare);
            }
            self.report.note(Finding::BrokenBinding);
            self.ledger.identities.unbind(self.row, identity);
        }
        if self.spare.insert(identity as usize) { Ok(()) } else { Err(Finding::BadSpareIdentity) }
    }

    pub(super) fn taken(&mut self, taking: &Taking) {
        let Taking { row, identity, at, free } = *taking;
        let (at, last) = (at as usize, free as usize - 1);
        if row as usize != self.row || at >= self.pool_seen {
            return;
        }
        self.spare.remove(identity as usize);
        let seen = self.pool_seen;
        self.pool_seen = seen.min(last);
        // The last took the place of the one that was taken, which lies among those that were seen.
        if last < seen || at == last {
            return;
        }
        // An unseen one lies among those that were seen: it is looked at now.
        while at < self.ledger.identities.spare(self.row).0 {
            let Err(finding) = self.admit(self.ledger.identities.free_at(self.row, at)) else { return };
            self.report.note(finding);
            self.ledger.identities.drop_free(self.row, at);
            let (free, _) = self.ledger.identities.spare(self.row);
            if free < self.pool_seen {
                // What took its place was seen.
                self.pool_seen = free;
                return;
            }
        }
    }

    pub(super) fn rested(&mut self, resting: &Resting) {
        if resting.row as usize == self.row && self.queue_seen >= resting.len as usize {
            self.spare.insert(resting.identity as usize);
            self.queue_seen = resting.len as usize + 1;
        }
    }

    pub(super) fn woke(&mut self, waking: &Waking) {
        let Waking { row, free: before, count, .. } = *waking;
        if row as usize != self.row {
            return;
        }
        let seen = self.queue_seen.min(count as usize);
        self.queue_seen -= seen;
        let all_pool_seen = self.pool_seen >= before as usize;
        let mut at = before as usize;
        while at < self.ledger.identities.spare(self.row).0 {
            let identity = self.ledger.identities.free_at(self.row, at);
            // It left the queue, and counts as seen only where it is now.
            if let Some(identity) = identity
                && at - (before as usize) < seen
            {
                self.spare.remove(identity as usize);
            }
            if !all_pool_seen {
                at += 1;
                continue;
            }
            match self.admit(identity) {
                Ok(()) => {
                    at += 1;
                    self.pool_seen = at;
                }
                Err(finding) => {
                    self.report.note(finding);
                    self.ledger.identities.drop_free(self.row, at);
                }
            }
        }
    }
}
