//! Where ring, submissions, buffer ring and buffers lie in the io segment of one worker.

use shm_state::error::RegionError;
use shm_state::prelude::{Kind, SegmentId};
use shm_state::segment::{Segment, Spec};

/// Version of the segment's body.
const IO_VERSION: u32 = 1;
const PAGE: usize = 4096;
/// The kernel's own header in front of the completions; `struct io_rings` has 320 bytes on 64-bit Linux 6.x.
const RING_HEADER: usize = PAGE;

/// Sizes of one worker's ring and buffers. Counts are powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoShape {
    pub submissions: u32,
    pub completions: u32,
    pub buffers: u32,
    /// Bytes of a buffer that may be filled: receive header, name, control data and payload. Exact, because what does
    /// not fit is what is too long.
    pub buffer_len: u32,
}

// The body starts behind the prelude; pages of the segment, not of the body, are what the kernel wants aligned.
const fn page_up(off: usize) -> usize {
    off.next_multiple_of(PAGE)
}

impl IoShape {
    /// The body starts this far behind a page boundary.
    const SKEW: usize = 128;

    const fn from_page(page_off: usize) -> usize {
        page_off - Self::SKEW
    }

    /// Ring memory: the kernel's header and the completions. All offsets are from the start of the body.
    pub const fn ring_off(&self) -> usize {
        Self::from_page(PAGE)
    }

    /// Submission entries, 64 bytes each.
    pub const fn submissions_off(&self) -> usize {
        Self::from_page(PAGE + page_up(RING_HEADER + self.completions as usize * 16))
    }

    /// Buffer ring, 16 bytes an entry.
    pub const fn buffer_ring_off(&self) -> usize {
        self.submissions_off() + page_up(self.submissions as usize * 64)
    }

    /// The buffers.
    pub const fn buffers_off(&self) -> usize {
        self.buffer_ring_off() + page_up(self.buffers as usize * 16)
    }

    /// From one buffer to the next: buffers start on a cache line.
    pub const fn buffer_stride(&self) -> usize {
        (self.buffer_len as usize).next_multiple_of(64)
    }

    /// Bytes of the whole body.
    pub const fn body_len(&self) -> usize {
        self.buffers_off() + page_up(self.buffers as usize * self.buffer_stride())
    }
}

/// Makes the io segment of worker `worker`.
///
/// # Errors
/// See [`RegionError`].
pub fn create_segment(region_id: [u8; 16], worker: u32, shape: &IoShape) -> Result<Segment, RegionError> {
    let segment = Segment::create(Spec {
        id: SegmentId { kind: Kind::Io, table: 0, shard: worker },
        region_id,
        layout_version: IO_VERSION,
        descriptor: None,
        body_len: shape.body_len() as u64,
    })?;
    assert_eq!(segment.prelude().body_off as usize, IoShape::SKEW, "body starts right behind the prelude");
    Ok(segment)
}
