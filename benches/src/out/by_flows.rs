//! Swaps at several numbers of flows, one below the other: what grows with the table and what does not.

use super::stats::Spread;
use super::summary::{Summary, SwapRow};
use super::text::{grouped, table};

/// A row for each run, by flows. Beside the blackout all figures are medians over the run's swaps.
pub fn by_flows(runs: &[Summary]) -> String {
    let mut runs: Vec<&Summary> = runs.iter().filter(|run| run.swaps > 0).collect();
    runs.sort_by_key(|run| run.flows);
    let header = [
        "flows",
        "swaps",
        "blackout µs p50",
        "p99",
        "max",
        "finish",
        "offer",
        "foreground",
        "enter",
        "records in it",
        "background ms",
        "copy ms",
        "passes",
        "records/s",
        "MiB",
        "old gone ms, max",
    ];
    let mut table = table(&header);
    for run in runs {
        let median = |figure: &dyn Fn(&SwapRow) -> f64| {
            let values: Vec<f64> = run.swap_list.iter().filter(|swap| swap.blackout_us > 0.0).map(figure).collect();
            Spread::of(&values).map_or(f64::NAN, |spread| spread.median)
        };
        let us = |value: Option<f64>| value.map_or("–".to_owned(), |us| format!("{us:.0}"));
        let one = |value: f64| format!("{value:.1}");
        let whole = |value: f64| grouped(value.round() as i64);
        table.add_row([
            grouped(run.flows as i64),
            run.swaps.to_string(),
            us(run.blackout_us.p50),
            us(run.blackout_us.p99),
            us(run.blackout_us.max),
            one(median(&|swap| swap.blackout_parts_us.quiesce)),
            one(median(&|swap| swap.blackout_parts_us.offer)),
            one(median(&|swap| swap.blackout_parts_us.foreground)),
            one(median(&|swap| swap.blackout_parts_us.enter)),
            whole(median(&|swap| swap.foreground_records as f64)),
            one(median(&|swap| swap.background_ms)),
            one(median(&|swap| swap.copy_ms)),
            whole(median(&|swap| f64::from(swap.background_passes))),
            whole(median(&|swap| swap.records_translated as f64 / (swap.copy_ms / 1e3))),
            one(median(&|swap| swap.bytes as f64 / f64::from(1 << 20))),
            one(run.old_gone_ms_max),
        ]);
    }
    table.to_string()
}
