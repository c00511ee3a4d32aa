//! The three changes that take more than one store: taking an identity, putting one to rest, waking some.
//!
//! Each is first *planned*, which reads, and then *made*, which stores values that the plan holds: made again, or
//! begun and made again, it ends the same. That is what lets a successor finish what a death interrupted. Within a
//! change the stores are so ordered that a death without a plan loses an identity at worst (the full scan finds it) and
//! never leaves one in two places.

use super::Identities;
use super::row::{FREE, REST_HEAD, REST_LEN, Row};
use std::sync::atomic::Ordering::{Relaxed, Release};

/// Resting identities that one waking may look at, so that its cost is bounded.
const WAKE_MAX: usize = 4;
/// Free identities that a choice may look at before it gives up. Only a damaged pool has any that cannot be given out.
const CHOICES_MAX: usize = 4;

/// A free identity that is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taking {
    pub row: u32,
    pub identity: u32,
    /// Its position in the pool.
    pub at: u32,
    /// Identities in the pool before.
    pub free: u32,
}

/// A bound identity that is to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resting {
    pub row: u32,
    pub identity: u32,
    /// Head and length of the queue before.
    pub head: u32,
    pub len: u32,
    pub now_ns: u64,
}

/// Resting identities that are to be free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waking {
    pub row: u32,
    /// Head and length of the queue before.
    pub head: u32,
    pub len: u32,
    /// Identities in the pool before.
    pub free: u32,
    /// How many leave the queue.
    pub count: u32,
}

impl Identities {
    /// Plans to free those of backend `row` that have rested long enough, oldest first, a few at a time. One whose rest is
    /// said to begin after `now_ns` begins it now.
    #[inline]
    pub fn to_wake(&self, row: usize, now_ns: u64, reuse_delay_ns: u64) -> Option<Waking> {
        let found = self.rows.get(row)?;
        let (head, len) = (found.rest_head(&self.segment), found.rest_len(&self.segment));
        let (_, times) = found.resting(&self.segment);
        let rested = |n: &usize| {
            let place = &times[(head + n) % found.count()];
            let since = place.load(Relaxed);
            if since > now_ns {
                // Something wrote over it. Unless the rest begins anew, nobody behind it would ever wake.
                place.store(now_ns, Relaxed);
            }
            now_ns.saturating_sub(since) >= reuse_delay_ns
        };
        let count = (0..len.min(WAKE_MAX)).take_while(rested).count() as u32;
        let free = found.free(&self.segment) as u32;
        (count > 0).then_some(Waking { row: row as u32, head: head as u32, len: len as u32, free, count })
    }

    /// Wakes what was planned. Entries that are no identity, or one that is in use, are dropped.
    pub fn wake(&mut self, waking: &Waking) {
        let Waking { row, head, len, free, count } = *waking;
        let Some(row) = self.rows.get(row as usize) else { return };
        let (identities, _) = row.resting(&self.segment);
        let (pool, mut end) = (row.free_pool(&self.segment), free as usize);
        for n in 0..count as usize {
            let identity = identities[(head as usize + n) % row.count()].load(Relaxed);
            if end < row.count() && self.is_unbound(row, identity) {
                pool[end].store(identity, Relaxed);
                end += 1;
            }
        }
        let head = (u64::from(head) + u64::from(count)) % row.count() as u64;
        row.word(&self.segment, REST_LEN).store(u64::from(len.saturating_sub(count)), Release);
        row.word(&self.segment, REST_HEAD).store(head, Release);
        row.word(&self.segment, FREE).store(end as u64, Release);
    }

    /// Plans to take a free identity of backend `row`; `random` picks which. `None` when there is none.
    #[inline]
    pub fn to_take(&self, row: usize, random: u64) -> Option<Taking> {
        let found = self.rows.get(row)?;
        let free = found.free(&self.segment);
        let pool = found.free_pool(&self.segment);
        // The high half of a 64-bit product is an even choice without a division.
        let first = ((u128::from(random) * free as u128) >> 64) as usize;
        (first..free).chain(0..first).take(CHOICES_MAX).find_map(|at| {
            let identity = pool[at].load(Relaxed);
            let taking = Taking { row: row as u32, identity, at: at as u32, free: free as u32 };
            self.is_unbound(found, identity).then_some(taking)
        })
    }

    /// Takes what was planned.
    #[inline]
    pub fn take_planned(&mut self, taking: &Taking) {
        let Taking { row, at, free, .. } = *taking;
        let Some(row) = self.rows.get(row as usize) else { return };
        let pool = row.free_pool(&self.segment);
        let last = free as usize - 1;
        row.word(&self.segment, FREE).store(last as u64, Release);
        pool[at as usize].store(pool[last].load(Relaxed), Release);
    }

    /// Takes back what [`Identities::take_planned`] did or had begun: the last of the pool still lies where it was.
    pub fn untake(&mut self, taking: &Taking) {
        let Taking { row, identity, at, free } = *taking;
        let Some(row) = self.rows.get(row as usize) else { return };
        row.free_pool(&self.segment)[at as usize].store(identity, Relaxed);
        row.word(&self.segment, FREE).store(free.into(), Release);
    }

    /// Plans to put an identity of backend `row` to rest; `None` for a number that is none, or when the queue is full of
    /// what it should not hold.
    #[inline]
    pub fn to_rest(&self, row: usize, identity: u32, now_ns: u64) -> Option<Resting> {
        let found = self.rows.get(row)?;
        let (head, len) = (found.rest_head(&self.segment) as u32, found.rest_len(&self.segment) as u32);
        let possible = (identity as usize) < found.count() && (len as usize) < found.count();
        possible.then_some(Resting { row: row as u32, identity, head, len, now_ns })
    }

    /// Puts to rest what was planned: replies to it lead nowhere from now on.
    #[inline]
    pub fn rest(&mut self, resting: &Resting) {
        let Resting { row, identity, head, len, now_ns } = *resting;
        self.unbind(row as usize, identity);
        let Some(row) = self.rows.get(row as usize) else { return };
        let at = (head as usize + len as usize) % row.count();
        let (identities, times) = row.resting(&self.segment);
        identities[at].store(identity, Relaxed);
        times[at].store(now_ns, Relaxed);
        row.word(&self.segment, REST_LEN).store(u64::from(len) + 1, Release);
    }

    /// Wakes and takes in one: for a table that nobody could take over.
    pub fn take(&mut self, row: usize, now_ns: u64, reuse_delay_ns: u64, random: u64) -> Option<u32> {
        if let Some(waking) = self.to_wake(row, now_ns, reuse_delay_ns) {
            self.wake(&waking);
        }
        let taking = self.to_take(row, random)?;
        self.take_planned(&taking);
        Some(taking.identity)
    }

    /// Ends the use of an identity in one: for a table that nobody could take over.
    pub fn release(&mut self, row: usize, identity: u32, now_ns: u64) {
        if let Some(resting) = self.to_rest(row, identity, now_ns) {
            self.rest(&resting);
        }
    }

    /// The identity at a position of the pool; `None` for one that is none. Panics outside the pool.
    pub(crate) fn free_at(&self, row: usize, at: usize) -> Option<u32> {
        let row = &self.rows[row];
        let identity = row.free_pool(&self.segment)[..row.free(&self.segment)][at].load(Relaxed);
        ((identity as usize) < row.count()).then_some(identity)
    }

    /// Removes a position of the pool; the last takes its place.
    pub(crate) fn drop_free(&mut self, row: usize, at: usize) {
        let row = &self.rows[row];
        let pool = row.free_pool(&self.segment);
        let Some(last) = row.free(&self.segment).checked_sub(1) else { return };
        row.word(&self.segment, FREE).store(last as u64, Release);
        pool[at].store(pool[last].load(Relaxed), Release);
    }

    /// The identity that is `n`-th in the queue, and since when; the oldest is 0. Panics outside the queue.
    pub(crate) fn resting_at(&self, row: usize, n: usize) -> (Option<u32>, u64) {
        let row = &self.rows[row];
        assert!(n < row.rest_len(&self.segment));
        let at = (row.rest_head(&self.segment) + n) % row.count();
        let (identities, times) = row.resting(&self.segment);
        let identity = identities[at].load(Relaxed);
        (((identity as usize) < row.count()).then_some(identity), times[at].load(Relaxed))
    }

    /// Lets the rest of the `n`-th in the queue begin anew. Panics outside the queue.
    pub(crate) fn rest_anew(&mut self, row: usize, n: usize, now_ns: u64) {
        let row = &self.rows[row];
        assert!(n < row.rest_len(&self.segment));
        let at = (row.rest_head(&self.segment) + n) % row.count();
        row.resting(&self.segment).1[at].store(now_ns, Relaxed);
    }

    /// Removes the `n`-th of the queue; the oldest takes its place and its time, so that it rests longer and never
    /// shorter.
    pub(crate) fn drop_resting(&mut self, row: usize, n: usize) {
        let row = &self.rows[row];
        let Some(left) = row.rest_len(&self.segment).checked_sub(1) else { return };
        let head = row.rest_head(&self.segment);
        let (identities, _) = row.resting(&self.segment);
        let oldest = identities[head].load(Relaxed);
        row.word(&self.segment, REST_LEN).store(left as u64, Release);
        row.word(&self.segment, REST_HEAD).store(((head + 1) % row.count()) as u64, Release);
        identities[(head + n) % row.count()].store(oldest, Release);
    }

    #[inline]
    fn is_unbound(&self, row: &Row, identity: u32) -> bool {
        row.reverse(&self.segment).get(identity as usize).is_some_and(|place| place.load(Relaxed) == 0)
    }
}
