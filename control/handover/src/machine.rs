//! The supervisor's side of a swap: a pure state machine.
//!
//! It has no clock and no descriptors. The shell tells it what happened ([`Event`]) and carries out what it asks for
//! ([`Action`]). Wherever it matters who may serve, the event carries a [`Truth`] that the shell read from the owner
//! word after the event: messages can be late, doubled, missing or lies.
//!
//! Invariants, held by the property tests: a swap ends exactly once; the old process is told to end only after the
//! new one was seen to hold the owner word; the new process is never killed while it is known to serve.

mod action;
mod cause;
mod event;
mod state;
mod table;

pub use action::{Action, Limit, Which};
pub use cause::Cause;
pub use event::{Event, Heard, Truth, hear_new, hear_old};
pub use state::{Old, State, Verdict};
pub use table::transition;

/// The machine: one state, changed only by [`transition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    state: State,
}

impl Machine {
    /// Begins with a dataplane being started.
    pub fn new() -> Self {
        Self { state: State::Recovering(None) }
    }

    /// Where the swap is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Takes an event; the actions are to be carried out in order.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        let (next, actions) = transition(self.state, event);
        self.state = next;
        actions
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}
