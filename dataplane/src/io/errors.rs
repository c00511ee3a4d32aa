//! ICMP errors from a socket's error queue.
//!
//! Upstream sockets queue them (RECVERR). While one waits, the next send or receive on the socket
//! fails with its number, whatever flow that call is for; reading the queue to its end ends that.

use std::io;
use std::os::fd::BorrowedFd;

use super::sys;
use crate::wire::cmsg;
use crate::wire::sockaddr::{Endpoint, SOCKADDR_IN6_BYTES};

/// Something on the way refused an earlier datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathError {
    /// Where the datagram was going: the backend it counts against. `None` if the kernel did not
    /// say.
    pub destination: Option<Endpoint>,
    /// ECONNREFUSED, EHOSTUNREACH, EMSGSIZE …; 0 if the kernel did not say.
    pub errno: i32,
    /// Who says so.
    pub origin: PathErrorOrigin,
    /// For EMSGSIZE: the path MTU.
    pub mtu: u32,
}

/// Who reports a [`PathError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathErrorOrigin {
    /// This host: the send itself failed too.
    Local,
    /// A router or the backend's host, by ICMP or ICMPv6.
    Network,
    /// Something else, such as a time stamp.
    Other,
}

/// Room for the extended error, the address of who reported it, and the usual messages beside it.
const CONTROL_BYTES: usize = 256;

/// Takes up to `limit` errors off the queue. `Ok(n)` with `n < limit`: the queue is empty.
///
/// The bound is for the caller's sake: errors arrive as fast as datagrams are sent.
pub fn drain(fd: BorrowedFd<'_>, limit: usize, mut on_error: impl FnMut(PathError)) -> io::Result<usize> {
    let mut name = [0; SOCKADDR_IN6_BYTES];
    let mut control = [0; CONTROL_BYTES];
    for taken in 0..limit {
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        // The datagram itself is not wanted.
        let filled = match sys::receive(fd, &mut name, &mut control, &mut [], flags) {
            Ok(filled) => filled,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(taken),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let found = cmsg::Received::parse(&control[..filled.control]).error;
        on_error(PathError {
            destination: Endpoint::parse(&name[..filled.name]).ok(),
            errno: found.and_then(|e| i32::try_from(e.errno).ok()).unwrap_or(0),
            origin: match found.map(|e| e.origin) {
                Some(libc::SO_EE_ORIGIN_LOCAL) => PathErrorOrigin::Local,
                Some(libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6) => PathErrorOrigin::Network,
                _ => PathErrorOrigin::Other,
            },
            mtu: found.map_or(0, |e| e.info),
        });
    }
    Ok(limit)
}
