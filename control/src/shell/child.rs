//! A dataplane process: its channel, what waits to be sent, what it said of itself.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use handover::channel::{Channel, ChannelError, Collector, Received, batches};
use handover::messages::{Hello, Message, Reason, Recovered, Serving};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::clock;
use super::holdings::Holdings;
use super::raw::{self, ControlSlot};
use crate::config::Config;
use crate::verify::Binary;

/// A process that this supervisor started.
#[derive(Debug)]
pub struct Child {
    /// Its number in the owner word.
    pub party: u8,
    /// Process id.
    pub pid: u32,
    /// What it runs.
    pub binary: Binary,
    /// When it was started, milliseconds of the Unix epoch.
    pub started_unix_ms: u64,
    /// What it said first.
    pub hello: Option<Hello>,
    /// What it said when it began to serve.
    pub serving: Serving,
    /// What it found in the tables of a dead predecessor.
    pub recovered: Option<Recovered>,
    /// Its descriptors, as far as they are known here.
    pub holdings: Holdings,
    /// Batches that are not complete yet.
    pub collector: Collector,
    /// How it ended.
    pub exit: Option<ExitStatus>,
    process: std::process::Child,
    pidfd: OwnedFd,
    channel: Channel,
    open: bool,
    /// The process takes no more messages; what it said before may still be unread.
    deaf: bool,
    outbox: VecDeque<(Message, Vec<Arc<OwnedFd>>)>,
}

impl Child {
    /// Starts a dataplane.
    ///
    /// Descriptor 3 of the new process is its end of the channel. No parent-death signal is set: a dataplane may
    /// outlive its supervisor.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn spawn(
        slot: &mut ControlSlot,
        config: &Config,
        binary: &Binary,
        party: u8,
        cpus: &[usize],
    ) -> io::Result<Self> {
        let executable = binary.executable().map_err(io::Error::other)?;
        let (channel, theirs) = Channel::pair().map_err(io::Error::other)?;
        let theirs = theirs.into_fd();
        let mut command = std::process::Command::new(executable);
        command
            .arg("--config")
            .arg(&config.file)
            .args(["--control-fd", &raw::CONTROL_FD.to_string()])
            .stdin(std::process::Stdio::null());
        let mut process = slot.with(theirs.as_fd(), || on_cpus(cpus, || command.spawn()))?;
        let pid = process.id();
        // It is our child and not reaped, so the number cannot mean another process.
        let pidfd = raw::pidfd_open(pid).inspect_err(|_| {
            let _ = process.kill();
            let _ = process.wait();
        })?;
        Ok(Self {
            party,
            pid,
            binary: binary.clone(),
            started_unix_ms: clock::unix_ms(),
            hello: None,
            serving: Serving::default(),
            recovered: None,
            holdings: Holdings::default(),
            collector: Collector::new(),
            exit: None,
            process,
            pidfd,
            channel,
            open: true,
            deaf: false,
            outbox: VecDeque::new(),
        })
    }

    /// Readable when the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The channel, while the process keeps its end open.
    pub fn channel(&self) -> Option<BorrowedFd<'_>> {
        self.open.then(|| self.channel.as_fd())
    }

    /// True while something waits to be sent.
    pub fn has_mail(&self) -> bool {
        self.open && !self.deaf && !self.outbox.is_empty()
    }

    /// Sends a message, now or as soon as there is room.
    pub fn send(&mut self, message: Message) {
        self.outbox.push_back((message, Vec::new()));
        self.flush();
    }

    /// Sends descriptors, in as many packets as they need.
    pub fn send_holdings(&mut self, reason: Reason, holdings: &Holdings) {
        let list = holdings.list();
        for (message, range) in batches(reason, list.iter().map(|(entry, _)| entry)) {
            self.outbox.push_back((message, list[range].iter().map(|(_, fd)| Arc::clone(fd)).collect()));
        }
        self.flush();
    }

    /// Sends what there is room for.
    pub fn flush(&mut self) {
        while self.open
            && !self.deaf
            && let Some((message, fds)) = self.outbox.front()
        {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
            match self.channel.try_send(message, &fds) {
                Ok(()) => drop(self.outbox.pop_front()),
                Err(ChannelError::Full) => return,
                // Its last words, such as why it refuses, are read all the same.
                Err(ChannelError::Closed) => self.deaf = true,
                Err(error) => {
                    tracing::error!(pid = self.pid, %error, message = message.type_name(), "message not sent");
                    self.outbox.pop_front();
                }
            }
        }
    }

    /// Takes one message without waiting; `None` if there is none. A closed channel is not a death: the process is
    /// dead when [`Child::reap`] says so.
    pub fn receive(&mut self) -> Option<Result<Received, ChannelError>> {
        if !self.open {
            return None;
        }
        match self.channel.recv(Some(Duration::ZERO)) {
            Err(ChannelError::TimedOut(_)) => None,
            Err(ChannelError::Closed) => {
                self.open = false;
                None
            }
            other => Some(other),
        }
    }

    /// Waits for the process without blocking; true if it has ended.
    pub fn reap(&mut self) -> bool {
        if self.exit.is_none() {
            self.exit = self.process.try_wait().ok().flatten();
        }
        self.exit.is_some()
    }

    /// Kills the process, if it has not ended.
    pub fn kill(&mut self) {
        if self.exit.is_some() {
            return;
        }
        if let Err(error) = self.process.kill() {
            tracing::error!(pid = self.pid, %error, "kill failed");
        }
        self.let_run();
    }

    /// Takes its threads out of real-time classes and off the processors that they are bound to. A thread that never
    /// runs cannot die: a packet thread that shares its processor with a successor which never sleeps would stay.
    fn let_run(&self) {
        let mut anywhere = CpuSet::new();
        for cpu in 0..CpuSet::count() {
            // Below the set's size it cannot fail; numbers that this host does not have are ignored.
            let _ = anywhere.set(cpu);
        }
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.pid)) else { return };
        for tid in threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok()) {
            // One that has ended meanwhile needs no help.
            let _ = sched_setaffinity(Pid::from_raw(tid), &anywhere);
            let _ = raw::normal_class(tid);
        }
    }

    /// Keeps what it found in the tables of a dead predecessor.
    pub fn has_recovered(&mut self, recovered: Recovered) {
        let Recovered { operation, flows, dropped, found, elapsed_ns } = &recovered;
        let elapsed = Duration::from_nanos(*elapsed_ns);
        let found: Vec<_> = found.iter().map(|(what, count)| format!("{what} {count}")).collect();
        let found = found.join(", ");
        tracing::info!(self.party, operation, flows, dropped, found, ?elapsed, "tables looked through after a death");
        self.recovered = Some(recovered);
    }

    /// Version that it said of itself.
    pub fn version(&self) -> String {
        self.hello.as_ref().map(|hello| hello.version.clone()).unwrap_or_default()
    }

    /// How it ended, in words.
    pub fn exit_text(&self) -> String {
        match self.exit {
            None => "still running".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => match nix::sys::signal::Signal::try_from(signal) {
                    Ok(name) => format!("killed by {name}"),
                    Err(_) => format!("killed by signal {signal}"),
                },
                (None, None) => status.to_string(),
            },
        }
    }
}

/// Runs `start` with this thread on the given CPUs, which a new process inherits.
fn on_cpus<T>(cpus: &[usize], start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if cpus.is_empty() {
        return start();
    }
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this)?;
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(this, &set)?;
    let result = start();
    sched_setaffinity(this, &before)?;
    result
}
