//! Memfds that are allocated in full and then sealed, so that nobody who holds one can make another fault by
//! resizing it or by running out of memory later.

use super::Mapping;
use crate::error::RegionError;
use crate::prelude::SegmentId;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::os::fd::{AsFd, OwnedFd};

/// Seals that a segment must carry to be mapped.
pub const REQUIRED_SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW);

/// Makes a memfd of `len` bytes, allocated, mapped and sealed (shrink, grow, seal). Where the host lets shared memory
/// have huge pages, it has them.
///
/// # Errors
/// [`RegionError::OutOfMemory`] when the bytes are not to be had, [`RegionError::Kernel`] otherwise.
pub fn create(name: &str, segment: SegmentId, len: u64) -> Result<(OwnedFd, Mapping), RegionError> {
    let kernel = |call| move |e: Errno| RegionError::Kernel { segment, call, source: e.into() };
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).map_err(kernel("memfd_create"))?;
    nix::unistd::ftruncate(&fd, i64::try_from(len).unwrap_or(i64::MAX)).map_err(kernel("ftruncate"))?;
    let map = Mapping::unpopulated(&fd, len as usize).map_err(|source| RegionError::Kernel {
        segment,
        call: "mmap",
        source,
    })?;
    // Pages get their size when they are allocated, and fallocate knows nothing of the advice: allocate by touching.
    // Whether that went well does not matter: what is still missing is allocated below, or refused.
    if map.wants_huge_pages() {
        let _ = map.allocate();
    }
    fallocate(&fd, FallocateFlags::empty(), 0, i64::try_from(len).unwrap_or(i64::MAX)).map_err(|e| match e {
        Errno::ENOSPC | Errno::ENOMEM | Errno::EFBIG => {
            RegionError::OutOfMemory { segment, bytes: len, source: e.into() }
        }
        e => RegionError::Kernel { segment, call: "fallocate", source: e.into() },
    })?;
    let all = REQUIRED_SEALS | SealFlag::F_SEAL_SEAL;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(all)).map_err(kernel("fcntl(F_ADD_SEALS)"))?;
    map.populate().map_err(|source| RegionError::Kernel { segment, call: "madvise(MADV_POPULATE_READ)", source })?;
    Ok((fd, map))
}

/// The seals of `fd`.
///
/// # Errors
/// What the kernel said; `EINVAL` for a descriptor that cannot be sealed.
pub fn seals(fd: impl AsFd) -> Result<SealFlag, Errno> {
    fcntl(fd, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_retain)
}
