//! What this machine is and what it permits: stands beside every figure.

use std::process::{Command, Stdio};

use serde::Serialize;

use crate::sys::place::{Placement, realtime_permitted};
use crate::sys::socket::{self, Wants};

#[derive(Debug, Clone, Serialize)]
pub struct Host {
    /// Processor, number of cores that this process may use, and the share of a core that real-time threads may use.
    pub machine: String,
    pub kernel: String,
    /// Revision of the sources in the current directory, with a mark if they were changed since.
    pub revision: String,
    pub cores: usize,
    pub realtime_permitted: bool,
    /// Share of a core that real-time threads may use before the kernel stops them for the rest of a second.
    pub realtime_share: f64,
    /// Processes that wanted a core, averaged over the minute before.
    pub load_average: f64,
    /// Bytes of receive buffer that a socket of ours gets, as the kernel accounts them.
    pub receive_buffer_bytes: usize,
}

impl Host {
    pub fn probe() -> Self {
        let cores = crate::sys::place::allowed().len();
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()))
            .unwrap_or(std::env::consts::ARCH);
        let uname = nix::sys::utsname::uname();
        let kernel = uname.map_or_else(|_| "unknown".to_owned(), |u| u.release().to_string_lossy().into_owned());
        let any = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
        let realtime_share = realtime_share();
        Self {
            machine: format!("{model}, {cores} cores, real time {:.0} %", realtime_share * 100.0),
            kernel,
            revision: revision(),
            cores,
            realtime_permitted: realtime_permitted(),
            realtime_share,
            load_average: load_average(),
            receive_buffer_bytes: socket::udp(any, Wants::default()).map_or(0, |probe| socket::granted(&probe)),
        }
    }

    /// What is not permitted here, and what it does to the figures; one line each.
    pub fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        if !self.realtime_permitted {
            lacks.push(
                "real-time scheduling is not permitted (CAP_SYS_NICE or RLIMIT_RTPRIO): other processes on this \
                 machine show in latencies and blackouts"
                    .to_owned(),
            );
        }
        if self.realtime_permitted && self.realtime_share < 1.0 {
            lacks.push(format!(
                "real-time threads are stopped when they have used {:.0} % of a core in a second: a packet thread near that \
                 loses packets, swap or no swap (sysctl -w kernel.sched_rt_runtime_us=-1)",
                self.realtime_share * 100.0
            ));
        }
        if self.receive_buffer_bytes < socket::BUFFER_BYTES {
            lacks.push(format!(
                "sockets get {} KiB of receive buffer instead of {} KiB (CAP_NET_ADMIN, or a larger \
                 net.core.rmem_max): a stall of the load itself can lose packets, which is counted as generator_drops",
                self.receive_buffer_bytes >> 10,
                socket::BUFFER_BYTES >> 10
            ));
        }
        if self.load_average > BUSY {
            lacks.push(format!(
                "this machine is busy (load average {:.1}): expect noise, and time of others in every figure",
                self.load_average
            ));
        }
        if self.cores < 2 {
            lacks.push("one core only: load and dataplane share it".to_owned());
        }
        lacks
    }

    pub fn placement(&self) -> Placement {
        Placement::here()
    }
}

/// More than this many processes at work before the run began are worth a note.
const BUSY: f64 = 1.0;

/// See sched_rt_runtime_us in Documentation/scheduler/sched-rt-group.rst of the kernel.
fn realtime_share() -> f64 {
    let read = |name: &str| -> Option<f64> {
        std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse().ok()
    };
    match (read("sched_rt_runtime_us"), read("sched_rt_period_us")) {
        (Some(runtime), Some(period)) if runtime >= 0.0 && period > 0.0 => runtime / period,
        _ => 1.0,
    }
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// From git, if this is a checkout and git is there.
fn revision() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match git(&["rev-parse", "--short=12", "HEAD"]) {
        Some(head) if git(&["status", "--porcelain", "-uno"]).is_none_or(|changes| changes.is_empty()) => head,
        Some(head) => format!("{head}+changes"),
        None => "unknown".to_owned(),
    }
}

/// UDP figures of this network namespace that should not move: (name, count).
pub fn udp_errors() -> Vec<(String, u64)> {
    let text = std::fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return Vec::new();
    };
    let wanted = ["InErrors", "RcvbufErrors", "SndbufErrors", "MemErrors"];
    names
        .split(' ')
        .zip(values.split(' '))
        .filter(|(name, _)| wanted.contains(name))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_described() {
        let host = Host::probe();
        assert!(host.cores >= 1 && !host.kernel.is_empty() && host.receive_buffer_bytes > 0);
        assert!(udp_errors().iter().any(|(name, _)| name == "RcvbufErrors"));
    }

    #[test]
    fn what_is_lacking_is_said() {
        let host = Host {
            cores: 1,
            realtime_permitted: false,
            realtime_share: 1.0,
            receive_buffer_bytes: 1000,
            load_average: 3.0,
            ..Host::probe()
        };
        assert_eq!(host.lacks().len(), 4);
        let limited = Host { realtime_permitted: true, realtime_share: 0.95, ..host };
        assert!(limited.lacks().iter().any(|lack| lack.contains("95 %")), "{:?}", limited.lacks());
    }
}
