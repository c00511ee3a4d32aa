//! Rows in the wire form, as `controlctl state load` and a reader of streams take them.

use std::path::Path;

use control::ctl::args::Format;
use control::ctl::state::dump;
use control::ctl::state::load::{Wanted, fill};
use shm_state::Descriptor;
use shm_state::exchange::Reader;
use shm_state::segment::Segment;
use shm_state::table::RecordsView;

use super::{Outcome, memory, refused, regions, rich, segment};

/// Bytes in front of a frame's payload: kind, length, checksum.
const FRAME_HEAD: usize = 9;
/// Of the tables that rows are loaded into: what the rows claim is only held against the host's memory.
const CAPACITY: u64 = 64;

/// The first byte says which checksums are mended and which layouts the rows are loaded into.
pub fn run(data: &[u8]) -> Outcome {
    let Some((&first, bytes)) = data.split_first() else { return Outcome::Refused };
    let mut stream = bytes.to_vec();
    if first & 1 == 0 {
        mend(&mut stream);
    }
    let all = read(&stream);
    let version = 1 + u32::from(first >> 1 & 1);
    // Tables of which there are two layouts: one of them.
    let one = |layout: &&Descriptor| ![1, 12].contains(&layout.table_id()) || layout.layout_version() == version;
    let layouts: Vec<_> = rich::known().iter().map(|(layout, _)| layout).filter(one).cloned().collect();
    let loaded: Vec<_> = layouts.iter().filter_map(|layout| load(&stream, Some(layout.name()), &layouts)).collect();
    for view in &loaded {
        again(view, &layouts);
    }
    if !loaded.is_empty() {
        assert!(all.is_ok(), "loaded, and yet: {all:?}");
    }
    load(&stream, None, &layouts);
    match all {
        Err(wrong) => refused(wrong),
        Ok(()) if loaded.is_empty() => Outcome::Refused,
        Ok(()) => Outcome::Worked,
    }
}

/// What the tables of each region are written as, together and alone.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (first, region) in [2, 0].into_iter().zip(regions::all()) {
        let views: Vec<_> = region
            .images
            .iter()
            .filter_map(|(_, image)| RecordsView::attach(Segment::attach(memory::sealed(image)).ok()?).ok())
            .collect();
        seeds.push(stream(first, &views));
        seeds.extend(views.iter().map(|view| stream(first ^ 2, std::slice::from_ref(view))));
    }
    for (first, image) in [0, 2].into_iter().zip(segment::rich()) {
        let view = RecordsView::attach(Segment::attach(memory::sealed(&image)).expect("a good image"));
        seeds.push(stream(first, &[view.expect("a table")]));
    }
    seeds
}

fn stream(first: u8, views: &[RecordsView]) -> Vec<u8> {
    let mut bytes = vec![first];
    dump::write(views, Format::Rows, &mut bytes).expect("memory");
    bytes
}

/// Makes the frames' checksums right, as far as there are frames: they keep accidents out, not an opponent.
fn mend(stream: &mut [u8]) {
    let mut at = 8;
    while let Some(head) = stream.get(at..at + FRAME_HEAD) {
        let len = u32::from_le_bytes(head[1..5].try_into().expect("4 bytes")) as usize;
        let Some(payload) = stream.get(at + FRAME_HEAD..at + FRAME_HEAD + len) else { return };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&head[..5]);
        hasher.update(payload);
        let checksum = hasher.finalize().to_le_bytes();
        stream[at + 5..at + FRAME_HEAD].copy_from_slice(&checksum);
        at += FRAME_HEAD + len;
    }
}

/// Everything that the stream says; a row takes two bytes of it at least.
fn read(stream: &[u8]) -> Result<(), String> {
    let mut reader = Reader::new(stream).map_err(|error| error.to_string())?;
    let mut items = 0;
    while reader.next_item().map_err(|error| error.to_string())?.is_some() {
        items += 1;
        assert!(items <= stream.len(), "more items than bytes");
    }
    Ok(())
}

fn load(stream: &[u8], table: Option<&str>, layouts: &[Descriptor]) -> Option<RecordsView> {
    let file = memory::file(stream);
    let (binary, out) = (Path::new("binary"), Path::new("out"));
    let rows = &*memory::path(&file);
    let (_, view, _) = fill(&Wanted { binary, rows, out, table, capacity: Some(CAPACITY) }, layouts).ok()?;
    Some(view)
}

/// What was loaded is written in every form, and read again it is the same.
fn again(view: &RecordsView, layouts: &[Descriptor]) {
    let views = std::slice::from_ref(view);
    for format in [Format::Text, Format::Jsonl, Format::Csv] {
        dump::write(views, format, std::io::sink()).expect("a sink takes everything");
    }
    let rows = stream(0, views);
    let copy = load(&rows[1..], None, layouts).expect("what was written here is read here");
    assert!(stream(0, std::slice::from_ref(&copy)) == rows, "dumped, loaded and dumped again");
}
