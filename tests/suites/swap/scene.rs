//! A service under load, and the ways in which a swap of it is made to fail.

use std::path::PathBuf;
use std::thread::JoinHandle;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::ctl::Answer;
use tests::json::At;
use tests::load::{Load, Plan};
use tests::process::signal;
use tests::wait::until;
use tests::world::World;

/// A phase timeout that is worth waiting for, and still enough for a swap on a machine that is busy with other things.
pub(crate) const SHORT: &str = "5s";

/// A world under load.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) load: Load,
    pub(crate) old: u32,
    _backends: Vec<Backend>,
}

impl Scene {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let backends = Backend::several(2);
        let mut config = Config::new(backends.iter().map(Backend::address));
        change(&mut config);
        let plan = Plan { rate: 1000, flows: 50, ..Plan::at(config.front()) };
        let world = World::start(config);
        let load = Load::start(plan);
        let old = world.dataplane_pid();
        Self { world, load, old, _backends: backends }
    }

    /// Asks for a swap to layout 1 and does not wait.
    pub(crate) fn ask(&self, options: &'static [&'static str]) -> JoinHandle<Answer> {
        let ctl = self.world.ctl().clone();
        std::thread::spawn(move || {
            let binary = executables().dataplane_v1.as_os_str();
            ctl.json(["swap".as_ref(), binary].into_iter().chain(options.iter().map(AsRef::as_ref)))
        })
    }

    pub(crate) fn await_phase(&self, phase: &str) {
        until(&format!("phase {phase}"), || {
            let status = self.world.status();
            (status.at("/swap").get("phase")? == phase).then_some(())
        });
    }

    /// The process that is to take over, stopped: the old one is held until then, so that it cannot get ahead.
    pub(crate) fn hold_new(&mut self) -> (JoinHandle<Answer>, u32) {
        signal(self.old, Signal::SIGSTOP);
        let answer = self.ask(&[]);
        self.await_phase("collect");
        let old = self.old;
        let new = until("a new process", || self.world.controld().children().into_iter().find(|pid| *pid != old));
        signal(new, Signal::SIGSTOP);
        (answer, new)
    }

    /// The old process serves as if nothing had been, and a swap goes through afterwards.
    pub(crate) fn assert_untouched(self) {
        let Self { world, load, old, .. } = self;
        assert_eq!(world.dataplane_pid(), old);
        assert_eq!(world.status().at("/swap"), &Value::Null);
        load.await_more(200);
        world.swap(&executables().dataplane_v1);
        load.await_more(200);
        load.stop().assert_perfect();
    }
}

/// A test program that looks like a dataplane and behaves as its name says.
pub(crate) fn misfit(scene: &Scene, name: &str) -> PathBuf {
    let path = scene.world.dir().join(name);
    std::fs::copy(env!("CARGO_BIN_EXE_misfit"), &path).expect("a copy of the test program");
    path
}

pub(crate) fn ended(answer: JoinHandle<Answer>, code: i32, outcome: &str) -> Value {
    let report = answer.join().expect("controlctl runs").expect(code).document();
    assert_eq!(report.text("/outcome"), outcome, "{report:#}");
    assert!(!report.text("/error/message").is_empty() && !report.text("/error/code").is_empty(), "{report:#}");
    report
}

/// Swaps to a misfit; its report.
pub(crate) fn swap_to(scene: &Scene, name: &str, code: i32, outcome: &str) -> Value {
    let binary = misfit(scene, name);
    let ctl = scene.world.ctl().clone();
    ended(std::thread::spawn(move || ctl.json(["swap".as_ref(), binary.as_os_str()])), code, outcome)
}
