//! What lies in the running region, damaged on purpose: the next binary refuses it by name, and the old one serves on.

use std::sync::atomic::Ordering;

use shm_state::prelude::SegmentId;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::ctl::exit;
use tests::json::At;
use tests::region::{FLOWS, FLOWS_INDEX, segment_of};
use tests::udp::Udp;
use tests::world::World;

/// Overwrites a word of a segment's body, asks for a swap, and puts the word back.
#[track_caller]
fn refused_with(scene: &(World, Vec<Backend>), wanted: SegmentId, offset: usize, value: u64, words: &[&str]) {
    let (world, _) = scene;
    let pid = world.dataplane_pid();
    let segment = segment_of(pid, wanted);
    let word = &segment.words(offset, 1)[0];
    let good = word.swap(value, Ordering::SeqCst);
    let answer = world.try_swap(&executables().dataplane_v1, &[]);
    word.store(good, Ordering::SeqCst);
    let report = answer.expect(exit::REFUSED).document();
    for word in words {
        assert!(report.text("/error/message").contains(word), "\"{word}\" in {report:#}");
    }
    assert_eq!(world.dataplane_pid(), pid);
    Udp::v4().ask(b"the old one serves on", world.config.front());
}

#[test]
fn corrupt_headers_in_the_running_region_are_refused_by_name() {
    let backends = Backend::several(1);
    let world = World::start(Config::new(backends.iter().map(Backend::address)));
    let scene = (world, backends);
    // The first words of a table's body: capacity, record length, stride …
    refused_with(&scene, FLOWS, 0, 0, &["table:1", "capacity"]);
    refused_with(&scene, FLOWS, 0, u64::MAX, &["table:1", "capacity"]);
    refused_with(&scene, FLOWS, 0, 1 << 20, &["table:1"]);
    refused_with(&scene, FLOWS, 8, 7, &["table:1", "record length"]);
    refused_with(&scene, FLOWS, 16, 64, &["table:1", "slot stride"]);
    refused_with(&scene, FLOWS_INDEX, 0, u64::MAX, &["index:2"]);
    let (world, _backends) = scene;
    world.swap(&executables().dataplane_v1);
}
