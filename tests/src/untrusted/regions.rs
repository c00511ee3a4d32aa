//! Regions to begin with, as the real code writes them: after a life of flows, in each layout, and after a downgrade
//! with what was kept aside.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use dataplane::config::{Config, Host};
use dataplane::core::forward::{Forwarder, Packet};
use dataplane::core::topology::Topology;
use dataplane::process::inheritance::{Inheritance, Shape};
use dataplane::state::backends::BackendTable;
use dataplane::state::counters::Counters;
use dataplane::state::flow::FlowRecord;
use dataplane::state::flow_v1::FlowV1;
use dataplane::state::flow_v2::FlowV2;
use dataplane::state::flows::FlowTable;
use dataplane::state::identities::Identities;
use dataplane::wire::sockaddr::{Endpoint, map_v4};
use shm_state::manifest::Manifest;
use shm_state::owner::Party;
use shm_state::prelude::SegmentId;
use shm_state::segment::Segment;
use shm_state::table::{Records, Slot};

use super::table::inherited;

/// Slots of the flow tables.
pub const CAPACITY: usize = 64;
/// Of the config's one listener.
pub const LISTENER: usize = 0;
/// Clients that the regions have seen.
pub const CLIENTS: u8 = 40;
const SECOND: u64 = 1_000_000_000;
const REGION: [u8; 16] = *b"untrusted-region";

const CONFIG: &str = r#"
[limits]
flows_max = 64
[snat]
v4 = ["127.64.0.1-127.64.0.8"]
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

/// The segments of a region, byte for byte.
#[derive(Debug, Clone)]
pub struct Region {
    /// Which segment, and its bytes.
    pub images: Vec<(SegmentId, Vec<u8>)>,
}

/// The config's topology: two sockets and eight addresses towards each of two backends.
pub fn topology() -> &'static Arc<Topology> {
    static TOPOLOGY: OnceLock<Arc<Topology>> = OnceLock::new();
    TOPOLOGY.get_or_init(|| {
        let config = Config::parse(Path::new("untrusted.toml"), CONFIG, &Host::detect()).expect("a good config");
        Arc::new(Topology::new(&config).expect("a topology"))
    })
}

/// All of them: layout 1, layout 1 with what a downgrade from layout 2 has kept aside, layout 2, and the same in three
/// shards.
pub fn all() -> &'static [Region] {
    static ALL: OnceLock<Vec<Region>> = OnceLock::new();
    ALL.get_or_init(|| {
        let newer = Region::served::<FlowV2>(1);
        vec![Region::served::<FlowV1>(1), newer.downgraded(), newer, Region::served::<FlowV2>(3)]
    })
}

/// What client `number` sends.
pub fn request(number: u8) -> Packet {
    let sender = Endpoint { ip: map_v4([127, 1, 0, number]), port: 5000, scope: 0 };
    Packet { sender, local: map_v4([127, 0, 0, 1]), tos: 0, len: 100 }
}

/// A packet from client `number`, and its answer.
pub fn exchange<R: FlowRecord>(forwarder: &mut Forwarder<R>, number: u8, now_ns: u64) -> bool {
    let packet = request(number);
    let mut lookup = forwarder.begin(LISTENER, &packet);
    forwarder.prefetch(&mut lookup);
    let Some(sent) = forwarder.up(LISTENER, &packet, &lookup, now_ns) else { return false };
    let Some(local) = sent.from else { return false };
    let answer = Packet { sender: sent.to, local, tos: 0, len: 50 };
    let place = forwarder.locate(sent.socket, &answer);
    place.and_then(|place| forwarder.down(place, &answer, now_ns)).is_some()
}

fn image(segment: &Segment) -> (SegmentId, Vec<u8>) {
    let mut bytes = Vec::new();
    shm_state::image::save(segment, &mut bytes).expect("a segment of ours");
    (segment.id(), bytes)
}

impl Region {
    fn served<R: FlowRecord>(shards: usize) -> Self {
        let topology = topology();
        let manifest = Manifest::create(REGION).expect("a manifest");
        let me = Party::new(1).expect("a party");
        let generation = manifest.owner_word().found(me).expect("nobody's yet");
        manifest.enter(me, std::process::id(), 1);
        let flows = FlowTable::<R>::create_sharded(REGION, CAPACITY, shards, [9; 16]).expect("flows");
        let identities = Identities::create(REGION, &topology.rows()).expect("identities");
        let backends = BackendTable::create(REGION, topology).expect("backends");
        let mut counters = Records::<Counters>::create(REGION, 1).expect("counters");
        counters.fill(Slot(0), Counters::default());
        let mut forwarder =
            Forwarder::new(topology.clone(), flows, identities, counters, backends, 0).expect("tables that fit");
        forwarder.resume(generation);
        for number in 0..CLIENTS {
            // The first ones fall silent, end, and let their identities rest.
            let now = if number < 12 { SECOND } else { 20 * SECOND + u64::from(number) };
            exchange(&mut forwarder, number, now);
        }
        forwarder.sweep(CAPACITY, 25 * SECOND);
        assert!(forwarder.live() > 10, "flows to begin with");
        Self { images: [manifest.segment()].into_iter().chain(forwarder.segments()).map(image).collect() }
    }

    /// Taken over by an executable of layout 1.
    fn downgraded(&self) -> Self {
        let all = inherited(&self.images).expect("good images");
        let mut heir =
            Inheritance::<FlowV1>::of(&all, topology(), Shape { flows_max: CAPACITY, shards: 1, workers: 1 })
                .expect("good tables");
        for copier in &mut heir.copiers {
            copier.first(|_, _| ());
            copier.last().expect("every value fits");
        }
        assert_eq!(heir.layers.len(), 1, "something is kept aside");
        heir.forwarder.resume(heir.manifest.owner().generation());
        let layers = heir.layers.iter().map(|layer| layer.segment());
        let segments = [heir.manifest.segment()].into_iter().chain(heir.forwarder.segments()).chain(layers);
        Self { images: segments.map(image).collect() }
    }
}
