//! One segment, byte for byte: prelude, descriptor, and the body of every kind, as whoever attaches it reads it.

use std::sync::OnceLock;

use control::shell::holdings::{Holdings, row_json};
use control::verify::plan;
use dataplane::state::FLOWS_INDEX;
use shm_state::Descriptor;
use shm_state::directory::{Directory, Role, SegmentEntry, SocketEntry};
use shm_state::error::RegionError;
use shm_state::identities::Identities;
use shm_state::manifest::{Manifest, WORKERS_MAX};
use shm_state::owner::Party;
use shm_state::prelude::{Kind, SegmentId};
use shm_state::segment::Segment;
use shm_state::table::{FreeSlots, Index, Intent, Meta, RecordsView, Shards, Slot, links};
use shm_state::translate::{Copier, CopyError, Layer, Marking, Origin};

use super::{Mend, Outcome, memory, refused, regions, rich, table};
use crate::layouts::RELEASED;

/// The first byte says what is mended; the rest is the segment.
pub fn run(data: &[u8]) -> Outcome {
    let Some((&first, bytes)) = data.split_first() else { return Outcome::Refused };
    let mut image = bytes.to_vec();
    mend(first).apply(&mut image);
    held(&image);
    let segment = match Segment::attach(memory::sealed(&image)) {
        Ok(segment) => segment,
        Err(error) => return refused(error),
    };
    assert_eq!(segment.prelude().segment_len, image.len() as u64);
    looked_at(&segment).map_or_else(refused, |()| Outcome::Worked)
}

pub(super) fn mend(byte: u8) -> Mend {
    [Mend::All, Mend::Fingerprint, Mend::Checksum, Mend::Nothing][usize::from(byte) % 4]
}

/// Every kind of segment.
pub fn seeds() -> Vec<Vec<u8>> {
    let region = &regions::all()[1];
    let newer = regions::all()[2].images.iter().filter(|(id, _)| *id == SegmentId::new(Kind::Table, 1));
    let mut images: Vec<_> = region.images.iter().chain(newer).map(|(_, image)| image.clone()).collect();
    let entry = SegmentEntry { id: Index::id(FLOWS_INDEX), fd: 3, layout_version: 1, fingerprint: 0 };
    let socket = SocketEntry { role: Role::Upstream, owner_id: 4, ordinal: 1, shard: 0, fd: 4 };
    let directory = Directory::create([1; 16], &[entry], &[socket; 2]).expect("a directory");
    let mut image = Vec::new();
    shm_state::image::save(directory.segment(), &mut image).expect("a segment of ours");
    images.push(image);
    images.extend(rich());
    images.into_iter().map(|image| [&[0][..], &image].concat()).collect()
}

/// Tables of the layouts that no dataplane has.
pub(super) fn rich() -> impl Iterator<Item = Vec<u8>> {
    let layouts = rich::known()[RELEASED.len()..].iter().map(|(layout, _)| layout);
    layouts.map(|layout| {
        let view = RecordsView::create(layout, [1; 16], 24, 0).expect("a table");
        for slot in 0..12 {
            let record: Vec<u8> = (0..layout.record_len()).map(|at| (at % 7) as u8 & slot as u8).collect();
            view.put(Slot(slot), Meta { incarnation: slot + 1, live: true }, &record);
        }
        let mut image = Vec::new();
        shm_state::image::save(view.segment(), &mut image).expect("a segment of ours");
        image
    })
}

/// What controld does with a descriptor that it holds.
fn held(image: &[u8]) {
    let kinds = [Kind::Manifest, Kind::Table, Kind::Directory];
    let list = kinds.map(|kind| (table::entry(SegmentId::new(kind, 1)), memory::sealed(image)));
    let holdings = Holdings::new(list.into());
    let _ = holdings.owner();
    let _ = holdings.directory();
    let _ = holdings.counters();
    let _ = (holdings.flow_counts(), holdings.flow_columns(), holdings.layout_versions());
    for row in holdings.flows(10).unwrap_or_default() {
        row_json(&row);
    }
    if let Ok(live) = holdings.live_tables() {
        let _ = plan(&live, layouts(), &[]);
    }
}

fn layouts() -> &'static [Descriptor] {
    static LAYOUTS: OnceLock<Vec<Descriptor>> = OnceLock::new();
    LAYOUTS.get_or_init(|| RELEASED.iter().map(|layout| layout.descriptor()).collect())
}

/// Attaches it as what it says it is, and uses all of it.
fn looked_at(segment: &Segment) -> Result<(), RegionError> {
    match segment.id().kind {
        Kind::Manifest => Manifest::attach(segment.clone()).map(|manifest| words(&manifest)),
        Kind::Directory => {
            let directory = Directory::attach(segment.clone())?;
            directory.segments().and(directory.sockets().map(drop))
        }
        Kind::Index => Index::attach(segment.clone()).and_then(|index| entries(&index)),
        Kind::Identities => Identities::claimed(segment.clone()).map(identities),
        Kind::Table => RecordsView::attach(segment.clone()).and_then(|view| records(&view, &[])),
        Kind::Side => {
            let layer = Layer::attach(segment.clone())?;
            for region in regions::all() {
                let find = |(id, _): &&(SegmentId, Vec<u8>)| *id == SegmentId::new(Kind::Table, 1);
                let (_, image) = region.images.iter().find(find).expect("flows");
                let flows = Segment::attach(memory::sealed(image)).expect("a good image");
                records(&RecordsView::attach(flows).expect("a table"), &[layer.clone(), layer.resized(8)?])?;
            }
            Ok(())
        }
        // Rings are never read by another process.
        Kind::Io => Ok(()),
    }
}

fn words(manifest: &Manifest) {
    let generation = manifest.owner().generation();
    let parties = (1..=254).filter_map(Party::new);
    let workers: u32 = parties.map(|party| manifest.workers(party) + manifest.pid(party).map_or(0, |_| 1)).sum();
    let all = manifest.handover().all_stopped(workers as usize, generation);
    assert!(!all || workers == 0 || manifest.handover().stops.len() == WORKERS_MAX);
    let me = Party::new(9).expect("a party");
    if let Some(request) = manifest.handover().request() {
        let _ = manifest.owner_word().claim(request.party, me, request.generation);
    }
    if let Some(holder) = manifest.owner().holder() {
        let _ = manifest.owner_word().inherit(holder, me);
    }
    manifest.count_swap();
}

fn entries(index: &Index) -> Result<(), RegionError> {
    for key in 0..64_u64 {
        let hash = index.hash(&key.to_le_bytes());
        index.find(hash, |slot| {
            assert!(slot.at() < index.capacity());
            false
        });
        let _ = index.vacancy(hash);
    }
    let free = FreeSlots::of(index);
    assert!(free.len() <= index.capacity());
    assert!((0..free.len()).filter_map(|at| free.get(at)).all(|slot| slot.at() < index.capacity()));
    let _ = Intent::of(index).read();
    let buckets: u64 = links::occupancy(index).iter().sum();
    assert_eq!(buckets, index.buckets() as u64);
    match Shards::join(vec![index.clone()]) {
        Ok(shards) => shards.another(8, 2).map(drop),
        // One of several.
        Err(_) => Ok(()),
    }
}

fn identities(mut identities: Identities) {
    for row in 0..identities.rows() {
        let spec = identities.spec(row);
        identities.spare(row);
        for random in [0, 1 << 63, u64::MAX] {
            // Delays are counted from what the segment says was the time of the release.
            if let Some(waking) = identities.to_wake(row, random, 1) {
                identities.wake(&waking);
            }
            if let Some(identity) = identities.take(row, random, 7, 1) {
                assert!(identity < spec.identities);
                identities.bind(row, identity, Slot(identity));
                identities.release(row, identity, random);
            }
        }
    }
}

/// Reads every record, and translates the table to every layout of the tree.
fn records(view: &RecordsView, layers: &[Layer]) -> Result<(), RegionError> {
    let mut live = 0;
    view.for_each_live(|_, _, record| {
        live += 1;
        row_json(&view.descriptor().decode(record));
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(live, view.live());
    for (to, schema) in rich::known().iter().filter(|(to, _)| to.table_id() == view.descriptor().table_id()) {
        let destination = RecordsView::create(to, [1; 16], view.capacity(), 0)?;
        let origin = Origin { marking: Marking::Fine, generation: 1, layers: layers.to_vec() };
        let mut copier = match Copier::new(view.clone(), destination, schema, origin) {
            Ok(copier) => copier,
            Err(CopyError::Region(error)) => return Err(error),
            // By field; the next layout may do.
            Err(CopyError::Refused(_)) => continue,
        };
        copier.first(|_, _| ());
        copier.again();
        if copier.last().is_ok() {
            assert_eq!(copier.destination().live() + copier.loss().dropped_rows(), view.live());
        }
    }
    Ok(())
}
