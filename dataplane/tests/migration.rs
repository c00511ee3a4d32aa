//! A layout with a migration takes a serving table over, in another number of shards, by the code that a swap runs; and
//! a binary that was built without the migration refuses the way back by the field's name.

use dataplane::config::{Config, Host};
use dataplane::core::forward::{Forwarder, Packet};
use dataplane::core::topology::Topology;
use dataplane::process::inheritance::{Inheritance, Shape};
use dataplane::process::inherited::Inherited;
use dataplane::state::backends::BackendTable;
use dataplane::state::counters::Counters;
use dataplane::state::flow::{FlowRecord, FlowStart};
use dataplane::state::flow_v2::FlowV2;
use dataplane::state::flows::FlowTable;
use dataplane::state::identities::Identities;
use dataplane::state::key::FlowKey;
use dataplane::wire::sockaddr::{Endpoint, map_v4};
use handover::messages::DescriptorEntry;
use shm_state::manifest::Manifest;
use shm_state::owner::Party;
use shm_state::prelude::SegmentId;
use shm_state::recover::verify;
use shm_state::row::{Row, Value};
use shm_state::schema::{Migration, MigrationDesc, Schema};
use shm_state::segment::Segment;
use shm_state::table::{Records, RecordsView, Slot};
use shm_state::translate::Converge;
use shm_state::{Descriptor, Layout};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const SECOND: u64 = 1_000_000_000;
const LISTENER: usize = 0;
const CONFIG: &str = r#"
[limits]
flows_max = 512
[snat]
v4 = ["127.64.0.0/24"]
sockets = 2
[[listener]]
name = "udp"
addresses = ["127.0.0.1:9000"]
pool = "p"
idle_timeout = "10s"
[[pool]]
name = "p"
[[pool.backend]]
address = "127.0.0.1:9001"
"#;

/// Of a version to come: when a flow began is split into seconds and nanoseconds.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 1, name = "flows", version = 3)]
#[repr(C)]
struct FlowNext {
    #[field(id = 15, instant = "ns")]
    last_seen: u64,
    #[field(id = 9, unsigned, unit = "packets")]
    packets_up: u64,
    #[field(id = 10, unsigned, unit = "packets")]
    packets_down: u64,
    #[field(id = 12, unsigned, unit = "bytes")]
    bytes_up: u64,
    #[field(id = 13, unsigned, unit = "bytes")]
    bytes_down: u64,
    #[field(id = 1, ip, key)]
    client: [u8; 16],
    #[field(id = 2, ip, key)]
    local: [u8; 16],
    #[field(id = 3, port, key)]
    client_port: u16,
    #[field(id = 4, port, key)]
    local_port: u16,
    #[field(id = 5, unsigned, key)]
    scope: u32,
    #[field(id = 6, unsigned, key)]
    listener: u32,
    #[field(id = 7, unsigned)]
    backend: u32,
    #[field(id = 8, unsigned)]
    identity: u32,
    #[field(id = 18, unsigned)]
    seconds: u32,
    #[field(id = 19, unsigned)]
    nanos: u32,
    #[field(id = 16, duration = "us", narrow = "clamp", default = 0)]
    idle_max: u32,
}

const SPLIT: MigrationDesc = MigrationDesc::new(1, "split-created", 2, 3, &[14], &[18, 19]);

fn split(from: &Row) -> Result<Row, String> {
    let Some(&Value::Instant(created)) = from.get_id(14) else { return Err("no instant".to_owned()) };
    let (mut row, second) = (Row::new(), u128::from(SECOND));
    for (id, value) in [(18, created / second), (19, created % second)] {
        row.insert(id, "made", Value::Unsigned(u64::try_from(value).map_err(|error| error.to_string())?));
    }
    Ok(row)
}

impl FlowRecord for FlowNext {
    fn new(start: FlowStart) -> Self {
        let FlowStart { key, backend, identity, now_ns } = start;
        let FlowKey { client, local, client_port, local_port, scope, listener } = key;
        let (seconds, nanos) = ((now_ns / SECOND) as u32, (now_ns % SECOND) as u32);
        let (last_seen, packets_up, packets_down, idle_max) = (now_ns, 0, 0, 0);
        Self {
            last_seen,
            packets_up,
            packets_down,
            bytes_up: 0,
            bytes_down: 0,
            client,
            local,
            client_port,
            local_port,
            scope,
            listener,
            backend,
            identity,
            seconds,
            nanos,
            idle_max,
        }
    }

    fn key(&self) -> FlowKey {
        let Self { client, local, client_port, local_port, scope, listener, .. } = *self;
        FlowKey { client, local, client_port, local_port, scope, listener }
    }

    fn is(&self, key: &FlowKey) -> bool {
        self.key() == *key
    }

    fn backend(&self) -> u32 {
        self.backend
    }

    fn identity(&self) -> u32 {
        self.identity
    }

    fn last_seen_ns(&self) -> u64 {
        self.last_seen
    }

    fn idle_max_ns(&self) -> u64 {
        0
    }

    fn count_up(&mut self, now_ns: u64, _: u32) {
        self.last_seen = now_ns;
        self.packets_up += 1;
    }

    fn count_down(&mut self, now_ns: u64, _: u32) {
        self.last_seen = now_ns;
        self.packets_down += 1;
    }

    fn schema() -> Schema {
        Schema::new(Self::NAME).migrate(Migration::both_ways(&SPLIT, split, |_| Err("not in this test".to_owned())))
    }
}

fn topology() -> Arc<Topology> {
    let config = Config::parse(Path::new("test.toml"), CONFIG, &Host::detect()).expect("config");
    Arc::new(Topology::new(&config).expect("topology"))
}

/// A region that party 1 serves from.
struct Served {
    manifest: Manifest,
    forwarder: Forwarder<FlowV2>,
}

impl Served {
    fn new() -> Self {
        let (region, topology) = ([7; 16], topology());
        let manifest = Manifest::create(region).expect("a manifest");
        let generation = manifest.owner_word().found(Party::new(1).expect("a party")).expect("nobody's yet");
        let flows = FlowTable::create(region, 512, [9; 16]).expect("flows");
        let identities = Identities::create(region, &topology.rows()).expect("identities");
        let backends = BackendTable::create(region, &topology).expect("backends");
        let mut counters = Records::<Counters>::create(region, 1).expect("counters");
        counters.fill(Slot(0), Counters::default());
        let forwarder = Forwarder::new(topology, flows, identities, counters, backends, 0);
        let mut served = Self { manifest, forwarder: forwarder.expect("tables that fit") };
        served.forwarder.resume(generation);
        served
    }
}

/// What a process hands over.
fn handed<R: FlowRecord>(manifest: &Manifest, forwarder: &Forwarder<R>) -> Inherited {
    let segments = [manifest.segment()].into_iter().chain(forwarder.segments());
    let described = segments.map(|segment| {
        let SegmentId { kind, table, shard } = segment.id();
        let fd = segment.fd().try_clone_to_owned().expect("a duplicate");
        (DescriptorEntry::segment(kind as u32, table, shard), fd)
    });
    Inherited::new(described.collect()).expect("segments of ours")
}

/// A datagram from a client, and its answer; false when there is no room for another flow.
fn exchange<R: FlowRecord>(forwarder: &mut Forwarder<R>, client: u8, now: u64) -> bool {
    let sender = Endpoint { ip: map_v4([127, 1, 0, client]), port: 5000, scope: 0 };
    let packet = Packet { sender, local: map_v4([127, 0, 0, 1]), tos: 0, len: 100 };
    let mut lookup = forwarder.begin(LISTENER, &packet);
    forwarder.prefetch(&mut lookup);
    let Some(sent) = forwarder.up(LISTENER, &packet, &lookup, now) else { return false };
    let local = sent.from.expect("a source of the pool");
    let answer = Packet { sender: sent.to, local, tos: 0, len: 50 };
    let place = forwarder.locate(sent.socket, &answer);
    place.and_then(|place| forwarder.down(place, &answer, now)).is_some_and(|back| back.to == sender)
}

/// Each live flow's slot, and when it began.
fn began<R: FlowRecord>(forwarder: &Forwarder<R>) -> Vec<(u64, u64)> {
    let records: &Segment = forwarder.segments()[0];
    let view = RecordsView::attach(records.clone()).expect("a table");
    let layout: &Descriptor = view.descriptor();
    let number = |record: &[u8], id| match layout.decode(record).get_id(id) {
        Some(Value::Unsigned(number)) => *number,
        Some(Value::Instant(ns)) => u64::try_from(*ns).expect("not negative"),
        other => panic!("field {id}: {other:?}"),
    };
    let mut all = Vec::new();
    view.for_each_live(|slot, _, record| {
        let at = match layout.field(14) {
            Some(_) => number(record, 14),
            None => number(record, 18) * SECOND + number(record, 19),
        };
        all.push((slot, at));
        ControlFlow::Continue(())
    });
    all
}

#[test]
fn a_migration_runs_while_the_old_layout_serves() {
    let mut served = Served::new();
    for client in 0..100 {
        assert!(exchange(&mut served.forwarder, client, 5 * SECOND + u64::from(client)));
    }
    let shape = Shape { flows_max: 512, shards: 3, workers: 1 };
    let handed_over = handed(&served.manifest, &served.forwarder);
    let mut heir = Inheritance::<FlowNext>::of(&handed_over, &topology(), shape).expect("they fit");
    let [copier] = &mut heir.copiers[..] else { panic!("one table differs") };
    copier.first(|_, _| {});
    // Flows begin, go on and end meanwhile.
    for client in 50..150 {
        assert!(exchange(&mut served.forwarder, client, 12 * SECOND + u64::from(client)));
    }
    assert_eq!(served.forwarder.sweep(512, 18 * SECOND), 50);
    copier.converge(&mut Converge::new(Duration::from_micros(5), 32));
    assert!(exchange(&mut served.forwarder, 200, 19 * SECOND));
    copier.last().expect("nothing refuses");
    let expected = began(&served.forwarder);
    assert_eq!((began(&heir.forwarder), expected.len()), (expected, 101));
    // The next one serves: the flows that there are, and new ones.
    heir.forwarder.resume(heir.manifest.owner().generation() + 1);
    assert_eq!(heir.forwarder.live(), 101);
    for client in (50..150).chain([200]) {
        assert!(exchange(&mut heir.forwarder, client, 20 * SECOND), "client {client}");
    }
    assert_eq!(heir.forwarder.live(), 101, "nobody began anew");
    assert!((210..230).all(|client| exchange(&mut heir.forwarder, client, 20 * SECOND)));
    let handed_over = handed(&heir.manifest, &heir.forwarder);
    let again = Inheritance::<FlowNext>::of(&handed_over, &topology(), shape).expect("nothing differs");
    assert!(again.copiers.is_empty());
    assert_eq!(verify(&again.predecessor), []);
    // FlowV2 as it was released knows nothing of version 3: no way back that would lose what it needs.
    let refused = Inheritance::<FlowV2>::of(&handed_over, &topology(), shape).expect_err("no migration, no default");
    assert_eq!(refused.code, "layout-refused");
    assert!(refused.message.contains("created"), "{}", refused.message);
}
