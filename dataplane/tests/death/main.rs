//! A holder dies at an instruction, any instruction: what it leaves is put right, exactly.
//!
//! Each operation runs on the real machine code, one instruction at a time, in a traced child that shares the tables.
//! Every image of the tables that it passes through is what a death at that instruction leaves. Each is repaired and
//! compared with a model: the operation happened or it did not, by its one deciding store, and all else is as it was.
//! Then the same without intents, by the full scan alone; and deaths in the middle of the repair and of the scan.
//!
//! `DEATH_SEED` starts from another seed (it is printed on failure), `DEATH_ROUNDS` makes more sequences.

mod check;
mod image;
mod model;
mod scene;
mod tracer;

use check::{Judge, Tally};
use dataplane::state::flow::FlowRecord;
use dataplane::state::flow_v1::FlowV1;
use dataplane::state::flow_v2::FlowV2;
use scene::{Random, Scene, Shape};

/// Operations of a sequence.
const OPERATIONS: usize = 40;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Prints the seed when a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with DEATH_SEED={} DEATH_ROUNDS=1", self.0);
        }
    }
}

fn sequences<R: FlowRecord>(shape: Shape, first_seed: u64) {
    let first = number("DEATH_SEED", first_seed);
    let mut tally = Tally::default();
    for seed in first..first + number("DEATH_ROUNDS", 1) {
        let seed = Seed(seed);
        let mut random = Random(seed.0);
        let mut scene = Scene::<R>::new(shape);
        let mut judge = Judge::new(shape);
        scene.grow(&mut random);
        for _ in 0..OPERATIONS {
            let operation = scene.choose(&mut random);
            judge.kill_everywhere(&mut scene, operation, &mut random);
        }
        tally += judge.tally;
    }
    println!("{tally:?}");
    assert!(tally.begun > 0 && tally.taken_back > 0 && tally.finished > 0, "{tally:?}");
    assert!(tally.repairs_killed > 0 && tally.scans > 0 && tally.lost > 0, "{tally:?}");
}

#[test]
fn a_death_at_any_instruction_leaves_what_can_be_repaired() {
    sequences::<FlowV2>(Shape::SMALL, 1);
}

#[test]
fn also_in_the_older_layout_where_keys_collide() {
    sequences::<FlowV1>(Shape::COLLIDING, 2);
}

#[test]
fn also_with_hardly_an_identity() {
    sequences::<FlowV2>(Shape::SCARCE, 3);
}

#[test]
fn also_in_a_table_of_several_shards() {
    sequences::<FlowV2>(Shape::SHARDED, 4);
}

/// What is damaged in whatever way is put right beside the operations that go on.
#[test]
fn a_scan_is_exact_while_flows_come_and_go() {
    let first = number("DEATH_SEED", 100);
    for seed in first..first + 40 * number("DEATH_ROUNDS", 1) {
        let seed = Seed(seed);
        let shape = [Shape::SMALL, Shape::COLLIDING, Shape::SCARCE, Shape::SHARDED][seed.0 as usize % 4];
        check::scan_beside_operations(shape, &mut Random(seed.0));
    }
}
