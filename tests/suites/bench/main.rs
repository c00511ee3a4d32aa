//! The bench scenarios at a size that says nothing about speed: they run, every datagram is accounted for, and every
//! figure has its row. Bounds are left out, except those that hold at any size.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tests::build::executables;

/// Each scenario binds the packet thread to the same processor, in a real-time class where that is permitted.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a scenario with these changes; all rows of its report.
fn rows(scenario: &str, changes: &[&str], out: &Path) -> Vec<Value> {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let bin_dir = executables().controld.parent().expect("an executable lies in a directory");
    let mut command = Command::new(bin_dir.join("swapbench"));
    command.args(["run", scenario, "--bin-dir"]).arg(bin_dir).arg("--out").arg(out).args(["--set", "bounds={}"]);
    for change in changes {
        command.args(["--set", change]);
    }
    let output = command.output().expect("swapbench can be started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = std::fs::read(out.join("report.json")).unwrap_or_else(|error| panic!("{error}: {said}"));
    let rows: Vec<Value> = serde_json::from_slice(&report).expect("a list of rows");
    assert!(rows.iter().all(|row| row["scenario"] == scenario && row["machine"].is_string()), "{rows:#?}");
    for row in &rows {
        // What cannot be measured in so short a time has no figure and no bound.
        assert!(row["holds"] == true || row["ours"].is_null() && row["bound"].is_null(), "{row:#}; {said}");
    }
    rows
}

fn row<'a>(rows: &'a [Value], metric: &str) -> &'a Value {
    rows.iter().find(|row| row["metric"] == metric).unwrap_or_else(|| panic!("no row {metric}: {rows:#?}"))
}

/// A load and a table that every host can bear.
const SMALL: [&str; 8] = [
    "load.requests_per_s=4000",
    "load.flows=2000",
    "dataplane.flows_max=4096",
    "dataplane.snat=[\"127.64.0.0/21\"]",
    "dataplane.idle_timeout=1m",
    "swaps.count=2",
    "swaps.before=300ms",
    "swaps.after=200ms",
];

#[test]
fn blackouts_under_load() {
    let out = tempfile::tempdir().expect("a directory");
    let rows = rows("blackout-flows-1m", &SMALL, out.path());
    assert_eq!(row(&rows, "swaps_with_layout_change")["ours"], 2.0);
    assert_eq!(row(&rows, "failures")["ours"], 0.0);
    for metric in ["blackout_us_p50", "blackout_us_p99", "blackout_us_max", "old_gone_ms_max"] {
        assert!(row(&rows, metric)["ours"].as_f64().is_some_and(|us| us > 0.0), "{metric}");
    }
    let report = std::fs::read(out.path().join("blackout-flows-1m/report.json")).expect("the run's own report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    for swap in report["swap_list"].as_array().expect("swaps") {
        assert_eq!(swap["records_translated"], 2000);
        for figure in ["background_ms", "copy_ms", "bytes"] {
            assert!(swap[figure].as_f64().is_some_and(|value| value > 0.0), "{figure}: {swap:#}");
        }
    }
}

#[test]
fn two_services_swapped_in_turn() {
    let out = tempfile::tempdir().expect("a directory");
    let beside = ["beside.flows=100", "beside.flows_max=1024", "beside.rounds=2", "swaps.count=4"];
    let rows = rows("blackout-flows-4m", &[&SMALL[..], &beside].concat(), out.path());
    let ratio = row(&rows, "blackout_us_p50_beside_100_flows");
    assert!(ratio["baseline"].as_f64().is_some_and(|us| us > 0.0), "{ratio:#}");
    assert!(ratio["spread"].is_array());
    assert_eq!(row(&rows, "beside_failures")["ours"], 0.0);
    assert_eq!(row(&rows, "failures")["ours"], 0.0);
    let report = std::fs::read(out.path().join("blackout-flows-4m/beside/report.json")).expect("the other's report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    assert_eq!((&report["swaps"], &report["flows"]), (&4.into(), &100.into()));
}

/// The new process has no pause here: the old one must end all the same.
#[test]
fn the_background_phase_at_the_limit() {
    let out = tempfile::tempdir().expect("a directory");
    let changes = [
        "background.flows=2000",
        // As many as the smallest receive buffer holds.
        "background.window=192",
        "background.train=8",
        "background.swaps=2",
        "background.before=300ms",
        "dataplane.flows_max=65536",
        "dataplane.snat=[\"127.64.0.0/21\"]",
    ];
    let rows = rows("background-rate", &changes, out.path());
    assert_eq!(row(&rows, "failures")["ours"], 0.0, "{rows:#?}");
    assert_eq!(row(&rows, "swaps_committed")["ours"], 2.0);
    for metric in ["packets_per_s_background", "packets_per_cpu_s_background", "background_ms"] {
        row(&rows, metric);
    }
}

#[test]
fn long_scenarios_are_left_out_by_name() {
    let bin_dir = executables().controld.parent().expect("an executable lies in a directory");
    let output = Command::new(bin_dir.join("swapbench")).args(["run", "--list"]).output().expect("swapbench starts");
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(list.lines().any(|line| line.starts_with("blackout-flows-4m") && line.contains("(long)")), "{list}");
}
