//! From stable ids to positions in this process's own arrays.
//!
//! Records hold stable ids, never positions; the packet path needs positions. A small open-addressed table, built
//! from the config: at most half full, so that a look-up is one or two probes.

/// Positions by stable id.
#[derive(Debug, Clone)]
pub struct IdMap {
    /// (id, position + 1); position 0 is an empty place.
    places: Box<[(u32, u32)]>,
    shift: u32,
}

impl IdMap {
    /// Ids with positions 0, 1, … in order. Ids are distinct: the config's check.
    pub fn new(ids: impl ExactSizeIterator<Item = u32>) -> Self {
        let bits = (ids.len() * 2).next_power_of_two().max(2).trailing_zeros();
        let mut map = Self { places: vec![(0, 0); 1 << bits].into(), shift: 32 - bits };
        for (position, id) in ids.enumerate() {
            let mut at = map.start(id);
            while map.places[at].1 != 0 {
                at = (at + 1) & (map.places.len() - 1);
            }
            map.places[at] = (id, position as u32 + 1);
        }
        map
    }

    /// Position of an id.
    #[inline]
    pub fn get(&self, id: u32) -> Option<usize> {
        let mut at = self.start(id);
        loop {
            let (found, position) = self.places[at];
            if position == 0 {
                return None;
            }
            if found == id {
                return Some(position as usize - 1);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    #[inline]
    fn start(&self, id: u32) -> usize {
        // Fibonacci hashing: ids are hashes of names, but need not be.
        (id.wrapping_mul(0x9e37_79b9) >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_id_and_no_other() {
        let ids: Vec<u32> = (0..1000u32).map(|n| n.wrapping_mul(2_654_435_761) ^ n).collect();
        let map = IdMap::new(ids.iter().copied());
        for (position, &id) in ids.iter().enumerate() {
            assert_eq!(map.get(id), Some(position));
        }
        assert_eq!(map.get(0xdead_beef), None);
        assert_eq!(IdMap::new(std::iter::empty()).get(7), None);
        assert_eq!(IdMap::new([0].into_iter()).get(0), Some(0));
    }
}
