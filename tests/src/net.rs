//! Addresses that nobody else uses.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below what the kernel hands out by itself, above what needs privileges.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// A UDP port that is free on every local address, and that no other test of this process gets.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // Processes begin at different places, so that two rarely look at the same port.
        let at = std::process::id().wrapping_mul(7919).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = (FIRST + at % COUNT) as u16;
        let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port));
        let v6 = if has_ipv6() { UdpSocket::bind((Ipv6Addr::LOCALHOST, port)).map(Some) } else { Ok(None) };
        if v4.is_ok() && v6.is_ok() {
            return port;
        }
    }
    panic!("no UDP port from {FIRST} on is free");
}

/// The address on 127.0.0.1 with a free port.
pub fn free_v4() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// The address on ::1 with a free port.
pub fn free_v6() -> SocketAddr {
    (Ipv6Addr::LOCALHOST, free_port()).into()
}

/// Whether the loopback interface has IPv6.
pub fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
