//! Static executables, as an image holds them: built, looked at, and swapped for each other.
//!
//! Slow, because everything is compiled for another target: only with STATIC=1 or REQUIRE_TOOLS=1.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use tests::backend::Backend;
use tests::build::{Executables, cargo_build, workspace};
use tests::config::Config;
use tests::load::{Load, Plan};
use tests::tools::{required, skip};
use tests::world::World;

fn output_of(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(workspace()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// What rustc builds for by itself, such as `x86_64-unknown-linux-gnu`.
fn host() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let text = output_of(&rustc, &["-vV"]);
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

/// Built for musl if that target is installed, otherwise with the C library linked in.
fn build() -> Executables {
    let host = host();
    let musl = host.replace("-gnu", "-musl");
    let installed = output_of("rustup", &["target", "list", "--installed"]);
    let own = std::env::current_exe().expect("an executable has a path");
    let target_dir = own.ancestors().nth(3).expect("tests lie in <target>/<profile>/deps").join("static");
    let options = |target: &str| -> Vec<OsString> {
        // How fast they are does not matter here; how fast they are built does.
        let quick = ["--config", "profile.dev.package.'*'.opt-level=0", "--config", "profile.dev.debug=0"];
        let what = ["-p", "dataplane", "-p", "control", "--profile", "dev", "--target", target, "--target-dir"];
        quick.into_iter().chain(what).map(OsString::from).chain([target_dir.clone().into()]).collect()
    };
    if installed.lines().any(|target| target == musl) {
        cargo_build(&options(&musl), &[])
    } else {
        cargo_build(&options(&host), &[("RUSTFLAGS", "-C target-feature=+crt-static")])
    }
}

/// Whether an ELF file asks for an interpreter (the dynamic linker).
fn has_interpreter(path: &Path) -> bool {
    const PT_INTERP: u32 = 3;
    let bytes = std::fs::read(path).expect("readable");
    let number = |at: usize, len: usize| {
        bytes[at..at + len].iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    assert_eq!(&bytes[..6], b"\x7fELF\x02\x01", "a little-endian 64-bit ELF file");
    let (start, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|at| number(start + at * size, 4) == PT_INTERP as usize)
}

#[test]
fn static_executables_are_swapped_for_each_other() {
    if !required() && std::env::var_os("STATIC").is_none_or(|value| value != "1") {
        return skip("STATIC=1 (a build of its own)");
    }
    let built = build();
    for path in [&built.dataplane, &built.dataplane_v1, &built.controld, &built.controlctl] {
        assert!(!has_interpreter(path), "{} is not static", path.display());
    }
    let backends = Backend::several(2);
    let mut config = Config::new(backends.iter().map(Backend::address));
    config.control.dataplane = built.dataplane_v1.clone();
    let plan = Plan::at(config.front());
    let world = World::start_with(config, &built);
    let load = Load::start(plan);
    for binary in [&built.dataplane, &built.dataplane_v1] {
        load.await_more(200);
        assert_eq!(world.swap(binary)["layout_changed"], true);
    }
    load.await_more(200);
    load.stop().assert_perfect();
}
