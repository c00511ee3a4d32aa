//! System calls that nix has no form for: the unsafe fence of this crate.
#![allow(unsafe_code)] // pidfd_open, pidfd_getfd, close_range, SO_MEMINFO, scheduling classes, the fixed control descriptor

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Number of the control descriptor in a dataplane.
pub const CONTROL_FD: RawFd = 3;

/// Words of `SO_MEMINFO`, and which of them counts dropped packets (SK_MEMINFO_DROPS).
const MEMINFO_WORDS: usize = 9;
const MEMINFO_DROPS: usize = 8;

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A descriptor for a process; readable when it has ended. Closed on exec.
pub fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and no pointer.
    let fd = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) })?;
    // SAFETY: the kernel just made this descriptor for this caller alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A duplicate of descriptor `number` of the process. Closed on exec.
pub fn pidfd_getfd(process: BorrowedFd<'_>, number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes three integers and no pointer.
    let fd = checked(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) })?;
    // SAFETY: the kernel just made this descriptor for this caller alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Puts thread `tid` into the normal scheduling class.
pub fn normal_class(tid: i32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: `param` is valid for the call, which takes no other pointer.
    checked(unsafe { libc::sched_setscheduler(tid, libc::SCHED_OTHER, &raw const param) }.into()).map(drop)
}

/// Packets that the kernel dropped at this socket since it was made.
pub fn socket_drops(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut words = [0_u32; MEMINFO_WORDS];
    let mut len = mem::size_of_val(&words) as libc::socklen_t;
    // SAFETY: `words` has room for `len` bytes, and the kernel writes at most that.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, words.as_mut_ptr().cast(), &mut len)
    };
    checked(result.into())?;
    Ok(words[MEMINFO_DROPS].into())
}

/// The place that a child's end of the control channel takes while the child is spawned.
///
/// `Command` can only pass the standard streams without losing its fast path, so descriptor 3 is kept for this:
/// closed on exec, except while a child is being started.
#[derive(Debug)]
pub struct ControlSlot {
    slot: OwnedFd,
    idle: OwnedFd,
}

static CLAIMED: AtomicBool = AtomicBool::new(false);

impl ControlSlot {
    /// Claims descriptor 3 and marks every other inherited descriptor closed on exec. To be called once, before
    /// anything else opens a descriptor.
    pub fn claim() -> io::Result<Self> {
        if CLAIMED.swap(true, Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "descriptor 3 was claimed before"));
        }
        // SAFETY: only sets a flag on descriptors of this process.
        checked(unsafe {
            libc::syscall(libc::SYS_close_range, CONTROL_FD as u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
        })?;
        // SAFETY: the path is a C string constant.
        let null =
            checked(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) }.into())? as RawFd;
        // SAFETY: `null` is open; F_DUPFD_CLOEXEC makes a copy above the slot.
        let idle = checked(unsafe { libc::fcntl(null, libc::F_DUPFD_CLOEXEC, CONTROL_FD + 1) }.into())? as RawFd;
        if null != CONTROL_FD {
            // SAFETY: whatever number 3 was came from the parent process and has no owner in this one: CLAIMED lets
            // one caller through, before anything is opened.
            checked(unsafe { libc::dup3(null, CONTROL_FD, libc::O_CLOEXEC) }.into())?;
            // SAFETY: `null` was opened above and is not used again.
            unsafe { libc::close(null) };
        }
        // SAFETY: both are open, and each gets its one owner here.
        Ok(unsafe { Self { slot: OwnedFd::from_raw_fd(CONTROL_FD), idle: OwnedFd::from_raw_fd(idle) } })
    }

    /// Runs `start` while descriptor 3 is `fd` and is inherited.
    pub fn with<T>(&mut self, fd: BorrowedFd<'_>, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        // dup2 clears close-on-exec on the copy.
        nix::unistd::dup2(fd, &mut self.slot)?;
        let result = start();
        nix::unistd::dup3(&self.idle, &mut self.slot, nix::fcntl::OFlag::O_CLOEXEC)?;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn a_descriptor_is_taken_from_a_living_process() {
        let process = pidfd_open(std::process::id()).expect("pidfd of this process");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("socket");
        let copy = UdpSocket::from(pidfd_getfd(process.as_fd(), socket.as_raw_fd()).expect("copy"));
        assert_eq!(copy.local_addr().expect("address"), socket.local_addr().expect("address"));
        let missing = pidfd_getfd(process.as_fd(), 987_654).expect_err("no such descriptor");
        assert_eq!(missing.raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    fn dropped_packets_are_counted() {
        let full = UdpSocket::bind("127.0.0.1:0").expect("socket");
        nix::sys::socket::setsockopt(&full, nix::sys::socket::sockopt::RcvBuf, &2304).expect("small buffer");
        assert_eq!(socket_drops(full.as_fd()).expect("drops"), 0);
        let sender = UdpSocket::bind("127.0.0.1:0").expect("socket");
        for _ in 0..100 {
            sender.send_to(&[0; 1000], full.local_addr().expect("address")).expect("send");
        }
        assert!(socket_drops(full.as_fd()).expect("drops") > 50);
    }
}
