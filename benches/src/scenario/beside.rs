//! Two services in one run, the second with fewer flows: the swaps of the one and of the other in turn, A B A B, so that
//! whatever else the machine does meanwhile is in both. Only one of the two has traffic at a time.

use super::definition::{Beside, Dataplane, Load, Scenario};
use super::host::Host;
use super::rows::{Bound, Row};
use super::stage::{Stage, stand_aside};
use super::swapping::{SwapRun, Watch};
use crate::error::{Error, Result};
use crate::out::stats::{Blackouts, Spread};
use crate::world::binaries::Binaries;

/// What came of both.
#[derive(Debug)]
pub struct BesideRun {
    pub main: SwapRun,
    pub beside: SwapRun,
    /// Swaps of each in one round.
    per_round: usize,
}

/// The scenario of the second service.
pub fn second(scenario: &Scenario, beside: &Beside) -> Result<Scenario> {
    let load = scenario.load.as_ref().ok_or_else(|| Error::Usage(format!("{} has no load", scenario.name)))?;
    Ok(Scenario {
        name: format!("{}-beside", scenario.name),
        about: format!("The same with {} flows", beside.flows),
        dataplane: Dataplane {
            flows_max: beside.flows_max,
            snat: Dataplane::default().snat,
            snat_sockets: Dataplane::default().snat_sockets,
            ..scenario.dataplane.clone()
        },
        load: Some(Load { flows: beside.flows, ..load.clone() }),
        beside: None,
        ..scenario.clone()
    })
}

/// Runs both from start to verdict.
pub fn run(
    scenario: &Scenario,
    beside: &Beside,
    binaries: &Binaries,
    host: &Host,
    watch: &mut dyn Watch,
) -> Result<BesideRun> {
    let place = stand_aside(host);
    let small = second(scenario, beside)?;
    let per_round = scenario.swaps.as_ref().map_or(0, |swaps| swaps.count) / beside.rounds;
    let mut stages =
        [Stage::start(scenario, binaries, host, place, watch)?, Stage::start(&small, binaries, host, place, watch)?];
    for stage in &mut stages {
        stage.warm_up(watch)?;
        stage.without(watch)?;
        stage.pause(watch)?;
    }
    'rounds: for _ in 0..beside.rounds {
        for stage in &mut stages {
            stage.resume(watch)?;
            let fine = stage.swap(per_round, watch)?;
            stage.pause(watch)?;
            if !fine {
                break 'rounds;
            }
        }
    }
    for stage in &mut stages {
        stage.resume(watch)?;
        stage.after(watch)?;
        stage.pause(watch)?;
    }
    let [main, beside] = stages.map(|stage| stage.finish(watch));
    Ok(BesideRun { main: main?, beside: beside?, per_round: per_round as usize })
}

fn blackouts_us(run: &SwapRun) -> Vec<f64> {
    run.swaps.iter().filter(|s| s.report().committed()).map(|s| s.report().blackout_ns as f64 / 1e3).collect()
}

impl BesideRun {
    /// The median blackout beside that of fewer flows; the spread is that of the rounds' ratios.
    pub fn rows(&self, scenario: &Scenario, beside: &Beside, host: &Host) -> Vec<Row> {
        let (main, small) = (blackouts_us(&self.main), blackouts_us(&self.beside));
        let p50 = |us: &[f64]| Blackouts::of(us).p50.unwrap_or(f64::NAN);
        let bound = scenario.bound("blackout_ratio_p50_max").map_or(Bound::None, Bound::AtMost);
        let rounds = main.chunks(self.per_round.max(1)).zip(small.chunks(self.per_round.max(1)));
        let ratios: Vec<f64> = rounds.map(|(ours, theirs)| p50(ours) / p50(theirs)).collect();
        let metric = format!("blackout_us_p50_beside_{}_flows", beside.flows);
        let mut ratio = Row::compared(&scenario.name, &metric, (p50(&main), p50(&small)), bound, host);
        ratio.spread = Spread::of(&ratios).map(|spread| [spread.min, spread.max]);
        let failures = self.beside.failures().len() as f64;
        vec![ratio, Row::figure(&scenario.name, "beside_failures", failures, Bound::Exactly(0.0), host)]
    }
}
