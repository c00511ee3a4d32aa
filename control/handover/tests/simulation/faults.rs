//! What goes wrong, and when: planned beforehand from the seed.

use handover::switch::Nanos;

use super::random::Random;

/// Who is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// Whoever holds the region.
    Holder,
    /// A process that does not.
    Other,
    Supervisor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT so much later; or no processor for so long.
    Stall(Nanos),
    /// What it sends is no message.
    Garbage,
    /// It says what is not so.
    Lie(u64),
}

impl Blow {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stall(_) => "stall",
            Self::Garbage => "garbage",
            Self::Lie(_) => "lie",
        }
    }
}

/// A fault that strikes right before an effect.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub victim: Victim,
    pub blow: Blow,
    /// Effects of the victim after a swap was asked for; a packet served is none.
    pub after: u64,
    /// Then, while it serves packets; otherwise right before another effect.
    pub serving: bool,
}

impl Fault {
    pub fn plan(random: &mut Random) -> Self {
        let victim = match random.below(16) {
            0..7 => Victim::Holder,
            7..15 => Victim::Other,
            _ => Victim::Supervisor,
        };
        let blow = match random.below(16) {
            0..8 => Blow::Kill,
            8..13 => Blow::Stall(random.micros(2, 25)),
            13 => Blow::Garbage,
            _ => Blow::Lie(random.below(4)),
        };
        Self { victim, blow, after: random.below(45), serving: victim == Victim::Holder && random.one_in(5) }
    }
}
