//! controld with a bad config: one clear message that names file and key, exit code 2, nothing started, nothing left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A config whose `[control]` table has these further lines.
    fn config(&self, lines: &str) -> PathBuf {
        let (socket, state) = (self.path("control.sock"), self.path("state"));
        let text = format!("[control]\nsocket = {socket:?}\nstate_dir = {state:?}\n{lines}");
        let file = self.path("hitless.toml");
        fs::write(&file, text).expect("config");
        file
    }

    fn executable(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).expect("executable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
        path
    }

    fn refused(&self, config: &Path, expected: &str) {
        let Output { status, stderr, .. } = controld(&["--config".as_ref(), config.as_ref()]);
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}\n  should contain {expected}");
        assert_eq!(stderr.lines().count(), 1, "one clear message:\n{stderr}");
        assert!(!self.path("control.sock").exists() && !self.path("state").exists(), "nothing is left behind");
    }
}

fn controld(args: &[&std::ffi::OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_controld")).args(args).output().expect("controld runs")
}

#[test]
fn wrong_keys_and_values_name_file_line_and_key() {
    let world = World::new();
    let cases = [
        ("sokcet = 1\n", "hitless.toml:4: control.sokcet: unknown field"),
        ("probation = \"soon\"\n", "hitless.toml:4: control.probation: \"soon\" is no time"),
        ("probation = 5\n", "hitless.toml:4: control.probation: invalid type"),
        ("swap_cpus = [4096000]\n", "hitless.toml:4: control.swap_cpus: there is no CPU"),
        ("swap_cpus = [1023]\n", "hitless.toml:4: control.swap_cpus: this process may not run on CPU 1023"),
        ("dataplane = \"bin/dataplane\"\n", "hitless.toml:4: control.dataplane: \"bin/dataplane\" is not an absolute"),
        ("dataplane = \"/nonexistent/d\"\n", "hitless.toml:4: control.dataplane: /nonexistent/d: No such file"),
        ("dataplane = \"/etc\"\n", "hitless.toml:4: control.dataplane: /etc is no regular file"),
        ("dataplane = \"/etc/passwd\"\n", "hitless.toml:4: control.dataplane: /etc/passwd is not executable"),
    ];
    for (lines, expected) in cases {
        world.refused(&world.config(lines), expected);
    }
}

#[test]
fn a_binary_that_is_no_dataplane_is_refused_before_anything_starts() {
    let world = World::new();
    let script = world.executable("script", b"#!/bin/sh\ntouch started\n");
    let config = world.config(&format!("dataplane = {script:?}\n"));
    world.refused(&config, "script is no ELF executable");
    let other = world.executable("other", &fs::read(env!("CARGO_BIN_EXE_controlctl")).expect("an executable"));
    let config = world.config(&format!("dataplane = {other:?}\n"));
    world.refused(&config, "other has no .note.hitless note");
}

#[test]
fn a_missing_file_and_bad_usage_exit_2() {
    let missing = controld(&["--config".as_ref(), "/nonexistent/hitless.toml".as_ref()]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nonexistent/hitless.toml: No such file"));
    assert_eq!(controld(&[]).status.code(), Some(2));
    assert_eq!(controld(&["--config".as_ref(), "/x".as_ref(), "--wrong".as_ref()]).status.code(), Some(2));
}

#[test]
fn controlctl_without_controld_exits_5_and_says_so() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_controlctl"))
            .args(["--socket", "/nonexistent/control.sock"])
            .args(args)
            .output()
            .expect("controlctl runs");
        (
            output.status.code(),
            String::from_utf8(output.stdout).expect("text"),
            String::from_utf8(output.stderr).expect("text"),
        )
    };
    for verb in [&["status"][..], &["flows"], &["counters"], &["report"], &["stop"], &["swap", "/bin/true"]] {
        let (code, out, err) = run(verb);
        assert_eq!((code, out.as_str()), (Some(5), ""), "{verb:?}");
        assert!(err.contains("/nonexistent/control.sock") && err.contains("remedy:"), "{err}");
        let (code, out, _) = run(&[verb, &["--json"]].concat());
        let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(
            (code, json["exit"].as_u64(), json["error"]["code"].as_str()),
            (Some(5), Some(5), Some("unreachable"))
        );
    }
    assert_eq!(run(&["dance"]).0, Some(2));
}
