//! Unsafe fence: scheduling classes and niceness, which the other crates lack.
#![allow(unsafe_code)]

use std::io;

/// SCHED_FIFO priority of packet threads: above everything ordinary, below the kernel's own threads.
const FIFO_PRIORITY: i32 = 10;

/// Puts the calling thread into SCHED_FIFO.
///
/// # Errors
/// `EPERM` where the host does not permit it.
pub fn fifo() -> io::Result<()> {
    set(libc::SCHED_FIFO, FIFO_PRIORITY)
}

/// Puts the calling thread into SCHED_FIFO above the packet threads: for a switch, on a processor whose packet thread may
/// never pause.
///
/// # Errors
/// `EPERM` where the host does not permit it.
pub fn fifo_above() -> io::Result<()> {
    set(libc::SCHED_FIFO, FIFO_PRIORITY + 1)
}

/// Puts the calling thread into the normal class.
///
/// # Errors
/// What the kernel said.
pub fn other() -> io::Result<()> {
    set(libc::SCHED_OTHER, 0)
}

/// Puts the calling thread into SCHED_IDLE: what it does next disturbs nobody.
///
/// # Errors
/// What the kernel said.
pub fn idle() -> io::Result<()> {
    set(libc::SCHED_IDLE, 0)
}

/// Lowers the calling thread's share of the processor, for work that can wait.
pub fn nice() {
    // SAFETY: no pointers; 0 means the calling thread on Linux. Raising one's own niceness is always permitted.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
}

/// The processor that the calling thread runs on.
pub fn cpu() -> Option<u32> {
    // SAFETY: no pointers.
    u32::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Puts thread `tid` into the normal class.
///
/// # Errors
/// What the kernel said.
pub fn other_for(tid: i32) -> io::Result<()> {
    set_for(tid, libc::SCHED_OTHER, 0)
}

fn set(policy: i32, priority: i32) -> io::Result<()> {
    // 0 means the calling thread.
    set_for(0, policy, priority)
}

fn set_for(tid: i32, policy: i32, priority: i32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: `param` is valid for the call, which takes no other pointer.
    match unsafe { libc::sched_setscheduler(tid, policy, &raw const param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
