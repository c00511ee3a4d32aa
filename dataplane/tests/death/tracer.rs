//! Runs something in a child process, one instruction at a time.
#![allow(unsafe_code)]

use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// More instructions than any operation has: a child that does not end is a failure.
const STEPS_MAX: u64 = 20_000_000;

/// Runs `work` in a child that shares the mappings of this process, and calls `after` behind each of its instructions.
/// Returns how many there were.
///
/// `work` must not allocate, lock or print: other threads of this process do not exist in the child.
pub fn step_through(work: impl FnOnce(), mut after: impl FnMut()) -> u64 {
    // SAFETY: the child runs `work`, which by contract uses no lock that another thread may have held at the fork, and
    // then leaves by `_exit`.
    let child = match unsafe { fork() }.expect("a child") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let traced = ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP)).is_ok();
            let done = traced && catch_unwind(AssertUnwindSafe(work)).is_ok();
            // SAFETY: ends the process at once and returns to nobody.
            unsafe { libc::_exit(if done { 0 } else { 1 }) }
        }
    };
    let stopped = waitpid(child, None).expect("the child stops");
    assert_eq!(stopped, WaitStatus::Stopped(child, Signal::SIGSTOP), "ptrace is not permitted here");
    ptrace::setoptions(child, ptrace::Options::PTRACE_O_EXITKILL).expect("the child dies with its tracer");
    for steps in 0..STEPS_MAX {
        ptrace::step(child, None).expect("one instruction");
        match waitpid(child, None).expect("a stop after it") {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => after(),
            WaitStatus::Exited(_, 0) => return steps,
            other => panic!("the child ended: {other:?}"),
        }
    }
    panic!("the child does not end");
}
