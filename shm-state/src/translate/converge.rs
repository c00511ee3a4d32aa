//! When background passes have done enough. Pure: what is left goes in, what to do comes out.
//!
//! A pass leaves behind what was written while it ran, so each is shorter than the one before until the holder writes as
//! fast as the copier copies. Then no pass helps, and that is said before anybody stops for it.

use std::time::Duration;

/// What the next pass would have to copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remainder {
    /// Slots.
    pub slots: u64,
    /// How long it would take, by the passes so far.
    pub time: Duration,
}

impl std::ops::Add for Remainder {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { slots: self.slots + other.slots, time: self.time + other.time }
    }
}

impl std::iter::Sum for Remainder {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), std::ops::Add::add)
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another pass.
    Again,
    /// The remainder is small enough.
    Enough,
    /// It does not get smaller: the holder writes as fast as passes copy.
    Hopeless,
}

/// Decides on passes.
#[derive(Debug, Clone)]
pub struct Converge {
    enough: Duration,
    most: u32,
    passes: u32,
    vain: u32,
    least: Duration,
    last: Verdict,
}

/// Passes in a row that did not shorten the remainder, until no more are made.
const VAIN_MAX: u32 = 3;

impl Converge {
    /// Passes until what is left takes at most `enough`, or stops getting less; `most` passes at most.
    pub fn new(enough: Duration, most: u32) -> Self {
        Self { enough, most, passes: 0, vain: 0, least: Duration::MAX, last: Verdict::Again }
    }

    /// What to do about this remainder.
    pub fn next(&mut self, left: Remainder) -> Verdict {
        self.last = if left.time <= self.enough {
            Verdict::Enough
        } else {
            // A tenth less is progress; less than that is noise.
            let progress = left.time < self.least - self.least / 10;
            self.vain = if progress { 0 } else { self.vain + 1 };
            self.least = self.least.min(left.time);
            if self.vain >= VAIN_MAX || self.passes >= self.most { Verdict::Hopeless } else { Verdict::Again }
        };
        self.passes += u32::from(self.last == Verdict::Again);
        self.last
    }

    /// Whether the remainder became small enough.
    pub fn converged(&self) -> bool {
        self.last == Verdict::Enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(us: u64) -> Remainder {
        Remainder { slots: us * 10, time: Duration::from_micros(us) }
    }

    fn run(converge: &mut Converge, mut us: u64, next: impl Fn(u64) -> u64) -> (u32, Verdict) {
        for passes in 0.. {
            match converge.next(left(us)) {
                Verdict::Again => us = next(us),
                step => return (passes, step),
            }
        }
        unreachable!()
    }

    #[test]
    fn a_slow_writer_is_caught_up_with() {
        let mut converge = Converge::new(Duration::from_micros(20), 16);
        assert_eq!(run(&mut converge, 100_000, |us| us / 10), (4, Verdict::Enough));
        assert!(converge.converged());
    }

    #[test]
    fn a_writer_as_fast_as_the_copier_is_given_up_on() {
        let mut converge = Converge::new(Duration::from_micros(20), 16);
        assert_eq!(run(&mut converge, 100_000, |us| (us / 10).max(5000)), (5, Verdict::Hopeless));
        assert!(!converge.converged());
    }

    #[test]
    fn slow_progress_ends_with_the_passes() {
        let mut converge = Converge::new(Duration::from_micros(1), 8);
        assert_eq!(run(&mut converge, 100_000, |us| us * 8 / 10), (8, Verdict::Hopeless));
    }

    #[test]
    fn at_the_threshold_and_just_above() {
        assert_eq!(Converge::new(Duration::from_micros(20), 0).next(left(20)), Verdict::Enough);
        assert_eq!(Converge::new(Duration::from_micros(20), 0).next(left(21)), Verdict::Hopeless);
    }
}
