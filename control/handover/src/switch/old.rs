//! The old process's half: stop, offer, and either stand aside or serve again.
//!
//! A death of the successor at any instant ends in the withdrawal of the offer, or in a region that the successor has
//! won: never in both. No offer is made before every worker has stopped. Every worker that has stopped watches the clock:
//! one may not have seen the request before it was forgotten.

use super::{Nanos, Sides};
use shm_state::owner::OwnerState;

/// Shortest and longest sleep while the successor is waited for.
const SLEEP_MIN: Nanos = 10_000;
const SLEEP_MAX: Nanos = 5_000_000;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldEffect {
    /// Serve and send what was received, and ask no socket for more. Answered by [`OldTold::Finished`].
    Finish,
    /// Say that this worker has stopped, then look whether all have. Answered by [`OldTold::Stopped`].
    Stop,
    /// Offer the region, by compare-and-swap. Answered by [`OldTold::Stepped`].
    Offer,
    /// Wake whoever waits for the owner word. Answered by [`OldTold::Done`].
    Ring,
    /// Read the words. Answered by [`OldTold::Seen`].
    Look,
    /// Sleep until the owner word changes, at most so long. Answered by [`OldTold::Done`].
    Sleep(Nanos),
    /// Forget the request. Answered by [`OldTold::Done`].
    Forget,
    /// Take the offer back, by compare-and-swap. Answered by [`OldTold::Stepped`].
    Withdraw,
    /// Raise the generation where no offer was made, by compare-and-swap. Answered by [`OldTold::Stepped`].
    Renew,
    /// It is over.
    End(StoodDown),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldTold {
    /// All was served, by now.
    Finished {
        /// When.
        now: Nanos,
    },
    /// This worker's stop is told.
    Stopped {
        /// All workers have stopped.
        all: bool,
    },
    /// A step of the owner word: the generation that it says since, or that somebody was faster.
    Stepped(Option<u64>),
    /// What the words said.
    Seen {
        /// The owner word.
        owner: OwnerState,
        /// The request still stands.
        wanted: bool,
        /// This process was told to end.
        ending: bool,
        /// When.
        now: Nanos,
    },
    /// It was done.
    Done,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoodDown {
    /// The successor holds the region as this generation; the worker must not touch a socket again.
    Parked(u64),
    /// The successor did not come; the worker serves again, as this generation.
    Resumed(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Finishing,
    Stopping,
    Offering,
    Ringing,
    Looking,
    Sleeping(Nanos),
    Forgetting,
    Withdrawing,
    Renewing,
    RingingBack(u64),
    Over(StoodDown),
}

/// One worker's half of a switch.
#[derive(Clone, Copy, Debug)]
pub struct StandDown {
    sides: Sides,
    /// How long it stands still.
    patience: Nanos,
    deadline: Nanos,
    at: At,
}

impl StandDown {
    /// Begins; the first effect is [`StandDown::effect`].
    pub fn new(sides: Sides, patience: Nanos) -> Self {
        Self { sides, patience, deadline: Nanos::MAX, at: At::Finishing }
    }

    /// Who stands down for whom.
    pub fn sides(&self) -> Sides {
        self.sides
    }

    /// What is to be done now.
    pub fn effect(&self) -> OldEffect {
        match self.at {
            At::Finishing => OldEffect::Finish,
            At::Stopping => OldEffect::Stop,
            At::Offering => OldEffect::Offer,
            At::Ringing | At::RingingBack(_) => OldEffect::Ring,
            At::Looking => OldEffect::Look,
            At::Sleeping(most) => OldEffect::Sleep(most),
            At::Forgetting => OldEffect::Forget,
            At::Withdrawing => OldEffect::Withdraw,
            At::Renewing => OldEffect::Renew,
            At::Over(how) => OldEffect::End(how),
        }
    }

    /// Takes what came of the last effect; gives the next.
    ///
    /// # Panics
    /// When the answer is not one to the effect: the shell's bug.
    pub fn step(&mut self, told: OldTold) -> OldEffect {
        self.at = self.next(told);
        self.effect()
    }

    fn next(&mut self, told: OldTold) -> At {
        match (self.at, told) {
            (At::Finishing, OldTold::Finished { now }) => {
                self.deadline = now.saturating_add(self.patience);
                At::Stopping
            }
            (At::Stopping, OldTold::Stopped { all: true }) => At::Offering,
            (At::Stopping, OldTold::Stopped { all: false }) => At::Looking,
            // Of two that both saw all stopped, one offers; the other finds the word changed.
            (At::Offering, OldTold::Stepped(Some(_))) => At::Ringing,
            (At::Offering, OldTold::Stepped(None)) => At::Looking,
            (At::Ringing | At::Sleeping(_), OldTold::Done) => At::Looking,
            (At::Looking, OldTold::Seen { owner, wanted, ending, now }) => self.seen(owner, wanted, ending, now),
            // Forgotten first: whoever resumes must not find the old request again.
            (At::Forgetting, OldTold::Done) => At::Withdrawing,
            // Where not every worker has stopped there is no offer yet; the generation rises all the same, so that the
            // others see that it is over.
            (At::Withdrawing, OldTold::Stepped(None)) => At::Renewing,
            // Somebody was faster; or the word is none that there is anything to do about.
            (At::Renewing, OldTold::Stepped(None)) => At::Sleeping(SLEEP_MIN),
            (At::Withdrawing | At::Renewing, OldTold::Stepped(Some(generation))) => At::RingingBack(generation),
            (At::RingingBack(generation), OldTold::Done) => At::Over(StoodDown::Resumed(generation)),
            (at, told) => panic!("{told:?} is no answer to {at:?}"),
        }
    }

    fn seen(&self, owner: OwnerState, wanted: bool, ending: bool, now: Nanos) -> At {
        let Sides { old, generation, .. } = self.sides;
        match owner {
            OwnerState::Held { party, generation } if party != old => {
                return At::Over(StoodDown::Parked(generation));
            }
            OwnerState::Held { generation: now, .. } if now > generation => {
                return At::Over(StoodDown::Resumed(now));
            }
            _ => {}
        }
        // A successor that gives up takes its request back.
        if !wanted || ending || now >= self.deadline {
            return At::Forgetting;
        }
        At::Sleeping(self.deadline.saturating_sub(now).clamp(SLEEP_MIN, SLEEP_MAX))
    }
}
