//! Walls before and behind every mapped file: pages that may not be touched, so that an access outside of a mapping is a
//! fault and not a look at the mapping next to it, which the kernel likes to put right there.
//!
//! Stands in for the C library's functions of the same names; anonymous memory and fixed places go straight on.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use libc::{c_int, c_void, off64_t, size_t};
use shm_state::prelude::{Kind, SegmentId};
use shm_state::segment::{Segment, Spec};

/// Bytes of a page, and of a wall.
const PAGE: usize = 4096;

/// Bytes, walls included, by the address of the mapping.
static WALLED: LazyLock<Mutex<HashMap<usize, usize>>> = LazyLock::new(Mutex::default);

fn map(at: usize, len: size_t, prot: c_int, flags: c_int, fd: c_int, off: off64_t) -> usize {
    // SAFETY: the system call that the caller asked for, with the caller's arguments or on memory reserved here.
    unsafe { libc::syscall(libc::SYS_mmap, at, len, prot, flags, fd, off) as usize }
}

/// See mmap(2).
///
/// # Safety
/// As the function that it stands for.
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    at: *mut c_void,
    len: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    off: off64_t,
) -> *mut c_void {
    if !at.is_null() || fd < 0 || len == 0 {
        return map(at as usize, len, prot, flags, fd, off) as *mut c_void;
    }
    let total = len.next_multiple_of(PAGE) + 2 * PAGE;
    let reserve = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let base = map(0, total, libc::PROT_NONE, reserve, -1, 0);
    if base == libc::MAP_FAILED as usize {
        return libc::MAP_FAILED;
    }
    let found = map(base + PAGE, len, prot, flags | libc::MAP_FIXED, fd, off);
    if found == libc::MAP_FAILED as usize {
        unmap(base, total);
        return libc::MAP_FAILED;
    }
    WALLED.lock().unwrap_or_else(PoisonError::into_inner).insert(found, total);
    found as *mut c_void
}

fn unmap(at: usize, len: size_t) -> c_int {
    // SAFETY: the system call that the caller asked for, on what the caller mapped, walls included.
    unsafe { libc::syscall(libc::SYS_munmap, at, len) as c_int }
}

/// See munmap(2).
///
/// # Safety
/// As the function that it stands for.
#[unsafe(no_mangle)]
unsafe extern "C" fn munmap(at: *mut c_void, len: size_t) -> c_int {
    let walled = WALLED.lock().unwrap_or_else(PoisonError::into_inner).remove(&(at as usize));
    match walled {
        Some(total) => unmap(at as usize - PAGE, total),
        None => unmap(at as usize, len),
    }
}

/// Sees that a segment has its walls.
///
/// # Panics
/// When it has none.
pub fn stand() {
    let id = SegmentId::new(Kind::Io, 0);
    let spec = Spec { id, region_id: [0; 16], layout_version: 1, descriptor: None, body_len: 8 };
    let segment = Segment::create(spec).expect("a small segment");
    let start = segment.address(0) / PAGE as u64 * PAGE as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
    for wall in [format!("-{start:x} "), format!("{:x}-", start + PAGE as u64)] {
        let line = maps.lines().find(|line| line.contains(&wall)).unwrap_or("none");
        assert!(line.contains(" ---p "), "no wall at {wall}: {line}");
    }
}
