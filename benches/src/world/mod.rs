//! The real programs, run for a measurement: controld, its dataplanes, and controlctl to steer them.

pub mod binaries;
pub mod config;
pub mod ctl;
pub mod process;
pub mod report;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Doing, Error, Result};
use crate::sys::clock::now;
use crate::sys::interrupt::interrupted;
use binaries::Binaries;
use config::Config;
use ctl::{Ctl, Status};
use process::Owned;
use report::SwapReport;

/// How long the service may take to come up, or an old process to vanish once it should have.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running service in a directory of its own; dropping it ends what it started.
#[derive(Debug)]
pub struct World {
    controld: Owned,
    ctl: Ctl,
    /// Removed last.
    _dir: tempfile::TempDir,
}

/// One swap as seen from outside.
#[derive(Debug, Clone)]
pub struct Swap {
    pub report: SwapReport,
    /// When controlctl was started and when it had returned, ns.
    pub asked_ns: u64,
    pub returned_ns: u64,
    /// Whether the old process was gone when last looked for, within [`PATIENCE`].
    pub old_gone: bool,
}

impl World {
    /// Writes the config, starts controld and waits until the dataplane serves.
    pub fn start(binaries: &Binaries, config: impl FnOnce(&Path) -> Config) -> Result<Self> {
        process::adopt_orphans()?;
        let dir = tempfile::Builder::new()
            .prefix("swapbench-")
            .tempdir()
            .doing(|| "making a directory for the run".to_owned())?;
        let config = config(dir.path());
        let file = dir.path().join("hitless.toml");
        std::fs::write(&file, config.to_toml()?).doing(|| format!("writing {}", file.display()))?;
        let args = ["--config".as_ref(), file.as_os_str()];
        let controld = Owned::start(&binaries.controld, args, &dir.path().join("controld.log"))?;
        let ctl = Ctl::new(binaries.controlctl.clone(), config.control.socket, dir.path().to_owned());
        let mut world = Self { controld, ctl, _dir: dir };
        world.wait_until_serving()?;
        Ok(world)
    }

    fn wait_until_serving(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let last = match self.ctl.status() {
                Ok(status) if status.serving() => return Ok(()),
                Ok(_) => "the dataplane does not serve yet".to_owned(),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => error.to_string(),
            };
            if let Some(code) = self.controld.ended()? {
                return Err(Error::World(format!("controld ended ({code}): {}", self.controld.log_tail())));
            }
            if Instant::now() > deadline {
                let log = self.controld.log_tail();
                return Err(Error::World(format!("the service did not come up: {last}; its log: {log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn status(&self) -> Result<Status> {
        self.ctl.status()
    }

    /// Counters of the service, summed over its workers.
    pub fn counters(&self) -> Result<serde_json::Value> {
        self.ctl.counters()
    }

    /// Swaps to `binary`, waits until the old process is gone.
    pub fn swap(&self, binary: &Path) -> Result<Swap> {
        let asked_ns = now();
        let report = self.ctl.swap(binary).map_err(|error| match error {
            Error::World(why) => Error::World(format!("{why}; controld's log: {}", self.controld.log_tail())),
            other => other,
        })?;
        let returned_ns = now();
        let old_gone = report.committed() && wait_gone(report.from.pid);
        Ok(Swap { report, asked_ns, returned_ns, old_gone })
    }

    /// All that controld and its dataplanes wrote.
    pub fn log(&self) -> String {
        self.controld.log()
    }

    /// What controld wrote last, for failed runs.
    pub fn log_tail(&self) -> String {
        self.controld.log_tail()
    }

    /// Ends the service in order; an error if it had to be forced or left a process behind.
    pub fn end(mut self) -> Result<()> {
        self.controld.end()?;
        match process::end_orphans() {
            0 => Ok(()),
            left => Err(Error::World(format!("controld ended and left {left} processes behind"))),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // After an error the way out must not hide the error.
        let _ = self.controld.end();
        process::end_orphans();
    }
}

/// Waits until no process has this id; false if it still has when patience ends.
fn wait_gone(pid: u32) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while pid != 0 && Path::new("/proc").join(pid.to_string()).exists() {
        if Instant::now() > deadline || interrupted() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}
