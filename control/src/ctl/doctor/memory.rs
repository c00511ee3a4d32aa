//! Shared memory: sealed files, locked pages, huge pages.

use std::fs;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::Finding;
use super::limits::has_capability;

const MEMFD: &str = "sealed memfd";
const LOCKED: &str = "locked memory (RLIMIT_MEMLOCK)";
const HUGE: &str = "huge pages for shared memory";

/// A ring and its buffers are locked; this is far more than one worker needs.
const MEMLOCK_WANTED: u64 = 8 * 1024 * 1024;
const CAP_IPC_LOCK: u32 = 14;

pub(super) fn sealed_memfd() -> Finding {
    let sealed = memfd_create(c"hitless-doctor", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).and_then(|fd| {
        nix::unistd::ftruncate(&fd, 4096)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))
    });
    match sealed {
        Ok(_) => Finding::ok(MEMFD, "works"),
        Err(errno) => Finding::missing(MEMFD, errno.to_string(), "permit memfd_create and F_ADD_SEALS (seccomp)"),
    }
}

pub(super) fn locked() -> Finding {
    let soft = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(0, |(soft, _)| soft);
    let found = if soft == RLIM_INFINITY { "unlimited".to_owned() } else { format!("{} KiB", soft / 1024) };
    if has_capability(CAP_IPC_LOCK) {
        Finding::ok(LOCKED, format!("{found}, not applied (CAP_IPC_LOCK)"))
    } else if soft >= MEMLOCK_WANTED {
        Finding::ok(LOCKED, found)
    } else {
        Finding::warn(LOCKED, found, "raise it to 8 MiB (ulimit -l 8192, LimitMEMLOCK=8M)")
    }
}

pub(super) fn huge_pages() -> Finding {
    let path = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    let remedy = format!("echo advise > {path}: tables are then mapped 80 times faster");
    let Ok(text) = fs::read_to_string(path) else {
        return Finding::warn(HUGE, "not in this kernel", "use a kernel with transparent huge pages");
    };
    let setting = text.split(['[', ']']).nth(1).unwrap_or("?").to_owned();
    match setting.as_str() {
        "always" | "within_size" | "advise" | "force" => Finding::ok(HUGE, setting),
        _ => Finding::warn(HUGE, setting, remedy),
    }
}
