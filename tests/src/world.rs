//! A running service: controld and its dataplane in a directory of their own.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::build::{Executables, executables};
use crate::config::Config;
use crate::ctl::{Answer, Ctl, exit};
use crate::json::At;
use crate::process::{Program, assert_gone};
use crate::wait::until;

/// Ends what it started when dropped; a panicking test gets the log of controld and its dataplanes.
#[derive(Debug)]
pub struct World {
    pub config: Config,
    controld: Program,
    ctl: Ctl,
    /// Removed last.
    dir: TempDir,
}

impl World {
    /// Starts the service and waits until its dataplane serves.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(config: Config) -> Self {
        Self::start_with(config, executables())
    }

    /// As [`World::start`], with executables of the test's own choice; the config names the dataplane.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_with(config: Config, executables: &Executables) -> Self {
        let dir = directory();
        let (config, file) = write_config(config, dir.path());
        let controld = Program::start(&executables.controld, args(&file), dir.path(), "controld");
        let ctl = Ctl::new(executables.controlctl.clone(), config.control.socket.clone());
        let mut world = Self { config, controld, ctl, dir };
        world.await_service();
        world
    }

    /// Waits until a dataplane serves.
    ///
    /// # Panics
    /// When none ever does.
    pub fn await_service(&mut self) {
        until("a dataplane serves", || {
            if let Some(status) = self.controld.ended() {
                panic!("controld ended ({status}) instead of serving:\n{}", self.controld.log());
            }
            let answer = self.ctl.json(["status"]);
            let serves = |status: &Value| status["dataplane"]["generation"].as_u64().is_some_and(|g| g > 0);
            (answer.code == exit::OK && serves(&answer.document())).then_some(())
        });
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn controld(&mut self) -> &mut Program {
        &mut self.controld
    }

    pub fn ctl(&self) -> &Ctl {
        &self.ctl
    }

    /// `controlctl --json status`.
    pub fn status(&self) -> Value {
        self.ctl.json(["status"]).expect(exit::OK).document()
    }

    /// Process id of the dataplane that serves.
    pub fn dataplane_pid(&self) -> u32 {
        self.status().number("/dataplane/pid") as u32
    }

    /// The named counter now.
    pub fn counter(&self, name: &str) -> u64 {
        self.ctl.json(["counters"]).expect(exit::OK).document().number(&format!("/counters/{name}"))
    }

    /// Waits until a counter has reached a value, then insists on it.
    ///
    /// # Panics
    /// When it stays below or is beyond.
    #[track_caller]
    pub fn await_counter(&self, name: &str, value: u64) {
        until(&format!("counter {name} reaches {value}"), || (self.counter(name) >= value).then_some(()));
        assert_eq!(self.counter(name), value, "counter {name}");
    }

    /// All live flows.
    pub fn flows(&self) -> Vec<Value> {
        let answer = self.ctl.json(["flows", "--limit", "200000"]).expect(exit::OK);
        answer.document().list("/flows").to_vec()
    }

    /// Asks for a swap; whatever comes of it.
    pub fn try_swap(&self, binary: &Path, options: &[&str]) -> Answer {
        let mut args = vec!["swap".as_ref(), binary.as_os_str()];
        args.extend(options.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
        self.ctl.json(args)
    }

    /// A swap that goes through, and after which the old process is gone; its report.
    #[track_caller]
    pub fn swap(&self, binary: &Path) -> Value {
        self.swap_with(binary, &[])
    }

    /// As [`World::swap`], with options.
    ///
    /// # Panics
    /// When it is not committed or the old process lives on.
    #[track_caller]
    pub fn swap_with(&self, binary: &Path, options: &[&str]) -> Value {
        let report = self.try_swap(binary, options).expect(exit::OK).document();
        assert_eq!(report.text("/outcome"), "committed", "{report:#}");
        assert_gone(report.number("/from/pid") as u32);
        report
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- controld and its dataplanes ---\n{}--- end of the log ---", self.controld.log());
        }
    }
}

/// A directory for one test.
///
/// # Panics
/// When it cannot be made.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("hitless-test-").tempdir().expect("a directory")
}

/// Fills in the paths and writes the file.
///
/// # Panics
/// When it cannot be written.
pub fn write_config(mut config: Config, dir: &Path) -> (Config, PathBuf) {
    config.control.socket = dir.join("control.sock");
    config.control.state_dir = dir.join("state");
    let file = dir.join("hitless.toml");
    std::fs::write(&file, config.text()).expect("a config file");
    (config, file)
}

/// `--config FILE`.
pub fn args(file: &Path) -> [&std::ffi::OsStr; 2] {
    ["--config".as_ref(), file.as_os_str()]
}
