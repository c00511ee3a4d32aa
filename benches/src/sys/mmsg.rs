//! Batched datagrams: recvmmsg and sendmmsg with the control messages that the measurements need.
//!
//! [`RxBatch`] owns its buffers; [`TxBatch`] refers to bytes by range, so that a forwarder sends straight
//! from the receive buffers. IPv4 only: the whole of 127.0.0.0/8 is local, which gives every flow an address.
#![allow(unsafe_code)] // fence: recvmmsg, sendmmsg and the walk over their control messages

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use libc::{in_pktinfo, iovec, mmsghdr, sockaddr_in, timespec};

/// Room for one IP_PKTINFO and one SCM_TIMESTAMPNS message, in aligned words.
const CONTROL_WORDS: usize = 12;
type Control = [u64; CONTROL_WORDS];

// SAFETY: CMSG_SPACE only computes.
const RX_CONTROL_NEED: u32 =
    unsafe { libc::CMSG_SPACE(size_of::<in_pktinfo>() as u32) + libc::CMSG_SPACE(size_of::<timespec>() as u32) };
const _: () = assert!(size_of::<Control>() >= RX_CONTROL_NEED as usize);

fn zeroed_vec<T: Copy>(n: usize) -> Vec<T> {
    // SAFETY: used only with libc's plain C structs, for which all-zero is a valid value.
    vec![unsafe { MaybeUninit::<T>::zeroed().assume_init() }; n]
}

fn to_v4(name: &sockaddr_in) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr)), u16::from_be(name.sin_port))
}

fn from_v4(address: SocketAddrV4) -> sockaddr_in {
    sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

/// One received datagram.
#[derive(Debug, Clone)]
pub struct Received {
    pub from: SocketAddrV4,
    /// Destination address, where the socket asked for it.
    pub to: Option<Ipv4Addr>,
    /// Kernel receive time, CLOCK_REALTIME ns, where the socket asked for it.
    pub stamp: Option<u64>,
    /// Where the payload lies in [`RxBatch::bytes`].
    pub range: Range<usize>,
    /// The datagram was longer than the buffer.
    pub truncated: bool,
}

/// Buffers for one recvmmsg.
pub struct RxBatch {
    slot_len: usize,
    bytes: Vec<u8>,
    headers: Vec<mmsghdr>,
    iovecs: Vec<iovec>,
    names: Vec<sockaddr_in>,
    controls: Vec<Control>,
    filled: usize,
}

impl std::fmt::Debug for RxBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RxBatch").field("slots", &self.headers.len()).field("filled", &self.filled).finish()
    }
}

impl RxBatch {
    /// `slots` datagrams of at most `slot_len` bytes each.
    pub fn new(slots: usize, slot_len: usize) -> Self {
        let mut batch = Self {
            slot_len,
            bytes: vec![0; slots * slot_len],
            headers: zeroed_vec(slots),
            iovecs: zeroed_vec(slots),
            names: zeroed_vec(slots),
            controls: vec![[0; CONTROL_WORDS]; slots],
            filled: slots,
        };
        let base = batch.bytes.as_mut_ptr();
        for i in 0..slots {
            // SAFETY: i < slots, and `bytes` holds slots * slot_len bytes.
            let slot = unsafe { base.add(i * slot_len) };
            batch.iovecs[i] = iovec { iov_base: slot.cast(), iov_len: slot_len };
            let header = &mut batch.headers[i].msg_hdr;
            header.msg_name = (&raw mut batch.names[i]).cast();
            header.msg_iov = &raw mut batch.iovecs[i];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut batch.controls[i]).cast();
        }
        batch
    }

    pub fn slots(&self) -> usize {
        self.headers.len()
    }

    /// Takes what lies in the socket, at most one batch, without waiting. `Ok(0)`: nothing there.
    pub fn receive<F: AsFd>(&mut self, socket: &F) -> io::Result<usize> {
        // The kernel overwrites these three in the headers that it fills, and only there.
        for header in &mut self.headers[..self.filled] {
            header.msg_hdr.msg_namelen = size_of::<sockaddr_in>() as u32;
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
            header.msg_hdr.msg_flags = 0;
        }
        self.filled = 0;
        // SAFETY: every header points into vectors of this struct that are never resized, with their
        // true lengths.
        let n = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as u32,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        if n < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        self.filled = n as usize;
        Ok(self.filled)
    }

    /// All payload bytes; a datagram's own are at [`Received::range`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the payload of datagram `i` of the last [`RxBatch::receive`] lies in [`RxBatch::bytes`].
    pub fn range(&self, i: usize) -> Range<usize> {
        assert!(i < self.filled, "datagram {i} of {}", self.filled);
        let start = i * self.slot_len;
        start..start + (self.headers[i].msg_len as usize).min(self.slot_len)
    }

    pub fn payload(&self, datagram: &Received) -> &[u8] {
        &self.bytes[datagram.range.clone()]
    }

    /// Datagram `i` of the last [`RxBatch::receive`].
    pub fn datagram(&self, i: usize) -> Received {
        let range = self.range(i);
        let header = &self.headers[i].msg_hdr;
        let (to, stamp) = controls(header);
        let truncated = header.msg_flags & libc::MSG_TRUNC != 0;
        Received { from: to_v4(&self.names[i]), to, stamp, range, truncated }
    }
}

/// Destination address and receive stamp of a received message.
fn controls(header: &libc::msghdr) -> (Option<Ipv4Addr>, Option<u64>) {
    let (mut to, mut stamp) = (None, None);
    // SAFETY: the kernel filled msg_control and set msg_controllen; the CMSG macros stay inside it, and the
    // data of each message is read unaligned with the type that its level and type name.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: in_pktinfo = ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                    to = Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)));
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time: timespec = ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                    stamp = Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64);
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    (to, stamp)
}

/// Outgoing datagrams for one sendmmsg.
pub struct TxBatch {
    headers: Vec<mmsghdr>,
    iovecs: Vec<iovec>,
    names: Vec<sockaddr_in>,
    controls: Vec<Control>,
    ranges: Vec<Range<usize>>,
}

impl std::fmt::Debug for TxBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TxBatch").field("slots", &self.headers.len()).field("queued", &self.ranges.len()).finish()
    }
}

impl TxBatch {
    pub fn new(slots: usize) -> Self {
        Self {
            headers: zeroed_vec(slots),
            iovecs: zeroed_vec(slots),
            names: zeroed_vec(slots),
            controls: vec![[0; CONTROL_WORDS]; slots],
            ranges: Vec::with_capacity(slots),
        }
    }

    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.ranges.len() == self.headers.len()
    }

    /// Queues the bytes at `range` of the arena given to [`TxBatch::flush`], to leave from `source`
    /// (none: the socket's own address). Panics when full: callers flush before.
    pub fn push(&mut self, range: Range<usize>, to: SocketAddrV4, source: Option<Ipv4Addr>) {
        let i = self.ranges.len();
        assert!(i < self.headers.len(), "flush a full batch before pushing");
        self.names[i] = from_v4(to);
        self.headers[i].msg_hdr.msg_controllen = match source {
            Some(source) => put_source(&mut self.controls[i], source),
            None => 0,
        } as _;
        self.ranges.push(range);
    }

    /// Sends everything queued and empties the batch. Returns (sent, failed): a datagram that the kernel
    /// refuses is skipped and counted, the others still go.
    pub fn flush<F: AsFd>(&mut self, socket: &F, arena: &[u8]) -> (usize, usize) {
        let queued = self.ranges.len();
        for (i, range) in self.ranges.drain(..).enumerate() {
            let bytes = &arena[range];
            self.iovecs[i] = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            let header = &mut self.headers[i].msg_hdr;
            header.msg_name = (&raw mut self.names[i]).cast();
            header.msg_namelen = size_of::<sockaddr_in>() as u32;
            header.msg_iov = &raw mut self.iovecs[i];
            header.msg_iovlen = 1;
            header.msg_control =
                if header.msg_controllen == 0 { ptr::null_mut() } else { (&raw mut self.controls[i]).cast() };
        }
        let (mut done, mut failed) = (0, 0);
        while done < queued {
            // SAFETY: headers done..queued point into vectors of this struct and into `arena`, all of which
            // outlive the call; sendmmsg only reads what they point to.
            let n = unsafe {
                libc::sendmmsg(
                    socket.as_fd().as_raw_fd(),
                    self.headers.as_mut_ptr().add(done),
                    (queued - done) as u32,
                    libc::MSG_DONTWAIT as _,
                )
            };
            if n > 0 {
                done += n as usize;
            } else if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                failed += 1;
                done += 1;
            }
        }
        (queued - failed, failed)
    }
}

/// Writes an IP_PKTINFO message that names the source address; returns the control length.
fn put_source(control: &mut Control, source: Ipv4Addr) -> usize {
    let info = in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from(source).to_be() },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    let header: *mut libc::cmsghdr = control.as_mut_ptr().cast();
    // SAFETY: `control` is 8-byte aligned and larger than CMSG_SPACE(in_pktinfo) (const assertion above).
    unsafe {
        (*header).cmsg_level = libc::IPPROTO_IP;
        (*header).cmsg_type = libc::IP_PKTINFO;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<in_pktinfo>() as u32) as _;
        ptr::write_unaligned(libc::CMSG_DATA(header).cast(), info);
        libc::CMSG_SPACE(size_of::<in_pktinfo>() as u32) as usize
    }
}

#[cfg(test)]
mod tests;
