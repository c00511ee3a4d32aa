//! One worker's way to the kernel: ring, buffers, sends and receives behind an interface that cannot be misused.
//!
//! What makes it sound: everything that an entry points to (receive shape, send headers, buffers, the bell's word)
//! is owned by the port, at a fixed address; and a buffer whose datagram is queued to be sent is given back to the
//! kernel in [`Port::settle`] only, after the submission.

use super::{BufferRing, Busy, Completion, IoShape, ReceiveShape, Ring, SendQueue};
use crate::core::forward::Departure;
use io_uring::{opcode, squeue};
use shm_state::manifest::Manifest;
use shm_state::segment::Segment;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

// What a completion is of, in the top byte of its user data.
const RECEIVE: u64 = 1 << 56;
const SEND: u64 = 2 << 56;
const BELL: u64 = 3 << 56;
const CANCEL: u64 = 4 << 56;
const KIND: u64 = 0xff << 56;

/// A completion, by what it is of.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// Something happened to the receive on this socket.
    Receive { socket: u32, completion: Completion },
    /// The bell rang, or its word had changed already.
    Bell,
    /// A send's error, which was settled already, or a cancellation's.
    Settled,
}

/// A send that failed.
#[derive(Debug, Clone, Copy)]
pub struct FailedSend {
    at: u32,
    /// The errno.
    pub error: i32,
    pub departure: Departure,
    /// Payload bytes.
    pub len: usize,
}

/// The port of one worker.
#[derive(Debug)]
pub struct Port {
    // Fields drop in order: the ring's descriptor is closed before the memory that its entries point to goes.
    ring: Ring,
    buffers: BufferRing,
    sends: SendQueue,
    shape: ReceiveShape,
    manifest: Manifest,
    /// Buffers whose datagrams were taken in this turn.
    held: Vec<u16>,
    /// Completions, from the ring's head, whose send errors were settled already.
    settled: u32,
}

impl Port {
    /// Makes a ring over `io` and registers its buffers. The calling thread becomes its only issuer.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn new(io: &Segment, shape: &IoShape, manifest: Manifest) -> io::Result<Self> {
        let ring = Ring::new(io, shape)?;
        let buffers = BufferRing::new(&ring, io, shape)?;
        Ok(Self {
            ring,
            buffers,
            sends: SendQueue::new(shape.submissions as usize / 2),
            shape: ReceiveShape::default(),
            manifest,
            held: Vec::with_capacity(shape.buffers as usize),
            settled: 0,
        })
    }

    /// The manifest whose bell the port can wait for.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Queues a multishot receive on `fd`, known as `socket` in its events.
    ///
    /// # Errors
    /// What the kernel said when the queue had to be submitted first.
    pub fn receive(&mut self, fd: RawFd, socket: u32, ahead: bool) -> io::Result<()> {
        let entry = self.shape.entry(fd, ahead).user_data(RECEIVE | u64::from(socket));
        self.queue(entry)
    }

    /// Queues the end of the receive known as `socket`.
    ///
    /// # Errors
    /// As [`Port::receive`].
    pub fn cancel(&mut self, socket: u32) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(RECEIVE | u64::from(socket)).build().user_data(CANCEL);
        self.queue(entry.flags(squeue::Flags::SKIP_SUCCESS))
    }

    /// Queues a wait for the next ring of the manifest's request bell.
    ///
    /// # Errors
    /// As [`Port::receive`].
    pub fn await_bell(&mut self) -> io::Result<()> {
        const FUTEX2_SIZE_U32: u32 = 2;
        const MATCH_ANY: u64 = u32::MAX as u64;
        let bell = &self.manifest.handover().request_bell;
        let seen = bell.load(Ordering::Acquire);
        let entry = opcode::FutexWait::new(bell.as_ptr(), seen.into(), MATCH_ANY, FUTEX2_SIZE_U32);
        self.queue(entry.build().user_data(BELL))
    }

    /// Room for so many more sends, each with a receive beside it.
    #[inline]
    pub fn room(&self) -> usize {
        self.sends.room().min(self.ring.room() / 2)
    }

    /// Queues the datagram at `start` of a taken buffer.
    ///
    /// # Errors
    /// As [`Port::receive`].
    #[inline]
    pub fn send(&mut self, fd: RawFd, departure: &Departure, buffer: u16, start: usize, len: usize) -> io::Result<()> {
        debug_assert!(self.held.contains(&buffer));
        let payload = &self.buffers.bytes(buffer, start + len)[start..];
        // SAFETY: the buffer was taken and is in `held`; it goes back to the kernel in settle() only, after the
        // submission, and settle() is what clears the queue.
        let (at, entry) = unsafe { self.sends.lay_out(fd, departure, payload) };
        self.queue(entry.user_data(SEND | u64::from(at)))
    }

    /// Submits what is queued without taking anything from any socket.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn submit(&mut self) -> io::Result<()> {
        self.ring.submit()
    }

    /// Submits what is queued, takes what has come, and waits for something to come, at most `timeout`.
    ///
    /// # Errors
    /// What the kernel said.
    #[inline]
    pub fn wait(&mut self, want: u32, timeout: Duration) -> io::Result<()> {
        let want = if self.ring.ready() > self.settled { 0 } else { want };
        self.ring.wait(want, timeout)
    }

    /// Completions that wait to be taken.
    #[inline]
    pub fn ready(&self) -> u32 {
        self.ring.ready()
    }

    /// The `n`-th waiting completion. A buffer that it carries is taken: it may be read and sent from until the next
    /// [`Port::settle`].
    #[inline]
    pub fn take(&mut self, n: u32) -> Event {
        let completion = self.ring.peek(n);
        match completion.user_data & KIND {
            RECEIVE => {
                if let Some(buffer) = completion.buffer() {
                    self.held.push(buffer);
                    self.buffers.took();
                }
                Event::Receive { socket: completion.user_data as u32, completion }
            }
            BELL => Event::Bell,
            _ => Event::Settled,
        }
    }

    /// The first `len` bytes of a taken buffer.
    #[inline]
    pub fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        self.buffers.bytes(buffer, len)
    }

    /// Gives the `n` first completions back to the kernel.
    #[inline]
    pub fn advance(&mut self, n: u32) {
        self.ring.advance(n);
        self.settled = self.settled.saturating_sub(n);
    }

    /// After a submission: the next send that failed, not yet reported.
    #[inline]
    pub fn next_failed(&mut self) -> Option<FailedSend> {
        while self.settled < self.ring.ready() {
            let completion = self.ring.peek(self.settled);
            self.settled += 1;
            if completion.user_data & KIND == SEND && completion.result < 0 {
                let at = completion.user_data as u32;
                if let Some((departure, len)) = self.sends.sent(at) {
                    return Some(FailedSend { at, error: -completion.result, departure, len });
                }
            }
        }
        None
    }

    /// Sends a failed one again, at once.
    ///
    /// # Errors
    /// What the kernel said this time.
    pub fn send_again(&self, failed: &FailedSend) -> io::Result<()> {
        self.sends.again(failed.at)
    }

    /// After a submission and the look at its failures: forgets the sends and gives the taken buffers back.
    #[inline]
    pub fn settle(&mut self) {
        self.sends.clear();
        for buffer in self.held.drain(..) {
            self.buffers.give(buffer);
        }
        self.buffers.publish();
    }

    /// From now on takes at most so many datagrams, until [`Port::widen`]; a receive that finds no buffer ends. False when
    /// that is not possible now, because completions wait.
    ///
    /// The kernel looks for buffers only while the ring's thread is in it (DEFER_TASKRUN), so the ring's end may be moved
    /// back in between.
    pub fn narrow(&mut self, datagrams: u16) -> bool {
        let possible = self.ring.ready() == 0 && self.ring.overflowed() == 0;
        if possible {
            self.buffers.narrow(datagrams);
        }
        possible
    }

    /// Takes as many datagrams as there are buffers again.
    pub fn widen(&mut self) {
        self.buffers.narrow(u16::MAX);
    }

    /// Completions that had no room in the queue so far.
    pub fn overflowed(&self) -> u32 {
        self.ring.overflowed()
    }

    #[inline]
    fn queue(&mut self, entry: squeue::Entry) -> io::Result<()> {
        // SAFETY: every entry of this module points to memory that the port owns at a fixed address (see the module's
        // head) until after the ring is closed.
        if let Err(Busy(entry)) = unsafe { self.ring.push(entry) } {
            self.ring.submit()?;
            // SAFETY: as above. A submission empties the queue, so there is room now.
            return unsafe { self.ring.push(entry) }.map_err(|_| io::Error::from_raw_os_error(libc::EBUSY));
        }
        Ok(())
    }
}
