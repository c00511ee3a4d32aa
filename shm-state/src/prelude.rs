//! The first 128 bytes of every segment, readable by every version for ever.
//!
//! Invariant: nothing here ever moves or changes its meaning. New facts go into the reserved words (zero
//! means "not said") or into the body. All numbers are little endian.

mod places;
pub use places::PLACES;

use crate::error::RegionError;
use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `b"HITLESS\0"` as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"HITLESS\0");
/// The prelude version that this code writes and reads.
pub const PRELUDE_VERSION: u32 = 1;
/// Bodies start on a cache line.
pub const BODY_ALIGN: u64 = 64;
/// Length of the prelude in bytes.
pub const PRELUDE_LEN: usize = size_of::<Prelude>();

/// What is in the segment must not reach a disk: whoever maps it locks it and leaves it out of core dumps.
pub const FLAG_SECRET: u32 = 1;

/// What a segment is for. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// Who owns the region, and the words of the handover.
    Manifest = 1,
    /// Records of one table; describes itself.
    Table = 2,
    /// Hash index and free slots of a table.
    Index = 3,
    /// What one process holds: its segments and sockets, with their descriptor numbers.
    Directory = 4,
    /// Rings and receive buffers of one process generation; never translated.
    Io = 5,
    /// Upstream identities: free, in use, resting.
    Identities = 6,
    /// Fields of a table that are kept aside; describes itself.
    Side = 7,
}

impl Kind {
    /// The kind with this stable number.
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Manifest,
            2 => Self::Table,
            3 => Self::Index,
            4 => Self::Directory,
            5 => Self::Io,
            6 => Self::Identities,
            7 => Self::Side,
            _ => return None,
        })
    }

    /// The kind's name in messages and errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Table => "table",
            Self::Index => "index",
            Self::Directory => "directory",
            Self::Io => "io",
            Self::Identities => "identities",
            Self::Side => "side",
        }
    }
}

/// Which segment: its kind, its table's stable id (0 where there is none) and its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SegmentId {
    pub kind: Kind,
    pub table: u32,
    pub shard: u32,
}

impl SegmentId {
    /// The id of a segment in shard 0.
    pub const fn new(kind: Kind, table: u32) -> Self {
        Self { kind, table, shard: 0 }
    }
}

impl std::fmt::Display for SegmentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind.name())?;
        if self.table != 0 {
            write!(f, ":{}", self.table)?;
        }
        if self.shard != 0 {
            write!(f, "#{}", self.shard)?;
        }
        Ok(())
    }
}

/// The prelude as it lies in memory.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Prelude {
    magic: u64,
    version: u32,
    kind: u32,
    /// Bytes of the whole segment, prelude included.
    pub segment_len: u64,
    /// Which region the segment belongs to; random, the same in all its segments.
    pub region_id: [u8; 16],
    /// Stable id of the table, 0 where there is none.
    pub table: u32,
    /// Shard number within the table.
    pub shard: u32,
    /// Version of the layout, as a person counts it.
    pub layout_version: u32,
    /// [`FLAG_SECRET`]; other bits are ignored.
    flags: u32,
    /// Fingerprint of the descriptor, 0 where there is none.
    pub fingerprint: u64,
    /// Where the descriptor's bytes start, from the segment's start; 0 where there is none.
    pub descriptor_off: u64,
    /// Length of the descriptor in bytes.
    pub descriptor_len: u64,
    /// Where the body starts, from the segment's start.
    pub body_off: u64,
    /// Length of the body in bytes.
    pub body_len: u64,
    reserved: [u64; 3],
    checksum: u64,
}

const _: () = assert!(size_of::<Prelude>() == 128);

/// The parts of a prelude that its maker chooses.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub id: SegmentId,
    pub region_id: [u8; 16],
    pub layout_version: u32,
    pub fingerprint: u64,
    pub descriptor_off: u64,
    pub descriptor_len: u64,
    pub body_off: u64,
    pub body_len: u64,
    pub segment_len: u64,
    /// [`FLAG_SECRET`] or 0.
    pub flags: u32,
}

impl Prelude {
    /// Makes a prelude with its checksum.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            id,
            region_id,
            layout_version,
            fingerprint,
            descriptor_off,
            descriptor_len,
            body_off,
            body_len,
            segment_len,
            flags,
        } = parts;
        let mut prelude = Self {
            magic: MAGIC,
            version: PRELUDE_VERSION,
            kind: id.kind as u32,
            segment_len,
            region_id,
            table: id.table,
            shard: id.shard,
            layout_version,
            flags,
            fingerprint,
            descriptor_off,
            descriptor_len,
            body_off,
            body_len,
            reserved: [0; 3],
            checksum: 0,
        };
        prelude.checksum = prelude.computed_checksum();
        prelude
    }

    /// Whether what is in the segment must not reach a disk.
    pub fn is_secret(&self) -> bool {
        self.flags & FLAG_SECRET != 0
    }

    /// Checks a claimed prelude against the length of its file.
    ///
    /// # Errors
    /// The first claim that does not hold, by name.
    pub fn check(self, file_len: u64) -> Result<Self, RegionError> {
        if self.magic != MAGIC {
            return Err(RegionError::BadMagic { found: self.magic });
        }
        if self.version != PRELUDE_VERSION {
            return Err(RegionError::PreludeVersion { found: self.version, known: PRELUDE_VERSION });
        }
        let computed = self.computed_checksum();
        if computed != self.checksum {
            return Err(RegionError::PreludeChecksum { found: self.checksum, computed });
        }
        let Some(kind) = Kind::from_number(self.kind) else {
            let segment = SegmentId::new(Kind::Manifest, self.table);
            return Err(RegionError::Claim {
                segment,
                what: "segment kind",
                found: self.kind.into(),
                expected: "1..=7".into(),
            });
        };
        let segment = SegmentId { kind, table: self.table, shard: self.shard };
        if self.segment_len != file_len {
            return Err(RegionError::Resized { segment, claimed: self.segment_len, actual: file_len });
        }
        let inside = |off: u64, len: u64| {
            off.is_multiple_of(8)
                && off >= PRELUDE_LEN as u64
                && off.checked_add(len).is_some_and(|end| end <= self.segment_len)
        };
        if self.descriptor_len > 0 && !inside(self.descriptor_off, self.descriptor_len) {
            return Err(RegionError::Claim {
                segment,
                what: "descriptor offset",
                found: self.descriptor_off,
                expected: format!("a place inside {} bytes", self.segment_len),
            });
        }
        if !self.body_off.is_multiple_of(BODY_ALIGN) || !inside(self.body_off, self.body_len) {
            return Err(RegionError::Claim {
                segment,
                what: "body offset",
                found: self.body_off,
                expected: format!("a multiple of {BODY_ALIGN} inside {} bytes", self.segment_len),
            });
        }
        Ok(self)
    }

    /// Which segment this is. Only meaningful after [`Prelude::check`].
    pub fn id(&self) -> SegmentId {
        SegmentId { kind: Kind::from_number(self.kind).unwrap_or(Kind::Manifest), table: self.table, shard: self.shard }
    }

    fn computed_checksum(&self) -> u64 {
        digest64(&self.as_bytes()[..PRELUDE_LEN - 8])
    }
}

/// The first 8 bytes of a SHA-256, as a little-endian number: the prelude's checksum, a descriptor's fingerprint.
pub fn digest64(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}
