//! `state save DIR`: images of the running region's segments.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use handover::messages::Fault;
use serde_json::json;

use super::source::{EXTENSION, copy, enough_memory, files};
use super::{Failed, bad_file};
use crate::ctl::args::{Args, SourceArgs};
use crate::ctl::run::{print, print_json};
use crate::exit;

/// Segments are copied into memory first, so that the image is of one short time, not of as long as the disk takes.
pub(super) fn run(dir: &Path, args: &Args) -> Result<u8, Failed> {
    let named = files(&SourceArgs { image: None }, args)?;
    let not_written = |what: &Path, error: &io::Error| {
        let message = format!("{}: {error}", what.display());
        (Fault::operator("not-written", message, "name a directory that can be made, with room"), exit::FAILED)
    };
    // Images hold addresses of clients: not for everybody.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| not_written(dir, &error))?;
    if fs::read_dir(dir).map_err(|error| not_written(dir, &error))?.next().is_some() {
        let message = format!("{} is not empty", dir.display());
        return Err(bad_file("not-empty", message, "name a new directory; images are never overwritten"));
    }
    enough_memory(&named)?;
    let copies = named.iter().map(copy).collect::<Result<Vec<_>, _>>().map_err(|fault| (fault, exit::FAILED))?;
    let mut written = Vec::new();
    for copied in &copies {
        let path = dir.join(format!("{}.{EXTENSION}", copied.name));
        let write = || {
            let mut to = BufWriter::new(File::create_new(&path)?);
            shm_state::image::save(&copied.segment, &mut to)?;
            to.flush()
        };
        write().map_err(|error| not_written(&path, &error))?;
        written.push(json!({"file": path, "bytes": copied.segment.prelude().segment_len}));
    }
    if args.json {
        print_json(&json!({ "written": written }));
    } else {
        print(&format!("{} segments written to {}\n", written.len(), dir.display()));
    }
    Ok(exit::OK)
}
