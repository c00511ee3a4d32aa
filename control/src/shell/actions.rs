//! What the machine asks for, carried out.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use handover::machine::{Action, Event, Limit, State, Verdict};
use handover::messages::{
    Abort, Commit, Committed, DescriptorEntry, Donate, Expect, Fault, Message, Mode, Proceed, Reason, Welcome,
};

use super::steal::steal;
use super::supervisor::Supervisor;
use super::swap_run::SwapRun;
use crate::exit;
use crate::protocol::{self, Answer, SwapRequest};
use crate::report::SwapReport;
use crate::verify::{Binary, TablePlan, plan};

/// How long a new process that was told to end may take.
const GRACE: Duration = Duration::from_millis(500);
/// How long an old process may take to end after commit.
const ENDING: Duration = Duration::from_secs(5);
/// What a switch may take beside the time that the old process stays quiesced.
const SWITCH_MARGIN: Duration = Duration::from_secs(1);
/// Longest wait between two attempts to start a dataplane.
const RETRY_MAX: Duration = Duration::from_secs(30);

impl Supervisor {
    pub(super) fn carry_out(&mut self, action: Action, before: State, event: Event) {
        let id = self.swap.as_ref().map_or(0, |swap| swap.id);
        let quiesce_ns = u64::try_from(self.config.quiesce_timeout.as_nanos()).unwrap_or(u64::MAX);
        let party = self.next.unwrap_or(0);
        match action {
            Action::Verify => self.verify(),
            Action::Spawn => self.spawn_new(),
            Action::Welcome => {
                let protocol = self.swap.as_ref().map_or(0, |swap| swap.protocol);
                let mode = Mode::Takeover;
                self.tell_new(Message::Welcome(Welcome { protocol, party, mode, swap: id, predecessor_dead: false }));
            }
            Action::Collect => self.collect(),
            Action::TellExpect => self.tell_old(Message::Expect(Expect { swap: id, party, quiesce_ns })),
            Action::Forward => {
                let holdings = self.old_holdings();
                if let Some(new) = self.new_child() {
                    new.send_holdings(Reason::Donate, &holdings);
                    new.holdings = holdings.succeeded_by(Vec::new());
                }
            }
            Action::TellProceed => self.tell_new(Message::Proceed(Proceed { swap: id, quiesce_ns })),
            Action::TellCommitted => self.tell_new(Message::Committed(Committed { swap: id })),
            Action::TellCommit => {
                if let Some(swap) = &mut self.swap {
                    swap.commit();
                }
                self.tell_old(Message::Commit(Commit { swap: id }));
            }
            Action::AbortOld => self.tell_old(Message::Abort(Abort { swap: id, reason: self.reason() })),
            Action::AbortNew => self.tell_new(Message::Abort(Abort { swap: id, reason: self.reason() })),
            Action::KillNew => {
                if let Some(new) = self.new_child() {
                    new.kill();
                }
            }
            Action::KillOld => {
                tracing::warn!("the old dataplane is killed");
                if let Some(old) = self.old() {
                    old.kill();
                }
            }
            Action::Arm(limit) => self.timer = Some((Instant::now() + self.limit(limit), limit)),
            Action::Disarm => self.timer = None,
            Action::Hold => {
                if let Some((client, request)) = self.asking.take() {
                    self.clients.tell(client, &protocol::Event::Waiting { swap: id });
                    self.held.push_back((client, request));
                }
            }
            Action::Refuse => self.refuse_request(),
            Action::Blame(cause) => {
                if let Some(swap) = &mut self.swap {
                    swap.blame(cause, before);
                }
            }
            Action::Absolve => {
                if let Some(swap) = &mut self.swap {
                    swap.absolve();
                }
            }
            Action::Recover(which) => self.recover(which),
            Action::Finish(verdict) => self.finish(verdict),
            Action::StopServing => self.stop_serving(),
            // Progress was passed on when it was heard.
            Action::Report => {}
            Action::Ignore => tracing::debug!(%before, %event, "ignored"),
        }
    }

    fn tell_old(&mut self, message: Message) {
        if let Some(old) = self.old() {
            old.send(message);
        }
    }

    fn tell_new(&mut self, message: Message) {
        if let Some(new) = self.new_child() {
            new.send(message);
        }
    }

    fn reason(&self) -> String {
        self.swap.as_ref().map(SwapRun::reason).unwrap_or_default()
    }

    fn limit(&self, limit: Limit) -> Duration {
        match limit {
            Limit::Prepare | Limit::Background => self.config.phase_timeout,
            Limit::Switch => self.config.quiesce_timeout * 2 + SWITCH_MARGIN,
            Limit::Probation => self.config.probation,
            Limit::Ending => ENDING,
            Limit::Grace => GRACE,
            Limit::Retry => RETRY_MAX.min(GRACE * 2_u32.saturating_pow(self.failures.min(16))),
        }
    }

    /// Examines a binary and plans what a swap to it would do.
    pub(super) fn examine(&self, request: &SwapRequest) -> Result<(Binary, Vec<TablePlan>), Fault> {
        let binary = Binary::examine(request.binary.as_ref()).map_err(|e| e.fault())?;
        if !request.sha256.is_empty() && request.sha256 != binary.sha256 {
            let message = format!("{} is not the binary that served before: it was replaced since", request.binary);
            return Err(Fault::operator("binary-changed", message, "name the binary to go back to: `controlctl swap`"));
        }
        let tables = match self.serving() {
            Some(child) => child.holdings.live_tables()?,
            None => Vec::new(),
        };
        let plan = plan(&tables, &binary.layouts, &binary.migrations)?;
        Ok((binary, plan))
    }

    fn verify(&mut self) {
        let Some(request) = self.swap.as_ref().map(|swap| swap.request.clone()) else { return };
        let examined = self.examine(&request);
        let drops = self.old_holdings().kernel_drops();
        let Some(swap) = &mut self.swap else { return };
        swap.drops_before(drops);
        match examined {
            Ok((binary, plan)) => {
                swap.planned(binary, plan);
                self.feed(Event::Verified);
            }
            Err(fault) => {
                swap.words = Some(fault);
                self.feed(Event::VerifyFailed);
            }
        }
    }

    fn spawn_new(&mut self) {
        let Some(binary) = self.swap.as_ref().and_then(|swap| swap.binary.clone()) else { return };
        let cpus = self.config.swap_cpus.clone();
        let failed = match self.spawn(&binary, &cpus) {
            Ok(party) => {
                let Some(child) = self.children.get_mut(&party) else { return };
                if binary.is_run_by(child.pid) {
                    self.next = Some(party);
                    if let Some(swap) = &mut self.swap {
                        swap.met(child);
                    }
                    return;
                }
                child.kill();
                crate::verify::BinaryError::Changed(binary.path.clone()).fault()
            }
            Err(error) => Fault::kernel(
                "spawn-failed",
                format!("{} cannot be started: {error}", binary.path.display()),
                "see `controlctl doctor`",
            ),
        };
        if let Some(swap) = &mut self.swap {
            swap.words = Some(failed);
        }
        self.feed(Event::SpawnFailed);
    }

    fn collect(&mut self) {
        if !self.swap.as_ref().is_some_and(|swap| swap.request.steal) {
            self.tell_old(Message::Donate(Donate {}));
            return;
        }
        let taken: Result<Vec<(DescriptorEntry, OwnedFd)>, Fault> = match self.old() {
            Some(old) => old.holdings.directory().and_then(|directory| steal(old.pidfd(), &directory)),
            None => Ok(Vec::new()),
        };
        match taken {
            Ok(list) => {
                if let Some(old) = self.old() {
                    old.holdings = old.holdings.renewed(list);
                }
                self.feed(Event::Collected);
            }
            Err(fault) => {
                if let Some(swap) = &mut self.swap {
                    swap.words = Some(fault);
                }
                self.feed(Event::CollectFailed);
            }
        }
    }

    fn refuse_request(&mut self) {
        let Some((client, _)) = self.asking.take() else { return };
        let fault = match &self.swap {
            Some(swap) => Fault::operator(
                "swap-in-progress",
                format!("swap {} to {} is in phase \"{}\"", swap.id, swap.request.binary, swap.phase()),
                "wait for its end",
            ),
            None => Fault::operator(
                "nothing-serves",
                format!("no dataplane serves (the supervisor is in state \"{}\")", self.machine.state()),
                "wait until it is started, and see the log of controld",
            ),
        };
        self.clients.answer(client, &Answer::error(fault, exit::REFUSED));
    }

    fn finish(&mut self, verdict: Verdict) {
        let drops = match (verdict, self.new_child()) {
            (Verdict::Committed, Some(new)) => new.holdings.kernel_drops(),
            _ => self.old_holdings().kernel_drops(),
        };
        if verdict == Verdict::Committed && self.next.is_some() {
            self.current = self.next.take();
            if let Some(party) = self.current {
                self.note_running(party);
            }
        }
        self.next = None;
        if let Some(mut swap) = self.swap.take() {
            swap.drops_after(drops);
            let client = swap.client;
            let report = swap.finish(verdict);
            self.publish(&report);
            let answer = match verdict {
                Verdict::Committed => {
                    Answer::Done { done: serde_json::to_value(&report).unwrap_or(serde_json::Value::Null) }
                }
                Verdict::Undone => failed(report, exit::UNDONE),
                Verdict::Refused => failed(report, exit::REFUSED),
            };
            self.clients.answer(client, &answer);
        }
        if self.stop_asked {
            self.feed(Event::Stop);
        } else if let Some((client, request)) = self.held.pop_front() {
            self.ask_swap(client, request);
        }
    }

    fn publish(&mut self, report: &SwapReport) {
        let SwapReport { id, outcome, blackout_ns, old_gone_ms, .. } = report;
        match &report.error {
            None => tracing::info!(swap = id, outcome, blackout_ns, old_gone_ms, "swap ended"),
            Some(fault) => tracing::warn!(swap = id, outcome, %fault, "swap ended"),
        }
        match outcome.as_str() {
            "committed" => self.counts.committed += 1,
            "undone" => self.counts.undone += 1,
            _ => self.counts.refused += 1,
        }
        if let Err(error) = self.reports.store(report) {
            tracing::error!(swap = id, %error, "report not written");
        }
    }
}

fn failed(report: SwapReport, exit: u8) -> Answer {
    let unknown = || Fault::bug("unknown", "the swap failed for a reason that was not recorded", "see the log");
    let error = report.error.clone().unwrap_or_else(unknown);
    Answer::Error { error, exit, report: Some(Box::new(report)) }
}
