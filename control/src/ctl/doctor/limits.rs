//! Limits and permissions of this user on this host.

use std::fs;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::utsname::uname;

use super::{Finding, KERNEL_MIN, raw};
use crate::shell::raw::{pidfd_getfd, pidfd_open};

const KERNEL: &str = "kernel";
const DESCRIPTORS: &str = "open descriptors (RLIMIT_NOFILE)";
const BUFFER: &str = "socket receive buffer";
const REAL_TIME: &str = "real-time scheduling";
const REAL_TIME_SHARE: &str = "share of a core for real time";
const STEALING: &str = "taking descriptors (pidfd_getfd)";

/// Below this a dataplane with some listeners and backends does not start.
const DESCRIPTORS_MIN: u64 = 1024;
/// Enough for the largest SNAT pool that is sensible.
const DESCRIPTORS_WANTED: u64 = 16_384;

pub(super) fn kernel() -> Finding {
    let release = uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    let (major, minor) = KERNEL_MIN;
    if version(&release) >= Some(KERNEL_MIN) {
        Finding::ok(KERNEL, release)
    } else {
        Finding::missing(KERNEL, release, format!("use Linux {major}.{minor} or newer"))
    }
}

/// Major and minor number of a release such as `6.12.3-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn descriptors() -> Finding {
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
    let found = if hard == RLIM_INFINITY { "unlimited".to_owned() } else { format!("at most {hard}") };
    let remedy = "raise the hard limit (ulimit -Hn, LimitNOFILE=)";
    match hard {
        0..DESCRIPTORS_MIN => Finding::missing(DESCRIPTORS, found, remedy),
        DESCRIPTORS_MIN..DESCRIPTORS_WANTED => Finding::warn(DESCRIPTORS, found, remedy),
        _ => Finding::ok(DESCRIPTORS, found),
    }
}

pub(super) fn receive_buffer(wanted: u64) -> Finding {
    let max: u64 =
        fs::read_to_string("/proc/sys/net/core/rmem_max").ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let forced = usize::try_from(wanted).ok().filter(|&bytes| i32::try_from(bytes).is_ok()).is_some_and(|bytes| {
        UdpSocket::bind("127.0.0.1:0").is_ok_and(|s| setsockopt(&s, sockopt::RcvBufForce, &bytes).is_ok())
    });
    if forced {
        Finding::ok(BUFFER, format!("{wanted} bytes can be forced"))
    } else if max >= wanted {
        Finding::ok(BUFFER, format!("net.core.rmem_max={max}, {wanted} wanted"))
    } else {
        Finding::warn(
            BUFFER,
            format!("net.core.rmem_max={max}, {wanted} wanted"),
            format!("sysctl net.core.rmem_max={wanted}, or give CAP_NET_ADMIN"),
        )
    }
}

pub(super) fn real_time(wanted: bool) -> Finding {
    match raw::real_time_thread() {
        Ok(()) => Finding::ok(REAL_TIME, "permitted"),
        Err(error) => {
            let remedy = "give CAP_SYS_NICE or raise RLIMIT_RTPRIO (LimitRTPRIO=10): without it stalls of \
                          milliseconds are to be expected, swap or no swap";
            let found = format!("not permitted: {error}");
            if wanted { Finding::missing(REAL_TIME, found, remedy) } else { Finding::warn(REAL_TIME, found, remedy) }
        }
    }
}

/// The kernel stops a real-time thread that has used its share of a second (sched_rt_runtime_us): a packet thread that
/// needs more loses what comes meanwhile.
pub(super) fn real_time_share() -> Finding {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse::<i64>().ok();
    match (read("sched_rt_runtime_us"), read("sched_rt_period_us")) {
        (Some(runtime), Some(period)) if runtime >= 0 && runtime < period => Finding::warn(
            REAL_TIME_SHARE,
            format!("{runtime} of {period} µs"),
            "sysctl -w kernel.sched_rt_runtime_us=-1 where a packet thread may come near that (it has a core of its own \
             then): at the limit it stands still for the rest of the period",
        ),
        _ => Finding::ok(REAL_TIME_SHARE, "all of it"),
    }
}

pub(super) fn descriptor_stealing() -> Finding {
    let taken = UdpSocket::bind("127.0.0.1:0").and_then(|socket| {
        let process = pidfd_open(std::process::id())?;
        pidfd_getfd(process.as_fd(), socket.as_raw_fd())
    });
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match taken {
        Ok(_) if matches!(scope.trim(), "2" | "3") => Finding::warn(
            STEALING,
            format!("kernel.yama.ptrace_scope={}", scope.trim()),
            "swap --steal needs CAP_SYS_PTRACE here, or a lower ptrace_scope",
        ),
        Ok(_) => Finding::ok(STEALING, "works"),
        Err(error) => Finding::warn(STEALING, error.to_string(), "swap --steal will not work; permit it (seccomp)"),
    }
}

/// Whether this process has a capability in effect.
pub(super) fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or("");
    u64::from_str_radix(effective.trim(), 16).is_ok_and(|bits| bits >> number & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_by_number() {
        assert_eq!(version("6.12.3-amd64"), Some((6, 12)));
        assert_eq!(version("6.9.0"), Some((6, 9)));
        assert_eq!(version("7.0-rc1"), Some((7, 0)));
        assert_eq!(version("weird"), None);
        assert!(version("6.9.0") < Some(KERNEL_MIN) && version("6.12") >= Some(KERNEL_MIN));
        assert!(version("weird") < Some(KERNEL_MIN));
    }
}
