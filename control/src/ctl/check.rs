//! `controlctl check OLD NEW`: what a swap would do, from the two files alone.

use std::fmt::Write;

use serde_json::json;

use super::args::CheckArgs;
use super::capacity::from_config;
use super::render::{mib, right, table};
use super::run::{give_up, print, print_json};
use crate::exit;
use crate::verify::{Assumed, Binary, Check, Direction, Rate, RateSource, TableCheck, TableStep, Verdict, check};

/// Runs it; gives the exit code.
pub(super) fn run(args: &CheckArgs, as_json: bool) -> u8 {
    let CheckArgs { old, new, both, flows, config, rate, strict } = args;
    let examined = [old, new].map(|path| Binary::inspect(path));
    let [old, new] = match examined {
        [Ok(old), Ok(new)] => [old, new],
        [Err(error), _] | [_, Err(error)] => return give_up(&error.fault(), exit::USAGE, as_json),
    };
    let assumed = match config.as_deref().map(from_config).unwrap_or_else(|| Ok(Assumed::default())) {
        Ok(assumed) => Assumed { flows: flows.unwrap_or(assumed.flows), ..assumed },
        Err(fault) => return give_up(&fault, exit::USAGE, as_json),
    };
    let given = rate.map(|mb_per_s| Rate::given(mb_per_s.saturating_mul(1_000_000)));
    let check = check(&old, &new, *both, assumed, given);
    if as_json {
        print_json(&json!(check));
    } else {
        print(&text(&check));
    }
    match check.verdict {
        Verdict::Ok => exit::OK,
        Verdict::Lossy if !strict => exit::OK,
        Verdict::Lossy | Verdict::Refused => exit::REFUSED,
    }
}

fn text(check: &Check) -> String {
    let mut text = String::new();
    for direction in &check.directions {
        text.push_str(&direction_text(direction));
        text.push('\n');
    }
    let Assumed { flows, workers, backends } = check.assumed;
    let _ = writeln!(text, "reckoned with {flows} flows, {workers} workers, {backends} backends, all slots live");
    let _ = writeln!(text, "verdict     {}", check.verdict);
    text
}

fn direction_text(direction: &Direction) -> String {
    let Direction { from, to, verdict, refusals, tables, bytes_before, index_bytes, bytes_beside, background_ns } =
        direction;
    let mut text = format!("{from} → {to}: {verdict}\n");
    let mut rows = table(&["table", "step", "layout", "verdict", "slots", "bytes", "new bytes", "background"]);
    for check in tables {
        let step = match check.step {
            Some(TableStep::Shared) => "shared as it is",
            Some(TableStep::Translated) => "translated",
            Some(TableStep::Created) => "created empty",
            None => "–",
        };
        rows.add_row([
            check.table.clone(),
            step.to_owned(),
            format!("{} → {}", check.from_version, check.to_version),
            check.verdict.to_string(),
            check.slots.to_string(),
            check.bytes.to_string(),
            check.new_bytes.to_string(),
            milliseconds(check.background_ns),
        ]);
    }
    right(&mut rows, 4..8);
    let _ = writeln!(text, "{}", rows.trim_fmt());
    let mut fields = table(&["table", "field", "what happens", ""]);
    for (check, field) in tables.iter().flat_map(|check| check.fields.iter().map(move |field| (check, field))) {
        let was = field.was.as_ref().map(|was| format!(" (was {was})")).unwrap_or_default();
        let what = format!("{}{was}", field.action);
        fields.add_row([check.table.as_str(), field.field.as_str(), what.as_str(), field.loss()]);
    }
    if tables.iter().any(|check| !check.fields.is_empty()) {
        let _ = writeln!(text, "\n{}\n", fields.trim_fmt());
    }
    for fault in refusals.iter().chain(tables.iter().filter_map(|check| check.refusal.as_ref())) {
        let _ = writeln!(text, "refused     {}\n  remedy: {}", fault.message, fault.remedy);
    }
    let _ = writeln!(
        text,
        "memory      {} of tables and {} of index, {} more while both processes live; identities and buffers on top",
        mib(*bytes_before),
        mib(*index_bytes),
        mib(*bytes_beside)
    );
    let _ = writeln!(text, "background  {} for one pass, unpaced{}", milliseconds(*background_ns), rates(tables));
    text
}

/// What the estimates rest on.
fn rates(tables: &[TableCheck]) -> String {
    let rates: Vec<_> = tables.iter().filter_map(|check| check.rate).collect();
    match rates.first() {
        None => String::new(),
        Some(Rate { bytes_per_s, source: RateSource::Given }) => {
            format!(", at the given {} MB/s read and written", bytes_per_s / 1_000_000)
        }
        Some(Rate { source: RateSource::SelfTest, .. }) => {
            let rates: Vec<_> = rates.iter().map(|rate| (rate.bytes_per_s / 1_000_000).to_string()).collect();
            format!(", at {} MB/s read and written in a self-test on this host", rates.join(" and "))
        }
    }
}

fn milliseconds(nanos: u64) -> String {
    format!("{:.1} ms", nanos as f64 / 1e6)
}
