//! `swapbench faults`.

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use crate::error::{Error, Result};
use crate::relay::{Fault, trial};

pub(super) fn run() -> Result<()> {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(["done wrong, once", "sent", "received", "counted"]);
    let mut blind = Vec::new();
    for fault in Fault::ALL {
        let verdict = trial(fault)?;
        let counted: Vec<String> =
            verdict.bad().iter().filter(|bad| bad.1 > 0).map(|(name, count)| format!("{name} {count}")).collect();
        if verdict.failures().is_empty() != (fault == Fault::None) {
            blind.push(format!("{fault:?}"));
        }
        let cells = [format!("{fault:?}"), verdict.sent.to_string(), verdict.received.to_string(), counted.join(", ")];
        table.add_row(cells);
    }
    println!("{table}");
    if blind.is_empty() { Ok(()) } else { Err(Error::Failed(format!("misjudged: {}", blind.join(", ")))) }
}
