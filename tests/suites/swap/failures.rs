//! Swaps that fail before the new process has won: the old one serves on, and the operator reads why.

use nix::sys::signal::Signal;
use shm_state::manifest::{MANIFEST, Manifest, Request};
use shm_state::owner::Party;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::ctl::exit;
use tests::json::At;
use tests::process::{assert_gone, signal};
use tests::region::segment_of;
use tests::udp::Udp;
use tests::wait::{until, until_true};
use tests::world::World;

use crate::scene::{SHORT, Scene, ended, swap_to};

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
    std::fs::write(&file, good.replace("sockets = 16", "sockets = 17")).expect("a config file");
    let report = ended(scene.ask(&[]), exit::REFUSED, "refused");
    let error = [report.text("/error/message"), report.text("/error/remedy")];
    assert!(error.iter().any(|text| text.contains("snat")), "{report:#}");
    std::fs::write(&file, good).expect("a config file");
    scene.assert_untouched();
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

/// A request to stop that somebody left behind, or that something wrote there: nobody heeds it, and the service is as
/// always, expiry and the next swap included.
#[test]
fn a_request_of_nobody_changes_nothing() {
    let backends = Backend::several(1);
    let mut config = Config::new(backends.iter().map(Backend::address));
    config.listener[0].idle_timeout = "300ms".to_owned();
    let world = World::start(config);
    let manifest = Manifest::attach(segment_of(world.dataplane_pid(), MANIFEST)).expect("a manifest");
    let generation = manifest.owner().generation();
    manifest.handover().ask(Request { party: Party::new(99).expect("a party"), generation });
    Udp::v4().ask(b"begins a flow", world.config.front());
    assert_eq!(world.status().number("/flows_live"), 1);
    until("the flow has expired", || (world.status().number("/flows_live") == 0).then_some(()));
    assert!(manifest.handover().request().is_some(), "it stands all the while");
    world.swap(&executables().dataplane_v1);
    Udp::v4().ask(b"begins another", world.config.front());
}
