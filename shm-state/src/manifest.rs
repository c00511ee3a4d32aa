//! The manifest: owner word, handover words, parties.
//!
//! Invariants: the words up to [`HandoverWords`] keep their place and meaning for ever. A party writes its own
//! entry and its own stamps only; the owner word alone says whose directory is in force.

pub mod places;

use crate::error::RegionError;
use crate::map::AllAtomic;
use crate::owner::{GENERATION_MAX, OwnerState, OwnerWord, Party};
use crate::prelude::{Kind, SegmentId};
use crate::segment::{Segment, Spec};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Which segment a manifest is.
pub const MANIFEST: SegmentId = SegmentId::new(Kind::Manifest, 0);
/// Version of the manifest's body.
pub const MANIFEST_VERSION: u32 = 1;
/// Workers that one process may have.
pub const WORKERS_MAX: usize = 64;
/// Party numbers, 0 (nobody) included.
const PARTIES: usize = 256;

/// Body of the manifest.
#[derive(Debug)]
#[repr(C)]
struct Body {
    owner: OwnerWord,
    swaps: AtomicU64,
    reserved: [AtomicU64; 6],
    handover: HandoverWords,
    parties: [PartyWords; PARTIES],
}

/// Words through which the two sides of a swap meet, without any message. Times are CLOCK_MONOTONIC ns.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct HandoverWords {
    /// B asks A to stop: generation << 8 | B's party; 0 is no request.
    request: AtomicU64,
    /// Futex: changes whenever `request` does. A's workers wait on it inside their rings.
    pub request_bell: AtomicU32,
    /// Futex: changes whenever the owner word does. B, and A while it has offered, wait on it.
    pub owner_bell: AtomicU32,
    /// When A had offered the owner word.
    pub offered_ns: AtomicU64,
    reserved: [AtomicU64; 4],
    /// What each worker of A says about its stop.
    pub stops: [StopStamp; WORKERS_MAX],
}

/// Times of one stopping worker.
#[derive(Debug)]
#[repr(C)]
pub struct StopStamp {
    /// Its last return from the ring before the stop.
    pub last_return_ns: AtomicU64,
    /// When everything that it had received was served and sent.
    pub quiesced_ns: AtomicU64,
    /// The generation in which it has stopped; 0 is never.
    generation: AtomicU64,
    /// The processor it ran on, plus one; 0 is unknown.
    pub cpu: AtomicU32,
    reserved: AtomicU32,
}

/// One party's entry.
#[derive(Debug)]
#[repr(C)]
struct PartyWords {
    pid: AtomicU32,
    workers: AtomicU32,
    reserved: [AtomicU64; 7],
}

// SAFETY: `repr(C)`, every field is an atomic integer or an array or struct of them; alignment is 64.
#[allow(unsafe_code)]
unsafe impl AllAtomic for Body {}

const _: () = assert!(std::mem::offset_of!(Body, owner) == 0 && std::mem::offset_of!(Body, handover) == 64);

/// A request that B has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub party: Party,
    pub generation: u64,
}

impl StopStamp {
    /// This worker has stopped, as one of the holder of `generation`.
    // PAIR stopped: each worker stores its own and then looks at all; sequentially consistent on both sides, so that
    // of two that stop at once at least one sees both.
    pub fn stop(&self, generation: u64) {
        self.generation.store(generation, Ordering::SeqCst);
    }
}

impl HandoverWords {
    /// Whether the first `workers` workers have all stopped in `generation`.
    // PAIR stopped: the other end of StopStamp::stop.
    pub fn all_stopped(&self, workers: usize, generation: u64) -> bool {
        self.stops[..workers.min(WORKERS_MAX)].iter().all(|stop| stop.generation.load(Ordering::SeqCst) == generation)
    }

    /// B asks the holder of `generation` to stop in its favour, and rings A's bell.
    // PAIR request: release here, acquire in request(); B's tables are ready before A may see the request.
    pub fn ask(&self, request: Request) {
        self.request.store(request.generation << 8 | u64::from(request.party.number()), Ordering::Release);
        self.request_bell.fetch_add(1, Ordering::Release);
    }

    /// Forgets a request, whoever made it. Called by whoever won or gave up.
    pub fn forget(&self) {
        self.request.store(0, Ordering::Release);
    }

    /// The request that stands, if any. One relaxed-cost load: called once per turn of the packet loop.
    // PAIR request: acquire here, release in ask().
    #[inline]
    pub fn request(&self) -> Option<Request> {
        let word = self.request.load(Ordering::Acquire);
        if word == 0 {
            return None;
        }
        Party::new(word as u8).map(|party| Request { party, generation: word >> 8 })
    }
}

/// The manifest of a region.
#[derive(Debug, Clone)]
pub struct Manifest {
    segment: Segment,
}

impl Manifest {
    /// Makes the manifest of a new region.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn create(region_id: [u8; 16]) -> Result<Self, RegionError> {
        let segment = Segment::create(Spec {
            id: MANIFEST,
            region_id,
            layout_version: MANIFEST_VERSION,
            descriptor: None,
            body_len: size_of::<Body>() as u64,
        })?;
        Ok(Self { segment })
    }

    /// Checks a segment that is said to be a manifest.
    ///
    /// # Errors
    /// By name, what is wrong with it.
    pub fn attach(segment: Segment) -> Result<Self, RegionError> {
        segment.expect(MANIFEST)?;
        if segment.body_len() < size_of::<Body>() {
            return Err(RegionError::Claim {
                segment: MANIFEST,
                what: "body length",
                found: segment.body_len() as u64,
                expected: format!("at least {}", size_of::<Body>()),
            });
        }
        let manifest = Self { segment };
        match manifest.owner() {
            OwnerState::Corrupt { word } => Err(RegionError::Claim {
                segment: MANIFEST,
                what: "owner word",
                found: word,
                expected: "a known state".into(),
            }),
            owner if owner.generation() == GENERATION_MAX => Err(RegionError::Claim {
                segment: MANIFEST,
                what: "generation in the owner word",
                found: GENERATION_MAX,
                expected: format!("less than {GENERATION_MAX}, which leaves none for a successor"),
            }),
            _ => Ok(manifest),
        }
    }

    /// The segment itself.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Random id of the region.
    pub fn region_id(&self) -> [u8; 16] {
        self.segment.prelude().region_id
    }

    /// What the owner word says.
    #[inline]
    pub fn owner(&self) -> OwnerState {
        self.owner_word().load()
    }

    /// The owner word.
    #[inline]
    pub fn owner_word(&self) -> &OwnerWord {
        &self.body().owner
    }

    /// The handover words.
    #[inline]
    pub fn handover(&self) -> &HandoverWords {
        &self.body().handover
    }

    /// Swaps that were won in this region.
    pub fn swap_count(&self) -> u64 {
        self.body().swaps.load(Ordering::Relaxed)
    }

    /// Counts a swap; for the winner.
    pub fn count_swap(&self) {
        self.body().swaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Enters a party: its process and its number of workers.
    pub fn enter(&self, party: Party, pid: u32, workers: u32) {
        let words = &self.body().parties[usize::from(party.number())];
        words.workers.store(workers, Ordering::Relaxed);
        words.pid.store(pid, Ordering::Release);
    }

    /// Process id of a party; `None` when it never entered.
    pub fn pid(&self, party: Party) -> Option<u32> {
        match self.body().parties[usize::from(party.number())].pid.load(Ordering::Acquire) {
            0 => None,
            pid => Some(pid),
        }
    }

    /// Workers of a party, as it claims; at most [`WORKERS_MAX`].
    pub fn workers(&self, party: Party) -> u32 {
        let claimed = self.body().parties[usize::from(party.number())].workers.load(Ordering::Relaxed);
        claimed.min(WORKERS_MAX as u32)
    }

    #[inline]
    fn body(&self) -> &Body {
        self.segment.view(0)
    }
}
