//! One TOML file to checked values: what comes out of here needs no further checks.
//!
//! Every refusal is a [`ConfigError`] that names file, line, key, value and remedy. Nothing is
//! opened or bound here; a value whose trouble shows only then keeps its [`Origin`].

mod capacity;
mod check;
mod error;
mod host;
mod ids;
mod raw;
#[cfg(test)]
mod refusals;
mod source;
#[cfg(test)]
mod tests;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use capacity::Capacity;
pub use error::{ConfigError, Origin, Warning};
pub use host::Host;
pub use ids::stable_id;

use crate::core::ranges::{AddressRanges, PortRange};
use crate::limits;

/// A whole config, consistent in itself and with this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// As named on the command line, for messages.
    pub file: PathBuf,
    /// `service.name`.
    pub service: String,
    /// `[runtime]`.
    pub runtime: Runtime,
    /// `[limits]`.
    pub limits: Limits,
    /// `balance.key`.
    pub balance_key: BalanceKey,
    /// `[snat]`.
    pub snat: Snat,
    /// In the file's order.
    pub listeners: Vec<Listener>,
    /// In the file's order.
    pub pools: Vec<Pool>,
    /// Every backend once, in the order in which the file first names it. Pools refer to them by
    /// position: replies are told apart by the backend's address, so two pools that name the same
    /// address share one backend.
    pub backends: Vec<Backend>,
    /// What follows from the numbers.
    pub capacity: Capacity,
    /// What works but may surprise.
    pub warnings: Vec<Warning>,
}

/// `[runtime]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Packet threads.
    pub workers: usize,
    /// One processor per worker, or empty: the scheduler decides.
    pub cpus: Vec<u32>,
    /// Scheduling class of the packet threads.
    pub scheduling: Scheduling,
}

/// Scheduling class of the packet threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduling {
    /// The normal class.
    Other,
    /// SCHED_FIFO; where it is not permitted the dataplane does not start.
    Fifo,
    /// SCHED_FIFO where it is permitted, otherwise the normal class and a warning.
    Auto,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows over all workers.
    pub flows_max: u32,
    /// Shards of the flow table.
    pub shards: usize,
    /// Longest UDP payload that is forwarded.
    pub datagram_bytes_max: usize,
    /// What to ask the kernel for, per socket and direction.
    pub socket_buffer_bytes: usize,
    /// Receive buffers of one worker, a power of two.
    pub receive_buffers: usize,
    /// Where the socket buffer's size stands.
    pub socket_buffer_origin: Origin,
}

/// The key of the balancing hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BalanceKey(pub [u8; 16]);

impl std::fmt::Debug for BalanceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BalanceKey(..)")
    }
}

/// `[snat]`: the source addresses and ports that backends see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snat {
    /// Local IPv4 addresses; `None`: the kernel picks the address.
    pub v4: Option<AddressRanges>,
    /// Local IPv6 addresses; `None`: the kernel picks the address.
    pub v6: Option<AddressRanges>,
    /// Upstream sockets of each family in use.
    pub sockets: usize,
    /// Their ports; `None`: the kernel picks them. At least as many as `sockets`.
    pub ports: Option<PortRange>,
    /// How long a released identity rests before the same backend may see it again.
    pub reuse_delay_ns: u64,
    /// Where the v4 list stands.
    pub v4_origin: Origin,
    /// Where the v6 list stands.
    pub v6_origin: Origin,
    /// Where the ports stand.
    pub ports_origin: Origin,
}

/// `[[listener]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Stable over restarts and versions: derived from the name.
    pub id: u32,
    /// Unique among listeners.
    pub name: String,
    /// What is done with its packets.
    pub mode: Mode,
    /// At least one, no two overlapping over all listeners.
    pub addresses: Vec<ListenerAddress>,
    /// Position in [`Config::pools`].
    pub pool: usize,
    /// A flow without packets for this long is removed.
    pub idle_timeout_ns: u64,
}

/// One address of a listener: one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerAddress {
    /// May be a wildcard address; IPv6 never takes IPv4 packets.
    pub address: SocketAddr,
    /// Where the address stands.
    pub origin: Origin,
}

/// What a listener does with its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Datagrams to a backend and back.
    Forward,
}

/// `[[pool]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Stable over restarts and versions: derived from the name.
    pub id: u32,
    /// Unique among pools.
    pub name: String,
    /// At least one with a weight above 0.
    pub members: Vec<Member>,
}

/// A backend's part in one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Position in [`Config::backends`].
    pub backend: usize,
    /// Share of new flows relative to the other members; 0 keeps the flows it has and gets no new.
    pub weight: u32,
}

/// `[[pool.backend]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Stable over restarts and versions: derived from the name.
    pub id: u32,
    /// Unique among backends; the address if the file names none.
    pub name: String,
    /// Unique among backends.
    pub address: SocketAddr,
    /// Where the address stands.
    pub origin: Origin,
}

impl Config {
    /// Reads and checks a file against this host.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let whole = |problem: String, remedy: &str| ConfigError {
            file: file.into(),
            line: None,
            key: "".into(),
            value: None,
            problem: problem.into(),
            remedy: remedy.into(),
        };
        let unreadable =
            |e: std::io::Error| whole(format!("cannot read the config: {e}"), "name a readable file with --config");
        let mut bytes = Vec::new();
        let open = std::fs::File::open(file).map_err(unreadable)?;
        let mut limited = std::io::Read::take(open, limits::CONFIG_BYTES_MAX + 1);
        std::io::Read::read_to_end(&mut limited, &mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > limits::CONFIG_BYTES_MAX {
            let problem = format!("longer than {} bytes", limits::CONFIG_BYTES_MAX);
            return Err(whole(problem, "name a config file with --config"));
        }
        let text =
            String::from_utf8(bytes).map_err(|e| whole(format!("not UTF-8: {e}"), "save the file as UTF-8 text"))?;
        Self::parse(file, &text, &Host::detect())
    }

    /// Checks a text against a host. `file` is only named in messages.
    pub fn parse(file: &Path, text: &str, host: &Host) -> Result<Self, ConfigError> {
        check::config(file, text, host)
    }

    /// An error about a value that passed the checks here but not the kernel's.
    pub fn error_at(
        &self,
        origin: &Origin,
        value: Option<String>,
        problem: impl Into<Box<str>>,
        remedy: impl Into<Box<str>>,
    ) -> ConfigError {
        ConfigError {
            file: self.file.as_path().into(),
            line: origin.line,
            key: origin.key.as_str().into(),
            value: value.map(String::into),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// Whether any backend is reached over IPv4, so that upstream sockets for it are needed.
    pub fn upstream_v4(&self) -> bool {
        self.backends.iter().any(|b| b.address.is_ipv4())
    }

    /// Whether any backend is reached over IPv6.
    pub fn upstream_v6(&self) -> bool {
        self.backends.iter().any(|b| b.address.is_ipv6())
    }

    /// The source addresses towards a backend; `None`: the kernel picks the address.
    pub fn sources_for(&self, backend: &Backend) -> Option<&AddressRanges> {
        if backend.address.is_ipv4() { self.snat.v4.as_ref() } else { self.snat.v6.as_ref() }
    }
}
