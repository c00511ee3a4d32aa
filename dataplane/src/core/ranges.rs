//! Ranges of local addresses and ports: the n-th member and the position of a member, without a
//! list of the members.
//!
//! A pool of a million addresses is a handful of ranges. Positions are stable: ranges are kept in
//! ascending order whatever order the config lists them in, and never overlap.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One inclusive range of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// `None` if the families differ or `last` is below `first`.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let fits = first.is_ipv4() == last.is_ipv4() && first <= last;
        fits.then_some(Self { first, last })
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Number of addresses; 2^128 - 1 stands for that and for 2^128.
    pub fn len(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// A range has at least one address; here for the sake of the usual pair.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether the two share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4() && self.first <= other.last && other.first <= self.last
    }
}

impl std::fmt::Display for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// Why a list of ranges is not a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangesError {
    /// No range at all.
    #[error("the list is empty")]
    Empty,
    /// The positions of two ranges in the given list.
    #[error("entries {0} and {1} overlap")]
    Overlap(usize, usize),
    /// The position of a range of another family than the first.
    #[error("entry {0} is of another address family than the first")]
    Mixed(usize),
    /// More addresses than 64 bits count.
    #[error("more than 2^63 addresses")]
    TooMany,
}

/// An ascending list of disjoint ranges of one family. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRanges {
    spans: Box<[Span]>,
    len: u64,
    v4: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: u128,
    len: u64,
    /// Position of `first`: the sum of the lengths before it.
    base: u64,
}

impl AddressRanges {
    /// Puts the ranges in order.
    pub fn new(ranges: &[AddressRange]) -> Result<Self, RangesError> {
        let head = ranges.first().ok_or(RangesError::Empty)?;
        let v4 = head.first.is_ipv4();
        if let Some(i) = ranges.iter().position(|r| r.first.is_ipv4() != v4) {
            return Err(RangesError::Mixed(i));
        }
        let mut order: Vec<usize> = (0..ranges.len()).collect();
        order.sort_by_key(|&i| ranges[i].first);
        if let Some(pair) = order.windows(2).find(|w| ranges[w[0]].overlaps(&ranges[w[1]])) {
            return Err(RangesError::Overlap(pair[0].min(pair[1]), pair[0].max(pair[1])));
        }
        let mut base = 0u64;
        let mut spans = Vec::with_capacity(ranges.len());
        for i in order {
            let len = u64::try_from(ranges[i].len()).map_err(|_| RangesError::TooMany)?;
            spans.push(Span { first: number(ranges[i].first), len, base });
            base = base.checked_add(len).filter(|&n| n < 1 << 63).ok_or(RangesError::TooMany)?;
        }
        Ok(Self { spans: spans.into(), len: base, v4 })
    }

    /// Number of addresses, at least 1.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Never: an empty list is refused by [`AddressRanges::new`].
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether these are IPv4 addresses.
    pub fn is_ipv4(&self) -> bool {
        self.v4
    }

    /// The address at a position below [`AddressRanges::len`].
    pub fn nth(&self, position: u64) -> Option<IpAddr> {
        if position >= self.len {
            return None;
        }
        let at = self.spans.partition_point(|s| s.base <= position) - 1;
        let span = &self.spans[at];
        Some(address(span.first + u128::from(position - span.base), self.v4))
    }

    /// The position of an address, `None` if it is not in the list.
    pub fn position(&self, ip: IpAddr) -> Option<u64> {
        if ip.is_ipv4() != self.v4 {
            return None;
        }
        let wanted = number(ip);
        let at = self.spans.partition_point(|s| s.first <= wanted).checked_sub(1)?;
        let span = &self.spans[at];
        let offset = u64::try_from(wanted - span.first).ok()?;
        (offset < span.len).then(|| span.base + offset)
    }

    /// The ranges in ascending order.
    pub fn ranges(&self) -> impl Iterator<Item = AddressRange> + '_ {
        self.spans.iter().map(|s| AddressRange {
            first: address(s.first, self.v4),
            last: address(s.first + u128::from(s.len - 1), self.v4),
        })
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn address(number: u128, v4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(low) if v4 => IpAddr::V4(Ipv4Addr::from(low)),
        _ => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// One inclusive range of ports, none of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// `None` for port 0 or a descending range.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first > 0 && first <= last).then_some(Self { first, last })
    }

    /// The lowest port.
    pub fn first(&self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(&self) -> u16 {
        self.last
    }

    /// Number of ports, 1 to 65,535.
    pub fn count(&self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Whether the port is in the range.
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// All ports, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        self.first..=self.last
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(a: &str, b: &str) -> AddressRange {
        AddressRange::new(a.parse().unwrap(), b.parse().unwrap()).unwrap()
    }

    #[test]
    fn positions_follow_addresses_not_the_order_of_the_list() {
        let a = range("127.64.0.0", "127.64.0.255");
        let b = range("10.0.0.7", "10.0.0.7");
        let one = AddressRanges::new(&[a, b]).unwrap();
        let two = AddressRanges::new(&[b, a]).unwrap();
        assert_eq!(one, two);
        assert_eq!(one.len(), 257);
        assert_eq!(one.nth(0), Some("10.0.0.7".parse().unwrap()));
        assert_eq!(one.nth(1), Some("127.64.0.0".parse().unwrap()));
        assert_eq!(one.nth(256), Some("127.64.0.255".parse().unwrap()));
        assert_eq!(one.nth(257), None);
        assert_eq!(one.position("127.64.1.0".parse().unwrap()), None);
        assert_eq!(one.position("9.255.255.255".parse().unwrap()), None);
        assert_eq!(one.position("::ffff:10.0.0.7".parse().unwrap()), None);
        assert_eq!(one.ranges().collect::<Vec<_>>(), [b, a]);
    }

    #[test]
    fn refusals() {
        let a = range("10.0.0.0", "10.0.0.9");
        let b = range("10.0.0.9", "10.0.0.20");
        let six = range("fd00::", "fd00::f");
        assert_eq!(AddressRanges::new(&[]), Err(RangesError::Empty));
        assert_eq!(AddressRanges::new(&[b, a]), Err(RangesError::Overlap(0, 1)));
        assert_eq!(AddressRanges::new(&[a, six]), Err(RangesError::Mixed(1)));
        assert_eq!(
            AddressRanges::new(&[range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]),
            Err(RangesError::TooMany)
        );
        assert_eq!(AddressRange::new("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap()), None);
        assert_eq!(AddressRange::new("10.0.0.2".parse().unwrap(), "fd00::1".parse().unwrap()), None);
    }

    #[test]
    fn the_last_addresses_of_each_family() {
        let four = AddressRanges::new(&[range("255.255.255.254", "255.255.255.255")]).unwrap();
        assert_eq!(four.nth(1), Some("255.255.255.255".parse().unwrap()));
        let top: IpAddr = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
        let six = AddressRanges::new(&[AddressRange::new(top, top).unwrap()]).unwrap();
        assert_eq!((six.nth(0), six.position(top)), (Some(top), Some(0)));
        // A low IPv6 address stays IPv6.
        let low = AddressRanges::new(&[range("::2", "::3")]).unwrap();
        assert_eq!(low.nth(1), Some("::3".parse().unwrap()));
    }

    #[test]
    fn ports() {
        let p = PortRange::new(40_000, 40_015).unwrap();
        assert_eq!((p.count(), p.iter().count()), (16, 16));
        assert!(p.contains(40_015) && !p.contains(40_016));
        assert_eq!(PortRange::new(0, 5), None);
        assert_eq!(PortRange::new(6, 5), None);
        assert_eq!(PortRange::new(1, 65_535).unwrap().count(), 65_535);
    }

    proptest! {
        #[test]
        fn nth_and_position_are_inverse(
            starts in proptest::collection::btree_set(0u32..200, 1..12),
            len in 1u32..40,
            v6 in any::<bool>(),
        ) {
            // Starts are 40 apart, so ranges of up to 40 touch but never overlap.
            let to = |n: u32| address(u128::from(n) + if v6 { 1 << 100 } else { 1 << 24 }, !v6);
            let ranges: Vec<_> = starts
                .iter()
                .map(|s| AddressRange::new(to(s * 40), to(s * 40 + len - 1)).unwrap())
                .collect();
            let pool = AddressRanges::new(&ranges).unwrap();
            prop_assert_eq!(pool.len(), starts.len() as u64 * u64::from(len));
            let naive: Vec<_> =
                starts.iter().flat_map(|s| (0..len).map(move |i| s * 40 + i)).map(to).collect();
            for (i, ip) in naive.iter().enumerate() {
                prop_assert_eq!(pool.nth(i as u64), Some(*ip));
                prop_assert_eq!(pool.position(*ip), Some(i as u64));
            }
        }
    }
}
