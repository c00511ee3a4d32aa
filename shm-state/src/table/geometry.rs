//! How a records segment's body is divided, and the check of a foreign body's claim to it.
//!
//! Body: header (8 words), dirty marks (one byte per block of slots), slots, groups of marks (one byte per line of
//! marks). A slot is a meta word and the record. Tables of the first release have no groups.

use super::marks::{BLOCK_SLOTS, GROUP_BLOCKS};
use crate::error::RegionError;
use crate::segment::Segment;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest record in bytes.
pub const RECORD_LEN_MAX: usize = 504;
const HEADER_WORDS: usize = 8;
/// Header word: where the groups are, from the body's start; 0 where there are none.
const GROUPS_OFF: usize = 6;
/// Header word: the generation whose holder marks slots by bits, and their groups. A holder of another generation is an
/// executable that knows whole blocks only. In a layer: the generation of the holder from whom its values are.
const GENERATION: usize = 7;
const META_LEN: usize = 8;
const LINE: usize = 64;

/// Offsets within the body, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) capacity: usize,
    pub(crate) record_len: usize,
    pub(crate) stride: usize,
    pub(crate) marks_off: usize,
    pub(crate) slots_off: usize,
    /// `None` in a table that an executable of the first release made.
    pub(crate) groups_off: Option<usize>,
}

impl Geometry {
    /// The geometry of a table of `capacity` records of `record_len` bytes.
    ///
    /// # Panics
    /// When `record_len` is no multiple of 8 or too long, or `capacity` is 0 or above 2^32: the caller's bug.
    pub(crate) fn new(capacity: usize, record_len: usize) -> Self {
        assert!(record_len.is_multiple_of(8) && (8..=RECORD_LEN_MAX).contains(&record_len));
        assert!(capacity > 0 && capacity <= u32::MAX as usize);
        let marks_off = HEADER_WORDS * 8;
        let slots_off = (marks_off + capacity.div_ceil(BLOCK_SLOTS)).next_multiple_of(LINE);
        let stride = record_len + META_LEN;
        let groups_off = Some((slots_off + capacity * stride).next_multiple_of(LINE));
        Self { capacity, record_len, stride, marks_off, slots_off, groups_off }
    }

    pub(crate) fn body_len(&self) -> usize {
        match self.groups_off {
            Some(off) => off + self.groups(),
            None => self.slots_off + self.capacity * self.stride,
        }
    }

    pub(crate) fn groups(&self) -> usize {
        self.blocks().div_ceil(GROUP_BLOCKS)
    }

    /// The word that says of which generation the table is.
    pub(crate) fn generation<'a>(&self, segment: &'a Segment) -> &'a AtomicU64 {
        &segment.words(0, HEADER_WORDS)[GENERATION]
    }

    pub(crate) fn blocks(&self) -> usize {
        self.capacity.div_ceil(BLOCK_SLOTS)
    }

    /// Byte offset of a slot's meta word.
    ///
    /// # Panics
    /// When there is no such slot.
    #[inline]
    pub(crate) fn slot_off(&self, slot: usize) -> usize {
        assert!(slot < self.capacity, "slot {slot} of {}", self.capacity);
        self.slots_off + slot * self.stride
    }

    pub(crate) fn write(&self, segment: &Segment) {
        let header = segment.words(0, HEADER_WORDS);
        let Self { capacity, record_len, stride, marks_off, slots_off, groups_off } = *self;
        let groups_off = groups_off.unwrap_or(0);
        for (to, value) in
            header.iter().zip([capacity, record_len, stride, BLOCK_SLOTS, marks_off, slots_off, groups_off])
        {
            to.store(value as u64, Ordering::Relaxed);
        }
    }

    /// Reads and checks the geometry that a segment claims, for records of `record_len` bytes.
    pub(crate) fn read(segment: &Segment, record_len: usize) -> Result<Self, RegionError> {
        let claim =
            |what, found: u64, expected: String| RegionError::Claim { segment: segment.id(), what, found, expected };
        if segment.body_len() < HEADER_WORDS * 8 {
            return Err(claim("body length", segment.body_len() as u64, "room for a header".into()));
        }
        if !record_len.is_multiple_of(8) || !(8..=RECORD_LEN_MAX).contains(&record_len) {
            return Err(claim("record length", record_len as u64, format!("8..={RECORD_LEN_MAX}, a multiple of 8")));
        }
        let header = segment.words(0, HEADER_WORDS);
        let capacity = header[0].load(Ordering::Relaxed);
        if capacity == 0 || capacity > u64::from(u32::MAX) {
            return Err(claim("capacity", capacity, "1..=4294967295".into()));
        }
        let mut geometry = Self::new(capacity as usize, record_len);
        let groups_off = header[GROUPS_OFF].load(Ordering::Relaxed);
        if groups_off == 0 {
            geometry.groups_off = None;
        } else if geometry.groups_off != usize::try_from(groups_off).ok() {
            let expected = geometry.groups_off.map_or_else(String::new, |off| format!("{off}, or 0"));
            return Err(claim("groups offset", groups_off, expected));
        }
        let expected =
            [capacity as usize, record_len, geometry.stride, BLOCK_SLOTS, geometry.marks_off, geometry.slots_off];
        let names = ["capacity", "record length", "slot stride", "slots per block", "marks offset", "slots offset"];
        for ((word, expected), what) in header.iter().zip(expected).zip(names) {
            let found = word.load(Ordering::Relaxed);
            if found != expected as u64 {
                return Err(claim(what, found, expected.to_string()));
            }
        }
        if geometry.body_len() > segment.body_len() {
            return Err(claim("capacity", capacity, format!("what {} bytes have room for", segment.body_len())));
        }
        Ok(geometry)
    }
}
