//! What can happen, and how messages become events.

use std::fmt;

use crate::messages::Message;

/// Who holds the owner word, read by the shell after the event and never taken from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// The new process holds it.
    Won,
    /// It does not.
    NotWon,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The operator asks for a swap, and none runs.
    Asked,
    /// The operator asks for a swap while one runs.
    AskedAgain {
        /// A probation under way shall be cut short.
        commit_now: bool,
    },
    /// The new binary can take over.
    Verified,
    /// The new binary cannot take over.
    VerifyFailed,
    /// The new process could not be started.
    SpawnFailed,
    /// The new process said hello, in a protocol that both speak.
    Hello,
    /// The new process said hello, but cannot be spoken with.
    HelloRefused,
    /// All descriptors of the old process are there.
    Collected,
    /// They cannot be had.
    CollectFailed,
    /// The old process knows who may ask it to quiesce.
    Expecting,
    /// The new process works.
    Progress,
    /// The new process is ready.
    Ready {
        /// Its estimate is within the budget, or the operator forces it.
        affordable: bool,
    },
    /// The new process says that it cannot.
    NewRefused,
    /// The new process sent what is no message.
    NewFaulty,
    /// The new process says that it serves.
    Activated(Truth),
    /// The new process says that it did not win.
    Undone(Truth),
    /// The old process says that it serves again.
    Resumed(Truth),
    /// The old process says that it stands aside.
    Parked,
    /// The old process sent what is no message, or a fault.
    OldFaulty,
    /// The old process is reaped.
    OldDied(Truth),
    /// The new process is reaped.
    NewDied(Truth),
    /// The limit that was armed last is over (other than probation).
    Deadline(Truth),
    /// Probation is over.
    ProbationOver,
    /// A dataplane was started and serves.
    Recovered,
    /// No dataplane could be started.
    RecoverFailed,
    /// The supervisor was told to end.
    Stop,
}

impl Event {
    /// Every event, for tables and tests.
    pub const ALL: &'static [Self] = &[
        Self::Asked,
        Self::AskedAgain { commit_now: false },
        Self::AskedAgain { commit_now: true },
        Self::Verified,
        Self::VerifyFailed,
        Self::SpawnFailed,
        Self::Hello,
        Self::HelloRefused,
        Self::Collected,
        Self::CollectFailed,
        Self::Expecting,
        Self::Progress,
        Self::Ready { affordable: true },
        Self::Ready { affordable: false },
        Self::NewRefused,
        Self::NewFaulty,
        Self::Activated(Truth::Won),
        Self::Activated(Truth::NotWon),
        Self::Undone(Truth::Won),
        Self::Undone(Truth::NotWon),
        Self::Resumed(Truth::Won),
        Self::Resumed(Truth::NotWon),
        Self::Parked,
        Self::OldFaulty,
        Self::OldDied(Truth::Won),
        Self::OldDied(Truth::NotWon),
        Self::NewDied(Truth::Won),
        Self::NewDied(Truth::NotWon),
        Self::Deadline(Truth::Won),
        Self::Deadline(Truth::NotWon),
        Self::ProbationOver,
        Self::Recovered,
        Self::RecoverFailed,
        Self::Stop,
    ];
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let truth = |t: &Truth| if *t == Truth::Won { " (new holds)" } else { " (new does not hold)" };
        match self {
            Self::Asked => f.write_str("asked"),
            Self::AskedAgain { commit_now: false } => f.write_str("asked again"),
            Self::AskedAgain { commit_now: true } => f.write_str("asked again, commit now"),
            Self::Verified => f.write_str("verified"),
            Self::VerifyFailed => f.write_str("verify failed"),
            Self::SpawnFailed => f.write_str("spawn failed"),
            Self::Hello => f.write_str("hello"),
            Self::HelloRefused => f.write_str("hello refused"),
            Self::Collected => f.write_str("collected"),
            Self::CollectFailed => f.write_str("collect failed"),
            Self::Expecting => f.write_str("expecting"),
            Self::Progress => f.write_str("progress"),
            Self::Ready { affordable: true } => f.write_str("ready, within budget"),
            Self::Ready { affordable: false } => f.write_str("ready, over budget"),
            Self::NewRefused => f.write_str("new refused"),
            Self::NewFaulty => f.write_str("new sent garbage"),
            Self::Activated(t) => write!(f, "activated{}", truth(t)),
            Self::Undone(t) => write!(f, "undone{}", truth(t)),
            Self::Resumed(t) => write!(f, "resumed{}", truth(t)),
            Self::Parked => f.write_str("parked"),
            Self::OldFaulty => f.write_str("old sent garbage"),
            Self::OldDied(t) => write!(f, "old died{}", truth(t)),
            Self::NewDied(t) => write!(f, "new died{}", truth(t)),
            Self::Deadline(t) => write!(f, "deadline{}", truth(t)),
            Self::ProbationOver => f.write_str("probation over"),
            Self::Recovered => f.write_str("recovered"),
            Self::RecoverFailed => f.write_str("recover failed"),
            Self::Stop => f.write_str("stop"),
        }
    }
}

/// What a message means for the swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An event of this swap.
    Event(Event),
    /// Belongs to the shell: hello, descriptors, serving, stopping, faults that end nothing.
    Shell,
    /// About another swap: late, or a lie.
    Stale,
    /// Not for this sender to say.
    OutOfPlace,
}

/// Reads a message of the new process. `affordable` says whether its estimate is, should it be ready.
pub fn hear_new(message: &Message, swap: u64, truth: Truth, affordable: bool) -> Heard {
    let (about, event) = match message {
        Message::Progress(m) => (m.swap, Event::Progress),
        Message::Ready(m) => (m.swap, Event::Ready { affordable }),
        Message::Activated(m) => (m.swap, Event::Activated(truth)),
        Message::Undone(m) => (m.swap, Event::Undone(truth)),
        Message::Refused(_) => (swap, Event::NewRefused),
        Message::Hello(_)
        | Message::Descriptors(_)
        | Message::Serving(_)
        | Message::Stopping(_)
        | Message::Fault(_)
        | Message::Recovered(_) => return Heard::Shell,
        _ => return Heard::OutOfPlace,
    };
    if about == swap { Heard::Event(event) } else { Heard::Stale }
}

/// Reads a message of the old process.
pub fn hear_old(message: &Message, swap: u64, truth: Truth) -> Heard {
    let (about, event) = match message {
        Message::Expecting(m) => (m.swap, Event::Expecting),
        Message::Resumed(m) => (m.swap, Event::Resumed(truth)),
        Message::Parked(m) => (m.swap, Event::Parked),
        Message::Descriptors(_)
        | Message::Serving(_)
        | Message::Stopping(_)
        | Message::Fault(_)
        | Message::Recovered(_) => return Heard::Shell,
        _ => return Heard::OutOfPlace,
    };
    if about == swap { Heard::Event(event) } else { Heard::Stale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{Activated, Expecting, Stop};

    #[test]
    fn a_message_about_another_swap_is_stale() {
        let activated = Message::Activated(Activated { swap: 3, report: Default::default() });
        assert_eq!(hear_new(&activated, 4, Truth::Won, true), Heard::Stale);
        assert_eq!(hear_new(&activated, 3, Truth::Won, true), Heard::Event(Event::Activated(Truth::Won)));
    }

    #[test]
    fn nobody_speaks_for_the_other() {
        let expecting = Message::Expecting(Expecting { swap: 3 });
        assert_eq!(hear_new(&expecting, 3, Truth::NotWon, true), Heard::OutOfPlace);
        assert_eq!(hear_old(&expecting, 3, Truth::NotWon), Heard::Event(Event::Expecting));
        assert_eq!(hear_old(&Message::Stop(Stop {}), 3, Truth::NotWon), Heard::OutOfPlace);
    }
}
