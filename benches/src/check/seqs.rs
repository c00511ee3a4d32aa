//! Which sequence numbers of one flow were seen: exact, for the whole run, and small, because there may be millions of
//! flows.

use std::collections::BTreeSet;

/// What one more sequence number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// First time, and above all before it.
    InOrder,
    /// First time, but a higher number came earlier.
    Late,
    Duplicate,
}

/// Numbers in the window.
const WINDOW: u32 = u64::BITS;

/// A flow's numbers start at 0 and are dense, so nearly all of them are told by where the window begins. What is still
/// missing below it is kept one by one: that happens only where packets are lost.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::box_collection,
    reason = "of millions of sets nearly all have none: a pointer is smaller than an empty set"
)]
pub struct SeqSet {
    /// All numbers below were seen, but for those in `missing`.
    below: u32,
    /// Bit i stands for `below + i`.
    window: u64,
    missing: Option<Box<BTreeSet<u32>>>,
}

// Two flow records of an oracle fit a cache line or nearly so.
const _: () = assert!(size_of::<SeqSet>() <= 24);

impl SeqSet {
    pub fn insert(&mut self, seq: u32) -> Seen {
        if seq < self.below {
            let was_missing = self.missing.as_mut().is_some_and(|missing| missing.remove(&seq));
            return if was_missing { Seen::Late } else { Seen::Duplicate };
        }
        if seq - self.below >= WINDOW {
            self.advance(seq - WINDOW + 1);
        }
        let bit = 1 << (seq - self.below);
        if self.window & bit != 0 {
            return Seen::Duplicate;
        }
        let seen = if self.window < bit { Seen::InOrder } else { Seen::Late };
        self.window |= bit;
        let whole = self.window.trailing_ones();
        // Bits above the run of ones stay in the window.
        self.window = self.window.checked_shr(whole).unwrap_or(0);
        self.below += whole;
        seen
    }

    /// Moves the window up to `to`; what it leaves behind unseen is missing.
    fn advance(&mut self, to: u32) {
        let window = self.window;
        let unseen = (self.below..to).filter(|seq| {
            let at = seq - self.below;
            at >= WINDOW || window & (1 << at) == 0
        });
        self.missing.get_or_insert_default().extend(unseen);
        self.window = self.window.checked_shr(to - self.below).unwrap_or(0);
        self.below = to;
    }

    pub fn contains(&self, seq: u32) -> bool {
        if seq < self.below {
            return self.missing.as_ref().is_none_or(|missing| !missing.contains(&seq));
        }
        seq - self.below < WINDOW && self.window & (1 << (seq - self.below)) != 0
    }

    /// Different numbers seen.
    pub fn count(&self) -> u32 {
        self.below + self.window.count_ones() - self.missing.as_ref().map_or(0, |missing| missing.len() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn order_lateness_and_duplicates() {
        let mut set = SeqSet::default();
        assert_eq!(set.insert(0), Seen::InOrder);
        assert_eq!(set.insert(2), Seen::InOrder);
        assert_eq!(set.insert(1), Seen::Late);
        assert_eq!(set.insert(1), Seen::Duplicate);
        assert_eq!(set.insert(64), Seen::InOrder);
        assert_eq!(set.insert(63), Seen::Late);
        assert_eq!(set.count(), 5);
        assert!(set.contains(64) && !set.contains(65) && !set.contains(100_000));
    }

    #[test]
    fn like_a_plain_set_whatever_the_order() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for reach in [3, 40, 63, 64, 65, 200] {
            let (mut set, mut model) = (SeqSet::default(), HashSet::new());
            for step in 0..3000u32 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Around a front that moves on by half a number a step: gaps, late ones and duplicates of every distance.
                let seq = (step / 2 + (random >> 33) as u32 % reach).saturating_sub(reach / 2);
                let highest = model.iter().max().copied();
                let expected = if !model.insert(seq) {
                    Seen::Duplicate
                } else if highest.is_none_or(|highest| seq > highest) {
                    Seen::InOrder
                } else {
                    Seen::Late
                };
                assert_eq!(set.insert(seq), expected, "{seq} at step {step}, reach {reach}");
            }
            assert_eq!(set.count() as usize, model.len());
            assert!((0..2000).all(|seq| set.contains(seq) == model.contains(&seq)), "reach {reach}");
        }
    }
}
