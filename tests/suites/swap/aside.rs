//! Down and up again loses nothing of any flow, also what the older layout cannot hold.

use std::collections::BTreeMap;

use serde_json::Value;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::json::At;
use tests::udp::Udp;
use tests::world::World;

/// All flows by client port.
fn flows(world: &World) -> BTreeMap<u64, Value> {
    world.flows().into_iter().map(|flow| (flow.number("/client_port"), flow)).collect()
}

fn ask(world: &World, client: &Udp) {
    client.ask(b"counted, and stamped to the nanosecond", world.config.front());
}

#[test]
fn flows_are_the_same_after_down_and_up_again() {
    let backends = Backend::several(2);
    let world = World::start(Config::new(backends.iter().map(Backend::address)));
    let clients: Vec<_> = (0..40).map(|_| Udp::v4()).collect();
    clients.iter().for_each(|client| ask(&world, client));
    let before = flows(&world);
    assert_eq!(before.len(), 40);
    let stamps = |flows: &BTreeMap<u64, Value>| flows.values().filter(|f| f.number("/created") % 1000 != 0).count();
    assert!(stamps(&before) > 20, "times that microseconds cannot hold");

    let (v1, v2) = (&executables().dataplane_v1, &executables().dataplane);
    // Nothing was ever kept aside from layout 1: what it alone knows begins with its default.
    let report = world.swap(v1);
    let aside = |report: &Value| report.list("/tables").iter().any(|t| t["action"] == "kept-aside");
    assert!(aside(&report), "{report:#}");
    assert_eq!(stamps(&flows(&world)), 0, "served in microseconds");
    // The same layout twice: what is kept is handed on.
    world.swap(v1);
    let down = flows(&world);
    world.swap(v2);
    assert_eq!(flows(&world), before);

    // What only the older layout knows comes back to it too.
    world.swap(v1);
    assert_eq!(flows(&world), down);
    ask(&world, &clients[0]);
    let down = flows(&world);
    assert_eq!(down.values().filter(|flow| flow.number("/last_len") > 0).count(), 1);
    world.swap(v2);
    let after = flows(&world);
    world.swap(v1);
    assert_eq!(flows(&world), down);

    // A flow that went on in between has its newer values, and what nothing changed is exact.
    let changed: Vec<_> = before.iter().filter(|(port, flow)| after.get(port) != Some(*flow)).collect();
    let [(port, was)] = changed[..] else { panic!("one flow went on: {changed:#?}") };
    let is = &after[port];
    assert_eq!(is.number("/packets_up"), was.number("/packets_up") + 1);
    assert_eq!(is.number("/created"), was.number("/created"), "to the nanosecond");
    assert!(is.number("/last_seen") > was.number("/last_seen"));
}
