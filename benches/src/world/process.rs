//! Processes of our own: started, watched and ended by id, whatever happens.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::error::{Doing, Error, Result};
use crate::sys::raw::end_with_parent;

/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// Ids of all [`Owned`] processes that were not yet waited for.
static OWNED: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn owned<T>(look: impl FnOnce(&mut Vec<u32>) -> T) -> T {
    // A list of numbers is whole whatever panicked beside it.
    look(&mut OWNED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A process that is ended when dropped.
#[derive(Debug)]
pub struct Owned {
    name: String,
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Owned {
    /// Starts `program` in a process group of its own (a Ctrl-C at the terminal is ours to handle), its output
    /// going to `log`.
    pub fn start<A: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = A>, log: &Path) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let output = File::create(log).doing(|| format!("creating {}", log.display()))?;
        let errors = output.try_clone().doing(|| format!("creating {}", log.display()))?;
        let mut command = Command::new(program);
        command.args(args).env("NO_COLOR", "1").stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = end_with_parent(&mut command).spawn().doing(|| format!("starting {}", program.display()))?;
        owned(|pids| pids.push(child.id()));
        Ok(Self { name, child, log: log.to_owned(), status: None })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait().doing(|| format!("waiting for {}", self.name))?;
        }
        Ok(self.status)
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The end of its output, on one line.
    pub fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(8)..].join(" | ");
        if tail.is_empty() { "(empty)".to_owned() } else { tail }
    }

    /// Asks it to end, and makes it end if it does not; the latter is an error, and so is a bad exit code.
    pub fn end(&mut self) -> Result<()> {
        if self.ended()?.is_none() {
            signal(self.pid(), Signal::SIGTERM);
            let deadline = Instant::now() + GRACE;
            while self.ended()?.is_none() {
                if Instant::now() > deadline {
                    signal(self.pid(), Signal::SIGKILL);
                    self.status = Some(self.child.wait().doing(|| format!("waiting for {}", self.name))?);
                    return Err(Error::World(format!("{} had to be killed: {}", self.name, self.log_tail())));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        match self.status {
            Some(status) if !status.success() => {
                Err(Error::World(format!("{} ended with {status}: {}", self.name, self.log_tail())))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.end();
        let gone = self.pid();
        owned(|pids| pids.retain(|&pid| pid != gone));
    }
}

fn signal(pid: u32, signal: Signal) {
    // The only way to fail is that it is gone already.
    let _ = kill(Pid::from_raw(pid as i32), signal);
}

/// Makes this process the parent of processes whose own parent dies, so that no dataplane can outlive a
/// controld that crashed.
pub fn adopt_orphans() -> Result<()> {
    nix::sys::prctl::set_child_subreaper(true).doing(|| "becoming the parent of orphans".to_owned())
}

/// Ends the orphans: children of this process that nobody here started, so descendants of something we did. Returns how
/// many there were.
pub fn end_orphans() -> usize {
    let found = orphans().len();
    let deadline = Instant::now() + GRACE;
    loop {
        for pid in orphans() {
            // One that has ended is waited for here, or it would stay a child.
            let _ = waitpid(Pid::from_raw(pid as i32), Some(WaitPidFlag::WNOHANG));
        }
        let orphans = orphans();
        if orphans.is_empty() {
            return found;
        }
        let ending = if Instant::now() > deadline { Signal::SIGKILL } else { Signal::SIGTERM };
        for pid in orphans {
            signal(pid, ending);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Child processes of this process, of all its threads, but for those that are [`Owned`].
fn orphans() -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .filter(|pid| !owned(|pids| pids.contains(pid)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, dir: &Path) -> Owned {
        Owned::start(Path::new("/bin/sh"), ["-c", script], &dir.join("log")).expect("a shell")
    }

    #[test]
    fn processes_end_when_told_and_say_how() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut sleeper = shell("trap 'exit 0' TERM; while :; do sleep 0.02; done", dir.path());
        assert!(sleeper.ended().expect("state").is_none());
        // Until the trap stands, SIGTERM ends the shell with a signal: both ways are an end.
        let _ = sleeper.end();
        assert!(sleeper.ended().expect("state").is_some());

        let mut failing = shell("echo so what; exit 3", dir.path());
        let deadline = Instant::now() + Duration::from_secs(10);
        while failing.ended().expect("state").is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = failing.end().expect_err("exit code 3").to_string();
        assert!(error.contains("so what") && error.contains('3'), "{error}");
    }
}
