//! The config as the packet path reads it: dense positions, precomputed addresses, look-ups by stable id.
//!
//! Derived from the config alone, private to the process, never changed while it serves.

use super::addresses::AddressMap;
use super::balance::Balance;
use super::ranges::AddressRanges;
use crate::config::stable_id;
use crate::config::{Config, ConfigError};
use crate::state::identities::RowSpec;
use crate::state::ids::IdMap;
use crate::wire::sockaddr::{Endpoint, to_ip16};
use std::net::{IpAddr, SocketAddr};

/// A listening socket.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    /// Stable id of the listening address.
    pub id: u32,
    pub address: SocketAddr,
    /// Position of the pool.
    pub pool: usize,
    pub idle_ns: u64,
}

impl Listening {
    /// Whether replies must name the local address, because the socket is bound to none.
    pub fn is_wildcard(&self) -> bool {
        self.address.ip().is_unspecified()
    }
}

/// A backend and how it is reached.
#[derive(Debug, Clone)]
pub struct Target {
    /// Stable id.
    pub id: u32,
    pub endpoint: Endpoint,
    /// First of its family's upstream sockets, as a position among all sockets.
    pub first_socket: usize,
    pub sockets: u32,
    /// Local addresses towards it; `None` when the kernel picks.
    pub sources: Option<AddressRanges>,
}

impl Target {
    fn addresses(&self) -> u32 {
        self.sources.as_ref().map_or(1, |sources| sources.len() as u32)
    }

    /// How many flows it can have at once.
    pub fn identities(&self) -> u32 {
        self.sockets * self.addresses()
    }

    /// Socket position and local address of an identity; `None` for a number that none has.
    #[inline]
    pub fn resolve(&self, identity: u32) -> Option<(usize, Option<[u8; 16]>)> {
        if identity >= self.identities() {
            return None;
        }
        let addresses = self.addresses();
        let source =
            self.sources.as_ref().and_then(|sources| sources.nth(u64::from(identity % addresses)).map(to_ip16));
        Some((self.first_socket + (identity / addresses) as usize, source))
    }

    /// The identity of a socket (position among all) and the local address that a reply was sent to.
    #[inline]
    pub fn identity(&self, socket: usize, local: IpAddr) -> Option<u32> {
        let ordinal = socket.checked_sub(self.first_socket)? as u32;
        if ordinal >= self.sockets {
            return None;
        }
        let at = match &self.sources {
            Some(sources) => sources.position(local)? as u32,
            None => 0,
        };
        Some(ordinal * self.addresses() + at)
    }
}

/// One upstream socket to be opened or handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upstream {
    pub v4: bool,
    /// Which of its family's sockets it is.
    pub ordinal: u32,
}

/// Everything that the packet path looks up but never changes.
///
/// Sockets have positions: the listening ones first, then upstream IPv4, then upstream IPv6.
#[derive(Debug)]
pub struct Topology {
    pub listening: Vec<Listening>,
    pub upstream: Vec<Upstream>,
    pub targets: Vec<Target>,
    /// Per pool: the balance, whose answers are positions in `members`.
    pub pools: Vec<(Balance, Vec<usize>)>,
    pub reuse_delay_ns: u64,
    listening_ids: IdMap,
    target_ids: IdMap,
    target_addresses: AddressMap,
}

impl Topology {
    /// Derives the topology of a config.
    ///
    /// # Errors
    /// Two listening addresses whose names hash alike.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let listening: Vec<_> = config
            .listeners
            .iter()
            .flat_map(|listener| {
                listener.addresses.iter().map(|at| Listening {
                    id: stable_id("listener", &format!("{}@{}", listener.name, at.address)),
                    address: at.address,
                    pool: listener.pool,
                    idle_ns: listener.idle_timeout_ns,
                })
            })
            .collect();
        refuse_twins(config, &listening)?;
        let sockets = config.snat.sockets as u32;
        let v4 = if config.upstream_v4() { sockets } else { 0 };
        let v6 = if config.upstream_v6() { sockets } else { 0 };
        let upstream = (0..v4)
            .map(|ordinal| Upstream { v4: true, ordinal })
            .chain((0..v6).map(|ordinal| Upstream { v4: false, ordinal }))
            .collect();
        let targets: Vec<_> = config
            .backends
            .iter()
            .map(|backend| Target {
                id: backend.id,
                endpoint: endpoint(backend.address),
                first_socket: listening.len() + if backend.address.is_ipv4() { 0 } else { v4 as usize },
                sockets,
                sources: config.sources_for(backend).cloned(),
            })
            .collect();
        let pools = config
            .pools
            .iter()
            .map(|pool| {
                let members: Vec<_> = pool.members.iter().map(|member| member.backend).collect();
                let weights = pool.members.iter().map(|member| (config.backends[member.backend].id, member.weight));
                (Balance::new(&config.balance_key.0, weights), members)
            })
            .collect();
        Ok(Self {
            listening_ids: IdMap::new(listening.iter().map(|socket| socket.id)),
            target_ids: IdMap::new(targets.iter().map(|target| target.id)),
            target_addresses: AddressMap::new(targets.iter().map(|target| (target.endpoint.ip, target.endpoint.port))),
            listening,
            upstream,
            targets,
            pools,
            reuse_delay_ns: config.snat.reuse_delay_ns,
        })
    }

    /// Sockets in all.
    pub fn sockets(&self) -> usize {
        self.listening.len() + self.upstream.len()
    }

    /// The rows of the identities segment: one per backend, in order.
    pub fn rows(&self) -> Vec<RowSpec> {
        self.targets.iter().map(|target| RowSpec { backend: target.id, identities: target.identities() }).collect()
    }

    /// Position of the listening socket with this stable id.
    #[inline]
    pub fn listening_at(&self, id: u32) -> Option<usize> {
        self.listening_ids.get(id)
    }

    /// Position of the backend with this stable id.
    #[inline]
    pub fn target_at(&self, id: u32) -> Option<usize> {
        self.target_ids.get(id)
    }

    /// Position of the backend at this address.
    #[inline]
    pub fn target_from(&self, ip: &[u8; 16], port: u16) -> Option<usize> {
        self.target_addresses.get(ip, port)
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    let scope = match address {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    Endpoint { ip: to_ip16(address.ip()), port: address.port(), scope }
}

/// Records name a listening address by a 32-bit hash; two alike would be one.
fn refuse_twins(config: &Config, listening: &[Listening]) -> Result<(), ConfigError> {
    let origins = config.listeners.iter().flat_map(|listener| &listener.addresses);
    for (at, (socket, origin)) in listening.iter().zip(origins).enumerate() {
        if let Some(twin) = listening[..at].iter().find(|other| other.id == socket.id) {
            let problem = format!("its stable id {:#010x} is also that of {}", socket.id, twin.address);
            let value = Some(socket.address.to_string());
            return Err(config.error_at(&origin.origin, value, problem, "rename one of the two listeners"));
        }
    }
    Ok(())
}
