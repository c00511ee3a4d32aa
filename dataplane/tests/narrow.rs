//! A worker whose ring is shown only a few buffers takes only that many datagrams, and all the others afterwards: on the
//! real kernel, with real sockets.

use dataplane::config::{Config, Host};
use dataplane::core::forward::Forwarder;
use dataplane::core::topology::Topology;
use dataplane::io::socket_set::SocketSet;
use dataplane::io::sockets::{self, Options};
use dataplane::io::uring::{IoShape, create_segment};
use dataplane::io::worker::Worker;
use dataplane::state::backends::BackendTable;
use dataplane::state::counters::Counters;
use dataplane::state::flow_v2::FlowV2;
use dataplane::state::flows::FlowTable;
use dataplane::state::identities::Identities;
use shm_state::manifest::Manifest;
use shm_state::table::{Records, Slot};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const REGION: [u8; 16] = [7; 16];
const SHAPE: IoShape = IoShape { submissions: 512, completions: 1024, buffers: 256, buffer_len: 512 };

struct Bench {
    worker: Worker<FlowV2>,
    front: SocketAddr,
    client: UdpSocket,
    backend: UdpSocket,
}

impl Bench {
    fn new() -> Self {
        let backend = UdpSocket::bind("127.0.0.1:0").expect("a backend");
        backend.set_read_timeout(Some(Duration::from_millis(20))).expect("a time limit");
        let to = backend.local_addr().expect("an address");
        // The port may be taken by another test in between: then once more.
        let (config, opened) = loop {
            let front = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
            let text = format!(
                "[snat]\nv4 = [\"127.64.0.0/28\"]\nsockets = 2\n[[listener]]\nname = \"l\"\npool = \"p\"\naddresses = \
                 [\"{front}\"]\n[[pool]]\nname = \"p\"\n[[pool.backend]]\naddress = \"{to}\"\n"
            );
            let config = Config::parse(Path::new("test.toml"), &text, &Host::detect()).expect("a config");
            if let Ok(opened) = sockets::open(&config, Options { gro: false }) {
                break (config, opened);
            }
        };
        let topology = Arc::new(Topology::new(&config).expect("a topology"));
        let sockets = Arc::new(SocketSet::opened(opened, &topology));
        let flows = FlowTable::create(REGION, 64, [9; 16]).expect("flows");
        let identities = Identities::create(REGION, &topology.rows()).expect("identities");
        let backends = BackendTable::create(REGION, &topology).expect("backends");
        let mut counters = Records::<Counters>::create(REGION, 1).expect("counters");
        counters.fill(Slot(0), Counters::default());
        let forwarder =
            Forwarder::new(topology.clone(), flows, identities, counters, backends, 0).expect("a forwarder");
        let io = create_segment(REGION, 0, &SHAPE).expect("memory for a ring");
        let manifest = Manifest::create(REGION).expect("a manifest");
        let mut worker = Worker::new(forwarder, sockets, &io, &SHAPE, manifest).expect("a ring");
        worker.arm().expect("receives");
        let front = config.listeners[0].addresses[0].address;
        Self { worker, front, client: UdpSocket::bind("127.0.0.1:0").expect("a client"), backend }
    }

    fn send(&self, numbers: std::ops::Range<u8>) {
        numbers.for_each(|number| assert_eq!(self.client.send_to(&[number], self.front).expect("sent"), 1));
    }

    /// Datagrams that have come to the backend, by their numbers.
    fn arrived(&self) -> Vec<u8> {
        let mut byte = [0];
        std::iter::from_fn(|| self.backend.recv_from(&mut byte).ok().map(|_| byte[0])).collect()
    }

    /// Turns until nothing is left, and what came of it.
    fn rest(&mut self) -> Vec<u8> {
        // Receives that ended are armed again in one turn and take in the next.
        let mut idle = 0;
        while idle < 3 {
            idle = if self.worker.turn().expect("a turn") == 0 { idle + 1 } else { 0 };
        }
        self.arrived()
    }
}

#[test]
fn a_few_are_taken_last_and_a_few_first_and_none_is_lost() {
    let mut bench = Bench::new();
    // A successor: few when it enters, the rest in its turns.
    assert!(bench.worker.narrow(5));
    bench.send(0..40);
    bench.worker.enter(1).expect("entered");
    let mut all = bench.rest();
    assert_eq!(all, (0..40).collect::<Vec<_>>(), "in order, each once");
    // The same process asked to stop: a few more, and then none, whatever comes.
    bench.send(40..80);
    assert!(bench.worker.narrow(5) && bench.worker.is_narrow());
    bench.worker.turn().expect("a turn");
    bench.worker.finish().expect("finished");
    all = bench.arrived();
    assert_eq!(all, (40..45).collect::<Vec<_>>(), "just so many");
    bench.send(80..90);
    bench.worker.finish().expect("finished again");
    assert_eq!(bench.arrived(), Vec::<u8>::new(), "a worker that has stopped takes nothing");
    // Nobody came: it serves again, what waited first.
    bench.worker.resume(2);
    assert!(!bench.worker.is_narrow());
    assert_eq!(bench.rest(), (45..90).collect::<Vec<_>>());
    let counters = *bench.worker.forwarder().counters();
    assert_eq!((counters.rx_up, counters.tx_up, counters.no_buffers), (90, 90, 0));
}

#[test]
fn the_window_moves_with_the_buffers_for_as_long_as_one_likes() {
    let mut bench = Bench::new();
    bench.worker.enter(1).expect("entered");
    // More than once around the ring of buffers, narrow and wide in turn.
    for round in 0..40_u8 {
        if round % 2 == 0 {
            assert!(bench.worker.narrow(u16::from(round % 7)));
        }
        bench.send(0..16);
        bench.worker.turn().expect("a turn");
        bench.worker.widen();
        assert_eq!(bench.rest(), (0..16).collect::<Vec<_>>(), "round {round}");
    }
}
