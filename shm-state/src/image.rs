//! Images: segments as files, byte for byte, for fixtures, support and looking at a region at leisure.
//!
//! A file is not sealed and may change under its reader, so it is never mapped: its bytes are copied into a memfd of
//! this process, and that is attached, with all the checks of a foreign segment. A descriptor of a live segment is a
//! file like any other, which makes a copy of it at one time (words that are written meanwhile may be of different
//! moments).

use crate::error::RegionError;
use crate::map;
use crate::prelude::{PRELUDE_LEN, Prelude};
use crate::segment::{SEGMENT_LEN_MAX, Segment};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use zerocopy::FromBytes;

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

/// Why a file is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Secrets are not copied, and not written to files.
    #[error("segment {0} holds secrets, which are not copied")]
    Secret(crate::prelude::SegmentId),
    /// What it holds is no segment.
    #[error(transparent)]
    Region(#[from] RegionError),
}

/// What the prelude in a file claims, checked against the length of the file. Reads 128 bytes.
///
/// # Errors
/// [`ImageError`]: unreadable, too short, or the claim that does not hold.
pub fn prelude(file: &File) -> Result<Prelude, ImageError> {
    let len = file.metadata()?.len();
    if len < PRELUDE_LEN as u64 {
        return Err(RegionError::Truncated { bytes: len, need: PRELUDE_LEN as u64 }.into());
    }
    let mut bytes = [0; PRELUDE_LEN];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Prelude::read_from_bytes(&bytes).expect("length is the prelude's").check(len)?)
}

/// Copies a file into a segment of this process. Takes as much memory as the file is long; its prelude is checked
/// first.
///
/// # Errors
/// [`ImageError`].
pub fn load(file: &File) -> Result<Segment, ImageError> {
    let prelude = prelude(file)?;
    if prelude.is_secret() {
        return Err(ImageError::Secret(prelude.id()));
    }
    let len = prelude.segment_len;
    // A file may have holes, and be longer than any memory.
    if len > SEGMENT_LEN_MAX {
        let expected = format!("at most {SEGMENT_LEN_MAX}");
        return Err(RegionError::Claim { segment: prelude.id(), what: "segment length", found: len, expected }.into());
    }
    let (fd, _) = map::create(&format!("hitless-image:{}", prelude.id()), prelude.id(), len)?;
    let to = File::from(fd);
    let mut chunk = vec![0; CHUNK.min(usize::try_from(len).unwrap_or(CHUNK))];
    let mut at = 0;
    while at < len {
        let part = &mut chunk[..CHUNK.min((len - at) as usize)];
        file.read_exact_at(part, at)?;
        to.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    Ok(Segment::attach(to.into())?)
}

/// Writes a segment's bytes as they are now.
///
/// # Errors
/// What `to` says; [`io::ErrorKind::PermissionDenied`] for secrets.
pub fn save(segment: &Segment, to: &mut impl Write) -> io::Result<()> {
    if segment.prelude().is_secret() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, ImageError::Secret(segment.id()).to_string()));
    }
    let file = File::from(segment.fd().try_clone_to_owned()?);
    let len = segment.prelude().segment_len;
    let mut chunk = vec![0; CHUNK.min(usize::try_from(len).unwrap_or(CHUNK))];
    let mut at = 0;
    while at < len {
        let part = &mut chunk[..CHUNK.min((len - at) as usize)];
        file.read_exact_at(part, at)?;
        to.write_all(part)?;
        at += part.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{BODY_ALIGN, Kind, Parts, SegmentId};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use zerocopy::IntoBytes;

    #[test]
    fn a_file_of_holes_beyond_all_memory_is_refused_by_its_length() {
        let segment_len = SEGMENT_LEN_MAX + BODY_ALIGN;
        let parts = Parts {
            id: SegmentId::new(Kind::Io, 0),
            region_id: [1; 16],
            layout_version: 1,
            flags: 0,
            fingerprint: 0,
            descriptor_off: 0,
            descriptor_len: 0,
            body_off: 128,
            body_len: 64,
            segment_len,
        };
        let mut file = File::from(memfd_create("holes", MFdFlags::MFD_CLOEXEC).expect("a memfd"));
        file.write_all(Prelude::new(parts).as_bytes()).expect("memory");
        file.set_len(segment_len).expect("holes take no memory");
        let error = load(&file).expect_err("too long").to_string();
        assert!(error.contains("segment length") && error.contains("at most 1099511627776"), "{error}");
    }
}
