//! The sockets of a process by position: listening ones first, then upstream IPv4, then upstream IPv6.

use super::errors::{self, PathError};
use super::sockets::Sockets;
use crate::core::topology::Topology;
use crate::wire::sockaddr::to_ip16;
use shm_state::directory::{Role, SocketEntry};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// ICMP errors read from one socket at a time: more would keep the packet path waiting.
const ERRORS_AT_ONCE: usize = 64;

/// The sockets, in the topology's order.
#[derive(Debug)]
pub struct SocketSet {
    sockets: Vec<OwnedFd>,
    /// The address that a socket is bound to, where it is bound to one.
    local: Vec<Option<[u8; 16]>>,
}

/// Sockets that a predecessor handed over do not match the config.
#[derive(Debug, thiserror::Error)]
#[error(
    "no {role:?} socket with id {owner_id:#x}, number {ordinal}, was handed over: the config must name the same listeners and [snat] as the running one"
)]
pub struct Missing {
    pub role: Role,
    pub owner_id: u32,
    pub ordinal: u32,
}

impl SocketSet {
    /// The sockets that were opened for this topology.
    pub fn opened(sockets: Sockets, topology: &Topology) -> Self {
        let all = sockets.listeners.into_iter().map(|socket| socket.fd);
        Self::joined(all.chain(sockets.upstream.into_iter().map(|socket| socket.fd)).collect(), topology)
    }

    /// The sockets that a predecessor handed over, put in this topology's order. Those that it does not know are closed.
    ///
    /// # Errors
    /// [`Missing`] names the first that is not there.
    pub fn inherited(mut handed: Vec<(SocketEntry, OwnedFd)>, topology: &Topology) -> Result<Self, Missing> {
        let mut sockets = Vec::with_capacity(topology.sockets());
        for wanted in entries(topology) {
            let found = handed.iter().position(|(entry, _)| {
                (entry.role, entry.owner_id, entry.ordinal) == (wanted.role, wanted.owner_id, wanted.ordinal)
            });
            let SocketEntry { role, owner_id, ordinal, .. } = wanted;
            let at = found.ok_or(Missing { role, owner_id, ordinal })?;
            sockets.push(handed.swap_remove(at).1);
        }
        Ok(Self::joined(sockets, topology))
    }

    fn joined(sockets: Vec<OwnedFd>, topology: &Topology) -> Self {
        let listening = topology.listening.iter();
        let bound = listening.map(|socket| (!socket.is_wildcard()).then(|| to_ip16(socket.address.ip())));
        let local = bound.chain(topology.upstream.iter().map(|_| None)).collect();
        Self { sockets, local }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// True for none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Descriptor number of a socket. Panics when there is no such socket.
    #[inline]
    pub fn raw(&self, socket: usize) -> RawFd {
        self.sockets[socket].as_raw_fd()
    }

    /// All of them, borrowed.
    pub fn iter(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }

    /// The address that a socket is bound to; `None` when to any.
    #[inline]
    pub fn local(&self, socket: usize) -> Option<[u8; 16]> {
        self.local[socket]
    }

    /// Reads the errors that were reported on a socket.
    pub fn drain_errors(&self, socket: usize, on_error: impl FnMut(PathError)) {
        // What cannot be read now is read when the next error comes.
        let _ = errors::drain(self.sockets[socket].as_fd(), ERRORS_AT_ONCE, on_error);
    }

    /// What the directory says of the sockets.
    pub fn entries(&self, topology: &Topology) -> Vec<SocketEntry> {
        let numbers = self.sockets.iter().map(AsRawFd::as_raw_fd);
        entries(topology).zip(numbers).map(|(entry, fd)| SocketEntry { fd, ..entry }).collect()
    }
}

/// What the sockets of a topology are called, in order; descriptor numbers are still unknown.
fn entries(topology: &Topology) -> impl Iterator<Item = SocketEntry> {
    let listening = topology.listening.iter().map(|socket| SocketEntry {
        role: Role::Listener,
        owner_id: socket.id,
        ordinal: 0,
        shard: 0,
        fd: -1,
    });
    let upstream = topology.upstream.iter().map(|socket| SocketEntry {
        role: Role::Upstream,
        owner_id: if socket.v4 { 4 } else { 6 },
        ordinal: socket.ordinal,
        shard: 0,
        fd: -1,
    });
    listening.chain(upstream)
}
