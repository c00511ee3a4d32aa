//! The new process's half: ask, wait for the offer, finish the translation, win the word.

use super::{Nanos, Sides};
use shm_state::owner::OwnerState;

/// How much longer the new process waits than the old one stands still: so that the old one is the one to withdraw, and has
/// time to choose a good moment to stop.
pub const MARGIN: Nanos = 200_000_000;
/// Longest sleep while the offer is waited for.
const SLEEP_MAX: Nanos = 5_000_000;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewEffect {
    /// Copy what changed up to now, if that is little. Answered by [`NewTold::Done`].
    TopUp,
    /// Ask the old process to stop. Answered by [`NewTold::Asked`].
    Ask,
    /// Read the owner word. Answered by [`NewTold::Seen`].
    Look,
    /// Look again soon, or sleep until the owner word changes, at most so long. Answered by [`NewTold::Done`].
    Wait(Nanos),
    /// Put right what the old process, proven dead, left half done. Answered by [`NewTold::Done`].
    Repair,
    /// Copy what is still marked, with nobody writing. Answered by [`NewTold::Done`], or [`NewTold::Refused`].
    Translate,
    /// Take the offer, by compare-and-swap. Answered by [`NewTold::Stepped`].
    Claim,
    /// Succeed the dead holder, by compare-and-swap. Answered by [`NewTold::Stepped`].
    Inherit,
    /// Forget the request. Answered by [`NewTold::Done`].
    Forget,
    /// Wake whoever waits for the owner word. Answered by [`NewTold::Done`].
    Ring,
    /// It is over: serve, or never touch a socket.
    End(Result<Won, Failure>),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTold {
    /// It was done.
    Done,
    /// The request stands.
    Asked {
        /// Since when.
        now: Nanos,
    },
    /// What the owner word said.
    Seen {
        /// It.
        owner: OwnerState,
        /// When.
        now: Nanos,
    },
    /// A value does not fit; the shell knows which.
    Refused,
    /// A step of the owner word: the generation that it says since, or what it said instead.
    Stepped(Result<u64, OwnerState>),
}

/// The region is the new process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Won {
    /// As this generation.
    pub generation: u64,
}

/// Why it is not. The old process serves on, or will when its patience ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The owner word changed while its holder was asked for it.
    Changed(OwnerState),
    /// The old process did not stop in time.
    Late {
        /// How long it was waited for.
        waited: Nanos,
    },
    /// A value does not fit.
    Refused,
    /// The word was not won.
    Lost(OwnerState),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    ToppingUp,
    Asking,
    Looking,
    Waiting(Nanos),
    Repairing,
    Translating,
    Winning,
    Forgetting(Result<Won, Failure>),
    Ringing(Result<Won, Failure>),
    Over(Result<Won, Failure>),
}

/// The new process's half of a switch.
#[derive(Clone, Copy, Debug)]
pub struct TakeOver {
    sides: Sides,
    /// The old process is proven dead: nobody has to be asked.
    dead: bool,
    /// How long the old process stands still.
    patience: Nanos,
    asked: Nanos,
    at: At,
}

impl TakeOver {
    /// Begins; the first effect is [`TakeOver::effect`].
    pub fn new(sides: Sides, dead: bool, patience: Nanos) -> Self {
        Self { sides, dead, patience, asked: 0, at: At::ToppingUp }
    }

    /// Who takes over from whom.
    pub fn sides(&self) -> Sides {
        self.sides
    }

    /// How long the offer has been waited for, by `now`.
    pub fn waited(&self, now: Nanos) -> Nanos {
        now.saturating_sub(self.asked)
    }

    /// What is to be done now.
    pub fn effect(&self) -> NewEffect {
        match self.at {
            At::ToppingUp => NewEffect::TopUp,
            At::Asking => NewEffect::Ask,
            At::Looking => NewEffect::Look,
            At::Waiting(most) => NewEffect::Wait(most),
            At::Repairing => NewEffect::Repair,
            At::Translating => NewEffect::Translate,
            At::Winning if self.dead => NewEffect::Inherit,
            At::Winning => NewEffect::Claim,
            At::Forgetting(_) => NewEffect::Forget,
            At::Ringing(_) => NewEffect::Ring,
            At::Over(how) => NewEffect::End(how),
        }
    }

    /// Takes what came of the last effect; gives the next.
    ///
    /// # Panics
    /// When the answer is not one to the effect: the shell's bug.
    pub fn step(&mut self, told: NewTold) -> NewEffect {
        self.at = self.next(told);
        self.effect()
    }

    fn next(&mut self, told: NewTold) -> At {
        match (self.at, told) {
            (At::ToppingUp, NewTold::Done) if self.dead => At::Repairing,
            (At::ToppingUp, NewTold::Done) => At::Asking,
            (At::Asking, NewTold::Asked { now }) => {
                self.asked = now;
                At::Looking
            }
            (At::Looking, NewTold::Seen { owner, now }) => self.seen(owner, now),
            (At::Waiting(_), NewTold::Done) => At::Looking,
            (At::Repairing, NewTold::Done) => At::Translating,
            (At::Translating, NewTold::Done) => At::Winning,
            // The old process need not wait for its deadline.
            (At::Translating, NewTold::Refused) => At::Forgetting(Err(Failure::Refused)),
            (At::Winning, NewTold::Stepped(Ok(generation))) => At::Forgetting(Ok(Won { generation })),
            (At::Winning, NewTold::Stepped(Err(owner))) => At::Forgetting(Err(Failure::Lost(owner))),
            (At::Forgetting(how), NewTold::Done) => At::Ringing(how),
            (At::Ringing(how), NewTold::Done) => At::Over(how),
            (at, told) => panic!("{told:?} is no answer to {at:?}"),
        }
    }

    fn seen(&self, owner: OwnerState, now: Nanos) -> At {
        if self.sides.offered(owner) {
            return At::Translating;
        }
        if !self.sides.untouched(owner) {
            return At::Forgetting(Err(Failure::Changed(owner)));
        }
        let deadline = self.asked.saturating_add(self.patience).saturating_add(MARGIN);
        if now >= deadline {
            return At::Forgetting(Err(Failure::Late { waited: self.waited(now) }));
        }
        At::Waiting((deadline - now).min(SLEEP_MAX))
    }
}
