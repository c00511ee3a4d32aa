//! Figures of the state engine by itself: see [`crate::memory`].

use super::definition::{LookUp, Scenario, Translate};
use super::host::Host;
use super::rows::{Bound, Row};
use super::stage::settle_on;
use crate::error::Result;
use crate::memory::lookup::{BATCH, Lookup};
use crate::memory::translation::{Contender, Translation};
use crate::out::stats::Spread;

/// A table that fits the caches.
const FEW: usize = 1_000;

/// Translates a table in turn by the engine, by hand-written code, and by merely copying it.
pub fn translate(scenario: &Scenario, spec: &Translate, host: &Host, say: &mut dyn FnMut(&str)) -> Result<Vec<Row>> {
    settle_on(host);
    let mut translation = Translation::new(spec.records)?;
    let mut rounds = Vec::with_capacity(spec.rounds);
    for round in 0..spec.rounds {
        let mut speeds = [0.0; Contender::ALL.len()];
        // Each begins as often as the others: who comes first may find memory in another state.
        for turn in 0..speeds.len() {
            let which = (round + turn) % speeds.len();
            speeds[which] = spec.records as f64 / translation.time(Contender::ALL[which]).as_secs_f64();
        }
        let [engine, by_hand, memcpy] = speeds;
        say(&format!(
            "round {}/{}: {:.1} M records/s; by hand {:.1}, memcpy {:.1}",
            round + 1,
            spec.rounds,
            engine / 1e6,
            by_hand / 1e6,
            memcpy / 1e6
        ));
        rounds.push(speeds);
    }
    let row = |metric: &str, baseline: usize, bound: &str| {
        let pairs: Vec<_> = rounds.iter().map(|speeds| (speeds[0], speeds[baseline])).collect();
        paired(scenario, metric, &pairs, scenario.bound(bound).map_or(Bound::None, Bound::AtLeast), host)
    };
    Ok(vec![row("records_per_s_of_memcpy", 2, "of_memcpy_min"), row("records_per_s_of_by_hand", 1, "of_by_hand_min")])
}

/// Looks up flows in a large table in turn with and without asking for memory beforehand, and in a small one.
pub fn look_up(scenario: &Scenario, spec: &LookUp, host: &Host, say: &mut dyn FnMut(&str)) -> Result<Vec<Row>> {
    settle_on(host);
    let lookups = spec.batches * BATCH;
    let (mut many, mut few) = (Lookup::new(spec.flows, lookups)?, Lookup::new(FEW, lookups)?);
    let mut rounds = Vec::with_capacity(spec.rounds);
    for round in 0..spec.rounds {
        many.shuffle();
        few.shuffle();
        let per_s = |time: std::time::Duration| lookups as f64 / time.as_secs_f64();
        // Other keys in between, so that the second does not find in a cache what the first brought there.
        let staged = per_s(many.staged()?);
        many.shuffle();
        let plain = per_s(many.plain()?);
        let small = per_s(few.staged()?);
        say(&format!(
            "round {}/{}: {:.2} M look-ups/s; without prefetch {:.2}, of {FEW} flows {:.2}",
            round + 1,
            spec.rounds,
            staged / 1e6,
            plain / 1e6,
            small / 1e6
        ));
        rounds.push([staged, plain, small]);
    }
    let row = |metric: &str, baseline: usize, bound: Bound| {
        let pairs: Vec<_> = rounds.iter().map(|speeds| (speeds[0], speeds[baseline])).collect();
        paired(scenario, metric, &pairs, bound, host)
    };
    let bound = scenario.bound("prefetched_min").map_or(Bound::None, Bound::AtLeast);
    Ok(vec![row("lookups_per_s_prefetched", 1, bound), row("lookups_per_s_of_1k_flows", 2, Bound::None)])
}

/// The ratio of each pair, measured right after each other; their median counts.
fn paired(scenario: &Scenario, metric: &str, pairs: &[(f64, f64)], bound: Bound, host: &Host) -> Row {
    let median = |values: Vec<f64>| Spread::of(&values);
    let of = |figure: fn(&(f64, f64)) -> f64| median(pairs.iter().map(figure).collect());
    let figure = |spread: Option<Spread>| spread.map_or(f64::NAN, |spread| spread.median);
    let ratio = of(|(ours, baseline)| ours / baseline);
    let row =
        Row::compared(&scenario.name, metric, (figure(of(|pair| pair.0)), figure(of(|pair| pair.1))), bound, host);
    Row {
        ratio: ratio.map(|spread| spread.median),
        spread: ratio.map(|spread| [spread.min, spread.max]),
        holds: Some(bound.holds(figure(ratio))),
        ..row
    }
}
