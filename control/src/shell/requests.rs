//! Requests of clients, answered.

use std::collections::BTreeMap;

use handover::machine::{Event, State};
use handover::messages::Fault;
use serde_json::{Value, json};
use shm_state::row::Row;

use super::clients::ClientId;
use super::holdings::row_json;
use super::reports::REPORTS_MAX;
use super::supervisor::{Counts, Supervisor};
use super::swap_run::SwapRun;
use crate::exit;
use crate::protocol::{Answer, SwapRequest, Verb};
use crate::report::SwapReport;
use crate::verify::{PlanView, TableStep};

/// Flows that are listed if no limit is given.
const FLOWS_DEFAULT: u64 = 1000;
/// Most flows that are listed.
const FLOWS_MAX: u64 = 200_000;
/// Reports that are given if no number is.
const REPORTS_DEFAULT: u64 = 1;

impl Supervisor {
    pub(super) fn on_request(&mut self, client: ClientId, verb: Verb) {
        let answer = match verb {
            Verb::Status => Ok(self.status()),
            Verb::Flows { limit } => self.flows(limit.unwrap_or(FLOWS_DEFAULT).min(FLOWS_MAX)),
            Verb::Counters => self.counters(),
            Verb::Report { last } => self.last_reports(last.unwrap_or(REPORTS_DEFAULT)),
            Verb::Segments => {
                return match self.serving_holdings().and_then(|h| h.read_only().map_err(|fault| (fault, exit::FAILED)))
                {
                    Ok((list, fds)) => {
                        self.clients.answer_with(client, &Answer::Done { done: json!({ "segments": list }) }, fds);
                    }
                    Err((fault, exit)) => self.clients.answer(client, &Answer::error(fault, exit)),
                };
            }
            Verb::Swap(request) if request.dry_run => self.dry_run(request),
            Verb::Swap(request) => return self.ask_swap(client, request),
            Verb::Stop => {
                // Answered when all is over.
                self.stop_clients.push(client);
                return self.ask_stop();
            }
        };
        let answer = match answer {
            Ok(done) => Answer::Done { done },
            Err((fault, exit)) => Answer::error(fault, exit),
        };
        self.clients.answer(client, &answer);
    }

    /// Takes up a request for a swap: now, after the swap under way, or not at all.
    pub(super) fn ask_swap(&mut self, client: ClientId, request: SwapRequest) {
        if self.stop_asked {
            let fault = Fault::operator("stopping", "the supervisor is about to end", "");
            return self.clients.answer(client, &Answer::error(fault, exit::REFUSED));
        }
        if self.machine.state() == State::Idle {
            let request = match self.resolved(request) {
                Ok(request) => request,
                Err(fault) => return self.clients.answer(client, &Answer::error(fault, exit::REFUSED)),
            };
            let id = self.reports.next_id();
            let from = self.current.and_then(|party| self.children.get(&party));
            tracing::info!(swap = id, binary = request.binary, steal = request.steal, "swap asked for");
            self.swap = Some(SwapRun::new(id, client, request, from));
            self.feed(Event::Asked);
        } else {
            let commit_now = request.commit_now;
            self.asking = Some((client, request));
            self.feed(Event::AskedAgain { commit_now });
        }
    }

    fn status(&self) -> Value {
        let serving = self.serving();
        let holdings = serving.map(|child| &child.holdings);
        let (flows_live, flows_max) = holdings.and_then(|h| h.flow_counts().ok()).unwrap_or((0, 0));
        let layouts: BTreeMap<String, u32> = holdings.and_then(|h| h.layout_versions().ok()).unwrap_or_default();
        let counters: BTreeMap<String, u64> = holdings.and_then(|h| h.counters().ok()).unwrap_or_default();
        let dataplane = serving.map(|child| {
            let generation = child.holdings.owner().map_or(child.serving.generation, |owner| owner.generation());
            json!({
                "pid": child.pid,
                "binary": child.binary.path,
                "sha256": child.binary.sha256,
                "version": child.version(),
                "generation": generation,
                "party": child.party,
                "started_unix": child.started_unix_ms / 1000,
                "layouts": layouts,
                "scheduling": child.serving.scheduling,
                "warnings": child.serving.warnings,
                "recovered": child.recovered,
            })
        });
        let swap =
            self.swap.as_ref().map(|swap| json!({"id": swap.id, "phase": swap.phase(), "binary": swap.request.binary}));
        let Counts { committed, undone, refused } = self.counts;
        json!({
            "service": self.config.service,
            "controld": {"pid": std::process::id(), "version": env!("CARGO_PKG_VERSION")},
            "state": self.machine.state().phase(),
            "dataplane": dataplane,
            "flows_live": flows_live,
            "flows_max": flows_max,
            "counters": counters,
            "swap": swap,
            "swaps": {"committed": committed, "undone": undone, "refused": refused},
        })
    }

    fn serving_holdings(&self) -> Result<&super::holdings::Holdings, (Fault, u8)> {
        let nothing = || {
            let fault = Fault::operator("nothing-serves", "no dataplane serves", "see the log of controld");
            (fault, exit::FAILED)
        };
        self.serving().map(|child| &child.holdings).ok_or_else(nothing)
    }

    fn flows(&self, limit: u64) -> Result<Value, (Fault, u8)> {
        let holdings = self.serving_holdings()?;
        let rows = holdings.flows(limit).map_err(|fault| (fault, exit::FAILED))?;
        let (live, max) = holdings.flow_counts().map_err(|fault| (fault, exit::FAILED))?;
        let rows: Vec<Value> = rows.iter().map(|row: &Row| row_json(row)).collect();
        let columns = holdings.flow_columns().map_err(|fault| (fault, exit::FAILED))?;
        Ok(json!({"flows_live": live, "flows_max": max, "columns": columns, "flows": rows}))
    }

    fn counters(&self) -> Result<Value, (Fault, u8)> {
        let counters = self.serving_holdings()?.counters().map_err(|fault| (fault, exit::FAILED))?;
        Ok(json!({ "counters": counters }))
    }

    fn last_reports(&self, last: u64) -> Result<Value, (Fault, u8)> {
        let last = usize::try_from(last).unwrap_or(usize::MAX);
        match self.reports.last(last) {
            Ok(reports) => Ok(json!({ "reports": reports })),
            Err(error) => {
                let fault = Fault::kernel("reports-unreadable", format!("reports cannot be read: {error}"), "");
                Err((fault, exit::FAILED))
            }
        }
    }

    /// A request with the binary that it means. Called when its turn comes: the swap before decides what "back" is.
    fn resolved(&self, request: SwapRequest) -> Result<SwapRequest, Fault> {
        if !request.rollback {
            return Ok(request);
        }
        let serving = self.serving().map(|child| child.binary.sha256.clone()).unwrap_or_default();
        let reports = self.reports.last(REPORTS_MAX).map_err(|error| {
            Fault::kernel("reports-unreadable", format!("reports cannot be read: {error}"), "name the binary: `swap`")
        })?;
        let led_here = |report: &&SwapReport| report.outcome == "committed" && report.to.sha256 == serving;
        let before = reports.iter().rev().find(led_here).map(|report| report.from.clone()).ok_or_else(|| {
            let message = "no swap is on record that led to the binary that serves";
            Fault::operator("no-previous", message, "name the binary to go back to: `controlctl swap BINARY`")
        })?;
        Ok(SwapRequest { binary: before.binary, sha256: before.sha256, ..request })
    }

    fn dry_run(&self, request: SwapRequest) -> Result<Value, (Fault, u8)> {
        self.serving_holdings()?;
        let request = self.resolved(request).map_err(|fault| (fault, exit::REFUSED))?;
        let (binary, tables) = self.examine(&request).map_err(|fault| (fault, exit::REFUSED))?;
        let view = PlanView {
            binary: request.binary,
            sha256: binary.sha256,
            layout_changed: tables.iter().any(|table| table.step != TableStep::Shared),
            tables,
        };
        serde_json::to_value(view).map_err(|error| (Fault::bug("plan-not-json", error.to_string(), ""), exit::FAILED))
    }
}
