//! A line that lives while a run goes on; plain lines where there is no terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::load::live::Glance;
use crate::scenario::observed::Observed;
use crate::scenario::swapping::Watch;

pub struct Progress {
    bar: Option<ProgressBar>,
    stage: String,
    last: (Instant, Glance),
    pps: u64,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// How often the rate is taken anew.
const RATE_EVERY: Duration = Duration::from_millis(250);

impl Progress {
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}").expect("a valid template"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, stage: String::new(), last: (Instant::now(), Glance::default()), pps: 0 }
    }

    /// A line of its own, above the living one.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&self, glance: Glance) {
        let Some(bar) = &self.bar else { return };
        let missing = glance.sent.saturating_sub(glance.received);
        bar.set_message(format!(
            "{} · {} packets/s · {} flows · {missing} in flight · {} bad",
            self.stage, self.pps, glance.flows_live, glance.bad
        ));
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch for Progress {
    fn stage(&mut self, what: &str) {
        what.clone_into(&mut self.stage);
        if self.bar.is_none() && !what.starts_with("swap ") {
            eprintln!("{what}");
        }
        self.show(self.last.1);
    }

    fn glance(&mut self, glance: Glance) {
        let (at, before) = self.last;
        let elapsed = at.elapsed();
        if elapsed >= RATE_EVERY {
            // A request and its reply are two packets for the dataplane.
            let packets = (glance.sent + glance.received).saturating_sub(before.sent + before.received);
            self.pps = (packets as f64 / elapsed.as_secs_f64()) as u64;
            self.last = (Instant::now(), glance);
        }
        self.show(glance);
    }

    fn swapped(&mut self, swap: &Observed, of: u32) {
        let report = swap.report();
        self.say(&format!(
            "swap {:>3}/{of} {}→{}  {}  blackout {:>7.1} µs  {:>6} records translated, {:>4} in the blackout",
            swap.number,
            swap.direction.0,
            swap.direction.1,
            report.outcome,
            report.blackout_ns as f64 / 1e3,
            report.records_translated,
            report.foreground_records,
        ));
    }
}
