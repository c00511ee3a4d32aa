//! Receiving descriptors: the unsafe fence of this crate.
//!
//! nix gives no way to close the descriptors of a packet whose control data was cut, so this calls `recvmsg` itself:
//! whatever the kernel installed is owned here before anything is judged.
#![allow(unsafe_code)] // recvmsg with control data and adopting an inherited descriptor have no safe form

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;

/// The kernel's limit of descriptors in one message.
const SCM_MAX_FD: usize = 253;

/// `CMSG_SPACE(SCM_MAX_FD * 4)` rounded up, in words so that the buffer is aligned for `cmsghdr`.
const CONTROL_WORDS: usize = (SCM_MAX_FD * mem::size_of::<RawFd>()).div_ceil(8) + 4;

/// One packet as the kernel gave it.
#[derive(Debug)]
pub(crate) struct RawPacket {
    /// Bytes of the buffer that were written.
    pub(crate) len: usize,
    /// The packet was longer than the buffer.
    pub(crate) payload_cut: bool,
    /// Descriptors were lost on the way (this process has too many open).
    pub(crate) control_cut: bool,
    /// What arrived, each closed on exec.
    pub(crate) fds: Vec<OwnedFd>,
}

/// Receives one packet without waiting.
pub(crate) fn recv_packet(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<RawPacket> {
    let mut control = [MaybeUninit::<u64>::uninit(); CONTROL_WORDS];
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is plain data for which all zeroes is a valid, empty header.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &mut iov;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of_val(&control) as _;
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    // SAFETY: header points at `iov` and `control`, which live until after the call, with their true lengths.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags) };
    if len < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut fds = Vec::new();
    // SAFETY: header is as recvmsg left it; its control buffer is still `control`.
    let mut cmsg = unsafe { libc::CMSG_FIRSTHDR(&header) };
    while !cmsg.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole header inside the control buffer.
        let (level, kind, cmsg_len) = unsafe { ((*cmsg).cmsg_level, (*cmsg).cmsg_type, (*cmsg).cmsg_len as usize) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            // SAFETY: CMSG_LEN only computes.
            let payload = cmsg_len.saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
            for index in 0..payload / mem::size_of::<RawFd>() {
                // SAFETY: the kernel wrote `payload` bytes of descriptors behind the header; each is new in this
                // process and owned by nobody else, so exactly one OwnedFd is made of it.
                fds.push(unsafe {
                    let at = libc::CMSG_DATA(cmsg).cast::<RawFd>().add(index);
                    OwnedFd::from_raw_fd(at.read_unaligned())
                });
            }
        }
        // SAFETY: header and cmsg belong together, see above.
        cmsg = unsafe { libc::CMSG_NXTHDR(&header, cmsg) };
    }
    Ok(RawPacket {
        len: len as usize,
        payload_cut: header.msg_flags & libc::MSG_TRUNC != 0,
        control_cut: header.msg_flags & libc::MSG_CTRUNC != 0,
        fds,
    })
}

/// Set once the inherited descriptor has an owner.
static ADOPTED: AtomicBool = AtomicBool::new(false);

/// Takes ownership of a descriptor that the parent process left open, at most once per process.
pub(crate) fn adopt(raw: RawFd) -> io::Result<OwnedFd> {
    if raw <= libc::STDERR_FILENO {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "descriptors 0 to 2 are the standard streams"));
    }
    // SAFETY: F_GETFD reads a flag and fails on a number that is not open.
    if unsafe { libc::fcntl(raw, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    if ADOPTED.swap(true, Ordering::Relaxed) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the control descriptor was adopted before"));
    }
    // SAFETY: the number is open (checked above), came with the process, and ADOPTED lets one caller through.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
