//! The executables under test, built by cargo when first asked for, so that plain `cargo test` never runs stale ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// Paths of the executables.
#[derive(Debug, Clone)]
pub struct Executables {
    pub controld: PathBuf,
    pub controlctl: PathBuf,
    /// Flow layout 2.
    pub dataplane: PathBuf,
    /// Flow layout 1.
    pub dataplane_v1: PathBuf,
}

impl Executables {
    /// The dataplane whose flows have this layout.
    ///
    /// # Panics
    /// When there is none.
    pub fn layout(&self, version: u64) -> &Path {
        match version {
            1 => &self.dataplane_v1,
            2 => &self.dataplane,
            other => panic!("no dataplane with flow layout {other}"),
        }
    }
}

/// The executables of the profile that the calling test was built with.
pub fn executables() -> &'static Executables {
    static BUILT: OnceLock<Executables> = OnceLock::new();
    BUILT.get_or_init(|| {
        // <target>/<profile>/deps/<test>-<hash>
        let own = std::env::current_exe().expect("an executable has a path");
        let profile_dir = own.ancestors().nth(2).expect("tests lie in <target>/<profile>/deps");
        let target_dir = profile_dir.parent().expect("a profile's directory lies in the target directory");
        let profile = match profile_dir.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
            "debug" => "dev",
            other => other,
        };
        // As much as `cargo test --workspace` asks for, one test included because of what dev-dependencies add:
        // dependencies then have the same features and are not compiled again.
        let what = ["--workspace", "--test", "static", "--profile", profile, "--target-dir"].map(OsString::from);
        cargo_build(&[&what[..], &[target_dir.into()]].concat(), &[])
    })
}

/// Builds the executables; the options say of which packages, and how.
///
/// # Panics
/// When cargo fails; its messages go to standard error.
pub fn cargo_build(options: &[OsString], environment: &[(&str, &str)]) -> Executables {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--bins", "--message-format=json-render-diagnostics"])
        .args(options)
        .envs(environment.iter().copied())
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "cargo build failed: {}", output.status);
    let mut found: BTreeMap<String, PathBuf> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, message["executable"].as_str()?.into()))
        })
        .collect();
    let mut take = |name: &str| found.remove(name).unwrap_or_else(|| panic!("cargo built no executable {name}"));
    Executables {
        controld: take("controld"),
        controlctl: take("controlctl"),
        dataplane: take("dataplane"),
        dataplane_v1: take("dataplane-v1"),
    }
}

/// Where the workspace lies.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}
