//! The rows of the bench report, one figure each.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::host::Host;
use crate::error::{Doing, Error, Result};

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Reported beside its baseline, without a limit of its own.
    None,
    Exactly(f64),
    Below(f64),
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::None => true,
            Self::Exactly(wanted) => value == wanted,
            Self::Below(limit) => value < limit,
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Exactly(wanted) => Some(format!("= {wanted}")),
            Self::Below(limit) => Some(format!("< {limit}")),
            Self::AtMost(limit) => Some(format!("<= {limit}")),
            Self::AtLeast(limit) => Some(format!(">= {limit}")),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    pub scenario: String,
    pub metric: String,
    pub ours: Option<f64>,
    pub baseline: Option<f64>,
    pub ratio: Option<f64>,
    /// Lowest and highest of the rounds, of the ratio where there is one, else of the figure.
    pub spread: Option<[f64; 2]>,
    pub bound: Option<String>,
    /// `None`: it could not be measured, see `reason`.
    pub holds: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub machine: String,
    pub kernel: String,
    pub revision: String,
}

impl Row {
    /// A figure of its own.
    pub fn figure(scenario: &str, metric: &str, ours: f64, bound: Bound, host: &Host) -> Self {
        Self {
            scenario: scenario.to_owned(),
            metric: metric.to_owned(),
            ours: Some(ours),
            baseline: None,
            ratio: None,
            spread: None,
            bound: bound.text(),
            holds: Some(bound.holds(ours)),
            reason: None,
            machine: host.machine.clone(),
            kernel: host.kernel.clone(),
            revision: host.revision.clone(),
        }
    }

    /// A figure beside its baseline; the bound is on the ratio.
    pub fn compared(scenario: &str, metric: &str, (ours, baseline): (f64, f64), bound: Bound, host: &Host) -> Self {
        let ratio = ours / baseline;
        Self {
            baseline: Some(baseline),
            ratio: ratio.is_finite().then_some(ratio),
            holds: Some(bound.holds(ratio)),
            ..Self::figure(scenario, metric, ours, bound, host)
        }
    }

    /// A scenario that could not run.
    pub fn missing(scenario: &str, reason: String, host: &Host) -> Self {
        let nothing = Self::figure(scenario, "all", 0.0, Bound::None, host);
        Self { ours: None, holds: None, reason: Some(reason), ..nothing }
    }

    /// The row for the terminal.
    pub fn to_text(&self) -> String {
        let figure = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
        let verdict = match self.holds {
            Some(true) => "holds",
            Some(false) => "DOES NOT HOLD",
            None => "NOT MEASURED",
        };
        let mut line = format!("{:<22} {:<34} {:>14}", self.scenario, self.metric, figure(self.ours));
        if self.baseline.is_some() {
            line += &format!("  baseline {}  ratio {}", figure(self.baseline), figure(self.ratio));
        }
        if let Some([low, high]) = self.spread {
            line += &format!(" [{low:.3}–{high:.3}]");
        }
        if let Some(bound) = &self.bound {
            line += &format!("  ({bound})");
        }
        line += &format!("  {verdict}");
        if let Some(reason) = &self.reason {
            line += &format!(": {reason}");
        }
        line
    }
}

/// Puts `rows` into the report at `path` in place of all rows of the same scenarios; other rows stay.
pub fn merge(path: &Path, rows: &[Row]) -> Result<()> {
    let wrong = |why: String| Error::File { path: path.to_owned(), why };
    let mut all: Vec<Row> = match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(wrong(error.to_string())),
    };
    all.retain(|old| !rows.iter().any(|new| old.scenario == new.scenario));
    all.extend_from_slice(rows);
    write_json(path, &all)
}

/// Writes a JSON file whole or not at all.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).doing(|| format!("making {}", parent.display()))?;
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::File { path: path.to_owned(), why: error.to_string() })?;
    text.push('\n');
    let draft = path.with_extension("json.new");
    std::fs::write(&draft, text).doing(|| format!("writing {}", draft.display()))?;
    std::fs::rename(&draft, path).doing(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_or_do_not() {
        assert!(Bound::Below(200.0).holds(199.9) && !Bound::Below(200.0).holds(200.0));
        assert!(Bound::AtMost(200.0).holds(200.0) && !Bound::AtMost(200.0).holds(200.1));
        assert!(Bound::AtLeast(0.9).holds(0.9) && !Bound::AtLeast(0.9).holds(0.89));
        assert!(Bound::Exactly(0.0).holds(0.0) && !Bound::Exactly(0.0).holds(1.0));
        for bound in [Bound::Below(1.0), Bound::AtMost(1.0), Bound::AtLeast(0.0), Bound::Exactly(0.0)] {
            assert!(!bound.holds(f64::NAN), "{bound:?} must not hold for no figure at all");
        }
    }

    #[test]
    fn only_rows_of_the_same_scenario_are_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("bench/report.json");
        let host = Host::probe();
        let row = |scenario: &str, ours: f64| Row::figure(scenario, "m", ours, Bound::None, &host);
        merge(&path, &[row("a", 1.0), row("b", 2.0), row("b", 3.0)]).expect("written");
        merge(&path, &[row("b", 4.0), Row::missing("c", "no such tool".to_owned(), &host)]).expect("merged");
        let text = std::fs::read_to_string(&path).expect("read");
        let all: Vec<Row> = serde_json::from_str(&text).expect("a list");
        let brief: Vec<_> = all.iter().map(|row| (row.scenario.as_str(), row.ours)).collect();
        assert_eq!(brief, [("a", Some(1.0)), ("b", Some(4.0)), ("c", None)]);
        assert_eq!((all[2].holds, all[2].reason.as_deref()), (None, Some("no such tool")));
        // Scripts look for the key itself.
        assert_eq!(text.matches("\"holds\": null").count(), 1);

        std::fs::write(&path, "{").expect("written");
        assert!(merge(&path, &[row("a", 1.0)]).is_err());
    }

    #[test]
    fn ratios_without_a_baseline_do_not_hold() {
        let row = Row::compared("a", "m", (0.0, 0.0), Bound::AtLeast(0.9), &Host::probe());
        assert_eq!((row.ratio, row.holds), (None, Some(false)));
    }
}
