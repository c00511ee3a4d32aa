//! Identities: numbers that are given out per backend, lead back to the slot of whoever has one, and rest between two
//! users.
//!
//! An identity stands for one upstream socket and one local address. Per backend each is free, bound to one slot, or
//! resting: a released one is not given out again before the reuse delay, so that a late reply never reaches a
//! stranger. Which free one is next cannot be guessed. All of it lies in the region, so that the rest goes on across
//! swaps.
//!
//! Body: header (8 words: the number of rows), then per backend a row: header (8 words), the free pool and the reverse
//! map (32 bits each per identity), the resting queue (release time in 64 bits, identity in 32, kept apart).

pub mod places;
mod row;
mod steps;
#[cfg(test)]
mod tests;

pub use steps::{Resting, Taking, Waking};

use crate::error::RegionError;
use crate::prelude::{Kind, SegmentId};
use crate::segment::{Segment, Spec};
use crate::table::Slot;
use row::{BACKEND_COUNT, FREE, HEADER_WORDS, ROW_HEADER_WORDS, Row};
use std::sync::atomic::Ordering::{Relaxed, Release};

/// Stable number of the table.
pub const TABLE: u32 = 3;
/// Version of the segment's body.
pub const IDENTITIES_VERSION: u32 = 1;
/// Which segment it is.
pub const ID: SegmentId = SegmentId::new(Kind::Identities, TABLE);
/// Bytes per identity: free pool, reverse map, resting identity, release time.
pub const BYTES_PER_IDENTITY: usize = 4 + 4 + 4 + 8;

/// One backend and how many identities it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowSpec {
    /// Stable id of the backend.
    pub backend: u32,
    pub identities: u32,
}

/// The identities of all backends.
#[derive(Debug, Clone)]
pub struct Identities {
    segment: Segment,
    rows: Vec<Row>,
}

fn claim(what: &'static str, found: u64, expected: String) -> RegionError {
    RegionError::Claim { segment: ID, what, found, expected }
}

impl Identities {
    /// Bytes of shared memory for these backends.
    pub fn bytes(specs: &[RowSpec]) -> usize {
        HEADER_WORDS * 8 + specs.iter().map(row::len).sum::<usize>()
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
        let rows = row::lay_out(specs);
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
        check_header(&segment)?;
        if segment.body_len() < Self::bytes(specs) {
            let need = format!("{} for the backends and [snat] of the config", Self::bytes(specs));
            return Err(claim("body length", segment.body_len() as u64, need));
        }
        let rows = segment.words(0, 1)[0].load(Relaxed);
        if rows != specs.len() as u64 {
            return Err(claim("backends", rows, format!("{} as in the config", specs.len())));
        }
        let rows = row::lay_out(specs);
        for row in &rows {
            let RowSpec { backend, identities } = row.spec;
            let found = row.word(&segment, BACKEND_COUNT).load(Relaxed);
            if found != u64::from(identities) << 32 | u64::from(backend) {
                let expected = format!("backend {backend:#x} with {identities} identities as in the config");
                return Err(claim("backend row", found, expected));
            }
        }
        Ok(Self { segment, rows })
    }

    /// Attaches a segment of whatever backends it says, for a reader without a config.
    ///
    /// # Errors
    /// The claim that does not hold, by name.
    pub fn claimed(segment: Segment) -> Result<Self, RegionError> {
        check_header(&segment)?;
        let count = segment.words(0, 1)[0].load(Relaxed);
        // A row has a header at least: no more are believed than there is room for.
        let most = (segment.body_len() / (ROW_HEADER_WORDS * 8)) as u64;
        if count > most {
            return Err(claim("backends", count, format!("at most {most}")));
        }
        let (mut specs, mut off) = (Vec::new(), HEADER_WORDS * 8);
        for _ in 0..count {
            let room = || claim("backend rows", count, format!("what {} bytes have room for", segment.body_len()));
            if off + ROW_HEADER_WORDS * 8 > segment.body_len() {
                return Err(room());
            }
            let word = segment.words(off, ROW_HEADER_WORDS)[BACKEND_COUNT].load(Relaxed);
            let spec = RowSpec { backend: word as u32, identities: (word >> 32) as u32 };
            off += row::len(&spec);
            if off > segment.body_len() {
                return Err(room());
            }
            specs.push(spec);
        }
        Ok(Self { rows: row::lay_out(&specs), segment })
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Backends.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Backend of a row and its number of identities. Panics when there is no such row.
    pub fn spec(&self, row: usize) -> RowSpec {
        self.rows[row].spec
    }

    /// Leads replies to `identity` at backend `row` to `slot`.
    #[inline]
    pub fn bind(&mut self, row: usize, identity: u32, slot: Slot) {
        self.lead(row, identity, slot.0 + 1);
    }

    /// Replies to `identity` at backend `row` lead nowhere.
    #[inline]
    pub fn unbind(&mut self, row: usize, identity: u32) {
        self.lead(row, identity, 0);
    }

    /// The slot of the flow that has `identity` at backend `row`.
    #[inline]
    pub fn slot(&self, row: usize, identity: u32) -> Option<Slot> {
        let row = self.rows.get(row)?;
        row.reverse(&self.segment).get(identity as usize)?.load(Relaxed).checked_sub(1).map(Slot)
    }

    /// Free and resting identities of backend `row`.
    pub fn spare(&self, row: usize) -> (usize, usize) {
        self.rows.get(row).map_or((0, 0), |row| (row.free(&self.segment), row.rest_len(&self.segment)))
    }

    fn lead(&mut self, row: usize, identity: u32, to: u32) {
        if let Some(row) = self.rows.get(row)
            && let Some(place) = row.reverse(&self.segment).get(identity as usize)
        {
            place.store(to, Release);
        }
    }
}

fn check_header(segment: &Segment) -> Result<(), RegionError> {
    segment.expect(ID)?;
    let version = segment.prelude().layout_version;
    if version != IDENTITIES_VERSION {
        return Err(claim("identities version", version.into(), IDENTITIES_VERSION.to_string()));
    }
    if segment.body_len() < HEADER_WORDS * 8 {
        return Err(claim("body length", segment.body_len() as u64, "room for a header".into()));
    }
    Ok(())
}
