//! A serving dataplane is killed again and again while flows begin and end: its successor repairs what the death
//! interrupted, looks through everything, and nothing ever leaks.

use dataplane::state::flows::LINKS;
use nix::sys::signal::Signal;
use serde_json::Value;
use shm_state::identities::{self, Identities};
use shm_state::recover::{Ledger, Problem, verify};
use shm_state::table::RecordsView;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::json::At;
use tests::load::{Load, Plan};
use tests::process::{assert_gone, signal};
use tests::region::{FLOWS, segment_of, shards_of};
use tests::udp::Udp;
use tests::wait::until;
use tests::world::World;

/// Deaths; `DEATHS` says otherwise.
const DEATHS: u32 = 12;

/// The flow table of a process, opened beside it.
fn ledger(pid: u32) -> Ledger {
    let records = RecordsView::attach(segment_of(pid, FLOWS)).expect("a flow table");
    let identities = Identities::claimed(segment_of(pid, identities::ID)).expect("identities");
    Ledger::new(records, shards_of(pid), identities, LINKS).expect("tables that fit")
}

/// What is wrong in a process's tables between two of its operations.
fn problems(pid: u32) -> Vec<Problem> {
    let ledger = ledger(pid);
    until("the dataplane is between two operations", || {
        signal(pid, Signal::SIGSTOP);
        until("it has stopped", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process of ours");
            stat.contains(") T ").then_some(())
        });
        let problems = (!ledger.under_way()).then(|| verify(&ledger));
        signal(pid, Signal::SIGCONT);
        problems
    })
}

/// Kills the dataplane; what the one that follows says about the tables.
pub(crate) fn kill(world: &World) -> Value {
    let pid = world.dataplane_pid();
    signal(pid, Signal::SIGKILL);
    assert_gone(pid);
    until("the next one has looked through the tables", || {
        let status = world.status();
        let dataplane = status.at("/dataplane");
        let next = dataplane.get("pid").and_then(Value::as_u64)? != u64::from(pid);
        let recovered = dataplane.get("recovered").filter(|recovered| !recovered.is_null())?;
        next.then(|| recovered.clone())
    })
}

#[test]
fn a_dataplane_that_is_killed_again_and_again_leaks_nothing() {
    let backends = Backend::several(2);
    let mut config = Config::new(backends.iter().map(Backend::address));
    config.limits.flows_max = 512;
    config.snat.v4 = Some(vec!["127.64.0.0/28".to_owned()]);
    config.snat.reuse_delay = "50ms".to_owned();
    config.listener[0].idle_timeout = "300ms".to_owned();
    let plan = Plan { rate: 1500, flows: 30, newcomers: 300, ..Plan::at(config.front()) };
    let world = World::start(config);
    let load = Load::start(plan);
    let deaths = std::env::var("DEATHS").ok().and_then(|count| count.parse().ok()).unwrap_or(DEATHS);
    for death in 0..deaths {
        load.await_more(100);
        let recovered = kill(&world);
        println!("{recovered}");
        // With intents, a death leaves nothing for the scan.
        assert_eq!(recovered.at("/found"), &Value::Object(serde_json::Map::new()), "{recovered}");
        assert!(["nothing", "finished", "taken-back"].contains(&recovered.text("/operation")), "{recovered}");
        assert_eq!(problems(world.dataplane_pid()), []);
        // The layout changes now and then, and with it the segments.
        if death % 4 == 3 {
            world.swap(executables().layout(1 + u64::from(death / 4) % 2));
            assert_eq!(problems(world.dataplane_pid()), []);
        }
    }
    load.stop();
    until("every flow has ended", || (world.status().number("/flows_live") == 0).then_some(()));
    let pid = world.dataplane_pid();
    assert_eq!(problems(pid), []);
    let identities = Identities::claimed(segment_of(pid, identities::ID)).expect("identities");
    for row in 0..identities.rows() {
        let (free, resting) = identities.spare(row);
        assert_eq!(free + resting, identities.spec(row).identities as usize, "row {row}");
    }
}

/// Whoever takes the dead one's region over may die as well, before it serves.
#[test]
fn the_one_that_takes_over_may_die_too() {
    let backends = Backend::several(1);
    let mut world = World::start(Config::new(backends.iter().map(Backend::address)));
    let clients: Vec<_> = (0..20).map(|_| Udp::v4()).collect();
    clients.iter().for_each(|client| drop(client.ask(b"begins a flow", world.config.front())));
    let sources = world.flows();
    assert_eq!(sources.len(), 20);
    let mut seen = vec![world.dataplane_pid()];
    signal(seen[0], Signal::SIGKILL);
    for _ in 0..2 {
        let next =
            until("another dataplane", || world.controld().children().into_iter().find(|pid| !seen.contains(pid)));
        signal(next, Signal::SIGKILL);
        seen.push(next);
    }
    world.await_service();
    assert!(!seen.contains(&world.dataplane_pid()));
    clients.iter().for_each(|client| drop(client.ask(b"goes on", world.config.front())));
    let identity = |flows: &[Value]| -> Vec<String> {
        let mut all: Vec<_> =
            flows.iter().map(|flow| format!("{} {}", flow["client_port"], flow["identity"])).collect();
        all.sort();
        all
    };
    assert_eq!(identity(&world.flows()), identity(&sources), "every flow is there, and none began anew");
}
