//! Where segments come from, and the copy of them that is looked at.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use handover::messages::Fault;
use shm_state::image;
use shm_state::prelude::{Kind, SegmentId};
use shm_state::segment::Segment;
use shm_state::table::RecordsView;

use super::{Failed, bad_file, live};
use crate::ctl::args::{Args, SourceArgs};
use crate::exit;

/// How long controld may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the names of images end in.
pub(super) const EXTENSION: &str = "seg";
/// Most segments of one region.
const SEGMENTS_MAX: usize = 1024;

/// A segment that was not looked at yet.
#[derive(Debug)]
pub struct Named {
    /// Path of the image, or what the segment of the running region is called.
    pub name: String,
    pub file: File,
}

/// A copy of a segment, whose prelude was checked.
#[derive(Debug)]
pub struct Copied {
    pub name: String,
    pub segment: Segment,
}

/// What a segment of the running region is called, and its image: `table-1-0`.
pub(super) fn name(kind: u32, table: u32, shard: u32) -> String {
    let kind = Kind::from_number(kind).map_or_else(|| format!("kind{kind}"), |kind| kind.name().to_owned());
    format!("{kind}-{table}-{shard}")
}

/// The segments that the command line names.
pub(super) fn files(source: &SourceArgs, args: &Args) -> Result<Vec<Named>, Failed> {
    match &source.image {
        Some(path) => images(path),
        None => live::segments(&args.socket, args.timeout.unwrap_or(PATIENCE)).map(without_secrets),
    }
}

/// Leaves out the segments of secrets, and says so: nothing of them is shown, copied or written.
fn without_secrets(mut files: Vec<Named>) -> Vec<Named> {
    files.retain(|named| {
        let secret = image::prelude(&named.file).is_ok_and(|prelude| prelude.is_secret());
        if secret {
            eprintln!("controlctl: {} holds secrets and is left out", named.name);
        }
        !secret
    });
    files
}

fn images(path: &Path) -> Result<Vec<Named>, Failed> {
    let bad = |path: &Path, error: std::io::Error| {
        let message = format!("{}: {error}", path.display());
        bad_file("image-unreadable", message, "name a segment's image or a directory of them, from `state save`")
    };
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|error| bad(path, error))?;
        let all = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
        paths = all.map_err(|error| bad(path, error))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
        paths.sort();
        if paths.is_empty() || paths.len() > SEGMENTS_MAX {
            let message = format!("{}: {} files that end in .{EXTENSION}", path.display(), paths.len());
            return Err(bad_file("no-image", message, "name a directory that `state save` has written"));
        }
    }
    let open = |path: std::path::PathBuf| match File::open(&path) {
        Ok(file) => Ok(Named { name: path.display().to_string(), file }),
        Err(error) => Err(bad(&path, error)),
    };
    paths.into_iter().map(open).collect()
}

/// Copies a segment into memory of this process and checks it.
pub(super) fn copy(named: &Named) -> Result<Copied, Fault> {
    let Named { name, file } = named;
    let segment = image::load(file).map_err(|error| {
        let message = format!("{name}: {error}");
        Fault::operator("bad-segment", message, "compare its checksum with the original's, or save it again")
    })?;
    Ok(Copied { name: name.clone(), segment })
}

/// Copies all; refuses beforehand what this host has no memory for, and segments that are there twice.
///
/// # Errors
/// The first segment that cannot be trusted, by name.
pub fn copy_all(files: &[Named]) -> Result<Vec<Copied>, Failed> {
    enough_memory(files)?;
    let all = files.iter().map(copy).collect::<Result<Vec<_>, _>>().map_err(|fault| (fault, exit::USAGE))?;
    if let Some((a, b)) = twice(&all) {
        let message = format!("{} and {} are both segment {}", a.name, b.name, a.segment.id());
        return Err(bad_file("segment-twice", message, "name images of one region at one time"));
    }
    Ok(all)
}

/// Two copies of one segment.
pub(super) fn twice(all: &[Copied]) -> Option<(&Copied, &Copied)> {
    let pairs = all.iter().enumerate().flat_map(|(at, a)| all[at + 1..].iter().map(move |b| (a, b)));
    pairs.into_iter().find(|(a, b)| a.segment.id() == b.segment.id())
}

/// Refuses a copy that this host has no memory for, with the numbers.
pub(super) fn enough_memory(files: &[Named]) -> Result<(), Failed> {
    let need = files.iter().filter_map(|named| named.file.metadata().ok()).map(|metadata| metadata.len()).sum();
    room_for(need)
}

/// Refuses what this host has no memory for, with the numbers.
pub(super) fn room_for(need: u64) -> Result<(), Failed> {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    match kib.map(|kib| kib.saturating_mul(1024)) {
        Some(available) if need > available => {
            let message = format!("a copy takes {} MiB, this host has {} MiB available", need >> 20, available >> 20);
            Err((Fault::kernel("no-memory", message, "free memory, or look at a saved image elsewhere"), exit::FAILED))
        }
        _ => Ok(()),
    }
}

/// The tables among the segments, in order of ids and shards.
///
/// # Errors
/// The first table that cannot be trusted, by name.
pub fn tables(all: &[Copied]) -> Result<Vec<(&Copied, RecordsView)>, Failed> {
    let mut tables = Vec::new();
    for copied in all.iter().filter(|copied| copied.segment.id().kind == Kind::Table) {
        let view = RecordsView::attach(copied.segment.clone()).map_err(|error| {
            let message = format!("{}: {error}", copied.name);
            bad_file("bad-segment", message, "see `state verify`")
        })?;
        tables.push((copied, view));
    }
    tables.sort_by_key(|(copied, _)| {
        let SegmentId { table, shard, .. } = copied.segment.id();
        (table, shard)
    });
    Ok(tables)
}
