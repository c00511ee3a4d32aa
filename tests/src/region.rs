//! The memory of a running dataplane, opened beside it: to look at, or to damage on purpose.

use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;

use shm_state::prelude::{Kind, SegmentId};
use shm_state::segment::Segment;
use shm_state::table::{Index, RecordsView, Shards};

/// The records of the flow table.
pub const FLOWS: SegmentId = SegmentId::new(Kind::Table, 1);
/// The index of the flow table.
pub const FLOWS_INDEX: SegmentId = SegmentId::new(Kind::Index, 2);

/// A segment that a process has mapped.
///
/// # Panics
/// When the process has no such segment.
pub fn segment_of(pid: u32, wanted: SegmentId) -> Segment {
    let mut found = segments_of(pid).filter(|segment| segment.id() == wanted);
    found.next().unwrap_or_else(|| panic!("process {pid} has no segment {wanted}"))
}

/// The shards of a process's flow table.
///
/// # Panics
/// When it has none, or they are not of one table.
pub fn shards_of(pid: u32) -> Shards {
    let is_one = |id: SegmentId| (id.kind, id.table) == (FLOWS_INDEX.kind, FLOWS_INDEX.table);
    let indexes = segments_of(pid).filter(|segment| is_one(segment.id()));
    let indexes = indexes.map(|segment| Index::attach(segment).expect("an index")).collect();
    Shards::join(indexes).expect("all shards of one table")
}

fn segments_of(pid: u32) -> impl Iterator<Item = Segment> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a process of ours");
    let is_segment = |fd: &std::fs::DirEntry| {
        std::fs::read_link(fd.path()).is_ok_and(|target| target.to_string_lossy().contains("memfd:hitless"))
    };
    fds.flatten().filter(is_segment).filter_map(|fd| {
        let file = std::fs::File::options().read(true).write(true).open(fd.path()).ok()?;
        Segment::attach(OwnedFd::from(file)).ok()
    })
}

/// Shows the word in which each live record of a table holds a field of 8 bytes.
///
/// # Panics
/// When there is no such field, or it has another width.
pub fn each_word(table: &Segment, field: &str, mut show: impl FnMut(&AtomicU64)) {
    let view = RecordsView::attach(table.clone()).expect("a table");
    let field = view.descriptor().field_named(field).expect("a field of the table");
    assert_eq!(field.len(), 8, "{}", field.name());
    // The head of a table's body: …, bytes from slot to slot, …, …, start of the slots. A slot is a word and a record.
    let head: Vec<u64> = table.words(0, 6).iter().map(|word| word.load(std::sync::atomic::Ordering::Relaxed)).collect();
    view.for_each_live(|slot, _, _| {
        show(&table.words((head[5] + slot * head[2]) as usize + 8 + field.offset(), 1)[0]);
        ControlFlow::Continue(())
    });
}
