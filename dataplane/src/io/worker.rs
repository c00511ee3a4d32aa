//! The packet loop of one worker.
//!
//! A turn: submit what the last turn wants to send and take what has come (one system call), settle the sends, give
//! their buffers back, then forward what has come in stages. Nothing is taken from a socket outside
//! [`Worker::turn`] and [`Worker::enter`], so a worker that is not called has stopped.

use super::clock::now_ns;
use super::socket_set::SocketSet;
use super::uring::{Completion, Event, FailedSend, IoShape, Port};
use crate::core::forward::{Departure, Forwarder, Lookup, Packet};
use crate::limits::{BATCH, RX_CONTROL_BYTES, RX_NAME_BYTES};
use crate::state::counters::count;
use crate::state::flow::FlowRecord;
use crate::wire::cmsg;
use crate::wire::recvmsg_out::{Datagram, Rooms};
use crate::wire::sockaddr::Endpoint;
use shm_state::manifest::Manifest;
use shm_state::segment::Segment;
use shm_state::table::Slot;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Longest sleep in the ring: the expiry sweep goes on when no packet comes.
const IDLE: Duration = Duration::from_millis(20);
/// A full sweep of the table takes about this long.
const SWEEP_NS: u64 = 2_000_000_000;
/// Slots that one turn may sweep, so that the sweep never stalls the path.
const SWEEP_SLOTS: usize = 512;
/// A turn that took more than this sweeps less: but it does sweep, or a flood would keep every idle flow alive.
const BUSY: usize = 64;
const SWEEP_SLOTS_BUSY: usize = SWEEP_SLOTS / 8;
/// Longest sleep while a full scan is under way.
const IDLE_SCANNING: Duration = Duration::from_millis(1);
/// Steps of a full scan in a turn, and in a busy one.
const SCAN_STEPS: usize = 512;
const SCAN_STEPS_BUSY: usize = SCAN_STEPS / 8;
/// How often a send that reported an older error is sent again.
const RESENDS: usize = 4;
/// Room that every receive leaves in its buffer.
const ROOMS: Rooms = Rooms { name: RX_NAME_BYTES, control: RX_CONTROL_BYTES };

/// A received datagram of the batch under way.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    buffer: u16,
    socket: u32,
    start: u32,
    packet: Packet,
    found: Found,
}

#[derive(Debug, Clone, Copy)]
enum Found {
    Up(Lookup),
    Down((usize, u32, Slot)),
    Nothing,
}

/// One worker: its port, its sockets, its tables.
#[derive(Debug)]
pub struct Worker<R> {
    port: Port,
    forwarder: Forwarder<R>,
    sockets: Arc<SocketSet>,
    batch: Vec<Arrival>,
    rearm: Vec<u32>,
    sent: Sent,
    last_return_ns: u64,
    last_sweep_ns: u64,
    first_packet_ns: u64,
    overflowed: u32,
    bell_armed: bool,
    /// While stopping, a receive that has to be armed again must not take anything.
    stopping: bool,
    /// Only a few buffers are shown to the kernel: receives end for want of one.
    narrow: bool,
    /// The completions that say so may still be there.
    was_narrow: bool,
}

/// Sends since the last settlement, counted then.
#[derive(Debug, Default)]
struct Sent {
    up: u64,
    down: u64,
    bytes_up: u64,
    bytes_down: u64,
}

impl<R: FlowRecord> Worker<R> {
    /// Makes the worker's ring over `io`. The calling thread becomes its only issuer.
    ///
    /// # Errors
    /// What the kernel said to the ring.
    pub fn new(
        forwarder: Forwarder<R>,
        sockets: Arc<SocketSet>,
        io: &Segment,
        shape: &IoShape,
        manifest: Manifest,
    ) -> io::Result<Self> {
        Ok(Self {
            port: Port::new(io, shape, manifest)?,
            forwarder,
            sockets,
            batch: Vec::with_capacity(BATCH),
            rearm: Vec::with_capacity(BATCH),
            sent: Sent::default(),
            last_return_ns: 0,
            last_sweep_ns: now_ns(),
            first_packet_ns: 0,
            overflowed: 0,
            bell_armed: false,
            stopping: false,
            narrow: false,
            was_narrow: false,
        })
    }

    /// Arms a receive on every socket without taking anything: ahead of the switch, or at a cold start.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn arm(&mut self) -> io::Result<()> {
        for socket in 0..self.sockets.len() {
            self.port.receive(self.sockets.raw(socket), socket as u32, true)?;
        }
        self.port.submit()
    }

    /// The first enter, by the holder of `generation`: takes what waits in the sockets. Returns when it came back.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn enter(&mut self, generation: u64) -> io::Result<u64> {
        self.port.wait(0, Duration::ZERO)?;
        let now = now_ns();
        self.last_return_ns = now;
        self.last_sweep_ns = now;
        self.resume(generation);
        Ok(now)
    }

    /// Takes at most so many datagrams from now on. What is taken last before a switch is what everything after it waits
    /// for, and what is taken first after it is what the first packet waits for. False when that is not possible now.
    pub fn narrow(&mut self, datagrams: u16) -> bool {
        let done = self.port.narrow(datagrams);
        self.narrow |= done;
        self.was_narrow |= done;
        done
    }

    /// Takes what comes again.
    pub fn widen(&mut self) {
        if std::mem::take(&mut self.narrow) {
            self.port.widen();
        }
    }

    /// Whether it takes only a few datagrams now.
    pub fn is_narrow(&self) -> bool {
        self.narrow
    }

    /// The tables are this worker's from now on, as `generation`.
    pub fn resume(&mut self, generation: u64) {
        self.forwarder.resume(generation);
        self.widen();
    }

    /// One turn of the packet loop. Returns how much it took.
    ///
    /// # Errors
    /// What the kernel said to the ring itself; packets' own troubles are counted.
    pub fn turn(&mut self) -> io::Result<usize> {
        if !self.bell_armed {
            self.port.await_bell()?;
            self.bell_armed = true;
        }
        let patience = if self.forwarder.recovering() { IDLE_SCANNING } else { IDLE };
        // A switch waits for the few that are still taken.
        self.port.wait(u32::from(!self.narrow), if self.narrow { Duration::ZERO } else { patience })?;
        let now = now_ns();
        self.last_return_ns = now;
        self.settle();
        let taken = self.forward_all(now)?;
        count(&mut self.forwarder.counters().turns, 1);
        Ok(taken)
    }

    /// What is owed to the tables, after a turn that took so much: expiry, and the full scan. Not when a successor waits: it
    /// would be part of the blackout, and is owed to the successor's tables as well.
    pub fn tend(&mut self, taken: usize) {
        let now = self.last_return_ns;
        self.sweep(now, if taken < BUSY { SWEEP_SLOTS } else { SWEEP_SLOTS_BUSY });
        if self.forwarder.recovering() {
            self.forwarder.recover(if taken < BUSY { SCAN_STEPS } else { SCAN_STEPS_BUSY }, now);
        }
    }

    /// Whether something has come that was not forwarded yet.
    pub fn has_arrivals(&self) -> bool {
        self.port.ready() > 0
    }

    /// Serves and sends what was received, and asks no socket for more. (A receive that the turn before armed again may
    /// take once when it is submitted; that is served too.) Returns when that was done.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn finish(&mut self) -> io::Result<u64> {
        let now = now_ns();
        self.stopping = true;
        loop {
            self.forward_all(now)?;
            self.narrow(0);
            self.port.submit()?;
            self.settle();
            if self.port.ready() == 0 {
                self.stopping = false;
                return Ok(now_ns());
            }
        }
    }

    /// Withdraws the receives of a worker that will never serve again, without taking anything.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn disarm(&mut self) -> io::Result<()> {
        for socket in 0..self.sockets.len() as u32 {
            self.port.cancel(socket)?;
        }
        self.port.submit()
    }

    /// When the ring last returned.
    pub fn last_return_ns(&self) -> u64 {
        self.last_return_ns
    }

    /// When the first datagram was served; 0 before that.
    pub fn first_packet_ns(&self) -> u64 {
        self.first_packet_ns
    }

    /// The manifest of the region that the worker serves.
    pub fn manifest(&self) -> &Manifest {
        self.port.manifest()
    }

    /// The forwarding state.
    pub fn forwarder(&mut self) -> &mut Forwarder<R> {
        &mut self.forwarder
    }

    /// Takes all completions, in batches; buffers would run out if some were left.
    fn forward_all(&mut self, now: u64) -> io::Result<usize> {
        let ready = self.port.ready();
        let mut done = 0;
        while done < ready {
            let count = (ready - done).min(BATCH as u32);
            if self.port.room() < count as usize {
                self.port.submit()?;
                self.settle();
            }
            self.batch.clear();
            for n in 0..count {
                match self.port.take(n) {
                    Event::Receive { socket, completion } => self.received(socket, completion),
                    Event::Bell => self.bell_armed = false,
                    Event::Settled => {}
                }
            }
            self.forward(now)?;
            self.port.advance(count);
            done += count;
        }
        self.was_narrow = self.narrow;
        let overflowed = self.port.overflowed();
        if overflowed != self.overflowed {
            count(&mut self.forwarder.counters().cq_overflow, u64::from(overflowed.wrapping_sub(self.overflowed)));
            self.overflowed = overflowed;
        }
        Ok(done as usize)
    }

    /// First stage: reads a completion into the batch and begins its look-up.
    #[inline]
    fn received(&mut self, socket: u32, completion: Completion) {
        if !completion.more() {
            self.ended(socket, completion.result);
        }
        let (Some(buffer), Ok(len)) = (completion.buffer(), usize::try_from(completion.result)) else { return };
        let Ok(message) = Datagram::parse(self.port.bytes(buffer, len), ROOMS) else {
            count(&mut self.forwarder.counters().drop_bad_message, 1);
            return;
        };
        if message.truncated {
            count(&mut self.forwarder.counters().drop_truncated, 1);
            return;
        }
        let Some(packet) = packet_of(&message, self.sockets.local(socket as usize)) else {
            count(&mut self.forwarder.counters().drop_bad_message, 1);
            return;
        };
        let start = (len - message.payload.len()) as u32;
        let found = if (socket as usize) < self.forwarder.topology().listening.len() {
            Found::Up(self.forwarder.begin(socket as usize, &packet))
        } else {
            self.forwarder.locate(socket as usize, &packet).map_or(Found::Nothing, Found::Down)
        };
        self.batch.push(Arrival { buffer, socket, start, packet, found });
    }

    /// A receive has ended and must be armed again: no buffer was free, the queue was full, or an ICMP error came.
    #[cold]
    fn ended(&mut self, socket: u32, result: i32) {
        self.rearm.push(socket);
        if result == -libc::ENOBUFS {
            if self.was_narrow {
                return;
            }
            count(&mut self.forwarder.counters().no_buffers, 1);
        } else if result < 0 {
            self.sockets.drain_errors(socket as usize, |error| self.forwarder.path_error(&error));
        }
    }

    /// Second and third stage: forwards the batch, in the order of arrival.
    fn forward(&mut self, now: u64) -> io::Result<()> {
        if self.first_packet_ns == 0 && !self.batch.is_empty() {
            self.first_packet_ns = now;
        }
        for arrival in &mut self.batch {
            if let Found::Up(lookup) = &mut arrival.found {
                self.forwarder.prefetch(lookup);
            }
        }
        for at in 0..self.batch.len() {
            let Arrival { buffer, socket, start, packet, found } = self.batch[at];
            let departure = match found {
                Found::Up(lookup) => self.forwarder.up(socket as usize, &packet, &lookup, now),
                Found::Down(place) => self.forwarder.down(place, &packet, now),
                Found::Nothing => None,
            };
            let Some(departure) = departure else { continue };
            let len = packet.len as usize;
            self.port.send(self.sockets.raw(departure.socket), &departure, buffer, start as usize, len)?;
            self.count_sent(&departure, 1, len as u64);
        }
        while let Some(socket) = self.rearm.pop() {
            count(&mut self.forwarder.counters().rearmed, 1);
            self.port.receive(self.sockets.raw(socket as usize), socket, self.stopping)?;
        }
        Ok(())
    }

    #[inline]
    fn count_sent(&mut self, departure: &Departure, datagrams: u64, bytes: u64) {
        // Wrapping, so that a failure can take back what was counted: `u64::MAX` is minus one.
        let (count, sum) = if departure.socket < self.forwarder.topology().listening.len() {
            (&mut self.sent.down, &mut self.sent.bytes_down)
        } else {
            (&mut self.sent.up, &mut self.sent.bytes_up)
        };
        *count = count.wrapping_add(datagrams);
        *sum = sum.wrapping_add(bytes);
    }

    /// After a submission: looks at the sends that failed, counts, and gives the buffers back.
    fn settle(&mut self) {
        while let Some(failed) = self.port.next_failed() {
            self.failed(failed);
        }
        self.port.settle();
        let Sent { up, down, bytes_up, bytes_down } = std::mem::take(&mut self.sent);
        let counters = self.forwarder.counters();
        count(&mut counters.tx_up, up);
        count(&mut counters.tx_down, down);
        count(&mut counters.bytes_up, bytes_up);
        count(&mut counters.bytes_down, bytes_down);
    }

    /// A send that failed. An ICMP error of an earlier datagram is reported by the next send on the socket, which was
    /// not sent then: send it again.
    #[cold]
    fn failed(&mut self, failed: FailedSend) {
        let mut error = failed.error;
        for _ in 0..RESENDS {
            self.sockets.drain_errors(failed.departure.socket, |error| self.forwarder.path_error(&error));
            match self.port.send_again(&failed) {
                Ok(()) => return,
                Err(e) => error = e.raw_os_error().unwrap_or(libc::EIO),
            }
        }
        // What the last try queued: errors count against the receive buffer, and nothing else would ever read them.
        self.sockets.drain_errors(failed.departure.socket, |error| self.forwarder.path_error(&error));
        self.count_sent(&failed.departure, 1u64.wrapping_neg(), (failed.len as u64).wrapping_neg());
        let counters = self.forwarder.counters();
        match error {
            libc::EMSGSIZE => count(&mut counters.tx_msgsize, 1),
            libc::EAGAIN | libc::ENOBUFS => count(&mut counters.tx_again, 1),
            _ => count(&mut counters.tx_failed, 1),
        }
    }

    fn sweep(&mut self, now: u64, most: usize) {
        let capacity = self.forwarder.capacity() as u64;
        // After a long sleep one whole sweep is owed, not several.
        let elapsed = now.saturating_sub(self.last_sweep_ns).min(SWEEP_NS);
        let share = (u128::from(elapsed) * u128::from(capacity) / u128::from(SWEEP_NS)) as u64;
        let slots = share.min(most as u64);
        if slots > 0 {
            self.forwarder.sweep(slots as usize, now);
            // What was not swept is still owed.
            self.last_sweep_ns = now - (elapsed - slots * SWEEP_NS / capacity).min(elapsed);
        }
    }
}

/// The facts of a message; `None` when the kernel left one out.
#[inline]
fn packet_of(message: &Datagram<'_>, bound: Option<[u8; 16]>) -> Option<Packet> {
    let sender = Endpoint::parse(message.name).ok()?;
    let control = cmsg::Received::parse(message.control);
    // A socket that is bound to an address needs no control message to know it.
    let local = control.local.or(bound)?;
    Some(Packet { sender, local, tos: control.tos.unwrap_or(0), len: message.payload.len() as u32 })
}
