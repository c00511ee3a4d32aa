//! io_uring: whether it may be used, and whether it has what the dataplane uses.

use std::fs;
use std::io;

use io_uring::{IoUring, Probe, opcode};

use super::{Finding, raw};

const PERMITTED: &str = "io_uring permitted";
const RING: &str = "io_uring ring (DEFER_TASKRUN)";
const NO_MMAP: &str = "io_uring in shared memory (NO_MMAP)";
const OPERATIONS: &str = "io_uring operations";

pub(super) fn permitted() -> Finding {
    let path = "/proc/sys/kernel/io_uring_disabled";
    match fs::read_to_string(path).as_deref().map(str::trim) {
        Ok("0") => Finding::ok(PERMITTED, "for everybody"),
        Ok("1") => Finding::warn(
            PERMITTED,
            "only with CAP_SYS_ADMIN or in the group of kernel.io_uring_group",
            "sysctl kernel.io_uring_disabled=0, or add the user to that group",
        ),
        Ok(value) => Finding::missing(
            PERMITTED,
            format!("kernel.io_uring_disabled={value}"),
            "sysctl kernel.io_uring_disabled=0",
        ),
        Err(_) => Finding::ok(PERMITTED, "no restriction by sysctl"),
    }
}

pub(super) fn ring() -> Finding {
    let ring: io::Result<IoUring> =
        IoUring::builder().setup_single_issuer().setup_defer_taskrun().setup_cqsize(64).build(8);
    match ring {
        Ok(_) => Finding::ok(RING, "works"),
        Err(error) => Finding::missing(RING, error.to_string(), remedy(&error)),
    }
}

pub(super) fn ring_in_shared_memory() -> Finding {
    match raw::ring_in_own_memory() {
        Ok(()) => Finding::ok(NO_MMAP, "works"),
        Err(error) => Finding::missing(NO_MMAP, error.to_string(), remedy(&error)),
    }
}

pub(super) fn operations() -> Finding {
    let mut probe = Probe::new();
    let asked = IoUring::new(8).and_then(|ring| ring.submitter().register_probe(&mut probe));
    if let Err(error) = asked {
        return Finding::missing(OPERATIONS, error.to_string(), remedy(&error));
    }
    let needed = [
        ("RECVMSG", opcode::RecvMsg::CODE),
        ("SENDMSG", opcode::SendMsg::CODE),
        ("SEND", opcode::Send::CODE),
        ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
        ("TIMEOUT", opcode::Timeout::CODE),
        ("FUTEX_WAIT", opcode::FutexWait::CODE),
    ];
    let lacking: Vec<&str> =
        needed.iter().filter(|(_, code)| !probe.is_supported(*code)).map(|(name, _)| *name).collect();
    if lacking.is_empty() {
        Finding::ok(OPERATIONS, "all there")
    } else {
        Finding::missing(OPERATIONS, format!("{} not there", lacking.join(", ")), "use a newer kernel")
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => "raise RLIMIT_MEMLOCK (ulimit -l), or give CAP_IPC_LOCK",
        Some(libc::EPERM) => {
            "sysctl kernel.io_uring_disabled=0; in a container, permit io_uring in its seccomp profile"
        }
        Some(libc::ENOSYS) => "the kernel is built without io_uring, or a seccomp profile hides it",
        _ => "use Linux 6.12 or newer",
    }
}
