//! Socket calls that nix does not wrap, or only with types of its own where raw bytes are wanted.
#![allow(unsafe_code)] // Fenced: every pointer below is to a local value or a slice of the caller's.

use std::io::{Error, Result};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::wire::sockaddr::SOCKADDR_IN6_BYTES;

/// Sets an option whose value is an `int`.
pub fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<()> {
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes, the size of `value`, from a pointer to `value`.
    let rc = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    check(rc as isize).map(drop)
}

/// Reads an option whose value is an `int`.
pub fn option(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32> {
    let mut value = 0i32;
    let mut len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes, the size of `value`, to a pointer to `value`,
    // and the length to a pointer to `len`; any bytes are a valid i32.
    let rc = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len) };
    check(rc as isize).map(|_| value)
}

/// Datagrams that the kernel dropped because this socket's receive buffer was full, since the
/// socket was made. Wraps at 2^32.
pub fn drops(fd: BorrowedFd<'_>) -> Result<u32> {
    // linux/sock_diag.h: nine u32, SK_MEMINFO_DROPS is the last. Older kernels write fewer.
    const DROPS: usize = 8;
    let mut info = [0u32; 16];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes, the size of `info`, to a pointer to `info`,
    // and the length to a pointer to `len`; any bytes are valid u32.
    let rc = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, (&raw mut info).cast(), &raw mut len)
    };
    check(rc as isize)?;
    if (len as usize) <= DROPS * size_of::<u32>() {
        return Err(Error::from_raw_os_error(libc::ENOPROTOOPT));
    }
    Ok(info[DROPS])
}

/// The address that a socket is bound to, as bytes of a `sockaddr_in` or `sockaddr_in6`.
pub fn local_address(fd: BorrowedFd<'_>) -> Result<([u8; SOCKADDR_IN6_BYTES], usize)> {
    let mut bytes = [0u8; SOCKADDR_IN6_BYTES];
    let mut len = bytes.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes, the size of `bytes`, to a pointer to `bytes`
    // (a byte array needs no alignment, the kernel copies bytes), and the length to `len`.
    let rc = unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut bytes).cast(), &raw mut len) };
    check(rc as isize)?;
    Ok((bytes, (len as usize).min(bytes.len())))
}

/// What one `recvmsg` filled; each length is within the slice that was given for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Bytes of the peer's address.
    pub name: usize,
    /// Bytes of control messages.
    pub control: usize,
    /// Bytes of payload.
    pub payload: usize,
    /// `MSG_TRUNC`, `MSG_CTRUNC`, `MSG_ERRQUEUE`.
    pub flags: i32,
}

/// Receives one message into the caller's slices.
pub fn receive(
    fd: BorrowedFd<'_>,
    name: &mut [u8],
    control: &mut [u8],
    payload: &mut [u8],
    flags: i32,
) -> Result<Filled> {
    let mut iov = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
    // SAFETY: msghdr is plain data for which all zeroes is a valid value.
    let mut msg: libc::msghdr = unsafe { zeroed() };
    msg.msg_name = name.as_mut_ptr().cast();
    msg.msg_namelen = name.len() as libc::socklen_t;
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = control.len() as _;
    // SAFETY: every pointer in `msg` is to one of the caller's exclusive slices or to `iov`, with
    // its length, and all of them outlive the call. MSG_TRUNC, which makes the result exceed the
    // slice, is masked out.
    let rc = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut msg, flags & !libc::MSG_TRUNC) };
    let n = check(rc)?;
    Ok(Filled {
        name: (msg.msg_namelen as usize).min(name.len()),
        control: (msg.msg_controllen as usize).min(control.len()),
        payload: n.min(payload.len()),
        flags: msg.msg_flags,
    })
}

/// Sends one message from the caller's slices; an empty name is for connected sockets.
pub fn send(fd: BorrowedFd<'_>, name: &[u8], control: &[u8], payload: &[u8], flags: i32) -> Result<usize> {
    let mut iov = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    // SAFETY: msghdr is plain data for which all zeroes is a valid value.
    let mut msg: libc::msghdr = unsafe { zeroed() };
    if !name.is_empty() {
        msg.msg_name = name.as_ptr().cast_mut().cast();
        msg.msg_namelen = name.len() as libc::socklen_t;
    }
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    if !control.is_empty() {
        msg.msg_control = control.as_ptr().cast_mut().cast();
        msg.msg_controllen = control.len() as _;
    }
    // SAFETY: every pointer in `msg` is to one of the caller's slices or to `iov`, with its length,
    // and all of them outlive the call; sendmsg only reads through them.
    let rc = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const msg, flags) };
    check(rc)
}

fn check(rc: isize) -> Result<usize> {
    usize::try_from(rc).map_err(|_| Error::last_os_error())
}
