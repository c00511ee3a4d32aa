//! The directory of one process: which segments and sockets it holds, under which descriptor numbers.
//!
//! Written once by its process before that process may win the owner word. The supervisor keeps a duplicate,
//! so that the descriptors of a process that no longer answers can be taken from it.

pub mod places;

use crate::error::RegionError;
use crate::prelude::{Kind, SegmentId};
use crate::segment::{Segment, Spec};
use std::sync::atomic::Ordering;

/// Which segment a directory is.
pub const DIRECTORY: SegmentId = SegmentId::new(Kind::Directory, 0);
/// Version of the directory's body.
pub const DIRECTORY_VERSION: u32 = 1;
/// More than a process could ever hold.
const ENTRIES_MAX: u64 = 1 << 20;
const HEADER_WORDS: usize = 8;
const SEGMENT_WORDS: usize = 4;
const SOCKET_WORDS: usize = 4;

/// One segment that a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentEntry {
    pub id: SegmentId,
    /// Descriptor number in the directory's process.
    pub fd: i32,
    pub layout_version: u32,
    pub fingerprint: u64,
}

/// What a socket is for. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Role {
    /// Clients write to it.
    Listener = 1,
    /// Backends are written to through it.
    Upstream = 2,
}

/// One socket that a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketEntry {
    pub role: Role,
    /// Stable id of the listener; for upstream sockets the address family (4 or 6).
    pub owner_id: u32,
    /// Which of its owner's sockets it is.
    pub ordinal: u32,
    pub shard: u32,
    /// Descriptor number in the directory's process.
    pub fd: i32,
}

/// A directory.
#[derive(Debug, Clone)]
pub struct Directory {
    segment: Segment,
    segments: usize,
    sockets: usize,
}

impl Directory {
    /// Makes and fills a directory.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn create(
        region_id: [u8; 16],
        segments: &[SegmentEntry],
        sockets: &[SocketEntry],
    ) -> Result<Self, RegionError> {
        let words = HEADER_WORDS + segments.len() * SEGMENT_WORDS + sockets.len() * SOCKET_WORDS;
        let segment = Segment::create(Spec {
            id: DIRECTORY,
            region_id,
            layout_version: DIRECTORY_VERSION,
            descriptor: None,
            body_len: (words * 8) as u64,
        })?;
        let header = [segments.len() as u64, sockets.len() as u64, 0, 0, 0, 0, 0, 0];
        let entries = segments.iter().flat_map(encode_segment).chain(sockets.iter().flat_map(encode_socket));
        for (to, word) in segment.words(0, words).iter().zip(header.into_iter().chain(entries)) {
            to.store(word, Ordering::Relaxed);
        }
        Ok(Self { segment, segments: segments.len(), sockets: sockets.len() })
    }

    /// Checks a segment that is said to be a directory.
    ///
    /// # Errors
    /// By name, what is wrong with it.
    pub fn attach(segment: Segment) -> Result<Self, RegionError> {
        segment.expect(DIRECTORY)?;
        let claim = |what, found, expected: &str| RegionError::Claim {
            segment: DIRECTORY,
            what,
            found,
            expected: expected.into(),
        };
        if segment.body_len() < HEADER_WORDS * 8 {
            return Err(claim("body length", segment.body_len() as u64, "room for a header"));
        }
        let header = segment.words(0, HEADER_WORDS);
        let (segments, sockets) = (header[0].load(Ordering::Relaxed), header[1].load(Ordering::Relaxed));
        if segments > ENTRIES_MAX || sockets > ENTRIES_MAX {
            return Err(claim("entries", segments.max(sockets), "at most 1048576"));
        }
        let words = HEADER_WORDS as u64 + segments * SEGMENT_WORDS as u64 + sockets * SOCKET_WORDS as u64;
        if words * 8 > segment.body_len() as u64 {
            return Err(claim("entries", segments + sockets, "as many as its body has room for"));
        }
        Ok(Self { segment, segments: segments as usize, sockets: sockets as usize })
    }

    /// The segment itself.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The segments of the process.
    ///
    /// # Errors
    /// A value that no process writes, by name.
    pub fn segments(&self) -> Result<Vec<SegmentEntry>, RegionError> {
        self.entries(HEADER_WORDS, self.segments)
            .map(|[kind_table, shard_fd, version, fingerprint]| {
                let kind = Kind::from_number(kind_table as u32).ok_or_else(|| RegionError::Claim {
                    segment: DIRECTORY,
                    what: "segment kind",
                    found: kind_table & 0xffff_ffff,
                    expected: "a known kind".into(),
                })?;
                Ok(SegmentEntry {
                    id: SegmentId { kind, table: (kind_table >> 32) as u32, shard: shard_fd as u32 },
                    fd: (shard_fd >> 32) as i32,
                    layout_version: version as u32,
                    fingerprint,
                })
            })
            .collect()
    }

    /// The sockets of the process.
    ///
    /// # Errors
    /// A value that no process writes, by name.
    pub fn sockets(&self) -> Result<Vec<SocketEntry>, RegionError> {
        self.entries(HEADER_WORDS + self.segments * SEGMENT_WORDS, self.sockets)
            .map(|[role_owner, ordinal_shard, fd, _]| {
                let role = match role_owner as u32 {
                    1 => Role::Listener,
                    2 => Role::Upstream,
                    other => {
                        return Err(RegionError::Claim {
                            segment: DIRECTORY,
                            what: "socket role",
                            found: other.into(),
                            expected: "1 or 2".into(),
                        });
                    }
                };
                Ok(SocketEntry {
                    role,
                    owner_id: (role_owner >> 32) as u32,
                    ordinal: ordinal_shard as u32,
                    shard: (ordinal_shard >> 32) as u32,
                    fd: fd as u32 as i32,
                })
            })
            .collect()
    }

    fn entries(&self, from: usize, count: usize) -> impl Iterator<Item = [u64; 4]> {
        const { assert!(SEGMENT_WORDS == 4 && SOCKET_WORDS == 4) };
        self.segment
            .words(from * 8, count * 4)
            .chunks_exact(4)
            .map(|entry| std::array::from_fn(|i| entry[i].load(Ordering::Relaxed)))
    }
}

fn encode_segment(entry: &SegmentEntry) -> [u64; SEGMENT_WORDS] {
    let SegmentEntry { id, fd, layout_version, fingerprint } = *entry;
    [
        u64::from(id.table) << 32 | u64::from(id.kind as u32),
        u64::from(fd as u32) << 32 | u64::from(id.shard),
        layout_version.into(),
        fingerprint,
    ]
}

fn encode_socket(entry: &SocketEntry) -> [u64; SOCKET_WORDS] {
    let SocketEntry { role, owner_id, ordinal, shard, fd } = *entry;
    [
        u64::from(owner_id) << 32 | u64::from(role as u32),
        u64::from(shard) << 32 | u64::from(ordinal),
        u64::from(fd as u32),
        0,
    ]
}
