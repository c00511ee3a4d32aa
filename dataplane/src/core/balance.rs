//! Which backend a new flow gets: Maglev consistent hashing with weights (Eisenbud et al., NSDI
//! 2016, section 3.4).
//!
//! Each backend walks the slots of a table in a permutation of its own and takes the first free
//! slot whenever its turn comes; turns are dealt by weight. Keys hash to slots. The result depends
//! only on the balancing key and on the backends' stable ids and weights, not on their order, so
//! that two versions and two hosts agree. When a backend leaves, little more than its own slots
//! change hands.
//!
//! The hash is keyed: who does not know the key cannot aim at one backend.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::limits::{BACKENDS_MAX, BALANCE_SLOTS, WEIGHT_MAX};

/// The balancing table of one pool.
#[derive(Clone)]
pub struct Balance {
    key: [u8; 16],
    /// Position of a member, per slot.
    slots: Box<[u16]>,
}

impl std::fmt::Debug for Balance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Balance").finish_non_exhaustive()
    }
}

impl Balance {
    /// The table for members given as (stable id, weight); answers are positions in this sequence.
    /// A member of weight 0 gets nothing; every other gets at least one slot.
    ///
    /// # Panics
    /// If no weight is above 0, an id occurs twice, or a limit is exceeded: the config's checks
    /// have refused all that.
    pub fn new(key: &[u8; 16], members: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut turns: Vec<Turns> = members
            .into_iter()
            .enumerate()
            .filter(|(_, (_, weight))| *weight > 0)
            .map(|(position, (id, weight))| Turns::new(key, position, id, weight))
            .collect();
        assert!(!turns.is_empty(), "a pool has a member of positive weight");
        assert!(turns.len() <= BACKENDS_MAX, "a pool has at most {BACKENDS_MAX} members");
        // By id, so that it does not matter who stands first in the config.
        turns.sort_by_key(|t| t.id);
        assert!(turns.windows(2).all(|w| w[0].id != w[1].id), "ids are unique in a pool");
        let heaviest = turns.iter().map(|t| t.weight).max().unwrap_or(1);
        assert!(heaviest <= WEIGHT_MAX, "a weight is at most {WEIGHT_MAX}");
        Self { key: *key, slots: deal(&mut turns, heaviest) }
    }

    /// The position of the member that a new flow with this key goes to.
    #[inline]
    pub fn lookup(&self, flow: &[u8]) -> usize {
        usize::from(self.slots[slot(hash(&self.key, SLOT, flow))])
    }

    /// Slots of each position up to the highest one in use.
    pub fn shares(&self) -> Vec<usize> {
        let mut shares = Vec::new();
        for &member in &self.slots {
            let member = usize::from(member);
            if shares.len() <= member {
                shares.resize(member + 1, 0);
            }
            shares[member] += 1;
        }
        shares
    }
}

/// A member that takes slots in turn.
struct Turns {
    position: u16,
    id: u32,
    weight: u32,
    /// Turns saved up, in units of 1 / heaviest weight.
    credit: u32,
    /// Where its permutation stands, and its step: coprime to the table's prime size.
    next: u32,
    step: u32,
}

const SIZE: u32 = BALANCE_SLOTS as u32;
/// Marks a slot that nobody has taken yet.
const FREE: u16 = u16::MAX;

// Tell the uses of one key apart.
const START: u8 = 1;
const STEP: u8 = 2;
const SLOT: u8 = 3;

impl Turns {
    fn new(key: &[u8; 16], position: usize, id: u32, weight: u32) -> Self {
        let place = |use_| hash(key, use_, &id.to_le_bytes());
        Self {
            position: u16::try_from(position).expect("a pool has fewer than 2^16 members"),
            id,
            weight,
            // The first round is everybody's, so that a small weight is not no weight.
            credit: u32::MAX,
            next: (place(START) % u64::from(SIZE)) as u32,
            step: (place(STEP) % u64::from(SIZE - 1)) as u32 + 1,
        }
    }

    fn advance(&mut self) -> usize {
        let here = self.next;
        self.next = (self.next + self.step) % SIZE;
        here as usize
    }
}

/// Rounds in which each member takes as many free slots as its credit allows: at most one.
fn deal(turns: &mut [Turns], heaviest: u32) -> Box<[u16]> {
    let mut slots = vec![FREE; BALANCE_SLOTS].into_boxed_slice();
    let mut free = BALANCE_SLOTS;
    loop {
        for member in turns.iter_mut() {
            member.credit = member.credit.saturating_add(member.weight);
            if member.credit < heaviest {
                continue;
            }
            // After the first round, what is saved up is less than one turn.
            member.credit = if member.credit == u32::MAX { 0 } else { member.credit - heaviest };
            // Ends: the step visits every slot, and one is free.
            let slot = loop {
                let slot = member.advance();
                if slots[slot] == FREE {
                    break slot;
                }
            };
            slots[slot] = member.position;
            free -= 1;
            if free == 0 {
                return slots;
            }
        }
    }
}

/// Scales a hash to a slot; the high bits decide, without a division.
#[inline]
fn slot(hash: u64) -> usize {
    ((u128::from(hash) * BALANCE_SLOTS as u128) >> 64) as usize
}

#[inline]
fn hash(key: &[u8; 16], use_: u8, data: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(data);
    hasher.write(&[use_]);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 16] = *b"0123456789abcdef";

    fn equal(ids: impl IntoIterator<Item = u32>) -> Balance {
        Balance::new(&KEY, ids.into_iter().map(|id| (id, 1)))
    }

    #[test]
    fn even_shares() {
        for n in [1, 2, 3, 7, 100, 1024] {
            let shares = equal((0..n).map(|i| i * 7919 + 1)).shares();
            assert_eq!(shares.len(), n as usize);
            let (min, max) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(max - min <= 1, "{n}: {min}..{max}");
            assert_eq!(shares.iter().sum::<usize>(), BALANCE_SLOTS);
        }
    }

    #[test]
    fn keys_spread_as_the_shares_do() {
        let balance = equal([11, 22, 33, 44]);
        let mut counts = [0u32; 4];
        for i in 0..40_000u32 {
            counts[balance.lookup(&i.to_be_bytes())] += 1;
        }
        // 10,000 ± 5 standard deviations.
        assert!(counts.iter().all(|c| (9_567..=10_433).contains(c)), "{counts:?}");
    }

    #[test]
    fn shares_follow_weights() {
        let weights = [1u32, 2, 5, 10, 0, 82];
        let balance = Balance::new(&KEY, (10u32..).zip(weights));
        let shares = balance.shares();
        let total: u32 = weights.iter().sum();
        for (share, weight) in shares.iter().zip(weights) {
            let fair = BALANCE_SLOTS as f64 * f64::from(weight) / f64::from(total);
            assert!((*share as f64 - fair).abs() <= 2.0, "{share} slots, fair were {fair}");
        }
        assert_eq!(shares[4], 0);
    }

    #[test]
    fn the_smallest_weight_among_the_largest_gets_something() {
        let members = (0..BACKENDS_MAX as u32).map(|i| (i + 1, if i == 0 { 1 } else { WEIGHT_MAX }));
        assert_eq!(Balance::new(&KEY, members).shares()[0], 1);
    }

    #[test]
    fn order_does_not_matter() {
        let a = Balance::new(&KEY, [(5, 1), (6, 3), (7, 2)]);
        let b = Balance::new(&KEY, [(7, 2), (5, 1), (6, 3)]);
        let (a_ids, b_ids) = ([5, 6, 7], [7, 5, 6]);
        for i in 0..5_000u32 {
            let flow = i.to_be_bytes();
            assert_eq!(a_ids[a.lookup(&flow)], b_ids[b.lookup(&flow)]);
        }
    }

    /// Of the slots of members that stay, how many change hands when one leaves or comes.
    #[test]
    fn few_flows_move_when_a_member_leaves() {
        for n in [3u32, 10, 50] {
            let before = equal(1..=n);
            // The last leaves, so that positions stay the same.
            let after = equal(1..n);
            let kept = before.slots.iter().filter(|&&m| u32::from(m) != n - 1).count();
            let moved =
                before.slots.iter().zip(&after.slots).filter(|(b, a)| u32::from(**b) != n - 1 && b != a).count();
            // The paper's figure for a table this large is below 2 % of all slots.
            assert!(moved * 50 < kept, "{n} members: {moved} of {kept} moved");
        }
    }

    #[test]
    fn few_flows_move_when_a_member_drains() {
        let before = Balance::new(&KEY, [(1, 2), (2, 2), (3, 2), (4, 2)]);
        let after = Balance::new(&KEY, [(1, 2), (2, 2), (3, 2), (4, 0)]);
        let moved = before.slots.iter().zip(&after.slots).filter(|(b, a)| **b != 3 && b != a).count();
        assert!(moved * 50 < BALANCE_SLOTS, "{moved} moved");
    }

    #[test]
    fn few_flows_move_when_the_heaviest_leaves() {
        let members = [(1, 1), (2, 3), (3, 3), (4, 10), (5, 40)];
        let before = Balance::new(&KEY, members);
        let after = Balance::new(&KEY, members[..4].iter().copied());
        let kept = before.slots.iter().filter(|&&m| m != 4).count();
        let moved = before.slots.iter().zip(&after.slots).filter(|(b, a)| **b != 4 && b != a).count();
        assert!(moved * 50 < kept, "{moved} of {kept} moved");
    }

    #[test]
    fn another_key_is_another_table() {
        let one = equal(1..=4);
        let other = Balance::new(b"fedcba9876543210", (1..=4).map(|id| (id, 1)));
        let same = one.slots.iter().zip(&other.slots).filter(|(a, b)| a == b).count();
        assert!(same < BALANCE_SLOTS / 3, "{same} of {BALANCE_SLOTS} alike");
    }

    /// Two versions of this program must agree about the same config: this never changes.
    #[test]
    fn golden() {
        let balance = Balance::new(&KEY, [(0x1111_1111, 1), (0x2222_2222, 2), (0x3333_3333, 4)]);
        assert_eq!(balance.shares(), GOLDEN_SHARES);
        let found: Vec<_> = (0u32..32).map(|i| balance.lookup(&i.to_be_bytes())).collect();
        assert_eq!(found, GOLDEN_LOOKUPS);
        let mut print = SipHasher13::new_with_key(&KEY);
        balance.slots.iter().for_each(|s| print.write(&s.to_le_bytes()));
        assert_eq!(print.finish(), GOLDEN_TABLE);
    }

    const GOLDEN_SHARES: [usize; 3] = [9363, 18725, 37449];
    const GOLDEN_LOOKUPS: [usize; 32] =
        [1, 2, 1, 2, 2, 1, 1, 0, 1, 1, 2, 2, 1, 2, 1, 2, 0, 2, 2, 2, 2, 2, 2, 2, 2, 0, 2, 2, 0, 2, 2, 1];
    const GOLDEN_TABLE: u64 = 6_250_470_914_713_988_151;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_member_with_weight_and_no_other_gets_slots(
            members in proptest::collection::btree_map(any::<u32>(), 0u32..=WEIGHT_MAX, 1..40),
        ) {
            prop_assume!(members.values().any(|w| *w > 0));
            let mut shares = Balance::new(&KEY, members.clone()).shares();
            shares.resize(members.len(), 0);
            for (share, weight) in shares.iter().zip(members.values()) {
                prop_assert_eq!(*share > 0, *weight > 0);
            }
        }
    }
}
