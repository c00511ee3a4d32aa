//! The forwarding decisions, without any socket: what is kept for a flow's life, what is refused, what allocates.

use dataplane::config::{Config, Host};
use dataplane::core::forward::{Departure, Forwarder, Packet};
use dataplane::core::topology::Topology;
use dataplane::state::backends::BackendTable;
use dataplane::state::counters::Counters;
use dataplane::state::flow::FlowRecord;
use dataplane::state::flow_v1::FlowV1;
use dataplane::state::flow_v2::FlowV2;
use dataplane::state::flows::FlowTable;
use dataplane::state::identities::Identities;
use dataplane::wire::sockaddr::{Endpoint, map_v4};
use shm_state::table::{Records, Slot};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
const LISTENER: usize = 0;
/// Position of the first upstream socket: behind the one listener.
const FIRST_UPSTREAM: usize = 1;

/// 64 slots (the least), 2 sockets × 4 addresses × 2 backends = 16 identities.
const CONFIG: &str = r#"
[limits]
flows_max = 64
[snat]
v4 = ["127.64.0.1-127.64.0.4"]
sockets = 2
reuse_delay = "5s"
[[listener]]
name = "udp"
addresses = ["127.0.0.1:9000"]
pool = "p"
idle_timeout = "10s"
[[pool]]
name = "p"
[[pool.backend]]
address = "127.0.0.1:9001"
[[pool.backend]]
address = "127.0.0.1:9002"
"#;

fn forwarder<R: FlowRecord>() -> Forwarder<R> {
    let config = Config::parse(Path::new("test.toml"), CONFIG, &Host::detect()).expect("config");
    let topology = Arc::new(Topology::new(&config).expect("topology"));
    let region = [7; 16];
    let flows = FlowTable::create(region, config.limits.flows_max as usize, [9; 16]).expect("flows");
    let identities = Identities::create(region, &topology.rows()).expect("identities");
    let backends = BackendTable::create(region, &topology).expect("backends");
    let mut counters = Records::<Counters>::create(region, 1).expect("counters");
    counters.fill(Slot(0), Counters::default());
    Forwarder::new(topology, flows, identities, counters, backends, 0).expect("forwarder")
}

fn request(client: u16) -> Packet {
    let sender = Endpoint { ip: map_v4([127, 1, (client >> 8) as u8, client as u8]), port: 5000, scope: 0 };
    Packet { sender, local: map_v4([127, 0, 0, 1]), tos: 0, len: 100 }
}

fn up<R: FlowRecord>(forwarder: &mut Forwarder<R>, packet: &Packet, now: u64) -> Option<Departure> {
    let mut lookup = forwarder.begin(LISTENER, packet);
    forwarder.prefetch(&mut lookup);
    forwarder.up(LISTENER, packet, &lookup, now)
}

/// The backend's answer to what it was sent.
fn answer(sent: &Departure) -> (usize, Packet) {
    let local = sent.from.expect("a source from the pool");
    (sent.socket, Packet { sender: sent.to, local, tos: 0, len: 50 })
}

fn down<R: FlowRecord>(forwarder: &mut Forwarder<R>, socket: usize, packet: &Packet, now: u64) -> Option<Departure> {
    let place = forwarder.locate(socket, packet)?;
    forwarder.down(place, packet, now)
}

fn keeps_backend_and_source<R: FlowRecord>() {
    let mut forwarder = forwarder::<R>();
    for client in 0..6 {
        let packet = request(client);
        let first = up(&mut forwarder, &packet, SECOND).expect("room for six");
        for n in 1..20 {
            assert_eq!(up(&mut forwarder, &packet, SECOND + n), Some(first), "nothing moves");
            let (socket, reply) = answer(&first);
            let back = down(&mut forwarder, socket, &reply, SECOND + n).expect("finds its flow");
            assert_eq!((back.socket, back.to, back.from), (LISTENER, packet.sender, None));
        }
    }
    assert_eq!(forwarder.live(), 6);
    let counters = *forwarder.counters();
    assert_eq!((counters.flows_created, counters.rx_up, counters.rx_down), (6, 120, 114));
}

#[test]
fn a_flow_keeps_its_backend_and_its_source_in_either_layout() {
    keeps_backend_and_source::<FlowV1>();
    keeps_backend_and_source::<FlowV2>();
}

#[test]
fn no_two_flows_share_a_source_at_one_backend() {
    let mut forwarder = forwarder::<FlowV2>();
    let mut seen = std::collections::HashSet::new();
    let mut refused = 0;
    for client in 0..40 {
        match up(&mut forwarder, &request(client), SECOND) {
            Some(sent) => assert!(seen.insert((sent.socket, sent.from, sent.to)), "source given out twice"),
            None => refused += 1,
        }
    }
    assert!(seen.len() <= 16 && refused == 40 - seen.len() as u64);
    assert_eq!(forwarder.counters().refused_no_identity, refused);
    assert!(seen.iter().all(|(socket, _, _)| (FIRST_UPSTREAM..FIRST_UPSTREAM + 2).contains(socket)));
}

#[test]
fn an_idle_flow_ends_and_its_source_rests() {
    let mut forwarder = forwarder::<FlowV2>();
    let sent = up(&mut forwarder, &request(1), SECOND).unwrap();
    let all = forwarder.capacity();
    assert_eq!(forwarder.sweep(all, 11 * SECOND), 0, "idle for exactly its time");
    assert_eq!(forwarder.sweep(all, 11 * SECOND + 1), 1, "and just beyond");
    assert_eq!(forwarder.live(), 0);
    let (socket, reply) = answer(&sent);
    assert_eq!(down(&mut forwarder, socket, &reply, 12 * SECOND), None, "a late reply reaches nobody");
    assert_eq!(forwarder.counters().drop_no_flow, 1);
    for client in 0..40 {
        if let Some(other) = up(&mut forwarder, &request(client), 12 * SECOND) {
            assert_ne!((other.socket, other.from, other.to), (sent.socket, sent.from, sent.to), "still resting");
        }
    }
}

#[test]
fn what_cannot_be_answered_is_dropped_by_reason() {
    let mut forwarder = forwarder::<FlowV2>();
    let mut packet = request(1);
    packet.sender.port = 0;
    assert_eq!(up(&mut forwarder, &packet, SECOND), None);
    let stranger = Packet { sender: Endpoint { ip: map_v4([127, 9, 9, 9]), port: 53, scope: 0 }, ..request(1) };
    assert_eq!(down(&mut forwarder, FIRST_UPSTREAM, &stranger, SECOND), None);
    let counters = *forwarder.counters();
    assert_eq!((counters.drop_port_zero, counters.drop_unknown_source, counters.flows_created), (1, 1, 0));
}

thread_local! {
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
}

/// Ends the test when the packet path allocates.
struct Strict;

// SAFETY: every call goes on to the system's allocator unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Strict {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if FORBIDDEN.get() {
            FORBIDDEN.set(false);
            panic!("the packet path allocated {} bytes", layout.size());
        }
        // SAFETY: the caller keeps alloc's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps dealloc's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Strict = Strict;

#[test]
fn the_packet_path_allocates_nothing() {
    let mut forwarder = forwarder::<FlowV2>();
    let capacity = forwarder.capacity();
    FORBIDDEN.set(true);
    let mut now = SECOND;
    for round in 0..200u16 {
        now += SECOND / 5;
        for client in 0..20 {
            if let Some(sent) = up(&mut forwarder, &request(client + round % 3), now) {
                let (socket, reply) = answer(&sent);
                down(&mut forwarder, socket, &reply, now);
            }
        }
        forwarder.sweep(capacity, now);
    }
    FORBIDDEN.set(false);
    assert!(forwarder.counters().tx_up == 0 && forwarder.counters().rx_up == 4000);
}
