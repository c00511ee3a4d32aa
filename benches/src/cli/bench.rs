//! `swapbench run`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Common, demo};
use crate::error::{Error, Result};
use crate::out::by_flows::by_flows;
use crate::out::progress::Progress;
use crate::out::summary::Summary;
use crate::scenario::definition::Scenario;
use crate::scenario::host::Host;
use crate::scenario::rows::{Bound, Row, merge};
use crate::scenario::swapping::{self, SwapRun};
use crate::scenario::{background, beside, from_file, memory, saturation, standard};
use crate::world::binaries::Binaries;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    common: Common,
    /// Names of scenarios
    #[arg(value_name = "SCENARIO", required_unless_present_any = ["all", "list", "file"])]
    names: Vec<String>,
    /// Every named scenario but the long ones
    #[arg(long, conflicts_with_all = ["names", "file"])]
    all: bool,
    /// With --all: the long ones too
    #[arg(long, requires = "all")]
    long: bool,
    /// Only list the named scenarios
    #[arg(long)]
    list: bool,
    /// A scenario of your own
    #[arg(long, value_name = "FILE", conflicts_with = "names")]
    file: Option<PathBuf>,
    /// Where report.json goes, and a directory for each scenario with swaps
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
}

pub(super) fn run(args: &RunArgs) -> Result<()> {
    if args.list {
        for scenario in standard(&[])? {
            println!("{:<24} {}{}", scenario.name, if scenario.long { "(long) " } else { "" }, scenario.about);
        }
        return Ok(());
    }
    let scenarios = wanted(args)?;
    let host = Host::probe();
    for lack in host.lacks() {
        eprintln!("note: {lack}");
    }
    let report = args.out.join("report.json");
    let mut all = Vec::new();
    let mut summaries = Vec::new();
    for scenario in &scenarios {
        eprintln!("{}: {}", scenario.name, scenario.about);
        let rows = match apart(|| one(scenario, args, &host, &mut summaries)) {
            Ok(rows) => rows,
            Err(error @ (Error::Interrupted | Error::Usage(_))) => return Err(error),
            Err(error) => vec![Row::missing(&scenario.name, error.to_string(), &host)],
        };
        for row in &rows {
            println!("{}", row.to_text());
        }
        merge(&report, &rows)?;
        all.extend(rows);
    }
    if !summaries.is_empty() {
        println!("{}", by_flows(&summaries));
    }
    for scenario in skipped(args)? {
        println!("{scenario}: skipped, it takes long; run it by its name, or all with --all --long");
    }
    println!("{}", report.display());
    let bad: Vec<String> = all
        .iter()
        .filter(|row| row.holds != Some(true))
        .map(|row| format!("{}/{}", row.scenario, row.metric))
        .collect();
    if bad.is_empty() { Ok(()) } else { Err(Error::Failed(format!("does not hold: {}", bad.join(", ")))) }
}

/// Runs a scenario on a thread of its own: what it binds to a core or to a scheduling class ends with it.
fn apart<T: Send>(scenario: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(scenario).join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn wanted(args: &RunArgs) -> Result<Vec<Scenario>> {
    let changes = args.common.changes();
    if let Some(path) = &args.file {
        return Ok(vec![from_file(path, &changes)?]);
    }
    let known = standard(&[])?;
    if let Some(unknown) = args.names.iter().find(|name| known.iter().all(|scenario| scenario.name != **name)) {
        let names: Vec<&str> = known.iter().map(|scenario| scenario.name.as_str()).collect();
        return Err(Error::Usage(format!("no scenario \"{unknown}\"; there are: {}", names.join(", "))));
    }
    let chosen = |scenario: &Scenario| args.all && (args.long || !scenario.long) || args.names.contains(&scenario.name);
    // Changes are applied to the chosen ones only: another kind of scenario has other keys.
    let texts: Vec<bool> = known.iter().map(chosen).collect();
    crate::scenario::standard_where(&texts, &changes)
}

/// Scenarios that `--all` leaves out.
fn skipped(args: &RunArgs) -> Result<Vec<String>> {
    let left_out = |scenario: &Scenario| args.all && scenario.long && !args.long;
    Ok(standard(&[])?.into_iter().filter(left_out).map(|scenario| scenario.name).collect())
}

fn one(scenario: &Scenario, args: &RunArgs, host: &Host, summaries: &mut Vec<Summary>) -> Result<Vec<Row>> {
    let mut say = |line: &str| eprintln!("{line}");
    if let Some(spec) = &scenario.translate {
        return memory::translate(scenario, spec, host, &mut say);
    }
    if let Some(spec) = &scenario.look_up {
        return memory::look_up(scenario, spec, host, &mut say);
    }
    let binaries = Binaries::find(args.common.bin_dir.as_deref())?;
    let dir = args.out.join(&scenario.name);
    if let Some(spec) = &scenario.saturation {
        return saturation::run(scenario, spec, &binaries, host, &mut say);
    }
    let mut progress = Progress::new();
    if let Some(spec) = &scenario.background {
        let run = background::run(scenario, spec, &binaries, host, &mut progress);
        progress.finish();
        let run = run?;
        run.write(&dir)?;
        eprintln!("{}", run.to_text());
        return Ok(run.rows());
    }
    let mut keep = |scenario: &Scenario, run: &SwapRun, dir: &Path| {
        let summary = demo::write(scenario, host, run, dir)?;
        eprintln!("{}", summary.to_text());
        let rows = rows(scenario, &summary, host);
        summaries.push(summary);
        Ok::<_, Error>(rows)
    };
    let Some(spec) = &scenario.beside else {
        let run = swapping::run(scenario, &binaries, host, &mut progress);
        progress.finish();
        return keep(scenario, &run?, &dir);
    };
    let run = beside::run(scenario, spec, &binaries, host, &mut progress);
    progress.finish();
    let run = run?;
    keep(&beside::second(scenario, spec)?, &run.beside, &dir.join("beside"))?;
    let mut rows = keep(scenario, &run.main, &dir)?;
    rows.extend(run.rows(scenario, spec, host));
    Ok(rows)
}

/// The figures of a run with swaps, and their bounds.
fn rows(scenario: &Scenario, summary: &Summary, host: &Host) -> Vec<Row> {
    let figure = |metric: &str, ours: f64, bound: Bound| Row::figure(&scenario.name, metric, ours, bound, host);
    let compared = |metric: &str, ours: f64, baseline: f64| {
        // The baseline is the same load without swaps, just before.
        Row::compared(&scenario.name, metric, (ours, baseline), Bound::None, host)
    };
    let limit = |name: &str, bound: fn(f64) -> Bound| scenario.bound(name).map_or(Bound::None, bound);
    let none = Bound::Exactly(0.0);
    let wanted = scenario.swaps.as_ref().map_or(0, |swaps| swaps.count);
    let blackout = summary.blackout_us;
    let us = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let (with, without) = (&summary.swapping, &summary.control);
    vec![
        figure("lost", summary.lost as f64, none),
        figure("duplicated", summary.duplicated as f64, none),
        figure("reordered", summary.reordered as f64, none),
        figure("misrouted", summary.misrouted as f64, none),
        figure("backend_changed", summary.backend_changed as f64, none),
        figure("source_changed", summary.source_changed as f64, none),
        figure("kernel_drops", summary.kernel_drops as f64, none),
        figure("failures", summary.failures.len() as f64, none),
        figure("received_per_sent", summary.received as f64 / summary.sent as f64, Bound::Exactly(1.0)),
        figure("swaps_with_layout_change", summary.layout_changed as f64, Bound::AtLeast(f64::from(wanted))),
        figure("old_gone_ms_max", summary.old_gone_ms_max, limit("old_gone_ms_max", Bound::AtMost)),
        Row {
            spread: blackout.min.zip(blackout.max).map(|(min, max)| [min, max]),
            ..figure("blackout_us_p50", us(blackout.p50), limit("blackout_us_p50", Bound::Below))
        },
        figure("blackout_us_p99", us(blackout.p99), limit("blackout_us_p99", Bound::Below)),
        figure("blackout_us_max", us(blackout.max), Bound::None),
        figure("records_translated", summary.records_translated as f64, Bound::None),
        figure("in_flight_max", summary.in_flight_max as f64, Bound::None),
        compared("packets_per_s", us(summary.pps.during), us(summary.pps.before)),
        compared("latency_us_p50", with.latency_us.p50, without.latency_us.p50),
        compared("latency_us_p99", with.latency_us.p99, without.latency_us.p99),
        compared("latency_us_max", with.latency_us.max, without.latency_us.max),
        compared("longest_gap_us", with.longest_gap_us, without.longest_gap_us),
        compared("longest_flow_stretch_us", with.longest_flow_stretch_us, without.longest_flow_stretch_us),
    ]
}
