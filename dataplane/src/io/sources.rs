//! Whether this host may send from the addresses of `[snat]`: asked of the kernel by sending from
//! them, to itself, before any flow depends on it.
//!
//! Asking for every address of a large range would take seconds, so the first and the last of each
//! range are asked: network and broadcast addresses, and most mistakes, show there.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType};

use super::socket_options::{FREEBIND, TRANSPARENT};
use super::sockets::{SocketError, bind, kernel, local_port, wildcard};
use super::sys;
use crate::config::{Config, Warning};
use crate::wire::cmsg;
use crate::wire::sockaddr::{Endpoint, SOCKADDR_IN6_BYTES, map_v4, to_ip16};

/// The option without which a socket cannot send from an address that no interface has. For IPv4
/// it needs a privilege, for IPv6 it does not.
pub(super) fn foreign_option(v4: bool) -> (i32, i32) {
    if v4 { TRANSPARENT.of(true) } else { FREEBIND.of(false) }
}

/// Refuses a list with an address that cannot be a source. `true`: the sockets of this family need
/// [`foreign_option`].
pub(super) fn check(config: &Config, v4: bool, warnings: &mut Vec<Warning>) -> Result<bool, SocketError> {
    let snat = &config.snat;
    let (list, origin) = if v4 { (&snat.v4, &snat.v4_origin) } else { (&snat.v6, &snat.v6_origin) };
    let Some(list) = list else { return Ok(false) };
    let probe = Probe::new(v4)?;
    let ends = list.ranges().flat_map(|r| [r.first(), r.last()]);
    let Some(stranger) = ends.into_iter().find(|ip| !probe.can_send_from(*ip)) else {
        return Ok(false);
    };
    let (level, name) = foreign_option(v4);
    let permitted = sys::set_option(probe.from.as_fd(), level, name, 1).is_ok();
    let mut ends = list.ranges().flat_map(|r| [r.first(), r.last()]);
    if let Some(bad) = ends.find(|ip| !permitted || !probe.can_send_from(*ip)) {
        let bad = if permitted { bad } else { stranger };
        let bits = if v4 { 32 } else { 128 };
        let remedy = format!(
            "add it to an interface ('ip addr add {bad}/{bits} dev …'), make its block local \
             ('ip route add local … dev lo') or leave it out"
        );
        let problem = format!("{bad} is not an address that this host can send from");
        return Err(config.error_at(origin, None, problem, remedy).into());
    }
    let message = format!(
        "{}: {stranger} is not on an interface of this host; backends' replies arrive only if \
         they are routed here",
        origin.key
    );
    warnings.push(Warning::new("snat-not-local", message));
    Ok(true)
}

/// Two sockets on the loopback interface, one to send from an address, one to send to.
struct Probe {
    from: OwnedFd,
    target: Endpoint,
    /// Kept so that the target exists.
    _to: OwnedFd,
}

impl Probe {
    fn new(v4: bool) -> Result<Self, SocketError> {
        let what = "the check of source addresses";
        let make = || {
            let family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let fd = socket::socket(family, SockType::Datagram, flags, None)
                .map_err(|e| kernel("socket", what, e.into()))?;
            bind(fd.as_fd(), wildcard(v4, 0)).map_err(|e| kernel("bind", what, e.into()))?;
            Ok::<_, SocketError>(fd)
        };
        let to = make()?;
        let port = local_port(to.as_fd()).map_err(|e| kernel("getsockname", what, e))?;
        let mut loopback = [0; 16];
        loopback[15] = 1;
        let ip = if v4 { map_v4([127, 0, 0, 1]) } else { loopback };
        Ok(Self { from: make()?, target: Endpoint { ip, port, scope: 0 }, _to: to })
    }

    /// False only if the kernel refuses the source address: where loopback does not work at all,
    /// nothing can be said about an address.
    fn can_send_from(&self, ip: IpAddr) -> bool {
        self.send(Some(ip)).is_ok() || self.send(None).is_err()
    }

    fn send(&self, source: Option<IpAddr>) -> std::io::Result<usize> {
        let mut name = [0; SOCKADDR_IN6_BYTES];
        let name_len = self.target.write(&mut name);
        let mut control = [0; cmsg::SEND_BYTES_MAX];
        let mut writer = cmsg::Writer::new(&mut control);
        if let Some(ip) = source {
            writer.source(&to_ip16(ip), 0).map_err(std::io::Error::other)?;
        }
        let control_len = writer.len();
        sys::send(self.from.as_fd(), &name[..name_len], &control[..control_len], &[], libc::MSG_DONTWAIT)
    }
}
