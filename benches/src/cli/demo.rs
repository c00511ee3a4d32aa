//! `swapbench demo`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Common;
use crate::error::{Doing, Error, Result};
use crate::out::picture::{Mark, Picture};
use crate::out::progress::Progress;
use crate::out::summary::Summary;
use crate::scenario::definition::Scenario;
use crate::scenario::host::Host;
use crate::scenario::rows::write_json;
use crate::scenario::swapping::{self, SwapRun};
use crate::scenario::{demo, from_file};
use crate::world::binaries::Binaries;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    common: Common,
    /// Another scenario file instead of the built-in one
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Where report.json and report.svg go
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    out: PathBuf,
}

pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let changes = args.common.changes();
    let scenario = match &args.scenario {
        Some(path) => from_file(path, &changes)?,
        None => demo(&changes)?,
    };
    let binaries = Binaries::find(args.common.bin_dir.as_deref())?;
    let host = Host::probe();
    for lack in host.lacks() {
        eprintln!("note: {lack}");
    }
    let mut progress = Progress::new();
    progress.say(&scenario.about);
    let outcome = swapping::run(&scenario, &binaries, &host, &mut progress);
    progress.finish();
    let run = outcome?;
    let summary = write(&scenario, &host, &run, &args.out)?;
    println!("{}", summary.to_text());
    println!("{} and {}", args.out.join("report.json").display(), args.out.join("report.svg").display());
    if summary.holds { Ok(()) } else { Err(Error::Failed(summary.failures.join("; "))) }
}

/// Writes report and picture of a run into `dir`.
pub(super) fn write(scenario: &Scenario, host: &Host, run: &SwapRun, dir: &Path) -> Result<Summary> {
    let summary = Summary::of(scenario, host, run);
    std::fs::create_dir_all(dir).doing(|| format!("making {}", dir.display()))?;
    write_json(&dir.join("report.json"), &summary)?;
    std::fs::write(dir.join("controld.log"), &run.log).doing(|| "writing controld.log".to_owned())?;
    picture(&summary, run).write(&dir.join("report.svg"))?;
    Ok(summary)
}

fn picture(summary: &Summary, run: &SwapRun) -> Picture {
    let origin = run.spans.before.0.saturating_sub(run.spans.origin_ns) as f64 / 1e9;
    let end = run.spans.after.1.saturating_sub(run.spans.origin_ns) as f64 / 1e9;
    let rates = run.outcome.packets.rates();
    let us = |value: Option<f64>| value.map_or("–".to_owned(), |us| format!("{us:.0}"));
    let blackout = summary.blackout_us;
    let mut title = format!(
        "{}: {} swaps, blackout p50 {} µs, max {} µs; {} sent, {} answered",
        summary.scenario.name,
        summary.swaps,
        us(blackout.p50),
        us(blackout.max),
        summary.sent,
        summary.received
    );
    if !summary.holds {
        title.push_str(" — FAILED");
    }
    Picture {
        title,
        rate: rates.filter(|&(at, _)| at >= origin && at < end).map(|(at, pps)| (at - origin, pps)).collect(),
        marks: summary
            .swap_list
            .iter()
            .map(|swap| Mark {
                at_s: swap.at_s - origin,
                span_s: (swap.asked_s - origin, swap.asked_s + swap.took_ms / 1e3 - origin),
                label: format!("{}→{}", swap.from, swap.to),
                forward: swap.to == "v2",
                blackout_us: swap.blackout_us,
            })
            .collect(),
    }
}
