//! The traffic: an open-loop generator with a client address per flow, and the backends that answer it.
//!
//! [`schedule`] decides purely what is due; [`generator`] and [`backend`] are the threads; [`live`] is what they
//! let others see while they run; [`session`] is all of it from start to verdict; [`pump`] is
//! the closed-window load for saturation, [`flood`] another that leaves room beside it.

pub mod backend;
pub mod buckets;
pub mod flood;
pub mod generator;
pub mod latency;
pub mod live;
pub mod pump;
pub mod schedule;
pub mod session;
pub mod trains;

use std::net::{Ipv4Addr, SocketAddrV4};

/// First client address; each flow has one of its own. The upper half of 127.0.0.0/8 is left to clients.
const CLIENT_BASE: u32 = u32::from_be_bytes([127, 128, 0, 1]);
/// 127.255.255.255 is a broadcast address; so far clients never get.
pub const CLIENTS_MAX: usize = 0x7f_fffe;

/// The client address of flow `number`.
pub fn client_address(number: usize) -> Ipv4Addr {
    assert!(number < CLIENTS_MAX, "flow {number} has no address");
    Ipv4Addr::from(CLIENT_BASE + number as u32)
}

/// The service address that flow `number` writes to: all in turn, so that a reply from the wrong one of
/// several addresses shows.
pub fn service_of(number: usize, services: &[SocketAddrV4]) -> SocketAddrV4 {
    services[number % services.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_is_a_loopback_unicast_address() {
        assert_eq!(client_address(0), Ipv4Addr::new(127, 128, 0, 1));
        let last = client_address(CLIENTS_MAX - 1);
        assert!(last.is_loopback() && last != Ipv4Addr::new(127, 255, 255, 255));
    }
}
