//! Configs that no program starts with: file, line and key are named, the exit code is 2.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::build::executables;
use tests::config::Config;
use tests::ctl::exit;
use tests::net::free_v4;
use tests::wait::until;
use tests::world::{directory, write_config};

/// What stands in the good file, what stands there instead, and what the message must name.
const WRONG: &[(&str, &str, &[&str])] = &[
    ("flows_max = 4096", "flowsmax = 4096", &["limits.flowsmax", "unknown key"]),
    ("[runtime]", "[runtimes]", &["runtimes", "unknown key"]),
    ("[limits]", "[limits]\nextra = 1", &["limits.extra", "unknown key"]),
    ("flows_max = 4096", "flows_max = 99999999", &["limits.flows_max", "16777216"]),
    ("flows_max = 4096", "flows_max = \"many\"", &["limits.flows_max", "many"]),
    ("flows_max = 4096", "flows_max", &["key with no value"]),
    ("workers = 1", "workers = 2", &["runtime.workers", "one worker"]),
    ("datagram_bytes_max = 2048", "datagram_bytes_max = 70000", &["limits.datagram_bytes_max", "65507"]),
    ("receive_buffers = 1024", "receive_buffers = 1000", &["limits.receive_buffers", "1024"]),
    ("127.64.0.0/24", "127.64.0.0/33", &["snat.v4[0]", "not a block"]),
    ("sockets = 16", "sockets = 0", &["snat.sockets", "too small"]),
    ("reuse_delay = \"1s\"", "reuse_delay = \"soon\"", &["snat.reuse_delay", "duration"]),
    ("mode = \"forward\"", "mode = \"backward\"", &["listener[0].mode", "forward"]),
    ("pool = \"servers\"", "pool = \"nowhere\"", &["listener[0].pool", "nowhere"]),
    ("addresses = [\"127.0.0.1:", "addresses = [\"127.0.0.1.1:", &["listener[0].addresses[0]", "127.0.0.1.1"]),
    ("addresses = [\"127.0.0.1:", "addresses = [\"localhost:", &["listener[0].addresses[0]", "not resolved"]),
    ("idle_timeout = \"5m\"", "idle_timeout = \"0s\"", &["listener[0].idle_timeout", "too short"]),
    ("weight = 1", "weight = -1", &["pool[0].backend[0].weight"]),
    ("address = \"127.0.0.1:9\"", "address = \"somewhere\"", &["pool[0].backend[0].address", "somewhere"]),
    ("[[pool.backend]]", "[[pool.backened]]", &["pool[0]"]),
];

/// The same for the supervisor's own table.
const WRONG_CONTROL: &[(&str, &str, &[&str])] = &[
    ("probation = \"20ms\"", "probation = \"soon\"", &["control.probation", "soon"]),
    ("probation = \"20ms\"", "probashion = \"20ms\"", &["probashion"]),
    ("phase_timeout = \"30s\"", "phase_timeout = \"1ns\"", &["control.phase_timeout", "1ns"]),
    ("phase_timeout = \"30s\"", "phase_timeout = 30", &["control.phase_timeout"]),
    ("quiesce_timeout = \"2s\"", "quiesce_timeout = \"2 fortnights\"", &["control.quiesce_timeout"]),
    ("quiesce_timeout = \"2s\"", "quiesce_timeout = \"2s\"\nswap_cpus = [4000]", &["control.swap_cpus", "4000"]),
    ("state_dir = \"/", "state_dir = \"not/absolute", &["control.state_dir", "absolute"]),
    ("dataplane = \"/", "dataplane = \"/nonexistent/", &["control.dataplane", "/nonexistent/"]),
];

fn good() -> Config {
    Config::new(["127.0.0.1:9".parse().expect("an address")])
}

/// Runs a program that must not start: its exit code and its words.
fn run(program: &Path, file: &Path) -> (Option<i32>, String) {
    let mut child = Command::new(program)
        .arg("--config")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let errors = child.stderr.take().expect("piped");
    let words = std::thread::spawn(move || std::io::read_to_string(errors).expect("UTF-8"));
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until("the program refuses to start", || child.try_wait().expect("a child can be waited for"))
    }));
    let Ok(status) = ended else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{} started with a bad config: {}", program.display(), words.join().unwrap_or_default());
    };
    (status.code(), words.join().expect("the words"))
}

/// A message that names the file, a line where there is one, and every word; and nothing left behind.
#[track_caller]
fn assert_refused(program: &Path, file: &Path, config: &Config, words: &[&str]) {
    let (code, message) = run(program, file);
    assert_eq!(code, Some(exit::USAGE), "{message}");
    let first = message
        .lines()
        .find(|line| line.contains("hitless.toml"))
        .unwrap_or_else(|| panic!("no file named: {message}"));
    for word in words {
        assert!(first.contains(word), "\"{word}\" in: {message}");
    }
    assert!(!config.control.socket.exists(), "nothing was started");
    UdpSocket::bind(config.front()).expect("nothing listens");
}

fn each(programs: &[&Path], cases: &[(&str, &str, &[&str])]) {
    let dir = directory();
    let (config, file) = write_config(good(), dir.path());
    let text = config.text();
    for (from, to, words) in cases {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text, "\"{from}\" stands in\n{text}");
        std::fs::write(&file, &bad).expect("a config file");
        for program in programs {
            assert_refused(program, &file, &config, words);
        }
    }
}

#[test]
fn every_wrong_value_is_named() {
    each(&[&executables().dataplane, &executables().controld], WRONG);
}

#[test]
fn every_wrong_value_of_the_supervisor_is_named() {
    each(&[&executables().controld], WRONG_CONTROL);
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_named() {
    let dir = directory();
    let file = dir.path().join("hitless.toml");
    let config = good();
    for program in [&executables().dataplane, &executables().dataplane_v1, &executables().controld] {
        assert_refused(program, &file, &config, &[]);
    }
    for bytes in [&b"\xff\xfe\x00"[..], b"", b"\x00", b"[service", &[b'['; 100_000]] {
        std::fs::write(&file, bytes).expect("a file");
        for program in [&executables().dataplane, &executables().controld] {
            assert_refused(program, &file, &config, &[]);
        }
        std::fs::remove_file(&file).expect("removable");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let dir = directory();
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut config = good();
    config.listener[0].addresses = vec![free_v4(), taken.local_addr().expect("bound")];
    let (config, file) = write_config(config, dir.path());
    for program in [&executables().dataplane, &executables().dataplane_v1, &executables().controld] {
        let address = taken.local_addr().expect("bound").to_string();
        assert_refused(program, &file, &config, &["listener[0].addresses[1]", &address, "in use"]);
    }
}

#[test]
fn bad_usage_is_exit_code_2() {
    for program in [&executables().dataplane, &executables().dataplane_v1, &executables().controld] {
        for args in [&[][..], &["--no-such-option"], &["--config"]] {
            let output = Command::new(program).args(args).output().expect("the program runs");
            assert_eq!(output.status.code(), Some(exit::USAGE), "{} {args:?}", program.display());
        }
        let version = Command::new(program).arg("--version").output().expect("the program runs");
        assert_eq!(version.status.code(), Some(exit::OK));
    }
}

#[test]
fn a_check_says_ok_and_starts_nothing() {
    let dir = directory();
    let (config, file) = write_config(good(), dir.path());
    for program in [&executables().dataplane, &executables().dataplane_v1, &executables().controld] {
        let output = Command::new(program).args(["--check", "--config"]).arg(&file).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(exit::OK), "{}", String::from_utf8_lossy(&output.stderr));
        UdpSocket::bind(config.front()).expect("nothing listens");
    }
}
