//! The few calls that need unsafe code or that nix does not wrap: scheduling class, socket options and figures, signal
//! handlers, parent-death signal.
#![allow(unsafe_code)] // fence: plain system calls on values owned by the caller

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Puts the calling thread into SCHED_FIFO at `priority` (1..=99).
pub fn fifo(priority: i32) -> io::Result<()> {
    set_scheduler(libc::SCHED_FIFO, priority)
}

/// Puts the calling thread back into the normal class.
pub fn normal() -> io::Result<()> {
    set_scheduler(libc::SCHED_OTHER, 0)
}

fn set_scheduler(class: i32, priority: i32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: `param` lives across the call; pid 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, class, &param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Forbids fragmentation of what the socket sends (IP_MTU_DISCOVER): the kernel then draws no fragment id for each datagram,
/// which is a noticeable part of a small one's cost.
pub fn never_fragment(fd: BorrowedFd<'_>) -> io::Result<()> {
    let value: libc::c_int = libc::IP_PMTUDISC_DO;
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: `value` is readable for `len` bytes during the call.
    let rc = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, (&raw const value).cast(), len)
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Datagrams that the kernel dropped at this socket so far (SO_MEMINFO, field SK_MEMINFO_DROPS).
pub fn drops(fd: BorrowedFd<'_>) -> io::Result<u64> {
    const DROPS: usize = 8;
    let mut info = [0u32; 9];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` is writable for `len` bytes, and the kernel writes at most `len` bytes.
    let rc = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, (&raw mut info).cast(), &mut len)
    };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(info[DROPS]))
}

static ON_END: OnceLock<&'static AtomicBool> = OnceLock::new();

extern "C" fn note_end(_: libc::c_int) {
    if let Some(flag) = ON_END.get() {
        flag.store(true, Ordering::Relaxed);
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP set `flag` instead of ending the process. Works once.
pub fn set_on_end(flag: &'static AtomicBool) -> io::Result<()> {
    ON_END.set(flag).map_err(|_| io::Error::from(io::ErrorKind::AlreadyExists))?;
    let action = SigAction::new(SigHandler::Handler(note_end), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only reads a value that was set before and stores to an atomic, both of which are
        // async-signal-safe.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// Asks the kernel to send SIGTERM to the command's process when the thread that spawned it ends, so that
/// nothing outlives a measuring program that was killed.
pub fn end_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: the closure runs between fork and exec and calls only prctl, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        })
    }
}
