//! Receive buffers, handed to the kernel and back through a ring of their own.

use super::layout::IoShape;
use super::{Ring, setup};
use shm_state::segment::Segment;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// The buffers of one worker, group 0 of its ring.
#[derive(Debug)]
pub struct BufferRing {
    segment: Segment,
    shape: IoShape,
    /// Buffers given to the kernel so far, wrapping.
    tail: u16,
    /// Buffers that completions have named so far, wrapping: where the kernel is, once none of them waits in the queue.
    taken: u16,
    /// How many the kernel may see.
    window: u16,
}

/// Buffer group of a worker's ring; there is one.
pub const GROUP: u16 = 0;

#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    address: u64,
    len: u32,
    buffer: u16,
    /// In the first entry this half word is the ring's tail.
    tail: u16,
}

impl BufferRing {
    /// Registers the segment's buffers with `ring` and gives all of them to the kernel.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn new(ring: &Ring, segment: &Segment, shape: &IoShape) -> io::Result<Self> {
        assert!(shape.buffers.is_power_of_two() && shape.buffers <= 1 << 15);
        setup::register_buffers(ring.raw_fd(), segment.address(shape.buffer_ring_off()), shape.buffers, GROUP)?;
        let mut buffers = Self { segment: segment.clone(), shape: *shape, tail: 0, taken: 0, window: u16::MAX };
        for buffer in 0..shape.buffers {
            buffers.give(buffer as u16);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// Gives a buffer back; the kernel sees it after [`BufferRing::publish`].
    ///
    /// # Panics
    /// When there is no such buffer.
    #[inline]
    pub fn give(&mut self, buffer: u16) {
        assert!(u32::from(buffer) < self.shape.buffers);
        let at = usize::from(self.tail) & (self.shape.buffers as usize - 1);
        let entry = self.segment.address(self.shape.buffer_ring_off() + at * 16) as *mut Entry;
        let address = self.segment.address(self.offset(buffer));
        // SAFETY: `at < buffers` by the mask, so the entry lies inside the buffer ring's memory, 16-byte aligned. The
        // three fields are written one by one because the fourth of entry 0 is the tail.
        unsafe {
            (&raw mut (*entry).address).write(address);
            (&raw mut (*entry).len).write(self.shape.buffer_len);
            (&raw mut (*entry).buffer).write(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// A completion has named a buffer.
    #[inline]
    pub fn took(&mut self) {
        self.taken = self.taken.wrapping_add(1);
    }

    /// Lets the kernel see only so many buffers from now on. Only while no completion waits that names one: the kernel
    /// must not find the end of the ring before the place where it is.
    pub fn narrow(&mut self, window: u16) {
        self.window = window;
        self.publish();
    }

    /// Lets the kernel see the buffers given back, as far as it may.
    #[inline]
    pub fn publish(&mut self) {
        let free = self.tail.wrapping_sub(self.taken);
        let tail_seen = self.taken.wrapping_add(free.min(self.window));
        let entry = self.segment.address(self.shape.buffer_ring_off()) as *mut Entry;
        // SAFETY: the tail is the last half word of entry 0, inside the buffer ring's memory, 2-byte aligned; it is only
        // ever accessed as an atomic, by the kernel and here.
        let tail = unsafe { AtomicU16::from_ptr(&raw mut (*entry).tail) };
        tail.store(tail_seen, Ordering::Release);
    }

    /// The first `len` bytes of a buffer that a completion named.
    ///
    /// # Panics
    /// When there is no such buffer or it is shorter.
    #[inline]
    pub fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        assert!(u32::from(buffer) < self.shape.buffers && len <= self.shape.buffer_len as usize);
        let start = self.segment.address(self.offset(buffer)) as *const u8;
        // SAFETY: the range lies inside the buffers' memory (asserted), which `segment` keeps mapped. The kernel writes to
        // a buffer only between give() and the completion that names it; the worker calls this after that completion and
        // before the next give() of the same buffer, which takes `&mut self`. No other process writes there.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    fn offset(&self, buffer: u16) -> usize {
        self.shape.buffers_off() + usize::from(buffer) * self.shape.buffer_stride()
    }
}
