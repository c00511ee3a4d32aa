//! The frozen past: images of every released layout and segment version, with data, as the code of their time wrote
//! them. Made once by `make-fixtures`; never edited.
//!
//! Together they are one region: the index and the identities name the flows of both flow layouts.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use dataplane::state::FLOWS_INDEX;
use dataplane::state::flow::{FlowRecord, FlowStart};
use dataplane::state::flow_v2::FlowV2;
use dataplane::state::flows::FlowTable;
use dataplane::state::identities::{Identities, RowSpec};
use dataplane::state::key::FlowKey;
use sha2::{Digest, Sha256};
use shm_state::descriptor::{Field, FieldType};
use shm_state::directory::{Directory, Role, SegmentEntry, SocketEntry};
use shm_state::manifest::{Manifest, Request};
use shm_state::owner::Party;
use shm_state::segment::Segment;
use shm_state::table::{Index, Meta, RecordsView, Slot};
use shm_state::{Descriptor, Layout};
use zerocopy::IntoBytes;

use crate::build::workspace;
use crate::layouts::RELEASED;

/// Slots of the flow tables.
pub const CAPACITY: u64 = 48;
/// Name of the list of digests.
pub const SUMS: &str = "SHA256SUMS";
/// The backends whose identities the flows have.
pub const BACKENDS: [RowSpec; 2] =
    [RowSpec { backend: 0xb1, identities: 40 }, RowSpec { backend: 0xb2, identities: 7 }];

const REGION: [u8; 16] = *b"fixtures-of-0.1\0";
const FLOWS: u32 = 40;

/// Where the fixtures lie.
pub fn directory() -> PathBuf {
    workspace().join("tests/fixtures")
}

/// SHA-256 as `sha256sum` prints it.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All fixtures as this code makes them: name and bytes.
///
/// # Panics
/// When there is no shared memory for them.
pub fn make() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> =
        RELEASED.iter().map(|layout| (format!("{}.desc", layout.name), layout.descriptor().to_bytes())).collect();
    let region = Region::make();
    for layout in RELEASED {
        let descriptor = layout.descriptor();
        let table = match descriptor.name() {
            "flows" => region.flows(&descriptor),
            _ => plain(&descriptor),
        };
        files.push((format!("{}.seg", layout.name), bytes_of(table.segment())));
    }
    let whole = [
        ("index-1", region.index.segment().clone()),
        ("identities-1", region.identities.segment().clone()),
        ("manifest-1", manifest().segment().clone()),
        ("directory-1", whole_directory().segment().clone()),
    ];
    files.extend(whole.map(|(name, segment)| (format!("{name}.seg"), bytes_of(&segment))));
    files
}

fn bytes_of(segment: &Segment) -> Vec<u8> {
    let mut bytes = Vec::new();
    shm_state::image::save(segment, &mut bytes).expect("a segment is readable");
    bytes
}

/// Index and identities after a life of flows, and which slots are live with which start.
struct Region {
    index: Index,
    identities: Identities,
    live: Vec<(Slot, FlowStart)>,
}

impl Region {
    fn make() -> Self {
        let key = std::array::from_fn(|i| i as u8 * 7 + 3);
        let mut flows = FlowTable::<FlowV2>::create(REGION, CAPACITY as usize, key).expect("a table");
        let mut identities = Identities::create(REGION, &BACKENDS).expect("identities");
        let mut live = Vec::new();
        for number in 0..FLOWS {
            let row = usize::from(number % 8 == 7);
            let random = u64::from(number) << 58;
            let (key, backend) = (flow_key(number), BACKENDS[row].backend);
            let start = |identity| FlowStart { key, backend, identity, now_ns: 1 };
            let Ok(begin) = flows.begin(&mut identities, flows.hash(&key), row, random, start) else { continue };
            live.push((begin.slot, start(begin.taking.identity)));
        }
        // Some end: their slots are free again, not in order, and their identities rest.
        for number in [3, 30, 11, 12, 25, 0] {
            let (slot, start) = live.remove(number.min(live.len() - 1));
            let row = usize::from(start.backend == BACKENDS[1].backend);
            flows.end(&mut identities, slot, Some(row), 5_000_000_000 + u64::from(slot.0));
        }
        Self { index: flows.shards().list()[0].index.clone(), identities, live }
    }

    /// The flow table in a layout: the flows' keys and bindings, and values at the ends of their ranges elsewhere.
    fn flows(&self, descriptor: &Descriptor) -> RecordsView {
        assert_eq!(self.index.segment().id().table, FLOWS_INDEX);
        let table = RecordsView::create(descriptor, REGION, CAPACITY, 0).expect("a table");
        let mut record = vec![0; descriptor.record_len()];
        for (nth, (slot, start)) in self.live.iter().enumerate() {
            let frozen = FlowV2::new(*start);
            let known = FlowV2::descriptor();
            for field in descriptor.fields() {
                let fixed = field.is_key() || matches!(&**field.name(), "backend" | "identity");
                let from = known.field(field.id()).filter(|_| fixed);
                match from.and_then(|from| from.bytes(frozen.as_bytes())) {
                    Some(bytes) => record[field.offset()..field.end()].copy_from_slice(bytes),
                    None => edge(field, nth, &mut record),
                }
            }
            table.put(*slot, Meta { incarnation: incarnation(nth), live: true }, &record);
        }
        for slot in (0..CAPACITY as u32).map(Slot).filter(|slot| self.live.iter().all(|(live, _)| live != slot)) {
            record.fill(0);
            table.put(slot, Meta { incarnation: slot.0 % 3, live: false }, &record);
        }
        mark(&table);
        table
    }
}

/// A table without an index: a record for every other slot, values at the ends of their ranges.
fn plain(descriptor: &Descriptor) -> RecordsView {
    let table = RecordsView::create(descriptor, REGION, CAPACITY / 2, 0).expect("a table");
    let mut record = vec![0; descriptor.record_len()];
    for (nth, slot) in (0..table.capacity() as u32).step_by(2).map(Slot).enumerate() {
        for field in descriptor.fields() {
            edge(field, nth, &mut record);
            if field.is_key() {
                record[field.offset()] = nth as u8;
            }
        }
        table.put(slot, Meta { incarnation: incarnation(nth), live: true }, &record);
    }
    mark(&table);
    table
}

/// Marks some blocks dirty.
fn mark(table: &RecordsView) {
    let marks_off = shm_state::table::places::table_body(table.capacity() as usize, table.descriptor().record_len())[0];
    for block in [0, 2] {
        table.segment().bytes(marks_off + block, 1)[0].store(1, Ordering::Relaxed);
    }
}

/// Reuse counts, those about to wrap and just wrapped among them.
fn incarnation(nth: usize) -> u32 {
    [1, u32::MAX, 0, 2, 0x8000_0000, 77][nth % 6]
}

/// Puts a value into the field: all zeros, all ones, the highest positive, the lowest negative, one, or one that shows
/// each byte's place; addresses of both families.
fn edge(field: &Field, nth: usize, record: &mut [u8]) {
    let to = &mut record[field.offset()..field.end()];
    let last = to.len() - 1;
    let pattern = (nth + field.id() as usize) % 6;
    match pattern {
        0 => to.fill(0),
        1 => to.fill(0xff),
        2 => {
            to.fill(0xff);
            to[last] = 0x7f;
        }
        3 => {
            to.fill(0);
            to[last] = 0x80;
        }
        4 => {
            to.fill(0);
            to[0] = 1;
        }
        _ => to.iter_mut().zip(1..).for_each(|(byte, place)| *byte = place),
    }
    match field.ty() {
        FieldType::Bool => to[0] &= 1,
        FieldType::Ip if pattern.is_multiple_of(2) => to.copy_from_slice(&mapped([192, 0, 2, nth as u8])),
        _ => {}
    }
}

fn mapped([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::new(a, b, c, d).to_ipv6_mapped().octets()
}

/// Clients of both families; ports and scopes at their ends.
fn flow_key(number: u32) -> FlowKey {
    let byte = number as u8;
    let six = number % 2 == 1;
    let mut client = mapped([198, 51, 100, byte]);
    let mut local = mapped([127, 0, 0, 1]);
    if six {
        client = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, byte];
        local = std::net::Ipv6Addr::LOCALHOST.octets();
    }
    FlowKey {
        client,
        local,
        client_port: [1, u16::MAX, 53, 0x8000][number as usize % 4],
        local_port: [443, 53][number as usize % 2],
        scope: if six { u32::MAX - number } else { 0 },
        listener: 0xdead_0000 + number % 3,
    }
}

/// A manifest after a swap, with the next one asked for.
fn manifest() -> Manifest {
    let manifest = Manifest::create(REGION).expect("a manifest");
    let party = |number| Party::new(number).expect("a party number");
    let owner = manifest.owner_word();
    let generation = owner.found(party(1)).expect("vacant");
    owner.offer(party(1), party(2), generation).expect("held");
    let generation = owner.claim(party(1), party(2), generation).expect("offered");
    manifest.count_swap();
    manifest.enter(party(1), 1001, 1);
    manifest.enter(party(2), 1002, 1);
    let handover = manifest.handover();
    handover.ask(Request { party: party(3), generation });
    handover.offered_ns.store(123_456_789, Ordering::Relaxed);
    handover.stops[0].last_return_ns.store(123_450_000, Ordering::Relaxed);
    handover.stops[0].quiesced_ns.store(123_455_000, Ordering::Relaxed);
    handover.stops[0].cpu.store(2, Ordering::Relaxed);
    handover.stops[0].stop(generation - 1);
    manifest
}

fn whole_directory() -> Directory {
    let entry = |descriptor: Descriptor, fd| SegmentEntry {
        id: shm_state::prelude::SegmentId::new(shm_state::prelude::Kind::Table, descriptor.table_id()),
        fd,
        layout_version: descriptor.layout_version(),
        fingerprint: descriptor.fingerprint(),
    };
    let segments: Vec<_> =
        RELEASED.iter().skip(1).take(3).zip(7..).map(|(layout, fd)| entry(layout.descriptor(), fd)).collect();
    let sockets = [
        SocketEntry { role: Role::Listener, owner_id: 0xdead_0000, ordinal: 0, shard: 0, fd: 20 },
        SocketEntry { role: Role::Upstream, owner_id: 4, ordinal: u32::MAX, shard: 0, fd: 21 },
        SocketEntry { role: Role::Upstream, owner_id: 6, ordinal: 1, shard: 0, fd: i32::MAX },
    ];
    Directory::create(REGION, &segments, &sockets).expect("a directory")
}
