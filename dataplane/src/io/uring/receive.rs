//! Multishot receives: one entry serves a socket until the kernel ends it.

use super::buffers::GROUP;
use crate::limits::{RX_CONTROL_BYTES, RX_NAME_BYTES};
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;

/// Ask the socket only when it says that there is something; needed for a receive that is armed ahead of its time.
const POLL_FIRST: u16 = 1;

/// How much room each receive leaves for the sender's name and for control data. Shared by all of a ring's receives.
pub struct ReceiveShape {
    header: Box<libc::msghdr>,
}

// SAFETY: the header's pointers are all null; nothing in it is tied to a thread.
unsafe impl Send for ReceiveShape {}

impl std::fmt::Debug for ReceiveShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceiveShape").finish_non_exhaustive()
    }
}

impl Default for ReceiveShape {
    fn default() -> Self {
        Self {
            header: Box::new(libc::msghdr {
                msg_name: std::ptr::null_mut(),
                msg_namelen: RX_NAME_BYTES as libc::socklen_t,
                msg_iov: std::ptr::null_mut(),
                msg_iovlen: 0,
                msg_control: std::ptr::null_mut(),
                msg_controllen: RX_CONTROL_BYTES as _,
                msg_flags: 0,
            }),
        }
    }
}

impl ReceiveShape {
    /// A multishot receive on `fd`. The shape must outlive it.
    pub fn entry(&self, fd: RawFd, ahead: bool) -> squeue::Entry {
        opcode::RecvMsgMulti::new(types::Fd(fd), &raw const *self.header, GROUP)
            .ioprio(if ahead { POLL_FIRST } else { 0 })
            .build()
    }
}
