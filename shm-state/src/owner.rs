//! The owner word: the only truth about who may serve.
//!
//! One 64-bit atomic in the manifest: generation (40 bits), state (8), holder (8), target (8), from the top.
//! Every change is a compare-and-swap from a value that was read, so exactly one party wins each step and the
//! generation only rises. The encoding lasts for ever.

use std::sync::atomic::{AtomicU64, Ordering};

/// A party of the handover: one process for its whole life. 0 is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Party(u8);

impl Party {
    /// A party with this number, 1 to 254.
    pub fn new(number: u8) -> Option<Self> {
        (1..=254).contains(&number).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How often the region has changed hands or was offered in vain. 40 bits: a swap a second for 30,000 years.
pub type Generation = u64;
const GENERATION_BITS: u32 = 40;
/// The last one. Nobody ever gets there; a word that says so was written over, and has no next holder.
pub const GENERATION_MAX: Generation = (1 << GENERATION_BITS) - 1;

/// What the owner word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerState {
    /// Nobody has ever served from this region.
    Vacant { generation: Generation },
    /// `party` serves.
    Held { party: Party, generation: Generation },
    /// `from` has stopped and lets `to` take over; `from` may withdraw.
    Offered { from: Party, to: Party, generation: Generation },
    /// The supervisor has shut everybody out; it alone assigns the next holder.
    Fenced { generation: Generation },
    /// A value that no version of this code writes.
    Corrupt { word: u64 },
}

const VACANT: u8 = 0;
const HELD: u8 = 1;
const OFFERED: u8 = 2;
const FENCED: u8 = 3;

impl OwnerState {
    /// Decodes a word.
    pub fn decode(word: u64) -> Self {
        let generation = word >> 24;
        let [target, holder, state, ..] = word.to_le_bytes();
        match (state, Party::new(holder), Party::new(target)) {
            (VACANT, None, None) => Self::Vacant { generation },
            (HELD, Some(party), None) => Self::Held { party, generation },
            (OFFERED, Some(from), Some(to)) if from != to => Self::Offered { from, to, generation },
            (FENCED, None, None) => Self::Fenced { generation },
            _ => Self::Corrupt { word },
        }
    }

    /// Encodes a state.
    pub fn encode(self) -> u64 {
        let word = |generation: u64, state: u8, holder: u8, target: u8| {
            debug_assert!(generation <= GENERATION_MAX);
            generation << 24 | u64::from(state) << 16 | u64::from(holder) << 8 | u64::from(target)
        };
        match self {
            Self::Vacant { generation } => word(generation, VACANT, 0, 0),
            Self::Held { party, generation } => word(generation, HELD, party.0, 0),
            Self::Offered { from, to, generation } => word(generation, OFFERED, from.0, to.0),
            Self::Fenced { generation } => word(generation, FENCED, 0, 0),
            Self::Corrupt { word } => word,
        }
    }

    /// The generation in the word.
    pub fn generation(self) -> Generation {
        match self {
            Self::Vacant { generation }
            | Self::Held { generation, .. }
            | Self::Offered { generation, .. }
            | Self::Fenced { generation } => generation,
            Self::Corrupt { word } => word >> 24,
        }
    }

    /// The party that holds the region, offered or not.
    pub fn holder(self) -> Option<Party> {
        match self {
            Self::Held { party, .. } | Self::Offered { from: party, .. } => Some(party),
            _ => None,
        }
    }
}

/// The step was not possible; this is what the word says instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the owner word says {0:?}")]
pub struct Lost(pub OwnerState);

/// The owner word in shared memory.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct OwnerWord(AtomicU64);

impl OwnerWord {
    /// What the word says now.
    // PAIR owner: acquire here and in every step; what the last holder wrote before its release is visible.
    #[inline]
    pub fn load(&self) -> OwnerState {
        OwnerState::decode(self.0.load(Ordering::Acquire))
    }

    /// First holder of a new region: VACANT → HELD(party, g+1).
    ///
    /// # Errors
    /// [`Lost`] when the region was not vacant.
    pub fn found(&self, party: Party) -> Result<Generation, Lost> {
        match self.load() {
            from @ OwnerState::Vacant { generation } => {
                let to = OwnerState::Held { party, generation: generation + 1 };
                self.step(from, to).map(|()| generation + 1)
            }
            other => Err(Lost(other)),
        }
    }

    /// A offers: HELD(from, g) → OFFERED(from → to, g).
    ///
    /// # Errors
    /// [`Lost`] when `from` does not hold generation `generation`.
    pub fn offer(&self, from: Party, to: Party, generation: Generation) -> Result<(), Lost> {
        self.step(OwnerState::Held { party: from, generation }, OwnerState::Offered { from, to, generation })
    }

    /// B takes what was offered to it: OFFERED(from → to, g) → HELD(to, g+1).
    ///
    /// # Errors
    /// [`Lost`] when the offer was withdrawn or never made; then B must not touch a socket.
    pub fn claim(&self, from: Party, to: Party, generation: Generation) -> Result<Generation, Lost> {
        let next = generation + 1;
        self.step(OwnerState::Offered { from, to, generation }, OwnerState::Held { party: to, generation: next })
            .map(|()| next)
    }

    /// A takes its offer back: OFFERED(from → to, g) → HELD(from, g+1).
    ///
    /// # Errors
    /// [`Lost`] when B has won: then A must not touch a socket.
    pub fn withdraw(&self, from: Party, to: Party, generation: Generation) -> Result<Generation, Lost> {
        let next = generation + 1;
        self.step(OwnerState::Offered { from, to, generation }, OwnerState::Held { party: from, generation: next })
            .map(|()| next)
    }

    /// The holder stays, under a new generation: whatever was asked of the old one is void. HELD(party, g) →
    /// HELD(party, g+1).
    ///
    /// # Errors
    /// [`Lost`] when `party` does not hold generation `generation`.
    pub fn renew(&self, party: Party, generation: Generation) -> Result<Generation, Lost> {
        let next = generation + 1;
        self.step(OwnerState::Held { party, generation }, OwnerState::Held { party, generation: next }).map(|()| next)
    }

    /// The successor of a holder that is proven dead: HELD(dead) or OFFERED(dead → _) → HELD(to, g+1).
    ///
    /// The caller answers for the proof (the process was reaped, or its pidfd says so): nothing here can check it.
    ///
    /// # Errors
    /// [`Lost`] when the word does not name the dead party as holder, or changed meanwhile.
    pub fn inherit(&self, dead: Party, to: Party) -> Result<Generation, Lost> {
        let from = self.load();
        if from.holder() != Some(dead) {
            return Err(Lost(from));
        }
        let next = from.generation() + 1;
        self.step(from, OwnerState::Held { party: to, generation: next }).map(|()| next)
    }

    // PAIR owner: release in every step publishes all that the winner wrote before it.
    fn step(&self, from: OwnerState, to: OwnerState) -> Result<(), Lost> {
        // Generations come from shared memory: a next one that has no room in the word would be an old one in it.
        if from.generation().max(to.generation()) > GENERATION_MAX {
            return Err(Lost(self.load()));
        }
        self.0
            .compare_exchange(from.encode(), to.encode(), Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(|word| Lost(OwnerState::decode(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(number: u8) -> Party {
        Party::new(number).unwrap()
    }

    #[test]
    fn a_swap_and_a_withdrawn_one() {
        let word = OwnerWord::default();
        let (a, b) = (party(1), party(2));
        assert_eq!(word.load(), OwnerState::Vacant { generation: 0 });
        let g = word.found(a).unwrap();
        word.offer(a, b, g).unwrap();
        let g = word.withdraw(a, b, g).unwrap();
        assert_eq!(word.load(), OwnerState::Held { party: a, generation: g });
        word.offer(a, b, g).unwrap();
        let next = word.claim(a, b, g).unwrap();
        assert_eq!(next, g + 1);
        assert_eq!(word.load(), OwnerState::Held { party: b, generation: next });
    }

    #[test]
    fn exactly_one_of_claim_and_withdraw_wins() {
        for _ in 0..200 {
            let word = OwnerWord::default();
            let (a, b) = (party(1), party(2));
            let g = word.found(a).unwrap();
            word.offer(a, b, g).unwrap();
            let wins = std::thread::scope(|scope| {
                let claim = scope.spawn(|| word.claim(a, b, g).is_ok());
                let withdraw = scope.spawn(|| word.withdraw(a, b, g).is_ok());
                u8::from(claim.join().unwrap()) + u8::from(withdraw.join().unwrap())
            });
            assert_eq!(wins, 1);
        }
    }

    #[test]
    fn nobody_takes_what_was_not_offered_to_it() {
        let word = OwnerWord::default();
        let (a, b, c) = (party(1), party(2), party(3));
        let g = word.found(a).unwrap();
        assert!(word.claim(a, b, g).is_err());
        assert!(word.found(b).is_err());
        word.offer(a, b, g).unwrap();
        assert!(word.claim(a, c, g).is_err());
        assert!(word.claim(a, b, g + 1).is_err());
        assert!(word.inherit(c, b).is_err());
        assert_eq!(word.inherit(a, c), Ok(g + 1));
    }

    #[test]
    fn after_the_last_generation_there_is_no_other() {
        let (a, b) = (party(1), party(2));
        let at = |generation| OwnerWord(AtomicU64::new(OwnerState::Held { party: a, generation }.encode()));
        let last = OwnerState::Held { party: a, generation: GENERATION_MAX };
        assert_eq!(at(GENERATION_MAX - 1).inherit(a, b), Ok(GENERATION_MAX));
        let word = at(GENERATION_MAX);
        assert_eq!(word.inherit(a, b), Err(Lost(last)));
        assert_eq!(word.renew(a, GENERATION_MAX), Err(Lost(last)));
        assert_eq!(word.offer(a, b, GENERATION_MAX + 1), Err(Lost(last)));
        word.offer(a, b, GENERATION_MAX).unwrap();
        assert!(word.claim(a, b, GENERATION_MAX).is_err() && word.withdraw(a, b, GENERATION_MAX).is_err());
    }

    #[test]
    fn encoding_is_frozen() {
        assert_eq!(OwnerState::Held { party: party(7), generation: 5 }.encode(), 0x0000_0000_0501_0700);
        assert_eq!(OwnerState::Offered { from: party(7), to: party(8), generation: 5 }.encode(), 0x0000_0000_0502_0708);
        assert_eq!(OwnerState::Fenced { generation: 9 }.encode(), 0x0000_0000_0903_0000);
        for word in [0x0000_0000_0501_0008, u64::MAX, 0x0501_0000, 0x0502_0707] {
            assert_eq!(OwnerState::decode(word), OwnerState::Corrupt { word });
        }
    }

    proptest::proptest! {
        #[test]
        fn decode_inverts_encode(word: u64) {
            proptest::prop_assert_eq!(OwnerState::decode(word).encode(), word);
        }
    }
}
