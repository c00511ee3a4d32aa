//! From the command line to a running supervisor. Whatever is wrong with usage or config is found before anything is
//! started.

use std::fmt::Display;
use std::fs::{self, DirBuilder, File};
use std::io::{self, IsTerminal};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing_subscriber::EnvFilter;

use super::raw::ControlSlot;
use super::signals::Signals;
use super::supervisor::Supervisor;
use crate::config::Config;
use crate::exit;
use crate::verify::Binary;

/// What controld was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The config file.
    pub config: PathBuf,
    /// Leave the dataplane running at the end.
    pub leave_dataplane: bool,
    /// Only check.
    pub check: bool,
}

/// Runs the supervisor; gives the exit code.
pub fn controld(options: &Options) -> u8 {
    // First of all, as long as no descriptor is open.
    let slot = match ControlSlot::claim() {
        Ok(slot) => slot,
        Err(error) => return complain(exit::FAILED, &format!("descriptor 3 cannot be set up: {error}")),
    };
    log_to_stderr();
    match prepare(options) {
        Err((code, message)) => complain(code, &message),
        Ok(_) if options.check => exit::OK,
        Ok((config, binary)) => serve(config, slot, options.leave_dataplane, binary),
    }
}

fn complain(code: u8, message: &dyn Display) -> u8 {
    eprintln!("controld: {message}");
    code
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("HITLESS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}

/// Everything that can be wrong before a process is started.
fn prepare(options: &Options) -> Result<(Config, Binary), (u8, String)> {
    let usage = |error: &dyn Display| (exit::USAGE, error.to_string());
    let config = Config::load(&options.config).map_err(|e| usage(&e))?;
    let binary = Binary::examine(&config.dataplane).map_err(|e| usage(&config.wrong("dataplane", &e.to_string())))?;
    preflight(&config, &binary)?;
    Ok((config, binary))
}

/// Lets the dataplane check its part of the config file. It says itself what is wrong.
fn preflight(config: &Config, binary: &Binary) -> Result<(), (u8, String)> {
    let path = binary.path.display();
    let failed = |error: &dyn Display| (exit::FAILED, format!("{path} --check: {error}"));
    let mut child = Command::new(&binary.path)
        .arg("--config")
        .arg(&config.file)
        .arg("--check")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| failed(&e))?;
    let status = wait(&mut child, config.phase_timeout).map_err(|e| failed(&e))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(2) => Err((exit::USAGE, format!("{path} refuses {}; nothing was started", config.file.display()))),
        _ => Err(failed(&status)),
    }
}

fn wait(child: &mut std::process::Child, limit: Duration) -> io::Result<ExitStatus> {
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            let limit = humantime::format_duration(limit);
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit}")));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn serve(config: Config, slot: ControlSlot, leave_dataplane: bool, binary: Binary) -> u8 {
    raise_descriptor_limit();
    let _lock = match lock_state_dir(&config.state_dir) {
        Ok(lock) => lock,
        Err(error) => return complain(exit::USAGE, &config.wrong("state_dir", &error.to_string())),
    };
    let mut signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return complain(exit::FAILED, &format!("signals cannot be caught: {error}")),
    };
    let service = config.service.clone();
    let mut supervisor = match Supervisor::new(config, slot, leave_dataplane) {
        Ok(supervisor) => supervisor,
        Err(error) => return complain(exit::FAILED, &error),
    };
    tracing::info!(service, pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), "controld");
    supervisor.start(binary);
    match supervisor.run(&mut signals) {
        Ok(code) => code,
        Err(error) => complain(exit::FAILED, &error),
    }
}

/// Makes the state directory, readable for its owner only, and makes sure that no other supervisor uses it.
fn lock_state_dir(dir: &Path) -> io::Result<Flock<File>> {
    let name = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", dir.display()));
    if !dir.is_dir() {
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).map_err(name)?;
        }
        DirBuilder::new().mode(0o700).create(dir).map_err(name)?;
    }
    let file = File::create(dir.join("lock")).map_err(name)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => {
            name(io::Error::other("another controld uses this directory; stop that one first"))
        }
        errno => name(errno.into()),
    })
}

/// A service has a descriptor per socket and segment, and this process holds them all.
fn raise_descriptor_limit() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open descriptors cannot be raised");
    }
}
