//! Image files, as `controlctl state verify`, `stats` and `dump` take them: one of any bytes, or all of a region.

use arbitrary::Unstructured;
use control::ctl::args::Format;
use control::ctl::state::source::{Named, copy_all, tables};
use control::ctl::state::{dump, stats, verify};

use super::table::edited;
use super::{Mend, Outcome, edits, memory, refused, regions, segment};

/// The first byte: even, and the rest is one file; odd, and the rest are changes to a region's files.
pub fn run(data: &[u8]) -> Outcome {
    let Some((&first, rest)) = data.split_first() else { return Outcome::Refused };
    let images = if first & 1 == 0 {
        let mut image = rest.to_vec();
        segment::mend(first >> 1).apply(&mut image);
        vec![image]
    } else {
        let mut input = Unstructured::new(rest);
        let all = regions::all();
        let region = all[usize::from(first >> 1) % all.len()].images.clone();
        let mend = input.arbitrary().unwrap_or(Mend::All);
        let edits = edits::list(&mut input).unwrap_or_default();
        edited(region, &edits, mend).into_iter().map(|(_, image)| image).collect()
    };
    look(&images)
}

/// One file of each kind, and whole regions.
pub fn seeds() -> Vec<Vec<u8>> {
    let files = segment::seeds();
    let regions = (0..regions::all().len() as u8).map(|region| [&[region << 1 | 1][..], &[0; 60]].concat());
    files.into_iter().chain(regions).collect()
}

fn named(images: &[Vec<u8>]) -> Vec<Named> {
    let name = |(at, image): (usize, &Vec<u8>)| Named { name: format!("image-{at}"), file: memory::file(image) };
    images.iter().enumerate().map(name).collect()
}

fn look(images: &[Vec<u8>]) -> Outcome {
    let found = verify::look(&named(images)).expect("memory for copies");
    let all = match copy_all(&named(images)) {
        Ok(all) => all,
        Err((fault, _)) => {
            assert!(!found.found.is_empty(), "refused, and yet verified: {fault}");
            return refused(fault);
        }
    };
    let shown = stats::document(&all).map(|document| stats::text(&document));
    let views: Vec<_> = match tables(&all) {
        Ok(tables) => tables.into_iter().map(|(_, view)| view).collect(),
        Err((fault, _)) => return refused(fault),
    };
    for format in [Format::Text, Format::Jsonl, Format::Rows] {
        dump::write(&views, format, std::io::sink()).expect("a sink takes everything");
    }
    for view in &views {
        dump::write(std::slice::from_ref(view), Format::Csv, std::io::sink()).expect("a sink takes everything");
    }
    shown.map_or_else(|(fault, _)| refused(fault), |_| Outcome::Worked)
}
