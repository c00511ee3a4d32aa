//! What controlctl says of files, and of copies of a running region: binaries, images, rows. Nothing runs but where a
//! suite starts a service to look into.

mod binaries;
mod checks;
mod damage;
mod images;
mod live;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::ctl::{Answer, Ctl};
use tests::fixtures;

/// controlctl with no service to ask.
fn run<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Answer {
    Ctl::nowhere().run(args)
}

/// As [`run`], with `--json`.
fn json<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Answer {
    Ctl::nowhere().json(args)
}

/// One clear error that names what is wrong and what to do.
#[track_caller]
fn assert_named(answer: &Answer, words: &[&str]) {
    assert_eq!(answer.stdout, "", "an error leaves standard output empty");
    for word in words {
        assert!(answer.stderr.contains(word), "\"{word}\" in {}", answer.stderr);
    }
    assert!(answer.stderr.starts_with("controlctl: ") && answer.stderr.contains("remedy: "), "{}", answer.stderr);
    assert_eq!(answer.stderr.lines().count(), 2, "{}", answer.stderr);
}

/// A file in a test's directory.
fn file(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("permissions");
    path
}

/// The fixtures of one region, flows in the named layout, copied where a test may damage them.
fn region(dir: &Path, flows: &str) -> PathBuf {
    let region = dir.join("region");
    std::fs::create_dir(&region).expect("a directory");
    for name in [flows, "index-1", "identities-1", "manifest-1", "directory-1", "counters-1", "backends-1"] {
        let name = format!("{name}.seg");
        std::fs::copy(fixtures::directory().join(&name), region.join(&name)).expect("a copy");
    }
    region
}
