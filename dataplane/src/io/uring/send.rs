//! Sends of one turn: their headers at fixed addresses, so that the kernel may read them when the turn is submitted.

use crate::core::forward::Departure;
use crate::wire::cmsg::{SEND_BYTES_MAX, Writer};
use crate::wire::sockaddr::SOCKADDR_IN6_BYTES;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::RawFd;

const NAME_LEN: usize = SOCKADDR_IN6_BYTES;
const CONTROL_LEN: usize = SEND_BYTES_MAX.next_multiple_of(8);

/// One send.
struct Slot {
    header: libc::msghdr,
    payload: libc::iovec,
    name: [u8; NAME_LEN],
    /// Control messages want 8-byte alignment.
    control: [u64; CONTROL_LEN / 8],
    fd: RawFd,
    departure: Option<Departure>,
}

/// The sends that wait to be submitted, or were just submitted.
///
/// The payloads are the receive buffers themselves; they go back to the kernel after [`SendQueue::clear`] only.
pub struct SendQueue {
    slots: Box<[Slot]>,
    used: usize,
}

// SAFETY: the raw pointers in `header` and `payload` point into `slots` itself and into receive buffers of the io
// segment, neither of which is tied to a thread.
unsafe impl Send for SendQueue {}

impl std::fmt::Debug for SendQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendQueue").field("slots", &self.slots.len()).field("used", &self.used).finish()
    }
}

impl SendQueue {
    /// Room for `capacity` sends.
    pub fn new(capacity: usize) -> Self {
        let slots = (0..capacity)
            .map(|_| Slot {
                header: libc::msghdr {
                    msg_name: std::ptr::null_mut(),
                    msg_namelen: 0,
                    msg_iov: std::ptr::null_mut(),
                    msg_iovlen: 0,
                    msg_control: std::ptr::null_mut(),
                    msg_controllen: 0,
                    msg_flags: 0,
                },
                payload: libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
                name: [0; NAME_LEN],
                control: [0; CONTROL_LEN / 8],
                fd: -1,
                departure: None,
            })
            .collect();
        Self { slots, used: 0 }
    }

    /// Sends that still fit.
    #[inline]
    pub fn room(&self) -> usize {
        self.slots.len() - self.used
    }

    /// Forgets the sends: the kernel has taken or refused each.
    #[inline]
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Lays a send out and returns its entry, without user data.
    ///
    /// # Panics
    /// When there is no room.
    ///
    /// # Safety
    /// `payload` stays valid and unchanged until [`SendQueue::clear`], and the queue is neither moved out of nor
    /// cleared before the entry was submitted.
    #[inline]
    pub unsafe fn lay_out(&mut self, fd: RawFd, departure: &Departure, payload: &[u8]) -> (u32, squeue::Entry) {
        let at = self.used;
        let slot = &mut self.slots[at];
        let name_len = departure.to.write(&mut slot.name);
        let control_len = control(departure, &mut slot.control);
        slot.payload = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
        slot.header.msg_name = slot.name.as_mut_ptr().cast();
        slot.header.msg_namelen = name_len as libc::socklen_t;
        slot.header.msg_iov = &raw mut slot.payload;
        slot.header.msg_iovlen = 1;
        slot.header.msg_control =
            if control_len == 0 { std::ptr::null_mut() } else { slot.control.as_mut_ptr().cast() };
        slot.header.msg_controllen = control_len as _;
        slot.fd = fd;
        slot.departure = Some(*departure);
        self.used += 1;
        let entry = opcode::SendMsg::new(types::Fd(fd), &raw const slot.header)
            .flags((libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as u32)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        (at as u32, entry)
    }

    /// What a send was and how many bytes it has; `None` when there is no such send.
    pub fn sent(&self, at: u32) -> Option<(Departure, usize)> {
        let slot = self.slots[..self.used].get(at as usize)?;
        Some((slot.departure?, slot.payload.iov_len))
    }

    /// Sends one of the queued sends again, at once.
    ///
    /// # Errors
    /// What the kernel said; `EINVAL` when there is no such send.
    pub fn again(&self, at: u32) -> io::Result<()> {
        let Some(slot) = self.slots[..self.used].get(at as usize) else {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        };
        // SAFETY: the header's pointers lead into the slot, which was laid out and not cleared since, and to a payload
        // that `lay_out`'s caller keeps valid until then.
        let sent = unsafe { libc::sendmsg(slot.fd, &raw const slot.header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Writes what a datagram needs beyond its destination; returns the length.
#[inline]
fn control(departure: &Departure, room: &mut [u64; CONTROL_LEN / 8]) -> usize {
    if departure.from.is_none() && departure.tos == 0 {
        return 0;
    }
    let mut writer = Writer::new(zerocopy::IntoBytes::as_mut_bytes(room));
    if let Some(source) = &departure.from {
        writer.source(source, departure.to.scope).expect(ROOM);
    }
    if departure.tos != 0 {
        writer.tos(departure.to.is_v4(), departure.tos).expect(ROOM);
    }
    writer.len()
}

const ROOM: &str = "SEND_BYTES_MAX has room for every message that a send may carry";
