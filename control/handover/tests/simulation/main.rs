//! A small world in which swaps happen, and everything that can go wrong does, at a time that a seed chooses.
//!
//! The supervisor is the real machine ([`handover::machine`]) in a shell of its own, the processes are the real halves of
//! a switch ([`handover::switch`]) around the real owner word; sockets, tables, messages and time are models. Before every
//! effect of every party a process may be killed, stopped for a while, fail or lie, and messages may be late, doubled, in
//! another order or lost.
//!
//! At every step: who touches a socket or a table holds the owner word, and nobody else does; the generation only rises;
//! a table that is served from has everything that was ever written. In the end, when the faults are over: every swap has
//! ended once, committed, undone with a reason or refused with one; one process serves, the others are gone, and no
//! packet waits.
//!
//! Not modelled is what the supervisor holds for whom, segments and sockets: the suites with real processes see to that.
//!
//! `SIM_SEED` replays one seed, with a line for each step; `SIM_SEEDS` says how many are tried.

mod dataplane;
mod faults;
mod network;
mod random;
mod region;
mod supervisor;
mod tally;
mod world;

use random::Random;
use tally::Tally;
use world::World;

/// Seeds of a run in CI.
const SEEDS: u64 = 10_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Prints how to replay when a seed fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with SIM_SEED={} cargo test -p handover --test simulation -- --nocapture", self.0);
        }
    }
}

#[test]
fn any_fault_at_any_step_leaves_a_service_that_lost_nothing() {
    let replay = number("SIM_SEED");
    let (first, count) = replay.map_or((1, number("SIM_SEEDS").unwrap_or(SEEDS)), |seed| (seed, 1));
    let mut tally = Tally::default();
    for seed in first..first + count {
        let seed = Seed(seed);
        let mut world = World::new(Random(seed.0), replay.is_some());
        world.run();
        tally.add(world.into_tally());
    }
    println!("{tally}");
    if replay.is_none() && count >= SEEDS {
        tally.assert_complete();
    }
}
