//! The two halves of a switch, as pure steps: what a worker of the old process does from the request to stop until it
//! stands aside or serves again, and what the new process does from the word to proceed until it has won or given up.
//!
//! Neither has a clock, an atomic or a socket. The shell carries out one effect at a time and tells what came of it; the
//! real programs and the simulation (`tests/simulation`) run the same steps. An effect is one thing before and after
//! which a process may die: that a death there does no harm is what the simulation looks for.

mod new;
mod old;

pub use new::{Failure, MARGIN, NewEffect, NewTold, TakeOver, Won};
pub use old::{OldEffect, OldTold, StandDown, StoodDown};

use shm_state::owner::{OwnerState, Party};

/// A number of nanoseconds of CLOCK_MONOTONIC, or between two instants of it.
pub type Nanos = u64;

/// The holder that a switch is from, and the party that it is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// Holds the region.
    pub old: Party,
    /// Is to hold it.
    pub new: Party,
    /// The old one's generation.
    pub generation: u64,
}

impl Sides {
    /// Whether the word says that the old one has offered to the new one.
    fn offered(self, owner: OwnerState) -> bool {
        owner == OwnerState::Offered { from: self.old, to: self.new, generation: self.generation }
    }

    /// Whether the word says that nothing has happened yet.
    fn untouched(self, owner: OwnerState) -> bool {
        owner == OwnerState::Held { party: self.old, generation: self.generation }
    }
}
