//! Control messages beside a datagram: which local address it came to or leaves from, its DSCP and
//! ECN bits, the size of the datagrams in a train.
//!
//! Layout of one message (64-bit Linux): length of header and data as `u64`, level and type as
//! `i32`, data, padding to the next multiple of 8.

use super::sockaddr::{map_v4, unmap_v4};

/// Bytes of `struct cmsghdr`.
pub const HEADER_BYTES: usize = 16;

/// Room for everything that is ever sent beside one datagram: address, traffic class, train.
pub const SEND_BYTES_MAX: usize = space(PKTINFO6_BYTES) + space(4) + space(2);

const PKTINFO4_BYTES: usize = 12;
const PKTINFO6_BYTES: usize = 20;

/// Bytes that a message takes with this much data.
pub const fn space(data: usize) -> usize {
    HEADER_BYTES + data.next_multiple_of(ALIGN)
}

const ALIGN: usize = 8;
// The layout above holds where a length has 64 bits.
const _: () = assert!(size_of::<usize>() == ALIGN && size_of::<libc::cmsghdr>() == HEADER_BYTES);
const _: () = assert!(size_of::<libc::in_pktinfo>() == PKTINFO4_BYTES);
const _: () = assert!(size_of::<libc::in6_pktinfo>() == PKTINFO6_BYTES);

/// What the kernel said beside a datagram. Absent where it said nothing or something malformed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The destination address in the datagram's header, IPv4 mapped.
    pub local: Option<[u8; 16]>,
    /// The interface it came in by; 0 if not said.
    pub interface: u32,
    /// DSCP and ECN: the TOS byte or the traffic class.
    pub tos: Option<u8>,
    /// With UDP_GRO: bytes of each datagram in the payload but the last, which may be shorter.
    pub segment: Option<u16>,
    /// From the error queue: what went wrong with an earlier send.
    pub error: Option<ExtendedError>,
    /// The bytes were not well-formed control messages to the end.
    pub malformed: bool,
}

/// `struct sock_extended_err`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// The error as a number.
    pub errno: u32,
    /// 1 this host, 2 ICMP, 3 ICMPv6.
    pub origin: u8,
    /// ICMP type.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// For EMSGSIZE: the path MTU.
    pub info: u32,
}

impl Received {
    /// Reads all messages; the last of a kind counts.
    #[inline]
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut found = Self::default();
        while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() {
            let (len, level, kind) = split_header(header);
            let Some(data) = len.checked_sub(HEADER_BYTES).and_then(|n| rest.get(..n)) else {
                found.malformed = true;
                return found;
            };
            found.take(level, kind, data);
            // The last message may go without its padding.
            let step = data.len().next_multiple_of(ALIGN).min(rest.len());
            bytes = &rest[step..];
        }
        found.malformed = !bytes.is_empty();
        found
    }

    #[inline]
    fn take(&mut self, level: i32, kind: i32, data: &[u8]) {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // ifindex, address to reply from, address in the header.
                if let (Some(interface), Some(ip)) = (word(data, 0), word(data, 8)) {
                    self.local = Some(map_v4(ip));
                    self.interface = u32::from_ne_bytes(interface);
                }
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                if let (Some(ip), Some(interface)) = (data.first_chunk(), word(data, 16)) {
                    self.local = Some(*ip);
                    self.interface = u32::from_ne_bytes(interface);
                }
            }
            (libc::IPPROTO_IP, libc::IP_TOS) => self.tos = data.first().copied(),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                self.tos = word(data, 0).and_then(|w| u8::try_from(i32::from_ne_bytes(w)).ok());
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let size = word(data, 0).map(i32::from_ne_bytes);
                self.segment = size.and_then(|n| u16::try_from(n).ok()).filter(|&n| n > 0);
            }
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                self.error = ExtendedError::parse(data);
            }
            _ => {}
        }
    }
}

impl ExtendedError {
    fn parse(data: &[u8]) -> Option<Self> {
        let errno = u32::from_ne_bytes(word(data, 0)?);
        let [origin, kind, code, _] = word(data, 4)?;
        let info = u32::from_ne_bytes(word(data, 8)?);
        Some(Self { errno, origin, kind, code, info })
    }
}

fn split_header(header: &[u8; HEADER_BYTES]) -> (usize, i32, i32) {
    let mut len = [0; 8];
    len.copy_from_slice(&header[..8]);
    let int = |at: usize| i32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    // A length that does not fit is larger than any buffer, and refused as that.
    let len = usize::try_from(u64::from_ne_bytes(len)).unwrap_or(usize::MAX);
    (len, int(8), int(12))
}

fn word(data: &[u8], at: usize) -> Option<[u8; 4]> {
    data.get(at..)?.first_chunk().copied()
}

/// The buffer has no room for another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for another control message")]
pub struct Full;

/// Builds the control messages of one datagram in a buffer of the caller's.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    used: usize,
}

impl<'a> Writer<'a> {
    /// Starts at the buffer's beginning; [`SEND_BYTES_MAX`] bytes are always enough.
    #[inline]
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// The datagram leaves from this local address (IPv4 mapped). `interface` binds the packet to
    /// an interface: needed for link-local addresses, otherwise 0 so that the routes decide.
    #[inline]
    pub fn source(&mut self, ip: &[u8; 16], interface: u32) -> Result<(), Full> {
        if let Some(v4) = unmap_v4(ip) {
            let mut data = [0; PKTINFO4_BYTES];
            data[..4].copy_from_slice(&interface.to_ne_bytes());
            data[4..8].copy_from_slice(&v4);
            return self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &data);
        }
        let mut data = [0; PKTINFO6_BYTES];
        data[..16].copy_from_slice(ip);
        data[16..].copy_from_slice(&interface.to_ne_bytes());
        self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data)
    }

    /// DSCP and ECN of the datagram. `v4` is the family of the socket.
    #[inline]
    pub fn tos(&mut self, v4: bool, tos: u8) -> Result<(), Full> {
        let data = i32::from(tos).to_ne_bytes();
        if v4 {
            self.push(libc::IPPROTO_IP, libc::IP_TOS, &data)
        } else {
            self.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &data)
        }
    }

    /// The payload is a train of datagrams of this size; the last may be shorter.
    #[inline]
    pub fn segment(&mut self, bytes: u16) -> Result<(), Full> {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &bytes.to_ne_bytes())
    }

    /// Bytes written so far: the `msg_controllen` of the send.
    #[inline]
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    #[inline]
    fn push(&mut self, level: i32, kind: i32, data: &[u8]) -> Result<(), Full> {
        let end = self.used + space(data.len());
        let slot = self.buffer.get_mut(self.used..end).ok_or(Full)?;
        let (header, body) = slot.split_at_mut(HEADER_BYTES);
        header[..8].copy_from_slice(&((HEADER_BYTES + data.len()) as u64).to_ne_bytes());
        header[8..12].copy_from_slice(&level.to_ne_bytes());
        header[12..].copy_from_slice(&kind.to_ne_bytes());
        let (value, padding) = body.split_at_mut(data.len());
        value.copy_from_slice(data);
        padding.fill(0);
        self.used = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; space(data.len())];
        Writer::new(&mut bytes).push(level, kind, data).unwrap();
        bytes
    }

    #[test]
    fn layout_is_the_kernels() {
        let mut bytes = [0xee; SEND_BYTES_MAX];
        let mut w = Writer::new(&mut bytes);
        w.source(&map_v4([127, 64, 0, 9]), 0).unwrap();
        w.tos(true, 0x2e << 2 | 1).unwrap();
        assert_eq!(w.len(), 32 + 24);
        assert_eq!(
            bytes[..56],
            [
                28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, // IP_PKTINFO
                0, 0, 0, 0, 127, 64, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, // any interface, source
                20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, // IP_TOS
                0xb9, 0, 0, 0, 0, 0, 0, 0,
            ]
        );
    }

    #[test]
    fn full_buffers_stay_as_they_were() {
        for room in 0..SEND_BYTES_MAX {
            let mut bytes = vec![0; room];
            let mut w = Writer::new(&mut bytes);
            let ok = w.source(&[0xfd; 16], 3).is_ok() && w.tos(false, 255).is_ok() && w.segment(1200).is_ok();
            assert!(!ok, "{room}");
            let used = w.len();
            assert!(used <= room);
            assert!(!Received::parse(&bytes[..used]).malformed);
        }
    }

    #[test]
    fn malformed_lengths_end_the_list() {
        let good = message(libc::IPPROTO_IP, libc::IP_TOS, &[7]);
        for len in [0u64, 15, 25, 1 << 40, u64::MAX] {
            let mut bytes = good.clone();
            bytes.extend(good.iter());
            bytes[24..32].copy_from_slice(&len.to_ne_bytes());
            let found = Received::parse(&bytes);
            assert_eq!((found.tos, found.malformed), (Some(7), true), "{len}");
        }
        let found = Received::parse(&good[..17]);
        assert_eq!((found.tos, found.malformed), (Some(7), false), "padding may be missing");
        assert!(Received::parse(&good[..16]).malformed);
        assert!(Received::parse(&good[..3]).malformed);
        assert_eq!(Received::parse(&[]), Received::default());
    }

    #[test]
    fn short_data_is_no_answer() {
        for (level, kind) in [
            (libc::IPPROTO_IP, libc::IP_PKTINFO),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
            (libc::SOL_UDP, libc::UDP_GRO),
            (libc::IPPROTO_IP, libc::IP_RECVERR),
        ] {
            assert_eq!(Received::parse(&message(level, kind, &[1; 3])), Received::default());
        }
        assert_eq!(Received::parse(&message(libc::IPPROTO_IP, libc::IP_TOS, &[])).tos, None);
        let wide = message(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &256i32.to_ne_bytes());
        assert_eq!(Received::parse(&wide).tos, None);
        let none = message(libc::SOL_UDP, libc::UDP_GRO, &0i32.to_ne_bytes());
        assert_eq!(Received::parse(&none).segment, None);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Received::parse(&bytes);
        }

        /// Plausible headers over random data reach further than random bytes.
        #[test]
        fn hostile_messages_never_panic(
            list in proptest::collection::vec(
                (
                    prop_oneof![Just(0), Just(17), Just(41), any::<i32>()],
                    prop_oneof![Just(1), Just(8), Just(11), Just(25), Just(50), Just(67), Just(104)],
                    proptest::collection::vec(any::<u8>(), 0..40),
                ),
                0..6,
            ),
            cut in 0usize..400,
        ) {
            let mut bytes: Vec<u8> =
                list.iter().flat_map(|(level, kind, data)| message(*level, *kind, data)).collect();
            bytes.truncate(cut);
            let _ = Received::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(ip: [u8; 16], interface: u32, tos: u8, segment in 1u16..) {
            let v4 = unmap_v4(&ip).is_some();
            let mut bytes = [0; SEND_BYTES_MAX];
            let mut w = Writer::new(&mut bytes);
            w.source(&ip, interface).unwrap();
            w.tos(v4, tos).unwrap();
            let used = w.len();
            w.segment(segment).unwrap();
            let found = Received::parse(&bytes[..used]);
            if !v4 {
                prop_assert_eq!(found.local, Some(ip));
            }
            prop_assert_eq!((found.interface, found.tos), (interface, Some(tos)));
            prop_assert!(!found.malformed);
        }
    }
}
