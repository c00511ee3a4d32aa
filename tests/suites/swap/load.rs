//! Swaps under load: nothing is lost, doubled or moved, and every count is exact.

use std::collections::HashSet;

use serde_json::Value;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::json::At;
use tests::load::{Load, Plan, Seen};
use tests::net::{free_v6, has_ipv6};
use tests::oracle::MARK_LEN;
use tests::process::is_alive;
use tests::world::World;

/// Datagrams that the load sends between two swaps at least.
const BETWEEN: u64 = 300;

/// Insists that counters and flow table say exactly what clients and backends saw.
fn assert_exact(world: &World, seen: &Seen, backends: &[Backend], plan: &Plan) {
    seen.assert_perfect();
    let sent = seen.sent();
    world.await_counter("tx_down", sent);
    let counters = world.status().at("/counters").clone();
    for name in ["rx_up", "tx_up", "rx_down", "tx_down"] {
        assert_eq!(counters[name], sent, "{name}: {counters:#}");
    }
    assert_eq!(counters["bytes_up"], sent * plan.len as u64);
    assert_eq!(counters["bytes_down"], sent * (plan.len + MARK_LEN) as u64);
    assert_eq!(counters["flows_created"], seen.clients.len());
    for name in counters.as_object().expect("counters").keys() {
        let counts_loss = ["refused_", "drop_"].iter().any(|start| name.starts_with(start))
            || ["flows_expired", "tx_again", "tx_msgsize", "tx_failed", "icmp_errors", "no_buffers", "cq_overflow"]
                .contains(&name.as_str());
        assert!(!counts_loss || counters[name] == 0, "{name}: {counters:#}");
    }
    assert_eq!(backends.iter().map(Backend::answered).sum::<u64>(), sent, "backends answered what was sent");
    let rows = world.flows();
    assert_eq!(rows.len(), seen.clients.len());
    for (flow, client) in &seen.clients {
        let is = |row: &&Value| row["client_port"] == client.port() && row["client"] == client.ip().to_string();
        let row = rows.iter().find(is).unwrap_or_else(|| panic!("no row for client {client}"));
        let view = &seen.oracle.flows[flow];
        let counted = (row.number("/packets_up"), row.number("/packets_down"));
        assert_eq!(counted, (view.sent.into(), view.answered.len() as u64), "{row:#}");
    }
}

/// Insists that a report of a swap under load is whole and says that nothing was lost.
fn assert_report(report: &Value, from: &Value, live_before: u64, translated: bool) {
    assert_eq!(report.number("/from/pid"), from.number("/dataplane/pid"));
    assert_eq!(report.text("/from/binary"), from.text("/dataplane/binary"));
    assert_eq!(report.at("/from/layouts/flows"), from.at("/dataplane/layouts/flows"));
    assert_eq!(report.at("/layout_changed"), translated);
    assert_eq!(report.at("/error"), &Value::Null);
    for party in ["from", "to"] {
        assert_eq!(report.text(&format!("/{party}/sha256")).len(), 64);
        assert!(!report.text(&format!("/{party}/version")).is_empty());
    }
    assert_eq!(report.list("/clamped"), &[] as &[Value]);
    assert_eq!(
        (report.number("/dropped_rows"), report.number("/kernel_drops/before")),
        (0, report.number("/kernel_drops/after"))
    );
    let stamp = |name: &str| report.number(&format!("/stamps/{name}_ns"));
    let order = ["requested", "quiesced", "offered", "foreground_start", "won", "entered"].map(stamp);
    assert!(order.is_sorted() && order[0] > 0 && stamp("last_return") <= stamp("quiesced"), "{report:#}");
    assert_eq!(report.number("/blackout_ns"), stamp("entered") - stamp("last_return"));
    assert!(report.number("/blackout_ns") > 0 && report.number("/estimate_ns") > 0, "{report:#}");
    let names: Vec<_> = report.list("/phases").iter().map(|phase| phase.text("/name")).collect();
    let place =
        |name: &str| names.iter().position(|found| *found == name).unwrap_or_else(|| panic!("{name}: {names:?}"));
    let places = ["verify", "start", "background", "switch", "probation", "commit"].map(place);
    assert!(places.is_sorted(), "{names:?}");
    for table in report.list("/tables") {
        let expected = match table.text("/table") {
            "flows" if translated => "translated",
            "flows.aside" if translated => "kept-aside",
            _ => "shared",
        };
        assert_eq!(table.text("/action"), expected, "{table:#}");
    }
    if translated {
        assert!(report.number("/records_translated") >= live_before, "{live_before} flows lived before: {report:#}");
        assert!(report.number("/background_passes") >= 1);
    } else {
        assert_eq!(report.number("/records_translated"), 0);
    }
}

/// Swaps to the given layouts, one after the other, while clients ask.
fn swaps_under_load(config: Config, plan: Plan, backends: &[Backend], layouts: &[u64], options: &[&str]) {
    let world = World::start(config);
    let load = Load::start(plan.clone());
    load.await_more(BETWEEN);
    let (mut pids, mut id) = (HashSet::new(), 0);
    for &layout in layouts {
        let before = world.status();
        let report = world.swap_with(executables().layout(layout), options);
        let translated = before.number("/dataplane/layouts/flows") != layout;
        assert_report(&report, &before, before.number("/flows_live"), translated);
        assert_eq!(report.at("/steal"), options.contains(&"--steal"));
        assert!(report.number("/id") > id, "swaps are numbered");
        id = report.number("/id");
        let after = world.status();
        assert_eq!(after.number("/dataplane/pid"), report.number("/to/pid"));
        assert_eq!(after.number("/dataplane/layouts/flows"), layout);
        assert_eq!(after.number("/dataplane/generation"), before.number("/dataplane/generation") + 1);
        assert!(pids.insert(after.number("/dataplane/pid")), "every swap brings a new process");
        load.await_more(BETWEEN);
    }
    let seen = load.stop();
    assert_exact(&world, &seen, backends, &plan);
    let now = world.dataplane_pid();
    assert!(pids.iter().all(|&pid| (pid as u32 == now) == is_alive(pid as u32)), "only the last process is left");
    assert_eq!(world.status().number("/swaps/committed"), layouts.len() as u64);
}

fn addresses(backends: &[Backend]) -> impl Iterator<Item = std::net::SocketAddr> {
    backends.iter().map(Backend::address)
}

#[test]
fn ten_swaps_in_both_directions_lose_nothing() {
    let backends = Backend::several(3);
    let config = Config::new(addresses(&backends));
    let plan = Plan::at(config.front());
    swaps_under_load(config, plan, &backends, &[1, 2, 1, 2, 1, 2, 1, 2, 1, 2], &[]);
}

#[test]
fn a_swap_to_the_same_binary_shares_every_table() {
    let backends = Backend::several(2);
    let config = Config::new(addresses(&backends));
    let plan = Plan::at(config.front());
    swaps_under_load(config, plan, &backends, &[2, 2, 2], &[]);
}

#[test]
fn stolen_descriptors_serve_as_well_as_given_ones() {
    let backends = Backend::several(2);
    let config = Config::new(addresses(&backends));
    let plan = Plan::at(config.front());
    swaps_under_load(config, plan, &backends, &[1, 2, 2, 1], &["--steal"]);
}

#[test]
fn hundreds_of_sockets_move_as_well_as_a_few() {
    let backends = Backend::several(2);
    let mut config = Config::new(addresses(&backends));
    config.snat.sockets = 320;
    let plan = Plan { flows: 400, ..Plan::at(config.front()) };
    swaps_under_load(config, plan, &backends, &[1, 2], &[]);
}

#[test]
fn both_address_families_move() {
    if !has_ipv6() {
        return tests::tools::skip("IPv6 on the loopback interface");
    }
    let backends = [Backend::start(0, [127, 0, 0, 1].into()), Backend::start(1, std::net::Ipv6Addr::LOCALHOST.into())];
    let mut config = Config::new(addresses(&backends));
    config.listener[0].addresses.push(free_v6());
    // The kernel's own choice of address leaves one identity per socket.
    config.snat.sockets = 256;
    let targets = config.listener[0].addresses.clone();
    let plan = Plan { targets, flows: 100, newcomers: 0, ..Plan::at(config.front()) };
    swaps_under_load(config, plan, &backends, &[1, 2, 1, 2], &[]);
}

#[test]
fn without_a_source_pool_the_kernel_picks_addresses_and_flows_stay() {
    let backends = Backend::several(1);
    let mut config = Config::new(addresses(&backends));
    config.snat.v4 = None;
    config.snat.sockets = 128;
    let plan = Plan { flows: 60, newcomers: 0, ..Plan::at(config.front()) };
    swaps_under_load(config, plan, &backends, &[1, 2], &[]);
}
