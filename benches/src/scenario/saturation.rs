//! The dataplane's cost per datagram beside the baseline's: one after the other, in turn, on the same core, with
//! the same config, under the same load.

use std::ffi::OsStr;
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use super::definition::{Saturation, Scenario};
use super::host::Host;
use super::rows::{Bound, Row};
use crate::error::{Doing, Error, Result};
use crate::load::pump::{Pump, PumpPlan, Pumped};
use crate::out::stats::Spread;
use crate::world::binaries::Binaries;
use crate::world::config::{self, Config, Setting};
use crate::world::process::Owned;

const BACKENDS: usize = 2;

/// One pair of measurements.
#[derive(Debug, Clone, Copy)]
struct Pair {
    ours: Pumped,
    baseline: Pumped,
}

/// Runs all rounds and makes the rows.
pub fn run(
    scenario: &Scenario,
    saturation: &Saturation,
    binaries: &Binaries,
    host: &Host,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Row>> {
    let place = host.placement();
    if place.cores < 2 {
        return Err(Error::World("needs two cores: one for the process under test, one for the load".to_owned()));
    }
    let plan = PumpPlan {
        flows: saturation.flows,
        payload: saturation.payload_bytes,
        window: saturation.window,
        settle_ns: saturation.settle.as_nanos() as u64,
        measure_ns: saturation.measure.as_nanos() as u64,
        cpu: place.generator,
    };
    let mut pump = Pump::new(plan, BACKENDS)?;
    let dir = tempfile::Builder::new()
        .prefix("swapbench-")
        .tempdir()
        .doing(|| "making a directory for the run".to_owned())?;
    let file = dir.path().join("hitless.toml");
    let mut pairs = Vec::with_capacity(saturation.rounds);
    for round in 1..=saturation.rounds {
        // A port of its own each time: nothing of an earlier process can be in the way.
        let mut measure = |program: &Path, args: &[&OsStr], log: &str| {
            let port = config::free_port()?;
            let setting = Setting {
                name: &scenario.name,
                dir: dir.path(),
                dataplane: &binaries.dataplane,
                port,
                backends: &pump.backend_addresses()?,
                cpu: place.dut,
                background_cpu: place.background,
                // Both in the normal class, whatever is permitted: the comparison is of work, not of priority.
                scheduling: "other",
                probation: Duration::ZERO,
            };
            let config = Config::of(&scenario.dataplane, &setting);
            std::fs::write(&file, config.to_toml()?).doing(|| format!("writing {}", file.display()))?;
            let args = args.iter().copied().chain([OsStr::new("--config"), file.as_os_str()]);
            let mut process = Owned::start(program, args, &dir.path().join(log))?;
            let service = SocketAddrV4::new(scenario.dataplane.addresses[0], port);
            let pumped = pump.measure(service, process.pid()).map_err(|error| match error {
                Error::World(why) => Error::World(format!("{log}: {why}; its output: {}", process.log_tail())),
                other => other,
            })?;
            process.end()?;
            Ok::<Pumped, Error>(pumped)
        };
        let ours = measure(&binaries.dataplane, &[], "dataplane")?;
        let baseline = measure(&binaries.swapbench, &[OsStr::new("baseline")], "baseline")?;
        say(&format!(
            "round {round}/{}: {:.0} k and {:.0} k datagrams per CPU-second, ratio {:.3} (busy {:.0} % and {:.0} %)",
            saturation.rounds,
            ours.per_cpu_second() / 1e3,
            baseline.per_cpu_second() / 1e3,
            ours.per_cpu_second() / baseline.per_cpu_second(),
            ours.busy() * 100.0,
            baseline.busy() * 100.0,
        ));
        pairs.push(Pair { ours, baseline });
    }
    Ok(rows(scenario, &pairs, host))
}

fn rows(scenario: &Scenario, pairs: &[Pair], host: &Host) -> Vec<Row> {
    let median = |figure: fn(&Pair) -> f64| {
        let values: Vec<f64> = pairs.iter().map(figure).collect();
        Spread::of(&values).map_or(f64::NAN, |spread| spread.median)
    };
    let ratios: Vec<f64> =
        pairs.iter().map(|pair| pair.ours.per_cpu_second() / pair.baseline.per_cpu_second()).collect();
    let bound = Bound::AtLeast(scenario.bound("ratio_min").unwrap_or(0.0));
    let figures = (median(|p| p.ours.per_cpu_second()), median(|p| p.baseline.per_cpu_second()));
    let mut cost = Row::compared(&scenario.name, "datagrams_per_cpu_second", figures, bound, host);
    if let Some(spread) = Spread::of(&ratios) {
        // The ratio of each pair, measured seconds apart, not of two medians minutes apart.
        cost = Row { holds: Some(bound.holds(spread.median)), ..cost };
        cost.ratio = Some(spread.median);
        cost.spread = Some([spread.min, spread.max]);
    }
    let faults = |of: fn(&Pair) -> &Pumped| {
        pairs.iter().map(|pair| u64::from(!of(pair).verdict.failures().is_empty())).sum::<u64>() as f64
    };
    let none = Bound::Exactly(0.0);
    let busy = (median(|p| p.ours.busy()), median(|p| p.baseline.busy()));
    vec![
        cost,
        Row::figure(&scenario.name, "rounds_with_faults", faults(|p| &p.ours), none, host),
        Row::figure(&scenario.name, "baseline_rounds_with_faults", faults(|p| &p.baseline), none, host),
        Row::compared(&scenario.name, "busy_share_of_core", busy, Bound::None, host),
    ]
}
