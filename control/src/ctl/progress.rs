//! A swap as it goes on: one line per phase, and on a terminal a moving one for the phase under way.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::protocol::Event;

/// How often the moving line moves.
const TICK: Duration = Duration::from_millis(100);

/// Shows events on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    line: Option<ProgressBar>,
    phase: Option<(String, Instant)>,
    quiet: bool,
}

impl Progress {
    /// Shows nothing if `quiet`.
    pub(super) fn new(quiet: bool) -> Self {
        let line = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let line = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                line.set_style(style);
            }
            line.enable_steady_tick(TICK);
            line
        });
        Self { line, phase: None, quiet }
    }

    pub(super) fn event(&mut self, event: &Event) {
        if self.quiet {
            return;
        }
        match event {
            Event::Phase { phase, .. } => {
                self.end_phase();
                self.moving(phase);
                self.phase = Some((phase.clone(), Instant::now()));
            }
            Event::Progress(p) if p.table.is_empty() => self.moving(&format!("background: {}", p.phase)),
            Event::Progress(p) => self.moving(&format!(
                "background: {} {}, pass {}, {} of {} records, {} dirty",
                p.phase, p.table, p.pass, p.records, p.total, p.dirty
            )),
            Event::Ready { estimate_ns, dirty } => {
                self.say(&format!("ready: blackout of about {} µs expected, {dirty} slots dirty", estimate_ns / 1000));
            }
            Event::Switched { blackout_ns } => self.say(&format!("switched: blackout {} µs", blackout_ns / 1000)),
            Event::Waiting { swap } => self.say(&format!("waiting for the end of swap {swap}")),
        }
    }

    /// The answer has come.
    pub(super) fn end(&mut self) {
        self.end_phase();
        if let Some(line) = self.line.take() {
            line.finish_and_clear();
        }
    }

    fn end_phase(&mut self) {
        if let Some((phase, since)) = self.phase.take() {
            self.say(&format!("{phase:<12} {:>9.1} ms", since.elapsed().as_secs_f64() * 1e3));
        }
    }

    fn moving(&self, text: &str) {
        if let Some(line) = &self.line {
            line.set_message(text.to_owned());
        }
    }

    fn say(&self, text: &str) {
        match &self.line {
            _ if self.quiet => {}
            Some(line) => line.println(text),
            None => eprintln!("{text}"),
        }
    }
}
