//! Real input: a DNS server behind the dataplane, queried by dnsperf, while one dataplane replaces another.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::build::executables;
use tests::config::Config;
use tests::net::free_v4;
use tests::process::Program;
use tests::tools::require_tool;
use tests::udp::Udp;
use tests::wait::until;
use tests::world::{World, directory};

const ZONE: &str = "hitless.test";
const NAMES: u32 = 2000;
/// Seconds of queries; the swaps take a fraction of it.
const SECONDS: u32 = 20;
const RATE: u32 = 2000;
const SWAPS: usize = 10;

/// A server for a zone that was made up for it.
struct Nsd {
    address: SocketAddr,
    _program: Program,
}

impl Nsd {
    fn start(nsd: &Path, dir: &Path) -> Self {
        let mut zone =
            format!("$ORIGIN {ZONE}.\n$TTL 60\n@ IN SOA ns admin 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n");
        for number in 0..NAMES {
            let _ = writeln!(zone, "host{number} IN A 10.0.{}.{}", number / 256, number % 256);
        }
        std::fs::write(dir.join("zone"), zone).expect("a zone file");
        let address = free_v4();
        let place = |name: &str| dir.join(name).display().to_string();
        let config = format!(
            "server:\n  ip-address: {}@{}\n  server-count: 1\n  username: \"\"\n  zonesdir: \"{}\"\n  database: \"\"\n  \
             pidfile: \"{}\"\n  xfrdfile: \"{}\"\n  xfrdir: \"{}\"\n  zonelistfile: \"{}\"\n  rrl-ratelimit: 0\n\
             remote-control:\n  control-enable: no\nzone:\n  name: {ZONE}\n  zonefile: zone\n",
            address.ip(),
            address.port(),
            dir.display(),
            place("nsd.pid"),
            place("nsd.xfrd"),
            dir.display(),
            place("nsd.zones"),
        );
        let file = dir.join("nsd.conf");
        std::fs::write(&file, config).expect("a config file");
        let args = ["-d".as_ref(), "-c".as_ref(), file.as_os_str()];
        let mut program = Program::start(nsd, args, dir, "nsd");
        until("nsd answers", || {
            assert!(program.ended().is_none(), "nsd ended: {}", program.log());
            answers(address).then_some(())
        });
        Self { address, _program: program }
    }
}

/// Whether a question for a name of the zone is answered with one record.
fn answers(server: SocketAddr) -> bool {
    let mut question = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in format!("host7.{ZONE}").split('.') {
        question.push(label.len() as u8);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    let client = Udp::v4();
    client.send(&question, server);
    let answer = client.try_recv(std::time::Duration::from_millis(100));
    answer.is_some_and(|answer| answer.payload[..2] == question[..2] && answer.payload[6..8] == [0, 1])
}

fn queries(dir: &Path) -> PathBuf {
    let mut text = String::new();
    for number in 0..NAMES {
        let _ = writeln!(text, "host{number}.{ZONE} A");
    }
    let file = dir.join("queries");
    std::fs::write(&file, text).expect("a file of queries");
    file
}

/// The number behind a name in dnsperf's statistics.
fn statistic(report: &str, name: &str) -> u64 {
    let line = report.lines().find_map(|line| line.trim().strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no \"{name}\" in\n{report}"))
}

#[test]
fn a_dns_server_loses_no_query_in_ten_swaps() {
    let (Some(nsd), Some(dnsperf)) = (require_tool("nsd", "nsd"), require_tool("dnsperf", "dnsperf")) else { return };
    let dir = directory();
    let server = Nsd::start(&nsd, dir.path());
    let world = World::start(Config::new([server.address]));
    let front = world.config.front();
    assert!(answers(front), "the server is reached through the dataplane");

    let (seconds, rate) = (SECONDS.to_string(), RATE.to_string());
    let child = Command::new(dnsperf)
        .args(["-s", &front.ip().to_string(), "-p", &front.port().to_string(), "-d"])
        .arg(queries(dir.path()))
        // Fewer outstanding than a socket's default buffer holds; a generous time, so that only a lost query is late.
        .args(["-l", &seconds, "-Q", &rate, "-q", "150", "-c", "8", "-t", "10"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dnsperf can be started");
    let reader = std::thread::spawn(move || child.wait_with_output().expect("dnsperf's output"));
    let served = || world.counter("tx_down");
    until("queries are answered", || (served() > 500).then_some(()));
    for swap in 0..SWAPS {
        let before = served();
        let report = world.swap(executables().layout(1 + swap as u64 % 2));
        assert_eq!(report["layout_changed"], true);
        until("queries are answered after the swap", || (served() > before + 500).then_some(()));
        assert!(!reader.is_finished(), "all swaps happen while dnsperf runs");
    }
    let output = reader.join().expect("the reader");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    let sent = statistic(&report, "Queries sent:");
    assert!(sent > 5000, "{report}");
    assert_eq!((statistic(&report, "Queries completed:"), statistic(&report, "Queries lost:")), (sent, 0), "{report}");
    assert!(!report.contains("Timeout"), "{report}");
    assert!(report.contains(&format!("NOERROR {sent} (100.00%)")), "{report}");
    // One question and its answer were the test's own.
    world.await_counter("rx_up", sent + 1);
    world.await_counter("tx_down", sent + 1);
}
