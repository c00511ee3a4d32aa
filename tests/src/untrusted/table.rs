//! A successor and the region that it is handed: attached, translated in the background while somebody writes into it,
//! repaired, and served from, by the code that a dataplane runs.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use dataplane::process::inheritance::{Inheritance, Shape};
use dataplane::process::inherited::Inherited;
use dataplane::state::flow::FlowRecord;
use dataplane::state::flow_v1::FlowV1;
use dataplane::state::flow_v2::FlowV2;
use handover::messages::{DescriptorEntry, Fault};
use shm_state::prelude::SegmentId;
use shm_state::recover::repair;
use shm_state::table::SHARDS_MAX;
use shm_state::translate::Converge;

use super::edits::{self, Edit, Mend};
use super::{Outcome, memory, refused, regions, served};

/// What is done with the region.
#[derive(Debug, Arbitrary)]
struct Plan {
    region: u8,
    /// The heir's layout is the older one.
    older: bool,
    /// Its capacity, among four, and the number of its shards.
    capacity: u8,
    /// The predecessor is dead.
    dead: bool,
    mend: Mend,
    /// A segment that is not handed over, or twice; mostly none.
    missing: u8,
    twice: u8,
}

type Images = Vec<(SegmentId, Vec<u8>)>;
type Edits = Vec<(u8, Edit)>;

/// Segments as a predecessor hands them over.
///
/// # Errors
/// The first that is not what it is said to be, by name.
pub fn inherited(images: &[(SegmentId, Vec<u8>)]) -> Result<Inherited, Fault> {
    Inherited::new(images.iter().map(|(id, bytes)| (entry(*id), memory::sealed(bytes))).collect())
}

/// How a segment is announced.
pub(super) fn entry(SegmentId { kind, table, shard }: SegmentId) -> DescriptorEntry {
    DescriptorEntry::segment(kind as u32, table, shard)
}

/// Changes images, and makes right again what an opponent would.
pub(super) fn edited(mut images: Images, edits: &[(u8, Edit)], mend: Mend) -> Images {
    let count = images.len();
    for (which, edit) in edits {
        edit.apply(&mut images[usize::from(*which) % count].1);
    }
    images.iter_mut().for_each(|(_, image)| mend.apply(image));
    images
}

/// Inputs to begin with: every region to both layouts and several capacities, the predecessor alive and dead; unchanged,
/// and with edits of all sorts, before and meanwhile.
pub fn seeds() -> Vec<Vec<u8>> {
    let noise = |len: usize, from: usize| (from..from + len).map(|at| (at * at * 89 + at / 7) as u8);
    let mut seeds = Vec::new();
    for region in 0..regions::all().len() as u8 {
        for (older, capacity, dead) in
            [(0, 0, 0), (1, 0, 0), (0, 1, 1), (1, 1, 0), (0, 0, 1), (1, 2, 1), (0, 3, 0), (0, 8, 0), (1, 61, 1)]
        {
            // Everything mended, nothing missing, nothing twice.
            let plan = [region, older, capacity, dead, 0, 0, 0, 0, 0, 0];
            let from = seeds.len() * 61;
            seeds.push(plan.into_iter().chain([0, 0]).chain(noise(120, from)).collect());
            seeds.push(plan.into_iter().chain(noise(600, from)).collect());
        }
    }
    seeds
}

/// Hands a changed region over.
pub fn run(data: &[u8]) -> Outcome {
    let mut input = Unstructured::new(data);
    let Ok((plan, before, meanwhile)) = parsed(&mut input) else { return Outcome::Refused };
    let all = regions::all();
    let mut images = all[usize::from(plan.region) % all.len()].images.clone();
    if plan.missing > 250 {
        images.remove(usize::from(plan.missing) % images.len());
    }
    if plan.twice > 240 {
        images.push(images[usize::from(plan.twice) % images.len()].clone());
    }
    let images = edited(images, &before, plan.mend);
    let done = match plan.older {
        false => take_over::<FlowV2>(&images, &plan, &meanwhile, &mut input),
        true => take_over::<FlowV1>(&images, &plan, &meanwhile, &mut input),
    };
    done.map_or_else(refused, |()| Outcome::Worked)
}

fn parsed(input: &mut Unstructured<'_>) -> arbitrary::Result<(Plan, Edits, Edits)> {
    Ok((input.arbitrary()?, edits::list(input)?, edits::list(input)?))
}

/// The memory of a predecessor that goes on writing.
struct Writer<'a> {
    files: Vec<File>,
    images: &'a Images,
    edits: &'a Edits,
}

impl Writer<'_> {
    fn write(&self) {
        for (which, edit) in self.edits {
            let at = usize::from(*which) % self.files.len();
            let mut now = vec![0; self.images[at].1.len()];
            self.files[at].read_exact_at(&mut now, 0).expect("sealed against shrinking");
            edit.apply(&mut now);
            self.files[at].write_all_at(&now, 0).expect("not sealed against writing");
        }
    }
}

fn take_over<R: FlowRecord>(
    images: &Images,
    plan: &Plan,
    edits: &Edits,
    input: &mut Unstructured<'_>,
) -> Result<(), Fault> {
    let fds: Vec<_> = images.iter().map(|(id, bytes)| (entry(*id), memory::sealed(bytes))).collect();
    let files = fds.iter().map(|(_, fd)| fd.try_clone().expect("a duplicate").into()).collect();
    let writer = Writer { files, images, edits };
    let flows_max = [regions::CAPACITY, 128, 48, 64][usize::from(plan.capacity) % 4];
    let shape = Shape { flows_max, shards: usize::from(plan.capacity) / 4 % SHARDS_MAX + 1, workers: 1 };
    let all = Inherited::new(fds)?;
    let mut heir = Inheritance::<R>::of(&all, regions::topology(), shape)?;
    let ledger = served::ledger(&heir.forwarder);
    let generation = heir.manifest.owner().generation();
    for copier in &mut heir.copiers {
        copier.first(|_, _| ());
        writer.write();
        copier.converge(&mut Converge::new(Duration::from_micros(5), 32));
        copier.top_up(Duration::from_micros(50));
    }
    if plan.dead {
        repair(&mut heir.predecessor, generation);
    }
    for copier in &mut heir.copiers {
        copier.last().map_err(|refusal| Fault::operator("refused", refusal.to_string(), refusal.remedy.clone()))?;
        copier.loss().report();
    }
    heir.forwarder.resume(generation + 1);
    served::to_the_end(heir.forwarder, &ledger, input, || writer.write());
    Ok(())
}
