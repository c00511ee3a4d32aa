//! From a backend's address to its position.
//!
//! Built from the config alone, so nobody outside can crowd it: a plain multiplicative hash will do.

/// Positions by (IPv4-mapped address, port). Two backends may share an address only as one entry: the config's check.
#[derive(Debug, Clone)]
pub struct AddressMap {
    places: Box<[Option<Place>]>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    ip: [u8; 16],
    port: u16,
    position: u32,
}

impl AddressMap {
    /// Addresses with positions 0, 1, … in order.
    pub fn new(addresses: impl ExactSizeIterator<Item = ([u8; 16], u16)>) -> Self {
        let mut map = Self { places: vec![None; (addresses.len() * 2).next_power_of_two().max(2)].into() };
        for (position, (ip, port)) in addresses.enumerate() {
            let mut at = map.start(&ip, port);
            while map.places[at].is_some() {
                at = (at + 1) & (map.places.len() - 1);
            }
            map.places[at] = Some(Place { ip, port, position: position as u32 });
        }
        map
    }

    /// Position of an address.
    #[inline]
    pub fn get(&self, ip: &[u8; 16], port: u16) -> Option<usize> {
        let mut at = self.start(ip, port);
        while let Some(place) = &self.places[at] {
            if place.ip == *ip && place.port == port {
                return Some(place.position as usize);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
        None
    }

    #[inline]
    fn start(&self, ip: &[u8; 16], port: u16) -> usize {
        let whole = u128::from_le_bytes(*ip);
        let folded = (whole as u64) ^ ((whole >> 64) as u64) ^ u64::from(port).rotate_left(17);
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_address_and_no_other() {
        let all: Vec<_> = (0..500u16).map(|n| ([(n % 7) as u8; 16], n)).collect();
        let map = AddressMap::new(all.iter().copied());
        for (position, (ip, port)) in all.iter().enumerate() {
            assert_eq!(map.get(ip, *port), Some(position));
        }
        assert_eq!(map.get(&[9; 16], 1), None);
        assert_eq!(AddressMap::new(std::iter::empty()).get(&[0; 16], 0), None);
    }
}
