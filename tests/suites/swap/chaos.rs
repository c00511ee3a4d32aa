//! The new process is stopped or killed at instants that nobody chose: whoever holds the owner word then serves, and no
//! flow is ever moved.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::ctl::exit;
use tests::json::At;
use tests::load::{Load, Plan};
use tests::oracle::Faults;
use tests::process::{assert_gone, signal};
use tests::wait::until;
use tests::world::World;

/// From before the new process says hello until after it has won.
const INSTANTS: [u64; 12] = [0, 1, 2, 3, 4, 5, 6, 8, 10, 14, 20, 40];

struct Scene {
    world: World,
    load: Load,
    _backends: Vec<Backend>,
}

impl Scene {
    fn new() -> Self {
        let backends = Backend::several(2);
        let mut config = Config::new(backends.iter().map(Backend::address));
        config.control.quiesce_timeout = "100ms".into();
        let plan = Plan { rate: 1500, flows: 50, newcomers: 20, ..Plan::at(config.front()) };
        let world = World::start(config);
        let load = Load::start(plan);
        Self { world, load, _backends: backends }
    }

    /// Asks for a swap and gives the new process, some milliseconds after it was started, to `strike`.
    /// The exit code of controlctl.
    fn swap_struck(&mut self, layout: u64, after_ms: u64, strike: impl FnOnce(u32)) -> i32 {
        let old = self.world.dataplane_pid();
        let ctl = self.world.ctl().clone();
        let binary = executables().layout(layout);
        let answer = std::thread::spawn(move || ctl.json(["swap".as_ref(), binary.as_os_str()]));
        let new = until("a new process", || self.world.controld().children().into_iter().find(|pid| *pid != old));
        std::thread::sleep(Duration::from_millis(after_ms));
        strike(new);
        let answer = answer.join().expect("controlctl runs");
        assert!([exit::OK, exit::REFUSED, exit::UNDONE].contains(&answer.code), "{answer:?}");
        answer.code
    }

    /// A dataplane serves, and swaps go through.
    fn assert_serves(&mut self, layout: u64) {
        self.world.await_service();
        self.load.await_more(100);
        let report = self.world.swap(executables().layout(layout));
        assert_eq!(report.text("/outcome"), "committed");
        self.load.await_more(100);
    }
}

#[test]
fn a_new_process_that_is_stopped_at_any_instant_costs_nothing() {
    let mut scene = Scene::new();
    for (number, instant) in INSTANTS.into_iter().enumerate() {
        let layout = 1 + number as u64 % 2;
        scene.swap_struck(layout, instant, |new| {
            signal(new, Signal::SIGSTOP);
            // Longer than the old one waits before it serves again.
            std::thread::sleep(Duration::from_millis(400));
            signal(new, Signal::SIGCONT);
        });
        scene.assert_serves(3 - layout);
    }
    let Scene { world, load, .. } = scene;
    load.stop().assert_perfect();
    drop(world);
}

/// A process that dies after it has won takes what it had just received with it; nothing else may be lost, and nothing
/// may be moved.
#[test]
fn a_new_process_that_is_killed_at_any_instant_moves_no_flow() {
    let mut scene = Scene::new();
    let mut undone = 0;
    for (number, instant) in INSTANTS.into_iter().enumerate() {
        let layout = 1 + number as u64 % 2;
        let mut struck = 0;
        let code = scene.swap_struck(layout, instant, |new| {
            struck = new;
            signal(new, Signal::SIGKILL);
        });
        undone += u32::from(code != exit::OK);
        assert_gone(struck);
        scene.assert_serves(3 - layout);
    }
    assert!(undone > 0, "some were killed before they had won");
    let Scene { world, load, .. } = scene;
    let seen = load.stop();
    let faults = seen.oracle.faults();
    assert_eq!(Faults { lost: 0, ..faults }, Faults::default(), "{} sent", seen.sent());
    assert!(faults.lost < seen.sent() / 20, "{} of {} lost", faults.lost, seen.sent());
    drop(world);
}
