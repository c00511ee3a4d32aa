//! Processes of a test: started, watched and ended by id, whatever happens.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::{PATIENCE, until};

/// How long a process may take to end after SIGTERM when a test is over.
const GRACE: Duration = Duration::from_secs(10);

/// A process that is ended when dropped, with its output in a file.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `program`; its output goes to `<dir>/<name>.log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start<A: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = A>, dir: &Path, name: &str) -> Self {
        let log = dir.join(format!("{name}.log"));
        let output = File::create(&log).expect("a log file");
        let errors = output.try_clone().expect("a second descriptor for the log");
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        Self { name: name.to_owned(), child, log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end and gives the exit code; a death by signal is none.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> Option<i32> {
        let what = format!("the end of {}", self.name);
        until(&what, || self.child.try_wait().expect("a child can be waited for")).code()
    }

    /// Sends it SIGTERM and waits for its end.
    pub fn terminate(&mut self) -> Option<i32> {
        signal(self.pid(), Signal::SIGTERM);
        self.wait()
    }

    /// All that it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Child processes that it has now.
    pub fn children(&self) -> Vec<u32> {
        children_of(self.pid())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        let children = self.children();
        signal(self.pid(), Signal::SIGTERM);
        let end = Instant::now() + GRACE;
        while self.ended().is_none() {
            if Instant::now() > end {
                // A stopped or hung family: its members one by one.
                for pid in [self.pid()].into_iter().chain(children.iter().copied()) {
                    signal(pid, Signal::SIGKILL);
                }
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Sends a signal; a process that is gone already does not mind.
pub fn signal(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid as i32), signal);
}

/// Whether a process with this id exists and has not ended.
pub fn is_alive(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state follows the name, which is in parentheses and may hold anything.
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['Z', 'X'])),
        Err(_) => false,
    }
}

/// Waits until a process has ended.
///
/// # Panics
/// When it never does.
pub fn assert_gone(pid: u32) {
    let end = Instant::now() + PATIENCE;
    while is_alive(pid) {
        assert!(Instant::now() < end, "process {pid} lives on");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Child processes of a process, of all its threads.
pub fn children_of(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}
