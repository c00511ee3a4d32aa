//! Probes that have no safe form: an unsafe fence of this crate.
#![allow(unsafe_code)] // io_uring_setup over own memory, and sched_setscheduler

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

const SETUP_SINGLE_ISSUER: u32 = 1 << 12;
const SETUP_DEFER_TASKRUN: u32 = 1 << 13;
const SETUP_NO_MMAP: u32 = 1 << 14;
const ENTRIES: u32 = 8;

/// Words of `struct io_uring_params`, and which of them hold the two addresses.
const PARAMS_WORDS: usize = 15;
const SQES_ADDRESS: usize = 9;
const RINGS_ADDRESS: usize = 14;

#[repr(align(4096))]
struct Page([u8; 4096]);

/// Makes a ring in memory of this process, as the dataplane does in its region.
pub(super) fn ring_in_own_memory() -> io::Result<()> {
    // A ring may write to its memory for some time after it is closed, so these two pages are never freed.
    let sqes: &'static mut Page = Box::leak(Box::new(Page([0; 4096])));
    let rings: &'static mut Page = Box::leak(Box::new(Page([0; 4096])));
    let mut params = [0_u64; PARAMS_WORDS];
    // The third 32-bit word, flags, is the lower half of the second word here.
    params[1] = u64::from(SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_NO_MMAP).to_le();
    params[SQES_ADDRESS] = sqes.0.as_mut_ptr() as u64;
    params[RINGS_ADDRESS] = rings.0.as_mut_ptr() as u64;
    // SAFETY: params has the size of io_uring_params; 8 submission entries take 512 bytes of `sqes`, the rings of 8 and
    // 16 entries less than 512 of `rings`; both pages live for ever and nothing else refers to them.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, ENTRIES, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for this caller alone.
    drop(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
    Ok(())
}

/// Tries to run a thread in real time.
pub(super) fn real_time_thread() -> io::Result<()> {
    let attempt = std::thread::spawn(|| {
        let param = libc::sched_param { sched_priority: 1 };
        // SAFETY: 0 is the calling thread, which ends at once; `param` lives through the call.
        match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &param) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    });
    attempt.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
}
