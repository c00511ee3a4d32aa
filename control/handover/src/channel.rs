//! The packet socket between supervisor and dataplane.
//!
//! AF_UNIX, SOCK_SEQPACKET: packets keep their borders, descriptors travel beside the message that names them, and
//! the end of the peer is seen. A packet is taken whole or refused whole; descriptors of a refused packet are closed.

mod collect;

pub use collect::{Collector, FDS_PER_PACKET_MAX, batches};

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, getsockname,
    getsockopt, sendmsg, socketpair, sockopt,
};
use thiserror::Error;

use crate::messages::{self, Decoded, DescriptorEntry, Message, PACKET_BYTES_MAX, Reason, WireError};
use crate::socket;

/// How long [`Channel::send`] waits for room.
const SEND_PATIENCE: Duration = Duration::from_secs(5);

/// What arrived.
#[derive(Debug)]
pub enum Received {
    /// A message, and one descriptor per entry of its batch if it is `descriptors` (otherwise none).
    Message {
        /// The message.
        message: Message,
        /// Its descriptors, in the order of the batch.
        fds: Vec<OwnedFd>,
    },
    /// A message of a type that this build does not know. Answer with `fault` and go on.
    Unknown {
        /// The type.
        type_name: String,
    },
}

/// Why nothing was sent or received.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// The peer is gone or has closed its end.
    #[error("the peer closed the control channel")]
    Closed,
    /// Nothing came in time.
    #[error("no message within {0:?}")]
    TimedOut(Duration),
    /// The peer does not read.
    #[error("the peer does not read its control channel")]
    Full,
    /// The bytes are no message, or the message fits no packet.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A packet longer than any message.
    #[error("packet longer than {PACKET_BYTES_MAX} bytes")]
    Oversized,
    /// Descriptors were lost on the way.
    #[error("descriptors of message \"{type_name}\" were cut off ({arrived} arrived): raise RLIMIT_NOFILE")]
    ControlCut {
        /// Type of the message, where it could be read.
        type_name: String,
        /// How many arrived (and were closed).
        arrived: usize,
    },
    /// Number of descriptors and length of the batch differ.
    #[error("message \"{type_name}\" names {named} descriptors, {arrived} came with it")]
    CountDiffers {
        /// Type of the message.
        type_name: &'static str,
        /// Length of the batch; 0 for other messages.
        named: usize,
        /// How many came.
        arrived: usize,
    },
    /// More descriptors than one packet may carry.
    #[error("{0} descriptors in one packet, at most {FDS_PER_PACKET_MAX}: send them in batches")]
    TooMany(usize),
    /// The descriptor is not a control channel.
    #[error("descriptor {fd} is not a control channel: {reason}")]
    NotAChannel {
        /// Its number.
        fd: RawFd,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel refused.
    #[error("{call} on the control channel: {errno}")]
    Kernel {
        /// Which call.
        call: &'static str,
        /// Its error.
        errno: Errno,
    },
}

/// One end of the control channel. All calls may be mixed with `poll` on [`AsFd::as_fd`].
#[derive(Debug)]
pub struct Channel {
    fd: OwnedFd,
}

impl Channel {
    /// Two connected ends, both closed on exec.
    pub fn pair() -> Result<(Self, Self), ChannelError> {
        let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|errno| ChannelError::Kernel { call: "socketpair", errno })?;
        Ok((Self { fd: a }, Self { fd: b }))
    }

    /// Takes a descriptor that must be a connected AF_UNIX packet socket, and marks it closed on exec.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, ChannelError> {
        let number = fd.as_raw_fd();
        let not = |reason: String| ChannelError::NotAChannel { fd: number, reason };
        let kind = getsockopt(&fd, sockopt::SockType).map_err(|e| not(e.to_string()))?;
        let name: SockaddrStorage = getsockname(number).map_err(|e| not(e.to_string()))?;
        if kind != SockType::SeqPacket || name.family() != Some(AddressFamily::Unix) {
            return Err(not(format!("a {:?} socket of type {kind:?}", name.family())));
        }
        fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
            .map_err(|errno| ChannelError::Kernel { call: "fcntl", errno })?;
        Ok(Self { fd })
    }

    /// Takes the descriptor that the supervisor left open under this number. Works once per process.
    pub fn from_inherited(number: RawFd) -> Result<Self, ChannelError> {
        let fd = socket::adopt(number).map_err(|e| ChannelError::NotAChannel { fd: number, reason: e.to_string() })?;
        Self::from_fd(fd)
    }

    /// The descriptor itself, to be handed to a child.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Sends one message, waiting up to five seconds for room. `fds` must match the batch of `descriptors`.
    pub fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let deadline = Instant::now() + SEND_PATIENCE;
        loop {
            match self.try_send(message, fds) {
                Err(ChannelError::Full) => {
                    if !self.wait(PollFlags::POLLOUT, Some(deadline.saturating_duration_since(Instant::now())))? {
                        return Err(ChannelError::Full);
                    }
                }
                other => return other,
            }
        }
    }

    /// Sends one message without waiting; [`ChannelError::Full`] if there is no room now.
    pub fn try_send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        if fds.len() > FDS_PER_PACKET_MAX {
            return Err(ChannelError::TooMany(fds.len()));
        }
        check_count(message, fds.len())?;
        let bytes = messages::encode(message)?;
        let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        loop {
            return match sendmsg::<UnixAddr>(self.fd.as_raw_fd(), &[IoSlice::new(&bytes)], control, flags, None) {
                Ok(_) => Ok(()),
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => Err(ChannelError::Full),
                Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => Err(ChannelError::Closed),
                Err(errno) => Err(ChannelError::Kernel { call: "sendmsg", errno }),
            };
        }
    }

    /// Sends a list of any length in batches; an empty list is one empty batch. Waits like [`Channel::send`].
    pub fn send_descriptors(
        &self,
        reason: Reason,
        list: &[(DescriptorEntry, BorrowedFd<'_>)],
    ) -> Result<(), ChannelError> {
        for (message, range) in batches(reason, list.iter().map(|(entry, _)| entry)) {
            let fds: Vec<BorrowedFd<'_>> = list[range].iter().map(|(_, fd)| *fd).collect();
            self.send(&message, &fds)?;
        }
        Ok(())
    }

    /// Receives one message; `None` waits for ever, zero does not wait.
    ///
    /// After [`ChannelError::Wire`], [`ChannelError::Oversized`], [`ChannelError::ControlCut`] and
    /// [`ChannelError::CountDiffers`] the packet is gone, its descriptors are closed, and the channel can be used on.
    pub fn recv(&self, timeout: Option<Duration>) -> Result<Received, ChannelError> {
        let deadline = timeout.map(|t| Instant::now() + t);
        let mut buffer = vec![0_u8; PACKET_BYTES_MAX];
        let mut reset = false;
        loop {
            match socket::recv_packet(self.fd.as_fd(), &mut buffer) {
                Ok(packet) => return judge(packet, &buffer),
                Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
                    Errno::EINTR => {}
                    // A peer that ended with packets unread resets the channel; that is reported once, ahead of the last
                    // words that it left in our queue.
                    Errno::ECONNRESET if !reset => reset = true,
                    Errno::EAGAIN => {
                        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
                        if left == Some(Duration::ZERO) || !self.wait(PollFlags::POLLIN, left)? {
                            return Err(ChannelError::TimedOut(timeout.unwrap_or_default()));
                        }
                    }
                    Errno::ECONNRESET | Errno::ENOTCONN => return Err(ChannelError::Closed),
                    errno => return Err(ChannelError::Kernel { call: "recvmsg", errno }),
                },
            }
        }
    }

    /// True if the channel became ready in time.
    fn wait(&self, for_what: PollFlags, timeout: Option<Duration>) -> Result<bool, ChannelError> {
        let timeout = match timeout {
            None => PollTimeout::NONE,
            // Rounded up, so that a wait does not end early and spin.
            Some(left) => PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX),
        };
        match poll(&mut [PollFd::new(self.fd.as_fd(), for_what)], timeout) {
            Ok(0) => Ok(false),
            Ok(_) | Err(Errno::EINTR) => Ok(true),
            Err(errno) => Err(ChannelError::Kernel { call: "poll", errno }),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes a packet whole or refuses it whole; dropping `packet` closes its descriptors.
fn judge(packet: socket::RawPacket, buffer: &[u8]) -> Result<Received, ChannelError> {
    if packet.payload_cut {
        return Err(ChannelError::Oversized);
    }
    if packet.len == 0 {
        return Err(ChannelError::Closed);
    }
    let decoded = messages::decode(&buffer[..packet.len]);
    if packet.control_cut {
        let type_name = match &decoded {
            Ok(Decoded::Message(message)) => message.type_name().to_owned(),
            Ok(Decoded::Unknown(name)) => name.clone(),
            Err(_) => "?".to_owned(),
        };
        return Err(ChannelError::ControlCut { type_name, arrived: packet.fds.len() });
    }
    match decoded? {
        Decoded::Message(message) => {
            check_count(&message, packet.fds.len())?;
            Ok(Received::Message { message: *message, fds: packet.fds })
        }
        Decoded::Unknown(type_name) => Ok(Received::Unknown { type_name }),
    }
}

fn check_count(message: &Message, arrived: usize) -> Result<(), ChannelError> {
    let named = match message {
        Message::Descriptors(descriptors) => descriptors.batch.len(),
        _ => 0,
    };
    if named == arrived {
        Ok(())
    } else {
        Err(ChannelError::CountDiffers { type_name: message.type_name(), named, arrived })
    }
}
