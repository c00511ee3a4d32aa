//! Descriptors beside the bytes of a stream socket: one answer with what it names.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

use crate::socket;

/// Most descriptors beside one write.
pub const FDS_MAX: usize = 250;

/// Writes what there is room for, with descriptors beside the first byte. Gives how many bytes were written; the
/// descriptors went with them.
///
/// # Errors
/// What the kernel says; [`io::ErrorKind::WouldBlock`] on a socket that does not wait and has no room.
pub fn send(stream: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if fds.len() > FDS_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one write"));
    }
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    Ok(sendmsg::<UnixAddr>(stream.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?)
}

/// Waits for bytes and takes them with the descriptors beside them. 0 bytes are the end of the stream.
///
/// # Errors
/// What the kernel says; [`io::ErrorKind::TimedOut`] when nothing comes in time; descriptors that were lost on the way
/// are an error too.
pub fn receive(stream: &UnixStream, buffer: &mut [u8], timeout: Option<Duration>) -> io::Result<(usize, Vec<OwnedFd>)> {
    let wait = match timeout {
        None => PollTimeout::NONE,
        Some(timeout) => PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX),
    };
    loop {
        match poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        match socket::recv_packet(stream.as_fd(), buffer) {
            Ok(packet) if packet.control_cut => {
                return Err(io::Error::other("descriptors were lost on the way: raise RLIMIT_NOFILE"));
            }
            Ok(packet) => return Ok((packet.len, packet.fds)),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn descriptors_come_with_the_first_bytes() {
        let (a, b) = UnixStream::pair().expect("a pair");
        let (mut from, to) = UnixStream::pair().expect("a pair");
        assert_eq!(send(&a, b"one line\n", &[to.as_fd()]).expect("room"), 9);
        drop(to);
        let mut buffer = [0; 64];
        let (len, fds) = receive(&b, &mut buffer, Some(Duration::from_secs(5))).expect("a line");
        assert_eq!((&buffer[..len], fds.len()), (&b"one line\n"[..], 1));
        UnixStream::from(fds.into_iter().next().expect("one")).write_all(b"it works").expect("write");
        let mut text = String::new();
        from.read_to_string(&mut text).expect("read");
        assert_eq!(text, "it works");
        let silent = receive(&b, &mut buffer, Some(Duration::from_millis(10))).expect_err("nothing more");
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        drop(a);
        assert_eq!(receive(&b, &mut buffer, None).expect("the end").0, 0);
    }
}
