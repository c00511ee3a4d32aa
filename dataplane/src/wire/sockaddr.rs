//! Socket addresses as the kernel lays them out, and as the tables keep them.
//!
//! The tables keep an address as 16 bytes (IPv4 mapped into IPv6), a port in host order and, for
//! link-local IPv6, the interface: one form for both families, so that a flow's key has no tag.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Length of `sockaddr_in`.
pub const SOCKADDR_IN_BYTES: usize = 16;

/// Length of `sockaddr_in6`, the longest that is ever written.
pub const SOCKADDR_IN6_BYTES: usize = 28;

const AF_INET: u16 = libc::AF_INET as u16;
const AF_INET6: u16 = libc::AF_INET6 as u16;
const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// One end of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// IPv6, or IPv4 mapped into it.
    pub ip: [u8; 16],
    /// Host order. 0 is legal on the wire and means "do not reply".
    pub port: u16,
    /// Interface index of a link-local IPv6 address, otherwise 0.
    pub scope: u32,
}

/// Why bytes are not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSockaddr {
    /// Shorter than its family needs.
    #[error("socket address cut short at {0} bytes")]
    Short(usize),
    /// Neither IPv4 nor IPv6.
    #[error("socket address of unknown family {0}")]
    Family(u16),
}

impl Endpoint {
    /// From the bytes of a `sockaddr_in` or `sockaddr_in6`; bytes after it are ignored.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, BadSockaddr> {
        let short = BadSockaddr::Short(bytes.len());
        let (family, rest) = bytes.split_first_chunk::<2>().ok_or(short)?;
        let (port, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
        let port = u16::from_be_bytes(*port);
        match u16::from_ne_bytes(*family) {
            AF_INET => {
                let ip: [u8; 4] = *rest.first_chunk().ok_or(short)?;
                if bytes.len() < SOCKADDR_IN_BYTES {
                    return Err(short);
                }
                Ok(Self { ip: map_v4(ip), port, scope: 0 })
            }
            AF_INET6 => {
                // Flow information, address, scope.
                let (_, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
                let (ip, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
                let scope = u32::from_ne_bytes(*rest.first_chunk().ok_or(short)?);
                Ok(Self { ip: *ip, port, scope })
            }
            other => Err(BadSockaddr::Family(other)),
        }
    }

    /// Writes `sockaddr_in` or `sockaddr_in6` and returns its length.
    #[inline]
    pub fn write(&self, out: &mut [u8; SOCKADDR_IN6_BYTES]) -> usize {
        *out = [0; SOCKADDR_IN6_BYTES];
        out[2..4].copy_from_slice(&self.port.to_be_bytes());
        match self.v4() {
            Some(ip) => {
                out[..2].copy_from_slice(&AF_INET.to_ne_bytes());
                out[4..8].copy_from_slice(&ip);
                SOCKADDR_IN_BYTES
            }
            None => {
                out[..2].copy_from_slice(&AF_INET6.to_ne_bytes());
                out[8..24].copy_from_slice(&self.ip);
                out[24..28].copy_from_slice(&self.scope.to_ne_bytes());
                SOCKADDR_IN6_BYTES
            }
        }
    }

    /// The four bytes of an IPv4 address.
    #[inline]
    pub fn v4(&self) -> Option<[u8; 4]> {
        unmap_v4(&self.ip)
    }

    /// Whether this is an IPv4 address.
    #[inline]
    pub fn is_v4(&self) -> bool {
        self.ip[..12] == V4_MAPPED
    }

    /// The address alone.
    pub fn ip_addr(&self) -> IpAddr {
        from_ip16(&self.ip)
    }
}

/// IPv4 to the tables' form.
#[inline]
pub const fn map_v4(ip: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ip[0], ip[1], ip[2], ip[3]]
}

/// The IPv4 address in the tables' form, if it is one.
#[inline]
pub fn unmap_v4(ip: &[u8; 16]) -> Option<[u8; 4]> {
    match ip.split_at(12) {
        (prefix, &[a, b, c, d]) if *prefix == V4_MAPPED => Some([a, b, c, d]),
        _ => None,
    }
}

/// An address in the tables' form.
pub fn to_ip16(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => map_v4(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// An address from the tables' form.
pub fn from_ip16(ip: &[u8; 16]) -> IpAddr {
    match unmap_v4(ip) {
        Some(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        None => IpAddr::V6(Ipv6Addr::from(*ip)),
    }
}

/// Whether an address means nothing without its interface.
pub fn needs_scope(ip: &[u8; 16]) -> bool {
    ip[0] == 0xfe && ip[1] & 0xc0 == 0x80
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let scope = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        Self { ip: to_ip16(address.ip()), port: address.port(), scope }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(end: Endpoint) -> Self {
        match end.ip_addr() {
            IpAddr::V4(v4) => (v4, end.port).into(),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, end.port, 0, end.scope).into(),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::fd::AsFd;

    #[test]
    fn bytes_are_the_kernels() {
        // The kernel reads what we write and writes what we read: bind to it, ask for it.
        for text in ["127.0.0.1:0", "[::1]:0"] {
            let mut bytes = [0; SOCKADDR_IN6_BYTES];
            let end = Endpoint::from(text.parse::<SocketAddr>().unwrap());
            let len = end.write(&mut bytes);
            let family = if end.is_v4() { libc::AF_INET } else { libc::AF_INET6 };
            assert_eq!(i32::from(u16::from_ne_bytes([bytes[0], bytes[1]])), family);

            let Ok(socket) = std::net::UdpSocket::bind(text) else {
                // Containers often have no IPv6.
                assert!(!end.is_v4());
                continue;
            };
            let (raw, raw_len) = crate::io::sys::local_address(socket.as_fd()).unwrap();
            assert_eq!(raw_len, len);
            let bound = Endpoint::parse(&raw[..len]).unwrap();
            assert_eq!(SocketAddr::from(bound), socket.local_addr().unwrap());
            bound.write(&mut bytes);
            assert_eq!(bytes, raw);
        }
    }

    #[test]
    fn short_and_foreign_bytes_are_refused() {
        let mut bytes = [0; SOCKADDR_IN6_BYTES];
        let six = Endpoint::from("[2001:db8::1]:53".parse::<SocketAddr>().unwrap());
        six.write(&mut bytes);
        for n in 0..SOCKADDR_IN6_BYTES {
            assert_eq!(Endpoint::parse(&bytes[..n]), Err(BadSockaddr::Short(n)));
        }
        let four = Endpoint::from("192.0.2.1:53".parse::<SocketAddr>().unwrap());
        four.write(&mut bytes);
        for n in 0..SOCKADDR_IN_BYTES {
            assert_eq!(Endpoint::parse(&bytes[..n]), Err(BadSockaddr::Short(n)));
        }
        assert_eq!(Endpoint::parse(&bytes[..SOCKADDR_IN_BYTES]), Ok(four));
        assert_eq!(Endpoint::parse(&[1; 28]), Err(BadSockaddr::Family(0x0101)));
    }

    #[test]
    fn printed_as_the_operator_writes_it() {
        for text in ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%2]:53"] {
            let end = Endpoint::from(text.parse::<SocketAddr>().unwrap());
            assert_eq!(end.to_string(), text);
            assert_eq!(needs_scope(&end.ip), text.contains('%'));
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Endpoint::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(ip: [u8; 16], v4: bool, port: u16, scope: u32) {
            let ip = if v4 { map_v4([ip[0], ip[1], ip[2], ip[3]]) } else { ip };
            let scope = if unmap_v4(&ip).is_some() { 0 } else { scope };
            let end = Endpoint { ip, port, scope };
            let mut bytes = [0xaa; SOCKADDR_IN6_BYTES];
            let len = end.write(&mut bytes);
            prop_assert_eq!(Endpoint::parse(&bytes[..len]), Ok(end));
        }
    }
}
