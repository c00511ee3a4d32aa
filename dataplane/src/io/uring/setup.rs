//! The system calls of io_uring, and the structures they take (include/uapi/linux/io_uring.h).

use super::layout::IoShape;
use shm_state::segment::Segment;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

const SETUP_CQSIZE: u32 = 1 << 3;
const SETUP_CLAMP: u32 = 1 << 4;
const SETUP_SUBMIT_ALL: u32 = 1 << 7;
const SETUP_SINGLE_ISSUER: u32 = 1 << 12;
const SETUP_DEFER_TASKRUN: u32 = 1 << 13;
const SETUP_NO_MMAP: u32 = 1 << 14;
const SETUP_NO_SQARRAY: u32 = 1 << 16;

/// Ask for events: run deferred work and wait.
pub(super) const GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 8;

pub(super) const REGISTER_PBUF_RING: u32 = 22;

#[derive(Default)]
#[repr(C)]
struct SubmissionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    resv1: u32,
    user_addr: u64,
}

#[derive(Default)]
#[repr(C)]
struct CompletionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    cqes: u32,
    flags: u32,
    resv1: u32,
    user_addr: u64,
}

#[derive(Default)]
#[repr(C)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    resv: [u32; 3],
    sq_off: SubmissionOffsets,
    cq_off: CompletionOffsets,
}

const _: () = assert!(size_of::<Params>() == 120);

/// Where the kernel put its words, in bytes from the ring memory's start (`ring_off`, from the body's start).
#[derive(Debug, Clone, Copy)]
pub(super) struct Offsets {
    pub(super) ring_off: usize,
    pub(super) sq_head: usize,
    pub(super) sq_tail: usize,
    pub(super) cq_head: usize,
    pub(super) cq_tail: usize,
    pub(super) cq_overflow: usize,
    pub(super) completions: usize,
    pub(super) sq_entries: u32,
    pub(super) cq_entries: u32,
}

/// Makes a ring in the segment's ring memory.
pub(super) fn ring(segment: &Segment, shape: &IoShape) -> io::Result<(OwnedFd, Offsets)> {
    let mut params = Params {
        cq_entries: shape.completions,
        flags: SETUP_CQSIZE
            | SETUP_SUBMIT_ALL
            | SETUP_SINGLE_ISSUER
            | SETUP_DEFER_TASKRUN
            | SETUP_NO_MMAP
            | SETUP_NO_SQARRAY,
        ..Params::default()
    };
    const { assert!(SETUP_CLAMP == 16) };
    params.cq_off.user_addr = segment.address(shape.ring_off());
    params.sq_off.user_addr = segment.address(shape.submissions_off());
    // SAFETY: `params` is a valid io_uring_params; both user addresses are page-aligned memory of a mapping that the
    // `Ring` keeps alive, as long as `layout` computed for these numbers of entries.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, shape.submissions, &raw mut params) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor to us alone.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let end = params.cq_off.cqes as usize + params.cq_entries as usize * 16;
    let room = shape.submissions_off() - shape.ring_off();
    if params.sq_entries != shape.submissions || params.cq_entries != shape.completions || end > room {
        return Err(io::Error::other("the kernel laid the ring out larger than this version expects"));
    }
    let at = |off: u32| off as usize;
    let offsets = Offsets {
        ring_off: shape.ring_off(),
        sq_head: at(params.sq_off.head),
        sq_tail: at(params.sq_off.tail),
        cq_head: at(params.cq_off.head),
        cq_tail: at(params.cq_off.tail),
        cq_overflow: at(params.cq_off.overflow),
        completions: at(params.cq_off.cqes),
        sq_entries: params.sq_entries,
        cq_entries: params.cq_entries,
    };
    Ok((fd, offsets))
}

#[repr(C)]
struct GetEventsArg {
    sigmask: u64,
    sigmask_sz: u32,
    min_wait_usec: u32,
    ts: u64,
}

/// `io_uring_enter`; returns how many entries were submitted.
#[inline]
pub(super) fn enter(ring: i32, submit: u32, want: u32, flags: u32, timeout: Option<Duration>) -> io::Result<u32> {
    let result = match timeout {
        Some(timeout) => {
            let ts =
                libc::timespec { tv_sec: timeout.as_secs() as libc::time_t, tv_nsec: timeout.subsec_nanos().into() };
            let arg = GetEventsArg { sigmask: 0, sigmask_sz: 8, min_wait_usec: 0, ts: &raw const ts as u64 };
            // SAFETY: `arg` and the time it points to live until the call returns; the size is the structure's.
            unsafe {
                libc::syscall(
                    libc::SYS_io_uring_enter,
                    ring,
                    submit,
                    want,
                    flags | ENTER_EXT_ARG,
                    &raw const arg,
                    size_of::<GetEventsArg>(),
                )
            }
        }
        // SAFETY: no pointer is passed.
        None => unsafe { libc::syscall(libc::SYS_io_uring_enter, ring, submit, want, flags, 0usize, 0usize) },
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as u32) }
}

#[repr(C)]
struct BufferRegistration {
    ring_addr: u64,
    entries: u32,
    group: u16,
    flags: u16,
    resv: [u64; 3],
}

/// Registers a buffer ring at `address` as group `group`.
pub(super) fn register_buffers(ring: i32, address: u64, entries: u32, group: u16) -> io::Result<()> {
    let registration = BufferRegistration { ring_addr: address, entries, group, flags: 0, resv: [0; 3] };
    // SAFETY: `registration` is a valid io_uring_buf_reg; the memory at `address` belongs to a mapping that the
    // `BufferRing` keeps alive and has 16 bytes for each entry.
    let result =
        unsafe { libc::syscall(libc::SYS_io_uring_register, ring, REGISTER_PBUF_RING, &raw const registration, 1) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
