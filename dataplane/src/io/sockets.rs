//! Makes the dataplane's sockets: one per listener address, and the upstream sockets that all
//! flows share.
//!
//! Every socket is non-blocking, closed on exec, tells the local address and the traffic class of
//! what it receives, sets DF on what it sends, and never takes the other family's packets. All of
//! them are made or none: an error drops those made so far.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage};

use super::socket_options::{FREEBIND, MTU_DISCOVER, MULTICAST_ALL, PKTINFO, RECVERR, RECVTOS, grow_buffers};
use super::{descriptors, sources, sys};
use crate::config::{Config, ConfigError, Origin, Warning};
use crate::wire::sockaddr::Endpoint;

/// A listener's socket.
#[derive(Debug)]
pub struct ListenerSocket {
    /// Bound.
    pub fd: OwnedFd,
    /// Position in [`Config::listeners`].
    pub listener: usize,
    /// Position in the listener's addresses.
    pub address: usize,
}

/// A socket towards backends, bound to the wildcard address.
#[derive(Debug)]
pub struct UpstreamSocket {
    /// Bound.
    pub fd: OwnedFd,
    /// Family of the backends it can reach.
    pub v4: bool,
    /// Position among the sockets of its family.
    pub ordinal: usize,
    /// The port that backends see.
    pub port: u16,
}

/// All sockets of a config.
#[derive(Debug)]
pub struct Sockets {
    /// In the config's order.
    pub listeners: Vec<ListenerSocket>,
    /// IPv4 first, then IPv6, each by ordinal.
    pub upstream: Vec<UpstreamSocket>,
    /// What the host did not permit.
    pub warnings: Vec<Warning>,
}

/// Why there are no sockets.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The config asks for what this host has not or does not permit.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The kernel refused something that it normally grants.
    #[error("{call} failed for {what}: {error}; {remedy}")]
    Kernel {
        /// System call or option.
        call: &'static str,
        /// Which socket.
        what: String,
        /// The kernel's answer.
        error: io::Error,
        /// What to do.
        remedy: &'static str,
    },
}

/// What sockets are made with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Let the kernel join trains of datagrams into one receive.
    pub gro: bool,
}

/// Makes all sockets of a config.
pub fn open(config: &Config, options: Options) -> Result<Sockets, SocketError> {
    let families = usize::from(config.upstream_v4()) + usize::from(config.upstream_v6());
    let listening: usize = config.listeners.iter().map(|l| l.addresses.len()).sum();
    descriptors::make_room(listening + families * config.snat.sockets)?;
    let mut maker = Maker { config, options, smallest_buffer: usize::MAX, warnings: Vec::new() };
    let mut listeners = Vec::new();
    for (l, listener) in config.listeners.iter().enumerate() {
        for a in 0..listener.addresses.len() {
            listeners.push(ListenerSocket { fd: maker.listener(l, a)?, listener: l, address: a });
        }
    }
    let mut upstream = Vec::new();
    for v4 in [true, false] {
        maker.upstream(v4, &mut upstream)?;
    }
    maker.warn_of_small_buffers();
    Ok(Sockets { listeners, upstream, warnings: maker.warnings })
}

struct Maker<'a> {
    config: &'a Config,
    options: Options,
    smallest_buffer: usize,
    warnings: Vec<Warning>,
}

impl Maker<'_> {
    fn listener(&mut self, listener: usize, address: usize) -> Result<OwnedFd, SocketError> {
        let listener = &self.config.listeners[listener];
        let at = &listener.addresses[address];
        let what = format!("listener \"{}\" at {}", listener.name, at.address);
        let fd = self.socket(at.address.is_ipv4(), &at.origin, at.address, &what)?;
        let bound = match bind(fd.as_fd(), at.address) {
            Err(Errno::EADDRNOTAVAIL) => {
                // The address may come later: a standby's service address, or one still checked
                // for duplicates.
                self.set(fd.as_fd(), &what, FREEBIND.of(at.address.is_ipv4()), 1)?;
                let message = format!(
                    "{what}: the address is not on this host (yet); packets arrive once it is, \
                     see 'ip addr'"
                );
                self.warnings.push(Warning::new("listener-not-local", message));
                bind(fd.as_fd(), at.address)
            }
            other => other,
        };
        match bound {
            Ok(()) => Ok(fd),
            Err(errno) => Err(self.cannot_bind(errno, &at.origin, at.address, what)),
        }
    }

    /// Appends the upstream sockets of one family, if a backend has an address of it.
    fn upstream(&mut self, v4: bool, out: &mut Vec<UpstreamSocket>) -> Result<(), SocketError> {
        let Some(backend) = self.config.backends.iter().find(|b| b.address.is_ipv4() == v4) else {
            return Ok(());
        };
        let foreign = sources::check(self.config, v4, &mut self.warnings)?;
        let snat = &self.config.snat;
        let mut ports = snat.ports.map(|p| p.iter());
        let mut skipped = Vec::new();
        for ordinal in 0..snat.sockets {
            let what = format!("upstream socket {ordinal} ({})", if v4 { "IPv4" } else { "IPv6" });
            let fd = self.socket(v4, &backend.origin, backend.address, &what)?;
            sys::set_option(fd.as_fd(), RECVERR.of(v4).0, RECVERR.of(v4).1, 1)
                .map_err(|e| kernel("RECVERR", &what, e))?;
            if foreign {
                let option = sources::foreign_option(v4);
                self.set(fd.as_fd(), &what, option, 1)?;
            }
            loop {
                let port = match &mut ports {
                    None => 0,
                    Some(ports) => ports.next().ok_or_else(|| {
                        let origin = &snat.ports_origin;
                        let problem = format!(
                            "only {ordinal} of {} sockets found a free port, in use: {}",
                            snat.sockets,
                            list(&skipped)
                        );
                        let remedy = "widen the range or end the other program ('ss -ulnp')";
                        self.config.error_at(origin, self.ports_text(), problem, remedy)
                    })?,
                };
                match bind(fd.as_fd(), wildcard(v4, port)) {
                    Ok(()) => break,
                    Err(Errno::EADDRINUSE) if port != 0 => skipped.push(port),
                    Err(errno) if port == 0 => return Err(kernel("bind", &what, errno.into())),
                    Err(errno) => {
                        let origin = &snat.ports_origin;
                        let at = wildcard(v4, port);
                        return Err(self.cannot_bind(errno, origin, at, what));
                    }
                }
            }
            let port = local_port(fd.as_fd()).map_err(|e| kernel("getsockname", &what, e))?;
            out.push(UpstreamSocket { fd, v4, ordinal, port });
        }
        if !skipped.is_empty() {
            let message = format!("snat.ports: skipped ports in use: {}", list(&skipped));
            self.warnings.push(Warning::new("snat-ports-in-use", message));
        }
        Ok(())
    }

    fn ports_text(&self) -> Option<String> {
        self.config.snat.ports.map(|p| format!("\"{p}\""))
    }

    /// A socket with everything set but its address. It exists because of `reason` at `origin`.
    fn socket(&mut self, v4: bool, origin: &Origin, reason: SocketAddr, what: &str) -> Result<OwnedFd, SocketError> {
        let family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket::socket(family, SockType::Datagram, flags, None).map_err(|e| match e {
            Errno::EAFNOSUPPORT => self.cannot_bind(e, origin, reason, what.to_owned()),
            e => kernel("socket", what, e.into()),
        })?;
        for (option, value) in [
            (PKTINFO, 1),
            (RECVTOS, 1),
            // DF set, and EMSGSIZE for what is above the path MTU; both constants are 2.
            (MTU_DISCOVER, libc::IP_PMTUDISC_DO),
            // Groups that some other program joined are none of ours.
            (MULTICAST_ALL, 0),
        ] {
            self.set(fd.as_fd(), what, option.of(v4), value)?;
        }
        if !v4 {
            self.set(fd.as_fd(), what, (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY), 1)?;
        }
        if self.options.gro {
            self.set(fd.as_fd(), what, (libc::SOL_UDP, libc::UDP_GRO), 1)?;
        }
        let bytes = self.config.limits.socket_buffer_bytes;
        let granted = grow_buffers(fd.as_fd(), bytes).map_err(|e| kernel("SO_RCVBUF", what, e))?;
        self.smallest_buffer = self.smallest_buffer.min(granted);
        Ok(fd)
    }

    fn set(&self, fd: BorrowedFd<'_>, what: &str, (level, name): (i32, i32), value: i32) -> Result<(), SocketError> {
        sys::set_option(fd, level, name, value).map_err(|e| kernel("setsockopt", what, e))
    }

    fn cannot_bind(&self, errno: Errno, origin: &Origin, address: SocketAddr, what: String) -> SocketError {
        let (problem, remedy) = match errno {
            Errno::EADDRINUSE => (
                "the address is in use by another program",
                "end that program ('ss -ulnp' shows it) or choose another port",
            ),
            Errno::EACCES => {
                ("not permitted to use this port", "grant CAP_NET_BIND_SERVICE or choose a port above 1023")
            }
            Errno::ENODEV | Errno::EINVAL => {
                ("this host has no such interface or address", "check the address and its interface with 'ip addr'")
            }
            Errno::EAFNOSUPPORT => ("this host does not have the address family", "remove the address or enable it"),
            other => return kernel("bind", &what, other.into()),
        };
        let value = Some(format!("\"{address}\""));
        self.config.error_at(origin, value, problem, remedy).into()
    }

    fn warn_of_small_buffers(&mut self) {
        let asked = self.config.limits.socket_buffer_bytes;
        let granted = self.smallest_buffer;
        if granted < asked {
            let message = format!(
                "limits.socket_buffer_bytes = {asked}, but this host grants {granted}: a burst or \
                 a swap under load may lose datagrams; grant CAP_NET_ADMIN or raise \
                 net.core.rmem_max and net.core.wmem_max"
            );
            let warning = Warning::new("socket-buffer", message);
            self.warnings.push(warning.numbers(asked as u64, granted as u64));
        }
    }
}

pub(super) fn bind(fd: BorrowedFd<'_>, address: SocketAddr) -> nix::Result<()> {
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(address))
}

pub(super) fn wildcard(v4: bool, port: u16) -> SocketAddr {
    if v4 { (Ipv4Addr::UNSPECIFIED, port).into() } else { (Ipv6Addr::UNSPECIFIED, port).into() }
}

/// The port that a socket is bound to.
pub fn local_port(fd: BorrowedFd<'_>) -> io::Result<u16> {
    let (bytes, len) = sys::local_address(fd)?;
    Endpoint::parse(&bytes[..len]).map(|end| end.port).map_err(io::Error::other)
}

pub(super) fn kernel(call: &'static str, what: &str, error: io::Error) -> SocketError {
    let remedy = match error.raw_os_error() {
        Some(libc::EMFILE) => "raise the limit of open files (LimitNOFILE, ulimit -n)",
        Some(libc::ENFILE) => "raise fs.file-max",
        Some(libc::ENOMEM | libc::ENOBUFS) => "free memory on this host",
        Some(libc::EADDRINUSE) => "all ephemeral ports are taken: set snat.ports",
        Some(libc::EAFNOSUPPORT) => "enable this address family or use none of its addresses",
        _ => "see the documented minimum kernel",
    };
    SocketError::Kernel { call, what: what.to_owned(), error, remedy }
}

fn list(ports: &[u16]) -> String {
    let shown: Vec<_> = ports.iter().take(8).map(u16::to_string).collect();
    let more = if ports.len() > 8 { " …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
