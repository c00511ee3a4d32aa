//! Signals, as bytes on a socket. Nothing is blocked, so that children start with an empty mask.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// The signals that end the supervisor, and those that must not.
#[derive(Debug)]
pub struct Signals {
    end: UnixStream,
    hangup: UnixStream,
}

impl Signals {
    /// Begins to catch SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn catch() -> io::Result<Self> {
        // Whoever started this process may have blocked them.
        let mut caught = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            caught.add(signal);
        }
        caught.thread_unblock()?;
        let pair = |signals: &[i32]| -> io::Result<UnixStream> {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            for &signal in signals {
                pipe::register(signal, write.try_clone()?)?;
            }
            Ok(read)
        };
        Ok(Self { end: pair(&[SIGTERM, SIGINT])?, hangup: pair(&[SIGHUP])? })
    }

    /// Readable when SIGTERM or SIGINT came.
    pub fn end(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// Readable when SIGHUP came.
    pub fn hangup(&self) -> BorrowedFd<'_> {
        self.hangup.as_fd()
    }

    /// How many SIGTERM and SIGINT came since the last call.
    pub fn take_end(&mut self) -> usize {
        drain(&mut self.end)
    }

    /// How many SIGHUP came since the last call.
    pub fn take_hangup(&mut self) -> usize {
        drain(&mut self.hangup)
    }
}

fn drain(from: &mut UnixStream) -> usize {
    let mut bytes = [0; 64];
    let mut count = 0;
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        count += n;
    }
    count
}
