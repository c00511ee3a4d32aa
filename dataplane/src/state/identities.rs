//! Upstream identities: what tells a flow apart at its backend, and what leads a reply back to it.
//!
//! An identity is a number that stands for one upstream socket and one local address. Per backend each identity is
//! free, in use by one flow, or resting: a released one is not given out again before the reuse delay, so that a
//! late reply never reaches a stranger. Which free one is next cannot be guessed. All of it lies in the region, so
//! that the rest goes on across swaps.
//!
//! Body: header (8 words), then per backend a row: header (8 words), the free pool and the reverse map (32 bits
//! each per identity), the resting queue (release time in 64 bits, identity in 32, kept apart).

pub mod places;

use super::IDENTITIES;
use shm_state::error::RegionError;
use shm_state::prelude::{Kind, SegmentId};
use shm_state::segment::{Segment, Spec};
use shm_state::table::Slot;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::Release};

/// Version of the segment's body.
pub const IDENTITIES_VERSION: u32 = 1;
/// Which segment it is.
pub const ID: SegmentId = SegmentId::new(Kind::Identities, IDENTITIES);
const HEADER_WORDS: usize = 8;
const ROW_HEADER_WORDS: usize = 8;
/// Bytes per identity: free pool, reverse map, resting identity, release time.
pub const BYTES_PER_IDENTITY: usize = 4 + 4 + 4 + 8;
// The config check refuses what the host has no memory for, and reckons with the limit.
const _: () = assert!(BYTES_PER_IDENTITY <= crate::limits::IDENTITY_BYTES_MAX);
/// Resting identities that one allocation may look at, so that its cost is bounded.
const WAKE_MAX: usize = 4;

/// One backend and how many identities it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowSpec {
    /// Stable id of the backend.
    pub backend: u32,
    pub identities: u32,
}

/// The identities of all backends.
#[derive(Debug)]
pub struct Identities {
    segment: Segment,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    spec: RowSpec,
    header_off: usize,
}

// Words of a row's header.
const BACKEND_COUNT: usize = 0;
const FREE: usize = 1;
const REST_HEAD: usize = 2;
const REST_LEN: usize = 3;

impl Identities {
    /// Bytes of shared memory for these backends.
    pub fn bytes(specs: &[RowSpec]) -> usize {
        HEADER_WORDS * 8 + specs.iter().map(row_len).sum::<usize>()
    }

    /// Makes the segment, all identities free.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn create(region_id: [u8; 16], specs: &[RowSpec]) -> Result<Self, RegionError> {
        let segment = Segment::create(Spec {
            id: ID,
            region_id,
            layout_version: IDENTITIES_VERSION,
            descriptor: None,
            body_len: Self::bytes(specs) as u64,
        })?;
        segment.words(0, 1)[0].store(specs.len() as u64, Relaxed);
        let rows = lay_out(specs);
        for row in &rows {
            let header = segment.words(row.header_off, ROW_HEADER_WORDS);
            let RowSpec { backend, identities } = row.spec;
            header[BACKEND_COUNT].store(u64::from(identities) << 32 | u64::from(backend), Relaxed);
            for (identity, place) in row.free_pool(&segment).iter().enumerate() {
                place.store(identity as u32, Relaxed);
            }
            header[FREE].store(identities.into(), Release);
        }
        Ok(Self { segment, rows })
    }

    /// Attaches the segment of a predecessor and checks that it is of these backends.
    ///
    /// # Errors
    /// The claim that does not hold, by name.
    pub fn attach(segment: Segment, specs: &[RowSpec]) -> Result<Self, RegionError> {
        segment.expect(ID)?;
        let claim = |what, found, expected: String| RegionError::Claim { segment: ID, what, found, expected };
        let version = segment.prelude().layout_version;
        if version != IDENTITIES_VERSION {
            return Err(claim("identities version", version.into(), IDENTITIES_VERSION.to_string()));
        }
        if segment.body_len() < Self::bytes(specs) {
            let need = format!("{} for the backends and [snat] of the config", Self::bytes(specs));
            return Err(claim("body length", segment.body_len() as u64, need));
        }
        let rows = segment.words(0, 1)[0].load(Relaxed);
        if rows != specs.len() as u64 {
            return Err(claim("backends", rows, format!("{} as in the config", specs.len())));
        }
        let rows = lay_out(specs);
        for row in &rows {
            let header = segment.words(row.header_off, ROW_HEADER_WORDS);
            let RowSpec { backend, identities } = row.spec;
            let found = header[BACKEND_COUNT].load(Relaxed);
            if found != u64::from(identities) << 32 | u64::from(backend) {
                let expected = format!("backend {backend:#x} with {identities} identities as in the config");
                return Err(claim("backend row", found, expected));
            }
        }
        Ok(Self { segment, rows })
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Takes a free identity of backend `row`; `random` picks which. `None` when all are in use or resting.
    pub fn take(&mut self, row: usize, now_ns: u64, reuse_delay_ns: u64, random: u64) -> Option<u32> {
        let row = self.rows.get(row)?;
        row.wake(&self.segment, now_ns, reuse_delay_ns);
        let free = row.word(&self.segment, FREE);
        let count = row.clamp(free.load(Relaxed));
        if count == 0 {
            return None;
        }
        let pool = row.free_pool(&self.segment);
        // The high half of a 64-bit product is an even choice without a division.
        let at = ((u128::from(random) * count as u128) >> 64) as usize;
        let identity = pool[at].load(Relaxed);
        pool[at].store(pool[count - 1].load(Relaxed), Relaxed);
        free.store(count as u64 - 1, Release);
        (identity < row.spec.identities).then_some(identity)
    }

    /// Leads replies to `identity` at backend `row` to `slot`.
    pub fn bind(&mut self, row: usize, identity: u32, slot: Slot) {
        if let Some(place) = self.place(row, identity) {
            place.store(slot.0 + 1, Release);
        }
    }

    /// Gives an identity that was taken but never bound straight back: no packet was ever sent from it.
    pub fn put_back(&mut self, row: usize, identity: u32) {
        if let Some(row) = self.rows.get(row) {
            row.push_free(&self.segment, identity);
        }
    }

    /// Ends the use of an identity; it rests from now on.
    pub fn release(&mut self, row: usize, identity: u32, now_ns: u64) {
        if let Some(place) = self.place(row, identity) {
            place.store(0, Release);
            self.rows[row].rest(&self.segment, identity, now_ns);
        }
    }

    /// The slot of the flow that has `identity` at backend `row`.
    #[inline]
    pub fn slot(&self, row: usize, identity: u32) -> Option<Slot> {
        self.place(row, identity)?.load(Relaxed).checked_sub(1).map(Slot)
    }

    /// Free and resting identities of backend `row`.
    pub fn spare(&self, row: usize) -> (usize, usize) {
        self.rows.get(row).map_or((0, 0), |row| {
            let count = |word| row.clamp(row.word(&self.segment, word).load(Relaxed));
            (count(FREE), count(REST_LEN))
        })
    }

    #[inline]
    fn place(&self, row: usize, identity: u32) -> Option<&AtomicU32> {
        let row = self.rows.get(row)?;
        row.reverse(&self.segment).get(identity as usize)
    }
}

fn row_len(spec: &RowSpec) -> usize {
    // Odd counts would misalign the 64-bit times behind three 32-bit arrays.
    let count = (spec.identities as usize).next_multiple_of(2);
    ROW_HEADER_WORDS * 8 + count * BYTES_PER_IDENTITY
}

fn lay_out(specs: &[RowSpec]) -> Vec<Row> {
    let mut header_off = HEADER_WORDS * 8;
    specs
        .iter()
        .map(|spec| {
            let row = Row { spec: *spec, header_off };
            header_off += row_len(spec);
            row
        })
        .collect()
}

impl Row {
    fn count(&self) -> usize {
        self.spec.identities as usize
    }

    /// Counts read from the segment are claims.
    fn clamp(&self, claimed: u64) -> usize {
        claimed.min(self.count() as u64) as usize
    }

    fn array(&self, which: usize) -> usize {
        self.header_off + ROW_HEADER_WORDS * 8 + which * self.count().next_multiple_of(2) * 4
    }

    fn word<'a>(&self, segment: &'a Segment, word: usize) -> &'a AtomicU64 {
        &segment.words(self.header_off, ROW_HEADER_WORDS)[word]
    }

    fn free_pool<'a>(&self, segment: &'a Segment) -> &'a [AtomicU32] {
        segment.halves(self.array(0), self.count())
    }

    #[inline]
    fn reverse<'a>(&self, segment: &'a Segment) -> &'a [AtomicU32] {
        segment.halves(self.array(1), self.count())
    }

    fn resting<'a>(&self, segment: &'a Segment) -> (&'a [AtomicU32], &'a [AtomicU64]) {
        (segment.halves(self.array(2), self.count()), segment.words(self.array(3), self.count()))
    }

    fn push_free(&self, segment: &Segment, identity: u32) {
        let free = self.word(segment, FREE);
        let count = self.clamp(free.load(Relaxed));
        if count < self.count() {
            self.free_pool(segment)[count].store(identity, Relaxed);
            free.store(count as u64 + 1, Release);
        }
    }

    fn rest(&self, segment: &Segment, identity: u32, now_ns: u64) {
        let (head, len) = (self.word(segment, REST_HEAD), self.word(segment, REST_LEN));
        let (at, count) = (head.load(Relaxed) as usize, self.clamp(len.load(Relaxed)));
        if count < self.count() {
            let at = (at + count) % self.count();
            let (identities, times) = self.resting(segment);
            identities[at].store(identity, Relaxed);
            times[at].store(now_ns, Relaxed);
            len.store(count as u64 + 1, Release);
        }
    }

    /// Frees those that have rested long enough, oldest first, a few at a time.
    fn wake(&self, segment: &Segment, now_ns: u64, reuse_delay_ns: u64) {
        let (head, len) = (self.word(segment, REST_HEAD), self.word(segment, REST_LEN));
        let (identities, times) = self.resting(segment);
        for _ in 0..WAKE_MAX {
            let count = self.clamp(len.load(Relaxed));
            if count == 0 {
                return;
            }
            let at = head.load(Relaxed) as usize % self.count();
            if now_ns.saturating_sub(times[at].load(Relaxed)) < reuse_delay_ns {
                return;
            }
            let identity = identities[at].load(Relaxed);
            head.store(((at + 1) % self.count()) as u64, Relaxed);
            len.store(count as u64 - 1, Release);
            self.push_free(segment, identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: u64 = 1000;

    fn three() -> Identities {
        Identities::create([1; 16], &[RowSpec { backend: 7, identities: 3 }, RowSpec { backend: 8, identities: 5 }])
            .unwrap()
    }

    #[test]
    fn each_identity_once_then_none() {
        let mut ids = three();
        let mut taken: Vec<_> = (0..3).map(|n| ids.take(0, 0, DELAY, n << 62).unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2]);
        assert_eq!(ids.take(0, 0, DELAY, 0), None);
        assert!(ids.take(1, 0, DELAY, 0).is_some(), "backends do not share");
    }

    #[test]
    fn released_ones_rest_first_in_first_out() {
        let mut ids = three();
        for n in 0..3 {
            let identity = ids.take(0, 0, DELAY, 0).unwrap();
            ids.bind(0, identity, Slot(n));
        }
        ids.release(0, 1, 10);
        ids.release(0, 0, 20);
        assert_eq!(ids.slot(0, 1), None, "a late reply finds nobody");
        assert_eq!(ids.take(0, 10 + DELAY - 1, DELAY, 0), None, "just before the delay");
        assert_eq!(ids.take(0, 10 + DELAY, DELAY, 0), Some(1), "just after");
        assert_eq!(ids.take(0, 10 + DELAY, DELAY, 0), None, "the second still rests");
        assert_eq!(ids.take(0, 20 + DELAY, DELAY, 0), Some(0));
    }

    #[test]
    fn attach_insists_on_the_same_backends() {
        let ids = three();
        let specs = [RowSpec { backend: 7, identities: 3 }, RowSpec { backend: 8, identities: 5 }];
        assert!(Identities::attach(ids.segment().clone(), &specs).is_ok());
        let other = [RowSpec { backend: 7, identities: 3 }, RowSpec { backend: 9, identities: 5 }];
        assert!(Identities::attach(ids.segment().clone(), &other).is_err());
        assert!(Identities::attach(ids.segment().clone(), &specs[..1]).is_err());
    }

    proptest::proptest! {
        /// Against a naive model: never two users of one identity, never one back before its time.
        #[test]
        fn like_the_model(steps in proptest::collection::vec((proptest::bool::ANY, 0u64..600, proptest::num::u64::ANY), 1..400)) {
            let mut ids = Identities::create([1; 16], &[RowSpec { backend: 1, identities: 8 }]).unwrap();
            let (mut used, mut rests, mut now) = (Vec::<u32>::new(), Vec::<(u32, u64)>::new(), 1);
            for (take, wait, random) in steps {
                now += wait;
                if take {
                    if let Some(identity) = ids.take(0, now, DELAY, random) {
                        proptest::prop_assert!(!used.contains(&identity));
                        if let Some(&(_, since)) = rests.iter().rev().find(|(rested, _)| *rested == identity) {
                            proptest::prop_assert!(now - since >= DELAY);
                        }
                        rests.retain(|(rested, _)| *rested != identity);
                        ids.bind(0, identity, Slot(identity + 100));
                        used.push(identity);
                    } else {
                        let young = rests.iter().filter(|(_, since)| now - since < DELAY).count();
                        proptest::prop_assert_eq!(used.len() + young, 8);
                    }
                } else if !used.is_empty() {
                    let identity = used.swap_remove(random as usize % used.len());
                    proptest::prop_assert_eq!(ids.slot(0, identity), Some(Slot(identity + 100)));
                    ids.release(0, identity, now);
                    rests.push((identity, now));
                }
            }
        }
    }
}
