//! Where a swap can be.

use std::fmt;

/// How a swap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The new process serves, the old one is gone.
    Committed,
    /// It was begun and taken back.
    Undone,
    /// It was not begun; the old process was not touched.
    Refused,
}

impl Verdict {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Undone => "undone",
            Self::Refused => "refused",
        }
    }
}

/// Whether the old process was seen to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// Not as far as is known.
    Alive,
    /// It is reaped.
    Dead,
}

/// Where the swap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A dataplane serves; no swap.
    Idle,
    /// The new binary is being examined.
    Verifying,
    /// The new process was spawned; it has not said hello.
    Starting,
    /// The old process's descriptors are being collected.
    Collecting,
    /// The old process was told who may ask it to quiesce; it has not confirmed.
    Announcing,
    /// The new process prepares in the background.
    Warming,
    /// The new process was told to proceed; from here the two agree through the owner word.
    Switching(Old),
    /// The new process serves; the old one is parked.
    Probation,
    /// The old process was told to end.
    Committing,
    /// The new process was told to end, or said that it ends.
    Undoing(Old, Verdict),
    /// The new process was killed.
    Killing(Old, Verdict),
    /// A dataplane is being started, cold or on the region of a dead one; a swap may still wait for its verdict.
    Recovering(Option<Verdict>),
    /// No dataplane runs; the next attempt waits for its time.
    Down,
}

impl State {
    /// Every state, for tables and tests.
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Idle,
            Self::Verifying,
            Self::Starting,
            Self::Collecting,
            Self::Announcing,
            Self::Warming,
            Self::Switching(Old::Alive),
            Self::Switching(Old::Dead),
            Self::Probation,
            Self::Committing,
        ];
        for old in [Old::Alive, Old::Dead] {
            for verdict in [Verdict::Undone, Verdict::Refused] {
                all.push(Self::Undoing(old, verdict));
            }
        }
        for old in [Old::Alive, Old::Dead] {
            for verdict in [Verdict::Undone, Verdict::Refused] {
                all.push(Self::Killing(old, verdict));
            }
        }
        all.push(Self::Recovering(None));
        all.extend([Verdict::Committed, Verdict::Undone, Verdict::Refused].map(|v| Self::Recovering(Some(v))));
        all.push(Self::Down);
        all
    }

    /// True while a swap waits for its verdict.
    pub fn in_swap(self) -> bool {
        !matches!(self, Self::Idle | Self::Recovering(None) | Self::Down)
    }

    /// The phase as operators read it.
    pub fn phase(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Verifying => "verify",
            Self::Starting => "start",
            Self::Collecting => "collect",
            Self::Announcing => "announce",
            Self::Warming => "background",
            Self::Switching(_) => "switch",
            Self::Probation => "probation",
            Self::Committing => "commit",
            Self::Undoing(..) | Self::Killing(..) => "undo",
            Self::Recovering(_) => "recover",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switching(Old::Dead) => f.write_str("switching, old dead"),
            Self::Undoing(old, verdict) => write!(f, "undoing{}, {}", dead(*old), verdict.as_str()),
            Self::Killing(old, verdict) => write!(f, "killing{}, {}", dead(*old), verdict.as_str()),
            Self::Recovering(Some(verdict)) => write!(f, "recovering, {}", verdict.as_str()),
            Self::Idle => f.write_str("idle"),
            Self::Verifying => f.write_str("verifying"),
            Self::Starting => f.write_str("starting"),
            Self::Collecting => f.write_str("collecting"),
            Self::Announcing => f.write_str("announcing"),
            Self::Warming => f.write_str("warming"),
            Self::Switching(Old::Alive) => f.write_str("switching"),
            Self::Probation => f.write_str("probation"),
            Self::Committing => f.write_str("committing"),
            Self::Recovering(None) => f.write_str("recovering"),
            Self::Down => f.write_str("down"),
        }
    }
}

fn dead(old: Old) -> &'static str {
    match old {
        Old::Alive => "",
        Old::Dead => ", old dead",
    }
}
