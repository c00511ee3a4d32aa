//! Swaps that fail before the new process has won: the old one serves on, and the operator reads why.

use std::path::PathBuf;
use std::thread::JoinHandle;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::ctl::{Answer, exit};
use tests::json::At;
use tests::load::{Load, Plan};
use tests::process::{assert_gone, is_alive, signal};
use tests::wait::{until, until_true};
use tests::world::World;

/// A phase timeout that is worth waiting for, and still enough for a swap on a machine that is busy with other things.
const SHORT: &str = "5s";

/// A world under load.
struct Scene {
    world: World,
    load: Load,
    old: u32,
    _backends: Vec<Backend>,
}

impl Scene {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
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
    fn ask(&self, options: &'static [&'static str]) -> JoinHandle<Answer> {
        let ctl = self.world.ctl().clone();
        std::thread::spawn(move || {
            let binary = executables().dataplane_v1.as_os_str();
            ctl.json(["swap".as_ref(), binary].into_iter().chain(options.iter().map(AsRef::as_ref)))
        })
    }

    fn await_phase(&self, phase: &str) {
        until(&format!("phase {phase}"), || {
            let status = self.world.status();
            (status.at("/swap").get("phase")? == phase).then_some(())
        });
    }

    /// The process that is to take over, stopped: the old one is held until then, so that it cannot get ahead.
    fn hold_new(&mut self) -> (JoinHandle<Answer>, u32) {
        signal(self.old, Signal::SIGSTOP);
        let answer = self.ask(&[]);
        self.await_phase("collect");
        let old = self.old;
        let new = until("a new process", || self.world.controld().children().into_iter().find(|pid| *pid != old));
        signal(new, Signal::SIGSTOP);
        (answer, new)
    }

    /// The old process serves as if nothing had been, and a swap goes through afterwards.
    fn assert_untouched(self) {
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
fn misfit(scene: &Scene, name: &str) -> PathBuf {
    let path = scene.world.dir().join(name);
    std::fs::copy(env!("CARGO_BIN_EXE_misfit"), &path).expect("a copy of the test program");
    path
}

fn ended(answer: JoinHandle<Answer>, code: i32, outcome: &str) -> Value {
    let report = answer.join().expect("controlctl runs").expect(code).document();
    assert_eq!(report.text("/outcome"), outcome, "{report:#}");
    assert!(!report.text("/error/message").is_empty() && !report.text("/error/code").is_empty(), "{report:#}");
    report
}

/// Swaps to a misfit; its report.
fn swap_to(scene: &Scene, name: &str, code: i32, outcome: &str) -> Value {
    let binary = misfit(scene, name);
    let ctl = scene.world.ctl().clone();
    ended(std::thread::spawn(move || ctl.json(["swap".as_ref(), binary.as_os_str()])), code, outcome)
}

#[test]
fn a_new_process_that_ends_at_once_changes_nothing() {
    let scene = Scene::new(|_| {});
    let report = swap_to(&scene, "ends-at-once", exit::UNDONE, "undone");
    assert_eq!(report.text("/error/code"), "new-died", "{report:#}");
    assert!(report.text("/error/message").contains('7'), "its exit code is told: {report:#}");
    scene.assert_untouched();
}

#[test]
fn a_new_process_that_refuses_is_quoted() {
    let scene = Scene::new(|_| {});
    let report = swap_to(&scene, "refuses", exit::REFUSED, "refused");
    assert_eq!((report.text("/error/code"), report.text("/error/message")), ("no-mood", "not today"));
    scene.assert_untouched();
}

#[test]
fn a_new_process_that_speaks_another_protocol_is_refused() {
    let scene = Scene::new(|_| {});
    let report = swap_to(&scene, "other-protocol", exit::REFUSED, "refused");
    assert!(report.text("/error/message").contains("protocol"), "{report:#}");
    scene.assert_untouched();
}

#[test]
fn a_new_process_that_says_nothing_runs_out_of_time() {
    let scene = Scene::new(|config| config.control.phase_timeout = SHORT.into());
    let report = swap_to(&scene, "silent", exit::UNDONE, "undone");
    assert_eq!(report.text("/error/code"), "new-late", "{report:#}");
    assert_gone(report.number("/to/pid") as u32);
    scene.assert_untouched();
}

#[test]
fn a_new_process_that_talks_rubbish_is_ended() {
    for name in ["rubbish", "claims-to-have-won"] {
        let scene = Scene::new(|_| {});
        let report = swap_to(&scene, name, exit::UNDONE, "undone");
        assert_gone(report.number("/to/pid") as u32);
        scene.assert_untouched();
    }
}

#[test]
fn a_new_process_killed_in_the_background_changes_nothing() {
    let mut scene = Scene::new(|_| {});
    let (answer, new) = scene.hold_new();
    signal(new, Signal::SIGKILL);
    let report = ended(answer, exit::UNDONE, "undone");
    assert_eq!(report.text("/error/code"), "new-died", "{report:#}");
    assert_eq!(report.number("/to/pid"), u64::from(new));
    signal(scene.old, Signal::SIGCONT);
    scene.assert_untouched();
}

#[test]
fn a_new_process_stopped_before_it_is_ready_runs_out_of_time() {
    let mut scene = Scene::new(|config| config.control.phase_timeout = SHORT.into());
    let (answer, new) = scene.hold_new();
    signal(scene.old, Signal::SIGCONT);
    let report = ended(answer, exit::UNDONE, "undone");
    assert_eq!(report.text("/error/code"), "new-late", "{report:#}");
    assert_gone(new);
    scene.assert_untouched();
}

#[test]
fn a_new_process_killed_later_in_the_background_changes_nothing() {
    let mut scene = Scene::new(|_| {});
    let (answer, new) = scene.hold_new();
    signal(scene.old, Signal::SIGCONT);
    scene.await_phase("background");
    signal(new, Signal::SIGKILL);
    let report = ended(answer, exit::UNDONE, "undone");
    assert_eq!(report.text("/error/code"), "new-died", "{report:#}");
    scene.assert_untouched();
}

#[test]
fn an_old_process_that_hangs_is_named_and_goes_on_when_it_can() {
    let scene = Scene::new(|config| config.control.phase_timeout = SHORT.into());
    signal(scene.old, Signal::SIGSTOP);
    let report = ended(scene.ask(&[]), exit::UNDONE, "undone");
    assert_eq!(report.text("/error/code"), "old-late", "{report:#}");
    assert!(report.text("/error/remedy").contains("--steal"), "{report:#}");
    assert_gone(report.number("/to/pid") as u32);
    signal(scene.old, Signal::SIGCONT);
    scene.assert_untouched();
}

#[test]
fn a_config_that_was_spoilt_since_is_named() {
    let scene = Scene::new(|_| {});
    let file = scene.world.dir().join("hitless.toml");
    let good = std::fs::read_to_string(&file).expect("the config");
    std::fs::write(&file, good.replace("idle_timeout", "idle_timeouts")).expect("a config file");
    let report = ended(scene.ask(&[]), exit::REFUSED, "refused");
    for word in ["hitless.toml", "listener[0].idle_timeouts", "unknown key"] {
        assert!(report.text("/error/message").contains(word), "\"{word}\" in {report:#}");
    }
    // What a swap cannot change in this version is refused as well, and by its key.
    for (from, to, word) in
        [("flows_max = 4096", "flows_max = 8192", "flows_max"), ("sockets = 16", "sockets = 17", "snat")]
    {
        std::fs::write(&file, good.replace(from, to)).expect("a config file");
        let report = ended(scene.ask(&[]), exit::REFUSED, "refused");
        assert!(
            report.text("/error/message").contains(word) || report.text("/error/remedy").contains(word),
            "{report:#}"
        );
    }
    std::fs::write(&file, good).expect("a config file");
    scene.assert_untouched();
}

#[test]
fn a_swap_goes_on_without_the_one_who_asked_for_it() {
    let scene = Scene::new(|config| config.control.probation = "1s".into());
    let mut asking = std::process::Command::new(&executables().controlctl)
        .arg("--socket")
        .arg(&scene.world.config.control.socket)
        .arg("swap")
        .arg(&executables().dataplane_v1)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("controlctl can be started");
    scene.await_phase("probation");
    asking.kill().expect("controlctl is killed");
    asking.wait().expect("controlctl is gone");
    assert_gone(scene.old);
    let status = scene.world.status();
    assert_eq!((status.number("/swaps/committed"), status.number("/dataplane/layouts/flows")), (1, 1));
    scene.load.await_more(200);
    scene.load.stop().assert_perfect();
}

#[test]
fn a_second_swap_is_refused_while_one_runs() {
    let scene = Scene::new(|_| {});
    signal(scene.old, Signal::SIGSTOP);
    let first = scene.ask(&[]);
    scene.await_phase("collect");
    let second = scene.ask(&[]).join().expect("controlctl runs").expect(exit::REFUSED).document();
    assert_eq!(second.text("/error/code"), "swap-in-progress", "{second:#}");
    assert!(second.text("/error/message").contains("collect"), "the phase is named: {second:#}");
    signal(scene.old, Signal::SIGCONT);
    let report = first.join().expect("controlctl runs").expect(exit::OK).document();
    assert_eq!(report.text("/outcome"), "committed");
    assert_gone(scene.old);
    scene.load.await_more(200);
    scene.load.stop().assert_perfect();
}

#[test]
fn a_swap_asked_for_in_probation_waits_or_cuts_it_short() {
    let scene = Scene::new(|config| config.control.probation = "1h".into());
    let first = scene.ask(&[]);
    scene.await_phase("probation");
    assert!(is_alive(scene.old), "the old process is parked, not gone");
    let waiting = scene.ask(&[]);
    let hurried = scene.ask(&["--commit-now"]);
    assert_eq!(first.join().expect("controlctl runs").expect(exit::OK).document().text("/outcome"), "committed");
    assert_gone(scene.old);
    // One of the two is in its own probation now, for an hour; the other one is behind it.
    scene.await_phase("probation");
    scene.load.await_more(200);
    let Scene { world, load, .. } = scene;
    load.stop().assert_perfect();
    drop(world);
    for answer in [waiting, hurried] {
        answer.join().expect("controlctl runs");
    }
}

#[test]
fn an_expected_blackout_over_the_budget_is_refused_unless_forced() {
    let scene = Scene::new(|config| config.control.blackout_budget = "1us".into());
    let report = ended(scene.ask(&[]), exit::REFUSED, "refused");
    assert_eq!(report.text("/error/code"), "over-budget", "{report:#}");
    assert_gone(report.number("/to/pid") as u32);
    let Scene { world, load, old, .. } = scene;
    assert_eq!(world.dataplane_pid(), old);
    let report = world.swap_with(&executables().dataplane_v1, &["--force-budget"]);
    assert!(report.number("/estimate_ns") > 1000);
    load.await_more(200);
    load.stop().assert_perfect();
}

#[test]
fn counts_of_outcomes_and_reports_tell_all_of_it() {
    let scene = Scene::new(|_| {});
    swap_to(&scene, "ends-at-once", exit::UNDONE, "undone");
    swap_to(&scene, "refuses", exit::REFUSED, "refused");
    scene.world.try_swap("/bin/true".as_ref(), &[]).expect(exit::REFUSED);
    scene.world.swap(&executables().dataplane);
    let status = scene.world.status();
    assert_eq!(status.at("/swaps"), &serde_json::json!({"committed": 1, "undone": 1, "refused": 2}));
    let reports = scene.world.ctl().json(["report", "--last", "9"]).expect(exit::OK).document();
    let mut outcomes: Vec<_> = reports.list("/reports").iter().map(|report| report.text("/outcome")).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["committed", "refused", "refused", "undone"]);
    let Scene { mut world, .. } = scene;
    let serving = status.number("/dataplane/pid") as u32;
    until_true("no process is left but the one that serves", || world.controld().children() == [serving]);
}
