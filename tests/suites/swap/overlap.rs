//! Requests that meet a swap under way, or a limit that was set for it.

use nix::sys::signal::Signal;
use tests::build::executables;
use tests::ctl::exit;
use tests::json::At;
use tests::process::{assert_gone, is_alive, signal};

use crate::scene::{Scene, ended};

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
