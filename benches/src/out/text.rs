//! The end of a run for people.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use super::summary::{Summary, SwapRow};
use crate::load::latency::FeltReport;

/// Swaps listed one by one; longer runs show the slowest.
const LISTED_MAX: usize = 24;

pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| grouped(value.round() as i64))
}

/// 1234567 as 1,234,567.
pub(super) fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| str::from_utf8(g).unwrap_or("")).collect();
    format!("{}{}", if value < 0 { "-" } else { "" }, groups.join(","))
}

impl Summary {
    /// Rates, swaps, what the clients felt, counts, and the verdict.
    pub fn to_text(&self) -> String {
        let mut parts = vec![
            self.rates().to_string(),
            self.swaps_table().to_string(),
            self.felt().to_string(),
            self.counts().to_string(),
        ];
        parts.push(format!(
            "{} · kernel {} · revision {} · packet thread {} · load {}",
            self.host.machine, self.host.kernel, self.host.revision, self.scheduling, self.load_scheduling
        ));
        parts.extend(self.host.lacks().into_iter().map(|lack| format!("note: {lack}")));
        if self.holds {
            let fields = [grouped(self.sent as i64), self.swaps.to_string(), grouped(self.records_translated as i64)];
            let [sent, swaps, records] = fields;
            parts.push(format!(
                "HOLDS: {sent} requests sent, {sent} answered, nothing moved; {swaps} swaps, {records} records translated"
            ));
        } else {
            parts.extend(self.failures.iter().map(|failure| format!("FAILED: {failure}")));
        }
        parts.join("\n")
    }

    fn rates(&self) -> Table {
        let mut table = table(&["packets/s, both directions", "before", "during swaps", "after"]);
        table.add_row(["mean".to_owned(), number(self.pps.before), number(self.pps.during), number(self.pps.after)]);
        let lowest = self.lowest_pps;
        table.add_row(["emptiest 10 ms".to_owned(), number(lowest.before), number(lowest.during), "–".to_owned()]);
        table
    }

    fn swaps_table(&self) -> Table {
        let header =
            ["swap", "at", "layout", "blackout µs", "translated", "live", "in the blackout", "passes", "old gone ms"];
        let mut table = table(&header);
        let mut rows: Vec<&SwapRow> = self.swap_list.iter().collect();
        if rows.len() > LISTED_MAX {
            rows.sort_by(|a, b| b.blackout_us.total_cmp(&a.blackout_us));
            rows.truncate(LISTED_MAX);
        }
        for row in rows {
            table.add_row([
                row.number.to_string(),
                format!("{:.2} s", row.at_s),
                format!("{}→{}", row.from, row.to),
                format!("{:.1}", row.blackout_us),
                grouped(row.records_translated as i64),
                grouped(row.flows_live as i64),
                grouped(row.foreground_records as i64),
                row.background_passes.to_string(),
                format!("{:.1}", row.old_gone_ms),
            ]);
        }
        let us = |value: Option<f64>| value.map_or("–".to_owned(), |us| format!("{us:.1}"));
        let all = self.blackout_us;
        let quantiles = format!("p50 {}\np99 {}\nmax {}", us(all.p50), us(all.p99), us(all.max));
        let title = if self.swap_list.len() > LISTED_MAX { "slowest shown" } else { "all" };
        let blank = String::new;
        table.add_row([
            title.to_owned(),
            blank(),
            format!("{} of {}", self.layout_changed, self.swaps),
            quantiles,
            grouped(self.records_translated as i64),
            blank(),
            blank(),
            blank(),
            format!("max {:.1}", self.old_gone_ms_max),
        ]);
        table
    }

    fn felt(&self) -> Table {
        let header = ["clients' view, µs", "latency p50", "p99", "p99.9", "max", "longest gap", "longest flow stretch"];
        let mut table = table(&header);
        let row = |name: &str, felt: &FeltReport| {
            let q = felt.latency_us;
            let figures = [q.p50, q.p99, q.p999, q.max, felt.longest_gap_us, felt.longest_flow_stretch_us];
            std::iter::once(name.to_owned()).chain(figures.map(|us| number(Some(us)))).collect::<Vec<_>>()
        };
        table.add_row(row("no swap", &self.control));
        table.add_row(row("swapping", &self.swapping));
        table
    }

    fn counts(&self) -> Table {
        let counts = [
            ("offered", self.offered),
            ("sent", self.sent),
            ("received", self.received),
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("misrouted", self.misrouted),
            ("re-sourced flows", self.source_changed),
            ("moved flows", self.backend_changed),
            ("kernel drops", self.kernel_drops),
            ("load's own drops", self.generator_drops),
            ("flows", self.flows as u64),
            ("in flight, most", self.in_flight_max),
        ];
        let mut table = table(&["count", ""]);
        for (name, count) in counts {
            table.add_row([name.to_owned(), grouped(count as i64)]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(-1000), "-1,000");
        assert_eq!(number(None), "–");
    }
}
