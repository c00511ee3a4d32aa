//! Unsafe fence: an io_uring whose ring, buffers and completion position lie in a segment.
//!
//! Memory of the region (IORING_SETUP_NO_MMAP) lets a successor finish the completions of a dead owner. Flags:
//! DEFER_TASKRUN and SINGLE_ISSUER, so that the ring takes nothing from any socket unless its own thread enters it
//! and asks for events: an owner stops by not entering, and a successor's receives may be armed beforehand. The
//! `io-uring` crate's builder has no NO_MMAP, therefore set-up is our own; its opcodes are used as they are.
#![allow(unsafe_code)]

mod buffers;
mod layout;
mod port;
mod receive;
mod send;
mod setup;

pub use layout::{IoShape, create_segment};
pub use port::{Event, FailedSend, Port};

use buffers::BufferRing;
use io_uring::squeue;
use receive::ReceiveShape;
use send::SendQueue;
use setup::{Offsets, enter};
use shm_state::segment::Segment;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// One completion.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Completion {
    pub user_data: u64,
    pub result: i32,
    pub flags: u32,
}

/// How often a submission is tried while the kernel is short of memory.
const SUBMIT_TRIES: u32 = 1000;

/// The completion carries a provided buffer.
const CQE_BUFFER: u32 = 1;
/// The request will make more completions.
const CQE_MORE: u32 = 2;

impl Completion {
    /// Id of the provided buffer it carries.
    #[inline]
    pub fn buffer(self) -> Option<u16> {
        (self.flags & CQE_BUFFER != 0).then_some((self.flags >> 16) as u16)
    }

    /// Whether its request goes on.
    #[inline]
    pub fn more(self) -> bool {
        self.flags & CQE_MORE != 0
    }
}

/// The ring of one thread. Not `Send`: only the thread that made it may enter it.
#[derive(Debug)]
struct Ring {
    fd: OwnedFd,
    /// Keeps ring memory mapped for as long as the kernel may write to it through `fd`.
    segment: Segment,
    submissions: NonNull<squeue::Entry>,
    completions: NonNull<Completion>,
    at: Offsets,
    tail: u32,
    submitted: u32,
    head: u32,
    not_send: std::marker::PhantomData<*const ()>,
}

/// The submission queue has no room; the entry comes back.
#[derive(Debug)]
struct Busy(squeue::Entry);

impl Ring {
    /// Makes a ring over the segment's ring memory. The calling thread becomes its only issuer.
    ///
    /// # Errors
    /// What the kernel said: `ENOSYS`/`EPERM` without io_uring, `EINVAL` on a kernel too old, `ENOMEM` when
    /// RLIMIT_MEMLOCK is too small.
    pub fn new(segment: &Segment, shape: &IoShape) -> io::Result<Self> {
        let (fd, at) = setup::ring(segment, shape)?;
        let base = |off: usize| NonNull::new(segment.address(off) as *mut u8).expect("mappings are not at 0");
        let mut ring = Self {
            fd,
            segment: segment.clone(),
            submissions: base(shape.submissions_off()).cast(),
            completions: base(shape.ring_off() + at.completions).cast(),
            at,
            tail: 0,
            submitted: 0,
            head: 0,
            not_send: std::marker::PhantomData,
        };
        ring.tail = ring.word(ring.at.sq_tail).load(Ordering::Relaxed);
        ring.submitted = ring.tail;
        ring.head = ring.word(ring.at.cq_head).load(Ordering::Relaxed);
        Ok(ring)
    }

    /// Entries that can be pushed before the next [`Ring::submit`] or [`Ring::wait`].
    #[inline]
    pub fn room(&self) -> usize {
        let consumed = self.word(self.at.sq_head).load(Ordering::Acquire);
        (self.at.sq_entries - self.tail.wrapping_sub(consumed)) as usize
    }

    /// Queues an entry.
    ///
    /// # Safety
    /// Everything that the entry points to stays valid until the kernel is done with it: for a receive until its
    /// last completion, for a send with MSG_DONTWAIT until the call that submits it returns.
    ///
    /// # Errors
    /// [`Busy`] gives the entry back.
    #[inline]
    pub unsafe fn push(&mut self, entry: squeue::Entry) -> Result<(), Busy> {
        if self.room() == 0 {
            return Err(Busy(entry));
        }
        let at = (self.tail & (self.at.sq_entries - 1)) as usize;
        // SAFETY: `at < sq_entries` by the mask (a power of two), and `layout` gave the array that many entries;
        // room() > 0 means that the kernel has consumed what was there.
        unsafe { self.submissions.add(at).write(entry) };
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }

    /// Submits what was pushed without asking for events: takes nothing from any socket.
    ///
    /// # Errors
    /// What the kernel said; whatever it consumed counts as submitted.
    pub fn submit(&mut self) -> io::Result<()> {
        let mut patience = SUBMIT_TRIES;
        while self.tail != self.submitted {
            match self.enter(0, 0, None) {
                Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) && patience > 0 => patience -= 1,
                other => other?,
            }
        }
        Ok(())
    }

    /// Submits what was pushed, runs the ring's receives, and waits for `want` completions or the time-out.
    ///
    /// # Errors
    /// What the kernel said, except time-out and signal, which are ordinary returns.
    #[inline]
    pub fn wait(&mut self, want: u32, timeout: Duration) -> io::Result<()> {
        match self.enter(want, setup::GETEVENTS, Some(timeout)) {
            Err(e) if matches!(e.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => {}
            // The kernel has no memory for a request just now: submit() tries again.
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {}
            other => other?,
        }
        // A kernel that is short of memory takes a part only; what the rest points to is about to be reused.
        self.submit()
    }

    /// Completions that wait to be taken.
    #[inline]
    pub fn ready(&self) -> u32 {
        self.word(self.at.cq_tail).load(Ordering::Acquire).wrapping_sub(self.head)
    }

    /// The `n`-th waiting completion, from 0.
    ///
    /// # Panics
    /// When there are not that many.
    #[inline]
    pub fn peek(&self, n: u32) -> Completion {
        assert!(n < self.ready(), "completion {n} is not there");
        let at = (self.head.wrapping_add(n) & (self.at.cq_entries - 1)) as usize;
        // SAFETY: `at < cq_entries` by the mask, and `layout` gave the array that many entries; the kernel published
        // this one by its release of the tail, which ready() acquired.
        unsafe { self.completions.add(at).read() }
    }

    /// Gives `n` completions back to the kernel.
    ///
    /// # Panics
    /// When there are not that many.
    #[inline]
    pub fn advance(&mut self, n: u32) {
        assert!(n <= self.ready());
        self.head = self.head.wrapping_add(n);
        self.word(self.at.cq_head).store(self.head, Ordering::Release);
    }

    /// Completions that had no room in the queue so far.
    pub fn overflowed(&self) -> u32 {
        self.word(self.at.cq_overflow).load(Ordering::Relaxed)
    }

    /// The ring's descriptor number, for registrations.
    fn raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    #[inline]
    fn enter(&mut self, want: u32, flags: u32, timeout: Option<Duration>) -> io::Result<()> {
        self.word(self.at.sq_tail).store(self.tail, Ordering::Release);
        let result = enter(self.raw_fd(), self.tail.wrapping_sub(self.submitted), want, flags, timeout);
        match result {
            Ok(submitted) => self.submitted = self.submitted.wrapping_add(submitted),
            // An error may come after some entries were consumed; the kernel's head tells.
            Err(_) => self.submitted = self.word(self.at.sq_head).load(Ordering::Acquire),
        }
        result.map(drop)
    }

    #[inline]
    fn word(&self, off: usize) -> &AtomicU32 {
        &self.segment.halves(self.at.ring_off + off, 1)[0]
    }
}
