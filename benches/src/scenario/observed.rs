//! One swap of a run, and what can be wrong with it.

use crate::world::Swap;
use crate::world::report::SwapReport;

/// A swap with what the generator knew when it began.
#[derive(Debug, Clone)]
pub struct Observed {
    pub number: u32,
    /// Layouts by name: ("v1", "v2").
    pub direction: (&'static str, &'static str),
    pub swap: Swap,
    /// Flows that certainly stood in the table when the swap began.
    pub flows_live: u64,
}

impl Observed {
    pub fn report(&self) -> &SwapReport {
        &self.swap.report
    }

    /// What is wrong with this swap, if anything.
    pub fn fault(&self) -> Option<String> {
        let report = self.report();
        let name = format!("swap {} {}→{}", self.number, self.direction.0, self.direction.1);
        let translated = if report.tables.is_empty() { report.records_translated } else { report.flow_records() };
        if !report.committed() {
            Some(format!("{name}: {} ({})", report.outcome, report.error))
        } else if !self.swap.old_gone {
            Some(format!("{name}: the old process {} did not end", report.from.pid))
        } else if report.from.pid == report.to.pid {
            Some(format!("{name}: the same process served before and after"))
        } else if report.blackout_ns == 0 {
            Some(format!("{name}: no blackout was measured"))
        } else if !report.layout_changed {
            Some(format!("{name}: no table was translated"))
        } else if translated < self.flows_live {
            Some(format!("{name}: {translated} records translated, {} flows live", self.flows_live))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::report::TableWork;

    fn observed(change: impl FnOnce(&mut SwapReport)) -> Observed {
        let mut report = SwapReport {
            outcome: "committed".to_owned(),
            layout_changed: true,
            records_translated: 10,
            blackout_ns: 1,
            ..Default::default()
        };
        (report.from.pid, report.to.pid) = (1, 2);
        change(&mut report);
        let swap = Swap { report, asked_ns: 0, returned_ns: 1, old_gone: true };
        Observed { number: 1, direction: ("v1", "v2"), swap, flows_live: 10 }
    }

    #[test]
    fn swaps_that_are_not_what_they_should_be_are_named() {
        assert_eq!(observed(|_| {}).fault(), None);
        type Change = fn(&mut SwapReport);
        let faults: [(&str, Change); 5] = [
            ("undone", |report| report.outcome = "undone".to_owned()),
            ("same process", |report| report.to.pid = 1),
            ("no blackout", |report| report.blackout_ns = 0),
            ("no table", |report| report.layout_changed = false),
            ("9 records translated, 10 flows", |report| report.records_translated = 9),
        ];
        for (expected, change) in faults {
            let fault = observed(change).fault().expect(expected);
            assert!(fault.contains(expected), "{fault}");
        }
        // Where tables are listed, only the flows among them count.
        let other = TableWork { table: "x".to_owned(), records: 99, ..Default::default() };
        assert!(observed(|report| report.tables = vec![other]).fault().is_some());
        let mut kept = observed(|_| {});
        kept.swap.old_gone = false;
        assert!(kept.fault().expect("a fault").contains("did not end"));
    }
}
