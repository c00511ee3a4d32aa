//! Where the programs under test are.

use std::path::{Path, PathBuf};

use crate::error::{Doing, Error, Result};

#[derive(Debug, Clone)]
pub struct Binaries {
    pub controld: PathBuf,
    pub controlctl: PathBuf,
    /// Current layout.
    pub dataplane: PathBuf,
    /// The frozen earlier layout.
    pub dataplane_v1: PathBuf,
    /// This program, for the baseline's process.
    pub swapbench: PathBuf,
}

impl Binaries {
    /// In `dir`, or beside the running program. What is missing is named, with how to build it.
    pub fn find(dir: Option<&Path>) -> Result<Self> {
        let swapbench = std::env::current_exe().doing(|| "finding this program".to_owned())?;
        let beside = swapbench.parent().unwrap_or(Path::new(".")).to_owned();
        let dir = dir.map_or(beside, Path::to_owned);
        let find = |name: &str| {
            let path = dir.join(name);
            // The supervisor wants absolute paths.
            path.canonicalize().map_err(|error| {
                let how = "build it with `cargo build --release`, or name its directory with --bin-dir";
                Error::Usage(format!("{}: {error}; {how}", path.display()))
            })
        };
        Ok(Self {
            controld: find("controld")?,
            controlctl: find("controlctl")?,
            dataplane: find("dataplane")?,
            dataplane_v1: find("dataplane-v1")?,
            swapbench,
        })
    }
}
