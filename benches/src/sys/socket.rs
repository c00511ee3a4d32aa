//! UDP sockets of generator, backends and baseline, and what the host granted them.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockopt, setsockopt, socket, sockopt};

/// Bytes asked for both buffers of every socket of the load.
pub const BUFFER_BYTES: usize = 8 << 20;

/// What a socket should tell with each datagram.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wants {
    /// Address the datagram was sent to (IP_PKTINFO).
    pub destination: bool,
    /// The kernel's receive time: the arrival, not the moment a busy thread got round to reading it.
    pub stamps: bool,
}

/// A bound, non-blocking UDP socket with the largest buffers that the host grants.
pub fn udp(address: SocketAddrV4, wants: Wants) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    grow(&fd, BUFFER_BYTES)?;
    super::raw::never_fragment(std::os::fd::AsFd::as_fd(&fd))?;
    if wants.destination {
        setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
    }
    if wants.stamps {
        setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
    }
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &SockaddrIn::from(address))?;
    Ok(UdpSocket::from(fd))
}

/// Asks for `bytes` of receive and send buffer: by privilege where permitted, else up to the host's limit.
pub fn grow<F: std::os::fd::AsFd>(fd: &F, bytes: usize) -> io::Result<()> {
    if setsockopt(fd, sockopt::RcvBufForce, &bytes).is_err() {
        setsockopt(fd, sockopt::RcvBuf, &bytes)?;
    }
    if setsockopt(fd, sockopt::SndBufForce, &bytes).is_err() {
        setsockopt(fd, sockopt::SndBuf, &bytes)?;
    }
    Ok(())
}

/// Receive buffer in effect, in bytes as the kernel accounts them.
pub fn granted(socket: &UdpSocket) -> usize {
    getsockopt(socket, sockopt::RcvBuf).unwrap_or(0)
}

/// Whether larger buffers than the host's limit are permitted here.
pub fn force_permitted() -> bool {
    udp(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), Wants::default())
        .is_ok_and(|probe| setsockopt(&probe, sockopt::RcvBufForce, &BUFFER_BYTES).is_ok())
}

/// The IPv4 address that a socket is bound to.
pub fn address(socket: &UdpSocket) -> io::Result<SocketAddrV4> {
    match socket.local_addr()? {
        std::net::SocketAddr::V4(address) => Ok(address),
        std::net::SocketAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}
