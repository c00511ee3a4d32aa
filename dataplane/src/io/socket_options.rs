//! Socket options that exist once per family, and buffers as large as the host grants.

use std::io;
use std::os::fd::BorrowedFd;

use super::sys;

/// An option that both families have.
#[derive(Clone, Copy)]
pub(super) struct PerFamily {
    v4: (i32, i32),
    v6: (i32, i32),
}

impl PerFamily {
    const fn new(v4: i32, v6: i32) -> Self {
        Self { v4: (libc::IPPROTO_IP, v4), v6: (libc::IPPROTO_IPV6, v6) }
    }

    pub(super) const fn of(self, v4: bool) -> (i32, i32) {
        if v4 { self.v4 } else { self.v6 }
    }
}

// Numbers from linux/in.h and linux/in6.h that libc lacks.
const IP_MULTICAST_ALL: i32 = 49;
const IPV6_MULTICAST_ALL: i32 = 29;

pub(super) const PKTINFO: PerFamily = PerFamily::new(libc::IP_PKTINFO, libc::IPV6_RECVPKTINFO);
pub(super) const RECVTOS: PerFamily = PerFamily::new(libc::IP_RECVTOS, libc::IPV6_RECVTCLASS);
pub(super) const MTU_DISCOVER: PerFamily = PerFamily::new(libc::IP_MTU_DISCOVER, libc::IPV6_MTU_DISCOVER);
pub(super) const MULTICAST_ALL: PerFamily = PerFamily::new(IP_MULTICAST_ALL, IPV6_MULTICAST_ALL);
pub(super) const RECVERR: PerFamily = PerFamily::new(libc::IP_RECVERR, libc::IPV6_RECVERR);
pub(super) const FREEBIND: PerFamily = PerFamily::new(libc::IP_FREEBIND, libc::IPV6_FREEBIND);
pub(super) const TRANSPARENT: PerFamily = PerFamily::new(libc::IP_TRANSPARENT, libc::IPV6_TRANSPARENT);
const _: () = assert!(libc::IP_PMTUDISC_DO == libc::IPV6_PMTUDISC_DO);

/// Asks for buffers of this size in both directions and returns the smaller one granted, in the
/// unit of the request (the kernel books twice that).
pub(super) fn grow_buffers(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
    let value = i32::try_from(bytes).unwrap_or(i32::MAX);
    let mut granted = usize::MAX;
    for (force, ask) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        match sys::set_option(fd, libc::SOL_SOCKET, force, value) {
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
                sys::set_option(fd, libc::SOL_SOCKET, ask, value)?;
            }
            other => other?,
        }
        let booked = sys::option(fd, libc::SOL_SOCKET, ask)?;
        granted = granted.min(usize::try_from(booked).unwrap_or(0) / 2);
    }
    Ok(granted)
}
