//! The swap under way: who asked, what is known, what the report will say.

use handover::machine::{Cause, State, Verdict};
use handover::messages::{Fault, Ready, SwitchReport, TableAction, TableWork};

use super::child::Child;
use super::clients::ClientId;
use super::clock;
use crate::protocol::SwapRequest;
use crate::report::{Party, Phase, SwapReport};
use crate::verify::{Binary, TablePlan, TableStep};

/// See the module.
#[derive(Debug)]
pub struct SwapRun {
    /// Its number.
    pub id: u64,
    /// Who waits for the answer.
    pub client: ClientId,
    /// What was asked.
    pub request: SwapRequest,
    /// The new binary, once it was examined.
    pub binary: Option<Binary>,
    /// Protocol version agreed on with the new process.
    pub protocol: u16,
    /// What whoever failed last said about it.
    pub words: Option<Fault>,
    /// What the shell knows beside it, such as an exit status.
    pub detail: String,
    blame: Option<Fault>,
    report: SwapReport,
    plan: Vec<TablePlan>,
    ready: Option<Ready>,
    switch: Option<SwitchReport>,
    switched_ns: u64,
    commit_ns: u64,
}

impl SwapRun {
    /// A swap that begins now.
    pub fn new(id: u64, client: ClientId, request: SwapRequest, from: Option<&Child>) -> Self {
        let report = SwapReport {
            id,
            steal: request.steal,
            from: from.map(party).unwrap_or_default(),
            to: Party { binary: request.binary.clone(), ..Party::default() },
            started_unix_ms: clock::unix_ms(),
            ..SwapReport::default()
        };
        Self {
            id,
            client,
            request,
            binary: None,
            protocol: 0,
            words: None,
            detail: String::new(),
            blame: None,
            report,
            plan: Vec::new(),
            ready: None,
            switch: None,
            switched_ns: 0,
            commit_ns: 0,
        }
    }

    /// The binary was examined and its plan compiles.
    pub fn planned(&mut self, binary: Binary, plan: Vec<TablePlan>) {
        self.report.to.sha256.clone_from(&binary.sha256);
        self.report.to.layouts = binary.layout_versions();
        self.binary = Some(binary);
        self.plan = plan;
    }

    /// The new process was started, or said who it is.
    pub fn met(&mut self, new: &Child) {
        self.report.to = party(new);
    }

    /// Packets that the kernel had dropped when the swap began.
    pub fn drops_before(&mut self, drops: u64) {
        self.report.kernel_drops = crate::report::KernelDrops { before: drops, after: drops };
    }

    /// Packets that the kernel had dropped when the swap ended.
    pub fn drops_after(&mut self, drops: u64) {
        self.report.kernel_drops.after = drops.max(self.report.kernel_drops.before);
    }

    /// The new process is ready.
    pub fn ready(&mut self, ready: Ready) {
        self.report.estimate_ns = ready.estimate_ns;
        self.ready = Some(ready);
    }

    /// The new process reported the switch. Kept whenever it comes.
    pub fn activated(&mut self, switch: SwitchReport) {
        self.switch = Some(switch);
    }

    /// A phase begins, unless it is under way already.
    pub fn enter(&mut self, state: State) -> bool {
        if self.report.phases.last().is_some_and(|phase| phase.name == state.phase()) {
            return false;
        }
        let now = clock::now_ns();
        self.close_phase(now);
        self.report.phases.push(Phase { name: state.phase().to_owned(), start_ns: now, elapsed_ns: 0 });
        if state == State::Probation {
            self.switched_ns = now;
        }
        true
    }

    /// The phase under way, in the operator's word.
    pub fn phase(&self) -> &str {
        self.report.phases.last().map_or("", |phase| &phase.name)
    }

    /// The old process is told to end.
    pub fn commit(&mut self) {
        self.commit_ns = clock::now_ns();
    }

    /// Remembers why the swap fails, unless a reason is remembered already.
    pub fn blame(&mut self, cause: Cause, during: State) {
        if self.blame.is_none() {
            let words = self.words.take().filter(|_| cause.has_own_words());
            self.blame = Some(words.unwrap_or_else(|| cause.fault(during, &self.detail)));
        }
    }

    /// Why it fails, in a sentence.
    pub fn reason(&self) -> String {
        self.blame.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// It did not fail after all.
    pub fn absolve(&mut self) {
        self.blame = None;
    }

    /// The report, now that it has ended.
    pub fn finish(mut self, verdict: Verdict) -> SwapReport {
        let now = clock::now_ns();
        self.close_phase(now);
        let mut report = self.report;
        report.outcome = verdict.as_str().to_owned();
        report.error = self.blame;
        if self.commit_ns > 0 {
            report.old_gone_ms = clock::ms(now.saturating_sub(self.commit_ns));
            report.probation_ms = clock::ms(self.commit_ns.saturating_sub(self.switched_ns));
        }
        report.tables = match (&self.switch, &self.ready) {
            (Some(switch), _) if !switch.tables.is_empty() => switch.tables.clone(),
            (_, Some(ready)) if !ready.tables.is_empty() => ready.tables.clone(),
            _ => self.plan.iter().map(planned_work).collect(),
        };
        let translated = |work: &&TableWork| work.action == TableAction::Translated;
        report.layout_changed = report.tables.iter().any(|work| translated(&work));
        if self.ready.is_some() || self.switch.is_some() {
            report.records_translated = report.tables.iter().filter(translated).map(|work| work.records).sum();
            report.background_passes = report.tables.iter().map(|work| work.passes).max().unwrap_or(0);
        }
        if let Some(switch) = self.switch {
            report.foreground_records = switch.foreground_records;
            report.clamped.clone_from(&switch.clamped);
            report.dropped_rows = switch.dropped_rows;
            report.blackout_ns = switch.blackout_ns;
            report.stamps = switch;
        }
        report
    }

    fn close_phase(&mut self, now: u64) {
        if let Some(phase) = self.report.phases.last_mut() {
            phase.elapsed_ns = now.saturating_sub(phase.start_ns);
        }
    }
}

/// A process as a report names it.
fn party(child: &Child) -> Party {
    Party {
        pid: child.pid,
        binary: child.binary.path.display().to_string(),
        version: child.version(),
        sha256: child.binary.sha256.clone(),
        layouts: child.binary.layout_versions(),
    }
}

/// What was only planned, for a swap that did not get further.
fn planned_work(plan: &TablePlan) -> TableWork {
    TableWork {
        table: plan.table.clone(),
        action: if plan.step == TableStep::Shared { TableAction::Shared } else { TableAction::Translated },
        from_version: plan.from_version,
        to_version: plan.to_version,
        ..TableWork::default()
    }
}
