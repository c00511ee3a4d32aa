//! What time does to the supervisor: the machine's timer, late starts, and the end.

use std::time::{Duration, Instant};

use handover::machine::{Event, Limit};
use handover::messages::{Message, Stop};

use super::child::Child;
use super::launch::Launch;
use super::supervisor::Supervisor;
use crate::exit;

/// How long dataplanes have for a clean end before they are killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

impl Supervisor {
    /// The operator or the service manager wants the end.
    pub(super) fn ask_stop(&mut self) {
        if std::mem::replace(&mut self.stop_asked, true) {
            tracing::warn!("asked to end again: the dataplanes are killed");
            self.children.values_mut().for_each(Child::kill);
            return;
        }
        tracing::info!("asked to end");
        self.feed(Event::Stop);
    }

    /// Ends the dataplanes, or leaves them, as configured.
    pub(super) fn stop_serving(&mut self) {
        if self.leave_dataplane && self.launch.is_none() {
            tracing::info!("the dataplane is left running");
            self.over = Some(exit::OK);
            return;
        }
        self.timer = None;
        // A start that has not begun does not begin any more.
        self.launch.take_if(|launch| launch.is_waiting());
        self.stopping = Some(Instant::now() + STOP_PATIENCE);
        for child in self.children.values_mut() {
            child.send(Message::Stop(Stop {}));
            if child.hello.is_none() {
                child.kill();
            }
        }
        self.sweep();
    }

    /// The one timer of the machine, and those of starts and of the end.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let timer = self.timer.map(|(at, _)| at);
        [timer, self.launch.as_ref().map(Launch::deadline), self.stopping].into_iter().flatten().min()
    }

    /// Fires what is due.
    pub(super) fn on_time(&mut self, now: Instant) {
        if self.stopping.is_some_and(|at| at <= now) {
            tracing::error!("a dataplane did not end in time and is killed");
            self.children.values_mut().for_each(Child::kill);
            self.stopping = Some(now + STOP_PATIENCE);
        }
        if self.launch.as_ref().is_some_and(|launch| launch.deadline() <= now) {
            self.launch_late();
        }
        if let Some((_, limit)) = self.timer.take_if(|(at, _)| *at <= now) {
            match limit {
                Limit::Probation => self.feed(Event::ProbationOver),
                _ => self.feed(Event::Deadline(self.truth())),
            }
        }
    }
}
