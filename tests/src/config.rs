//! The config of a world, as values; written as TOML.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use crate::build::executables;
use crate::net::free_v4;

/// A whole config file. Times are generous, so that a slow machine is no failure.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    pub service: Service,
    pub control: Control,
    pub runtime: Runtime,
    pub limits: Limits,
    pub snat: Snat,
    pub listener: Vec<Listener>,
    pub pool: Vec<Pool>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Service {
    pub name: String,
}

/// The paths are filled in by the world, which knows its directory.
#[derive(Debug, Clone, Serialize)]
pub struct Control {
    pub socket: PathBuf,
    pub state_dir: PathBuf,
    pub dataplane: PathBuf,
    pub probation: String,
    pub blackout_budget: String,
    pub phase_timeout: String,
    pub quiesce_timeout: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Runtime {
    pub workers: u32,
}

#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    pub flows_max: u64,
    pub datagram_bytes_max: u64,
    pub receive_buffers: u64,
    pub shards: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Snat {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v4: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v6: Option<Vec<String>>,
    pub sockets: u32,
    pub reuse_delay: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Listener {
    pub name: String,
    pub mode: String,
    pub addresses: Vec<SocketAddr>,
    pub pool: String,
    pub idle_timeout: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Pool {
    pub name: String,
    pub backend: Vec<Backend>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Backend {
    pub address: SocketAddr,
    pub weight: u32,
}

impl Config {
    /// One listener on a free port of 127.0.0.1 that spreads over these backends, with layout 2 to begin with.
    pub fn new(backends: impl IntoIterator<Item = SocketAddr>) -> Self {
        let pool = "servers".to_owned();
        Self {
            service: Service { name: "under-test".to_owned() },
            control: Control {
                socket: PathBuf::new(),
                state_dir: PathBuf::new(),
                dataplane: executables().dataplane.clone(),
                probation: "20ms".to_owned(),
                blackout_budget: "10s".to_owned(),
                phase_timeout: "30s".to_owned(),
                quiesce_timeout: "2s".to_owned(),
            },
            runtime: Runtime { workers: 1 },
            limits: Limits { flows_max: 4096, datagram_bytes_max: 2048, receive_buffers: 1024, shards: 1 },
            snat: Snat {
                v4: Some(vec!["127.64.0.0/24".to_owned()]),
                v6: None,
                sockets: 16,
                reuse_delay: "1s".to_owned(),
            },
            listener: vec![Listener {
                name: "front".to_owned(),
                mode: "forward".to_owned(),
                addresses: vec![free_v4()],
                pool: pool.clone(),
                idle_timeout: "5m".to_owned(),
            }],
            pool: vec![Pool {
                name: pool,
                backend: backends.into_iter().map(|address| Backend { address, weight: 1 }).collect(),
            }],
        }
    }

    /// The first listener's first address.
    pub fn front(&self) -> SocketAddr {
        self.listener[0].addresses[0]
    }

    /// The file's text.
    ///
    /// # Panics
    /// Never: every value has a form in TOML.
    pub fn text(&self) -> String {
        toml::to_string(self).expect("a config has a form in TOML")
    }
}
