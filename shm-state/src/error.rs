//! Errors of the region. Each names the segment, the claim that failed and what to do about it.

use crate::prelude::SegmentId;

/// Why a segment could not be made or may not be trusted.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The kernel refused to make, size, seal or map a segment.
    #[error("segment {segment}: {call} failed: {source}{}", remedy_for(.source))]
    Kernel { segment: SegmentId, call: &'static str, source: std::io::Error },
    /// There is not enough memory for a segment that has to be fully allocated.
    #[error(
        "segment {segment}: cannot allocate {bytes} bytes of shared memory: {source}; lower [limits] or free memory"
    )]
    OutOfMemory { segment: SegmentId, bytes: u64, source: std::io::Error },
    /// A segment of secrets has to stay in memory, and must not.
    #[error(
        "segment {segment}: cannot lock {bytes} bytes of secrets in memory: {source}; raise RLIMIT_MEMLOCK (`ulimit -l`, LimitMEMLOCK=) or lower [limits]"
    )]
    NotLocked { segment: SegmentId, bytes: u64, source: std::io::Error },
    /// The descriptor is too small to be a segment.
    #[error("segment of {bytes} bytes is too short for a prelude of {need} bytes: truncated, or not a segment")]
    Truncated { bytes: u64, need: u64 },
    /// The descriptor is not a segment of this product.
    #[error("not a segment: wrong magic {found:#018x}")]
    BadMagic { found: u64 },
    /// The prelude was made by a version that this one cannot read.
    #[error("segment prelude version {found} is unknown here (this binary reads {known}); use a newer binary")]
    PreludeVersion { found: u32, known: u32 },
    /// The prelude's checksum does not match its bytes.
    #[error("segment prelude is corrupt: checksum {found:#018x}, computed {computed:#018x}")]
    PreludeChecksum { found: u64, computed: u64 },
    /// The length of the file differs from the length in the prelude.
    #[error("segment {segment}: its file has {actual} bytes, its prelude says {claimed}: truncated or resized")]
    Resized { segment: SegmentId, claimed: u64, actual: u64 },
    /// The segment can still be resized by anyone who holds it.
    #[error("segment {segment}: not sealed against resizing (seals {seals:#x}); refuse to map it")]
    NotSealed { segment: SegmentId, seals: i32 },
    /// A value that was read from the segment is impossible.
    #[error("segment {segment}: {what} is {found}, expected {expected}: corrupt")]
    Claim { segment: SegmentId, what: &'static str, found: u64, expected: String },
    /// The segment is of another kind or table than its place calls for.
    #[error("expected segment {expected}, got {found}")]
    WrongSegment { expected: SegmentId, found: SegmentId },
    /// The table's layout is not the one this code was compiled for.
    #[error(
        "table {table}: segment has layout {found:#018x} (version {found_version}), this binary serves {expected:#018x} (version {expected_version}); it has to be translated"
    )]
    Layout { table: &'static str, found: u64, found_version: u32, expected: u64, expected_version: u32 },
    /// The descriptor inside the segment cannot be trusted.
    #[error("segment {segment}: bad descriptor: {source}")]
    Descriptor { segment: SegmentId, source: crate::descriptor::DescriptorError },
}

fn remedy_for(source: &std::io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => " (not permitted; see `controlctl doctor`)",
        Some(libc::ENOSYS) => " (this kernel lacks it; see `controlctl doctor`)",
        Some(libc::EMFILE | libc::ENFILE) => " (descriptor limit reached; raise RLIMIT_NOFILE)",
        _ => "",
    }
}
