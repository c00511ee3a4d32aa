//! The service's config file, as far as measurements set it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::error::{Doing, Error, Result};
use crate::scenario::definition::Dataplane;

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

#[derive(Debug, Clone, Serialize)]
pub struct Control {
    pub socket: PathBuf,
    pub state_dir: PathBuf,
    pub dataplane: PathBuf,
    pub probation: String,
    /// Generous: on a crowded host a thread may wait longer than the default for its processor.
    pub quiesce_timeout: String,
    /// Generous too: where there are two cores only, the copier has what the load leaves of its core.
    pub phase_timeout: String,
    pub swap_cpus: Vec<usize>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Runtime {
    pub workers: u32,
    pub cpus: Vec<usize>,
    pub scheduling: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    pub flows_max: u64,
    pub socket_buffer_bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Snat {
    pub v4: Vec<String>,
    pub sockets: u32,
}

#[derive(Debug, Clone, Serialize)]
pub struct Listener {
    pub name: String,
    pub mode: String,
    pub addresses: Vec<String>,
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
    pub name: String,
    pub address: String,
}

/// What differs from run to run.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    pub name: &'a str,
    pub dir: &'a Path,
    /// The binary to begin with.
    pub dataplane: &'a Path,
    pub port: u16,
    pub backends: &'a [SocketAddrV4],
    pub cpu: usize,
    pub background_cpu: usize,
    pub scheduling: &'a str,
    pub probation: Duration,
}

impl Config {
    /// The service of a scenario: one listener on all addresses, one pool.
    pub fn of(spec: &Dataplane, setting: &Setting<'_>) -> Self {
        let text = |time: Duration| humantime::format_duration(time).to_string();
        let backend = |(i, address): (usize, &SocketAddrV4)| Backend {
            name: format!("backend-{}", i + 1),
            address: address.to_string(),
        };
        Self {
            service: Service { name: setting.name.to_owned() },
            control: Control {
                socket: setting.dir.join("control.sock"),
                state_dir: setting.dir.join("state"),
                dataplane: setting.dataplane.to_owned(),
                probation: text(setting.probation),
                quiesce_timeout: "100ms".to_owned(),
                phase_timeout: "2m".to_owned(),
                swap_cpus: vec![setting.background_cpu],
            },
            runtime: Runtime { workers: 1, cpus: vec![setting.cpu], scheduling: setting.scheduling.to_owned() },
            limits: Limits { flows_max: spec.flows_max, socket_buffer_bytes: spec.socket_buffer_bytes },
            snat: Snat { v4: spec.snat.clone(), sockets: spec.snat_sockets },
            listener: vec![Listener {
                name: "udp".to_owned(),
                mode: "forward".to_owned(),
                addresses: vec![format!("0.0.0.0:{}", setting.port)],
                pool: "backends".to_owned(),
                idle_timeout: text(spec.idle_timeout),
            }],
            pool: vec![Pool {
                name: "backends".to_owned(),
                backend: setting.backends.iter().enumerate().map(backend).collect(),
            }],
        }
    }

    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::Usage(format!("the run's config: {error}")))
    }
}

/// A UDP port that is free on all addresses now.
pub fn free_port() -> Result<u16> {
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    let probe = std::net::UdpSocket::bind(any).doing(|| "looking for a free port".to_owned())?;
    Ok(probe.local_addr().doing(|| "looking for a free port".to_owned())?.port())
}
