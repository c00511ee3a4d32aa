//! The flow table, row by row, across translations.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::json::At;
use tests::region::{FLOWS, each_word, segment_of};
use tests::udp::Udp;
use tests::world::World;

/// Rows by client port.
fn rows(world: &World) -> BTreeMap<u64, Value> {
    world.flows().into_iter().map(|row| (row.number("/client_port"), row)).collect()
}

/// Times as layout 1 holds them: in microseconds.
fn in_microseconds(row: &Value, field: &str) -> u64 {
    row.number(&format!("/{field}")) / 1000
}

#[test]
fn every_row_means_the_same_after_a_translation_and_back() {
    let backends = Backend::several(3);
    let world = World::start(Config::new(backends.iter().map(Backend::address)));
    let front = world.config.front();
    let clients: Vec<_> = (0..100).map(|_| Udp::v4()).collect();
    for (number, client) in clients.iter().enumerate() {
        for packet in 0..number % 7 + 1 {
            client
                .send(&tests::oracle::Question { flow: number as u32, seq: packet as u32 }.encode(40 + number), front);
            client.recv();
        }
    }
    let new = rows(&world);
    assert_eq!(new.len(), clients.len());
    world.swap(&executables().dataplane_v1);
    let old = rows(&world);
    world.swap(&executables().dataplane);
    let back = rows(&world);
    assert!(old.keys().eq(new.keys()) && back.keys().eq(new.keys()), "the same flows");

    let (is_key, is_time) = (["client", "local"], ["created", "last_seen"]);
    for (port, row) in &new {
        let (v1, v2) = (&old[port], &back[port]);
        let kept = [
            "local_port",
            "scope",
            "listener",
            "backend",
            "identity",
            "packets_up",
            "packets_down",
            "bytes_up",
            "bytes_down",
        ];
        for field in is_key.iter().chain(&kept) {
            assert_eq!((&v1[field], &v2[field]), (&row[field], &row[field]), "{field} of {row:#}");
        }
        for field in is_time {
            assert_eq!(in_microseconds(v1, field), in_microseconds(row, field), "{field}");
            assert_eq!(v1.number(&format!("/{field}")) % 1000, 0, "what layout 1 cannot hold");
            assert_eq!(v2[field], row[field], "it was kept aside");
        }
        // What only one of the layouts has.
        assert_eq!((v1.get("answered"), v1.get("idle_max"), row.get("last_len")), (None, None, None));
        assert_eq!(v1["last_len"], 0, "the default, for layout 2 does not know it");
        assert_eq!((&v2["answered"], &v2["idle_max"]), (&row["answered"], &row["idle_max"]), "computed and defaulted");
    }
}

#[test]
fn expiry_and_new_flows_go_on_after_a_translation() {
    let backends = Backend::several(1);
    let mut config = Config::new(backends.iter().map(Backend::address));
    config.listener[0].idle_timeout = "1s".into();
    config.limits.flows_max = 64;
    let world = World::start(config);
    let question = tests::oracle::Question { flow: 1, seq: 1 }.encode(40);
    // Kept, so that no two have the same port.
    let mut clients = Vec::new();
    for layout in [1, 2, 1] {
        // More flows than the table has slots, over the whole test: slots, identities and index places are reused.
        for _ in 0..40 {
            let client = Udp::v4();
            client.ask(&question, world.config.front());
            clients.push(client);
        }
        world.swap(executables().layout(layout));
        let created = clients.len() as u64;
        assert_eq!(world.counter("flows_created"), created);
        world.await_counter("flows_expired", created);
        assert_eq!(world.status().number("/flows_live"), 0);
    }
}

/// No traffic of a test brings a counter beyond 32 bits, so it is put there.
#[test]
fn what_layout_1_cannot_hold_is_clamped_and_counted() {
    let backends = Backend::several(1);
    let world = World::start(Config::new(backends.iter().map(Backend::address)));
    let clients: Vec<_> = (0..10).map(|_| Udp::v4()).collect();
    for client in &clients {
        client.ask(b"a flow, and nothing after it", world.config.front());
    }
    let large = u64::from(u32::MAX) + 1;
    let flows = segment_of(world.dataplane_pid(), FLOWS);
    let mut number = 0;
    each_word(&flows, "packets_up", |word| {
        number += 1;
        // The largest that fits, and three that do not.
        if number <= 4 {
            word.store(if number == 1 { large - 1 } else { large * number }, Ordering::Relaxed);
        }
    });
    assert_eq!(number, 10);
    let report = world.swap(&executables().dataplane_v1);
    let clamped = [serde_json::json!({"table": "flows", "field": "packets_up", "count": 3})];
    assert_eq!(report.list("/clamped"), clamped);
    let mut counts: Vec<_> = rows(&world).values().map(|row| row.number("/packets_up")).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 1, 1, 1, 1, large - 1, large - 1, large - 1, large - 1]);

    // At its end the counter stays, and what fits is widened without loss.
    clients.iter().for_each(|client| drop(client.ask(b"one more each", world.config.front())));
    let report = world.swap(&executables().dataplane);
    assert_eq!(report.list("/clamped"), [] as [Value; 0]);
    let mut counts: Vec<_> = rows(&world).values().map(|row| row.number("/packets_up")).collect();
    counts.sort_unstable();
    // What was clamped was kept aside, and is back.
    assert_eq!(counts, [2, 2, 2, 2, 2, 2, large - 1, large * 2, large * 3, large * 4]);
}
