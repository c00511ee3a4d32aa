//! Kills, recovers, compares.

use super::image::Image;
use super::model::{Model, Row};
use super::scene::{Done, GENERATION, Operation, Random, Scene, Shape};
use super::tracer::step_through;
use dataplane::state::flow::FlowRecord;
use dataplane::state::flow_v2::FlowV2;
use shm_state::recover::{Repair, Report, Scan, repair, verify};
use shm_state::segment::Segment;
use shm_state::table::BLOCK_SLOTS;
use std::ops::AddAssign;

/// When the scans run.
const LATER: u64 = 1 << 40;
/// One in so many images is also killed in its repair, and in its scan.
const REPAIR_SAMPLE: usize = 8;
const SCAN_SAMPLE: usize = 150;

/// What was seen, so that a test that sees nothing fails.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub instructions: u64,
    pub images: u64,
    pub begun: u64,
    pub refused: u64,
    pub finished: u64,
    pub taken_back: u64,
    pub repairs_killed: u64,
    pub scans: u64,
    pub scans_killed: u64,
    /// Scans that found something.
    pub lost: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self {
            instructions,
            images,
            begun,
            refused,
            finished,
            taken_back,
            repairs_killed,
            scans,
            scans_killed,
            lost,
        } = other;
        self.instructions += instructions;
        self.images += images;
        self.begun += begun;
        self.refused += refused;
        self.finished += finished;
        self.taken_back += taken_back;
        self.repairs_killed += repairs_killed;
        self.scans += scans;
        self.scans_killed += scans_killed;
        self.lost += lost;
    }
}

/// Judges what deaths leave, in tables of its own.
pub struct Judge {
    shape: Shape,
    pub tally: Tally,
}

/// Before and after an operation.
struct Case {
    operation: Operation,
    before: Model,
    after: Model,
    first: Image,
}

/// Every image that `work` passes through.
fn images(segments: &[Segment], work: impl FnOnce(), instructions: &mut u64) -> Vec<Image> {
    let mut images = vec![Image::of(segments)];
    *instructions += step_through(work, || {
        if !images.last().is_some_and(|last| last.is(segments)) {
            images.push(Image::of(segments));
        }
    });
    images
}

impl Judge {
    pub fn new(shape: Shape) -> Self {
        Self { shape, tally: Tally::default() }
    }

    /// Makes the operation in `scene`, and judges a death at each of its instructions.
    pub fn kill_everywhere<R: FlowRecord>(&mut self, scene: &mut Scene<R>, operation: Operation, random: &mut Random) {
        scene.clear_marks();
        let refused = scene.is_refused(operation);
        let before = scene.model.clone();
        let segments = scene.segments();
        let work = || {
            scene.apply(operation);
        };
        let images = images(&segments, work, &mut self.tally.instructions);
        scene.follow(operation);
        let after = scene.model.clone();
        assert_eq!(Model::read(&scene.flows, &scene.identities), after, "{operation:?}");
        assert_eq!(refused, matches!(operation, Operation::Begin { .. }) && before == after, "{operation:?}");
        self.tally.refused += u64::from(refused);
        self.tally.begun += u64::from(after.flows.len() > before.flows.len());
        if refused {
            assert_eq!(images.len(), 1, "what is refused changes nothing");
        }
        let case = Case { operation, before, after, first: images[0].clone() };
        let judged: Scene<R> = Scene::new(self.shape);
        for image in &images {
            self.tally.images += 1;
            self.repaired(&judged, &case, image);
            self.scanned(&judged, &case, &image.forgetful());
            if random.one_in(REPAIR_SAMPLE) && image.operation() != 0 {
                self.killed_in_repair(&judged, &case, image);
            }
            if random.one_in(SCAN_SAMPLE) {
                self.killed_in_scan(&judged, &case, &image.forgetful());
            }
        }
    }

    /// Repairs what a death left and compares.
    fn repaired<R: FlowRecord>(&mut self, judged: &Scene<R>, case: &Case, image: &Image) {
        let segments = judged.segments();
        image.restore(&segments);
        let expected = expected(judged, case, image);
        match repair(&mut judged.ledger(), GENERATION) {
            Repair::Nothing => assert_eq!(image.operation(), 0),
            Repair::Finished(_) => self.tally.finished += 1,
            Repair::TakenBack(_) => self.tally.taken_back += 1,
            Repair::Unknown => panic!("{:?}: the intent makes no sense", case.operation),
        }
        assert_eq!(verify(&judged.ledger()), [], "{:?}", case.operation);
        assert_eq!(&Model::read(&judged.flows, &judged.identities), expected, "{:?}", case.operation);
        assert!(!judged.ledger().under_way() && judged.ledger().shards().scan_owed());
        self.marked(judged, case);
        // What is whole finds nothing.
        let report = Scan::new(judged.ledger()).run(|| LATER);
        assert!(report.is_clean() && !judged.ledger().shards().scan_owed(), "{report}");
    }

    /// Every slot that differs from before is marked, or named by the mark-less word of the writer.
    fn marked<R: FlowRecord>(&self, judged: &Scene<R>, case: &Case) {
        let now = Image::of(&judged.segments());
        let (before, now) = (case.first.words(0), now.words(0));
        let (capacity, stride) = (before[0] as usize, before[2] as usize / 8);
        let (marks, slots) = (before[4] as usize, before[5] as usize / 8);
        for slot in 0..capacity {
            let words = slots + slot * stride..slots + (slot + 1) * stride;
            let off = marks + slot / BLOCK_SLOTS;
            let mark = now[off / 8].to_le_bytes()[off % 8];
            assert!(before[words.clone()] == now[words] || mark != 0, "{:?}: slot {slot}", case.operation);
        }
    }

    /// Dies in the repair, at each instruction, and repairs that.
    fn killed_in_repair<R: FlowRecord>(&mut self, judged: &Scene<R>, case: &Case, image: &Image) {
        let segments = judged.segments();
        image.restore(&segments);
        let expected = expected(judged, case, image);
        let mut ledger = judged.ledger();
        let work = || {
            repair(&mut ledger, GENERATION);
        };
        for half in images(&segments, work, &mut self.tally.instructions) {
            half.restore(&segments);
            repair(&mut judged.ledger(), GENERATION);
            assert_eq!(verify(&judged.ledger()), [], "{:?}", case.operation);
            assert_eq!(&Model::read(&judged.flows, &judged.identities), expected, "{:?}", case.operation);
            self.tally.repairs_killed += 1;
        }
    }

    /// Scans what a death left that told of no intent.
    fn scanned<R: FlowRecord>(&mut self, judged: &Scene<R>, case: &Case, image: &Image) {
        image.restore(&judged.segments());
        let wrong = !verify(&judged.ledger()).is_empty();
        let report = Scan::new(judged.ledger()).run(|| LATER);
        self.tally.scans += 1;
        self.tally.lost += u64::from(wrong);
        assert_eq!(wrong, !report.is_clean(), "{:?}: {report}", case.operation);
        whole(judged, case, &report);
    }

    /// Dies in the scan, at each instruction, and scans that.
    fn killed_in_scan<R: FlowRecord>(&mut self, judged: &Scene<R>, case: &Case, image: &Image) {
        let segments = judged.segments();
        image.restore(&segments);
        let mut scan = Scan::new(judged.ledger());
        let work = || while scan.step(64, LATER).is_none() {};
        for half in images(&segments, work, &mut self.tally.instructions) {
            half.restore(&segments);
            let report = Scan::new(judged.ledger()).run(|| LATER);
            assert!(report.dropped() <= 1, "{report}");
            whole(judged, case, &Report::default());
            self.tally.scans_killed += 1;
        }
    }
}

/// What has to be there after the repair of an image that lies in `judged`.
fn expected<'a, R: FlowRecord>(judged: &Scene<R>, case: &'a Case, image: &Image) -> &'a Model {
    let happened = match case.operation {
        // The index entry decides.
        Operation::Begin { client_port, .. } => {
            judged.live().values().any(|flow| flow.client_port == client_port) && judged.is_known(case.operation)
        }
        // What was told is done.
        _ => image.operation() != 0 || Model::read(&judged.flows, &judged.identities) == case.after,
    };
    if happened { &case.after } else { &case.before }
}

/// After a scan: everything is somewhere, and only the flow of the operation may be there or not.
fn whole<R: FlowRecord>(judged: &Scene<R>, case: &Case, report: &Report) {
    let Case { operation, before, after, .. } = case;
    assert_eq!(verify(&judged.ledger()), [], "{operation:?}: {report}");
    let now = Model::read(&judged.flows, &judged.identities);
    for (slot, flow) in before.flows.iter().filter(|(slot, flow)| after.flows.get(slot) == Some(flow)) {
        assert_eq!(now.flows.get(slot), Some(flow), "{operation:?} lost another flow: {report}");
    }
    for (slot, flow) in &now.flows {
        assert!(before.flows.get(slot) == Some(flow) || after.flows.get(slot) == Some(flow), "a phantom: {report}");
    }
    for (row, (now, before)) in now.rows.iter().zip(&before.rows).enumerate() {
        assert_rests(row, now, before);
    }
}

/// Whatever rested still rests as long, or woke in its time.
fn assert_rests(row: usize, now: &Row, before: &Row) {
    let times: Vec<u64> = now.queue.iter().map(|(_, since)| *since).collect();
    assert!(times.is_sorted(), "row {row}: first in, first out");
    for (identity, since) in &now.queue {
        if let Some((_, before)) = before.queue.iter().find(|(other, _)| other == identity) {
            assert!(since >= before, "row {row}: identity {identity} would be reused before its time");
        }
    }
}

/// Damages tables at random, and scans them step by step while operations go on.
pub fn scan_beside_operations(shape: Shape, random: &mut Random) {
    let mut scene = Scene::<FlowV2>::new(shape);
    scene.grow(random);
    scene.damage(random);
    let mut scan = Scan::new(scene.ledger());
    for _ in 0..100_000 {
        if let Some(report) = scan.step(1 + random.below(4), LATER) {
            assert_eq!(verify(&scene.ledger()), [], "{report}");
            let again = Scan::new(scene.ledger()).run(|| LATER);
            assert!(again.is_clean(), "{report}; then {again}");
            return;
        }
        if random.one_in(3) {
            // The model no longer knows: what lives is read from the tables.
            scene.model = Model { flows: scene.live(), ..scene.model.clone() };
            match scene.choose(random) {
                operation @ Operation::Begin { .. } if scene.is_known(operation) => {}
                operation => match scene.apply(operation) {
                    Done::Begun(begin) => scan.begun(&begin),
                    Done::Ended(end) => scan.ended(&end),
                    Done::Woken(waking) => scan.woken(&waking),
                    Done::Updated | Done::Refused | Done::Nothing => {}
                },
            }
        }
    }
    panic!("the scan does not end");
}
