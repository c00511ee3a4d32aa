//! Ends: of controld and all that it started, of a dataplane alone, of the supervision only.

use std::net::UdpSocket;

use nix::sys::signal::Signal;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::ctl::exit;
use tests::json::At;
use tests::process::{Program, assert_gone, is_alive, signal};
use tests::udp::Udp;
use tests::world::{World, args, directory, write_config};

const QUESTION: &[u8] = b"is anybody there";

fn world() -> (World, Vec<Backend>) {
    let backends = Backend::several(2);
    (World::start(Config::new(backends.iter().map(Backend::address))), backends)
}

/// Nothing of the service is left: no process, no control socket, no UDP socket.
fn assert_all_gone(world: &World, pids: &[u32]) {
    pids.iter().copied().for_each(assert_gone);
    assert!(!world.config.control.socket.exists(), "the control socket is removed");
    // The kernel takes rings down behind the process's back, and their sockets with them.
    tests::wait::until_true("the listener's port is free", || UdpSocket::bind(world.config.front()).is_ok());
    world.ctl().run(["status"]).expect(exit::UNREACHABLE);
}

#[test]
fn sigterm_ends_everything() {
    let (mut world, _backends) = world();
    let first = world.dataplane_pid();
    Udp::v4().ask(QUESTION, world.config.front());
    world.swap(&executables().dataplane_v1);
    let pids = [first, world.dataplane_pid(), world.controld().pid()];
    assert_eq!(world.controld().terminate(), Some(exit::OK));
    assert_all_gone(&world, &pids);
}

#[test]
fn stop_ends_everything_before_it_returns() {
    let (mut world, _backends) = world();
    let pid = world.dataplane_pid();
    world.ctl().json(["stop"]).expect(exit::OK);
    assert!(!is_alive(pid), "stop returns when the dataplane is gone");
    assert_eq!(world.controld().wait(), Some(exit::OK));
    assert_all_gone(&world, &[pid]);
}

#[test]
fn sigterm_in_the_middle_of_a_swap_ends_everything() {
    let backends = Backend::several(1);
    let mut config = Config::new(backends.iter().map(Backend::address));
    config.control.probation = "1h".into();
    let mut world = World::start(config);
    let first = world.dataplane_pid();
    let ctl = world.ctl().clone();
    let asked = std::thread::spawn(move || ctl.json(["swap".as_ref(), executables().dataplane_v1.as_os_str()]));
    tests::wait::until_true("the swap is in probation", || world.status().at("/swap")["phase"] == "probation");
    let pids = [first, world.dataplane_pid()];
    assert_ne!(pids[0], pids[1]);
    assert_eq!(world.controld().terminate(), Some(exit::OK));
    assert_all_gone(&world, &pids);
    asked.join().expect("controlctl ends too");
}

#[test]
fn controld_may_leave_its_dataplane_running() {
    let backends = Backend::several(1);
    let dir = directory();
    let (config, file) = write_config(Config::new(backends.iter().map(Backend::address)), dir.path());
    let leave = args(&file).into_iter().chain(["--leave-dataplane".as_ref()]);
    let mut controld = Program::start(&executables().controld, leave, dir.path(), "controld");
    let client = Udp::v4();
    let ctl = tests::ctl::Ctl::new(executables().controlctl.clone(), config.control.socket.clone());
    let pid = tests::wait::until("a dataplane serves", || {
        let answer = ctl.json(["status"]);
        (answer.code == exit::OK).then(|| answer.document())?.at("/dataplane").get("pid")?.as_u64()
    }) as u32;
    client.ask(QUESTION, config.front());
    assert_eq!(controld.terminate(), Some(exit::OK));
    assert!(is_alive(pid));
    client.ask(QUESTION, config.front());
    signal(pid, Signal::SIGTERM);
    assert_gone(pid);
}

#[test]
fn packets_flow_on_when_controld_dies() {
    let (mut world, _backends) = world();
    let client = Udp::v4();
    client.ask(QUESTION, world.config.front());
    let pid = world.dataplane_pid();
    signal(world.controld().pid(), Signal::SIGKILL);
    assert_eq!(world.controld().wait(), None);
    for _ in 0..20 {
        client.ask(QUESTION, world.config.front());
    }
    signal(pid, Signal::SIGTERM);
    assert_gone(pid);
}

#[test]
fn a_dataplane_alone_serves_until_it_is_told_to_end() {
    for binary in [&executables().dataplane, &executables().dataplane_v1] {
        let backends = Backend::several(1);
        let dir = directory();
        let (config, file) = write_config(Config::new(backends.iter().map(Backend::address)), dir.path());
        let mut dataplane = Program::start(binary, args(&file), dir.path(), "dataplane");
        let client = Udp::v4();
        tests::wait::until_true("it serves", || {
            client.send(QUESTION, config.front());
            client.try_recv(std::time::Duration::from_millis(50)).is_some()
        });
        assert_eq!(dataplane.terminate(), Some(exit::OK), "{}", dataplane.log());
    }
}

/// A crash costs a blackout, not the flows.
#[test]
fn a_killed_dataplane_is_started_again_with_its_flows() {
    let (world, _backends) = world();
    let clients: Vec<_> = (0..50).map(|_| Udp::v4()).collect();
    let ask = || -> Vec<Vec<u8>> {
        clients.iter().map(|client| client.ask(QUESTION, world.config.front()).payload).collect()
    };
    // The answers hold the backend's number and the source that it saw.
    let before = ask();
    let pid = world.dataplane_pid();
    signal(pid, Signal::SIGKILL);
    tests::wait::until_true("another dataplane serves", || {
        world.status().at("/dataplane").get("pid").and_then(|pid| pid.as_u64()).is_some_and(|now| now != u64::from(pid))
    });
    assert_eq!(ask(), before);
    assert_eq!(world.counter("flows_created"), 50);
}
