//! The state engine by itself, without packets: how fast records are translated, and flows looked up.
//!
//! Contenders work on the same memory, in turn, so that what the host does to one of them it does to all.

pub mod by_hand;
pub mod lookup;
pub mod translation;

use std::time::{Duration, Instant};

/// How long `work` takes.
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Small and fast pseudo-random numbers (SplitMix64), the same in every run.
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
