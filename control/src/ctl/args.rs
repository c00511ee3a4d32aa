//! The command line of controlctl.

mod offline;

use std::path::PathBuf;
use std::time::Duration;

pub use offline::{CheckArgs, Format, SourceArgs, StateVerb};

use clap::{Parser, Subcommand};

/// Title of the options that all commands have.
const COMMON: &str = "Common options";

/// Shows and changes what controld runs, and looks at binaries, tables and images.
#[derive(Debug, Parser)]
#[command(name = "controlctl", version, after_help = AFTER_HELP)]
pub struct Args {
    /// Control socket of controld.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "HITLESS_SOCKET",
        help_heading = COMMON,
        default_value = "/run/hitless/control.sock"
    )]
    pub socket: PathBuf,
    /// Print JSON.
    #[arg(long, global = true, help_heading = COMMON)]
    pub json: bool,
    /// Give up if nothing is heard for so long (default: 10s; swap: never).
    #[arg(long, global = true, help_heading = COMMON, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// What runs, and how it is.
    Status,
    /// Live flows.
    Flows {
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u64,
    },
    /// Counters of the dataplane.
    Counters,
    /// Replace the running dataplane with another binary while it serves.
    ///
    /// Returns when the old process is gone (committed), or serves on (refused, undone).
    Swap {
        /// The new dataplane.
        binary: PathBuf,
        /// Only say what would be done to each table and field.
        #[arg(long)]
        dry_run: bool,
        /// Take the old process's sockets and segments instead of asking for them.
        #[arg(long)]
        steal: bool,
        /// Go on although the expected blackout is over the budget.
        #[arg(long)]
        force_budget: bool,
        /// If a swap is in probation, commit it now instead of waiting for its end.
        #[arg(long)]
        commit_now: bool,
    },
    /// Back to the binary that served before the last swap: an ordinary swap, with all that has happened since.
    ///
    /// Refused when that file is gone or is another one by now.
    Rollback {
        /// Only say what would be done to each table and field.
        #[arg(long)]
        dry_run: bool,
        /// Take the old process's sockets and segments instead of asking for them.
        #[arg(long)]
        steal: bool,
        /// Go on although the expected blackout is over the budget.
        #[arg(long)]
        force_budget: bool,
        /// If a swap is in probation, commit it now instead of waiting for its end.
        #[arg(long)]
        commit_now: bool,
    },
    /// The last swaps in detail.
    Report {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 1)]
        last: u64,
    },
    /// What a dataplane binary is and serves, from the file alone.
    ///
    /// Path, checksum, machine, how it is linked, its version and the ranges of formats and protocols that it supports
    /// ("not said" by binaries before that note), and the layout of each table. Needs no controld.
    #[command(after_help = INFO_HELP)]
    Info {
        /// The file.
        binary: PathBuf,
    },
    /// What a swap from one binary to another would do, from the files alone.
    ///
    /// For each table: what happens to each field, what may be lost and by which policy, the memory that is needed, and
    /// the estimated time of the background copy. The verdict is "ok", "lossy" or "refused". Needs no controld and
    /// starts nothing; the rate of translation is measured on this host in a fraction of a second, unless it is given.
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Look into the tables, of the running region or of an image of it.
    ///
    /// The running region is copied first and never written to; records that change meanwhile may be of different
    /// moments.
    #[command(subcommand, after_help = STATE_HELP)]
    State(StateVerb),
    /// What this host lacks.
    Doctor {
        /// Compare with what this config file asks for.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// End the dataplane and controld.
    Stop,
}

const INFO_HELP: &str = "Exit codes:\n  \
    0  done\n  \
    2  the file is missing, or is no dataplane for this host; the message says which";

const CHECK_HELP: &str = "Exit codes:\n  \
    0  the swap can be done; \"lossy\" is said, not punished\n  \
    2  a file is missing, or is no dataplane for this host; the message says which\n  \
    3  it would be refused; with --strict also where information may be lost\n\n\
    Example:\n  \
    controlctl check --both --config /etc/hitless.toml /usr/bin/dataplane ./dataplane-new";

const STATE_HELP: &str = "Exit codes:\n  \
    0  done; verify: all is well\n  \
    1  failed; verify: something is wrong, and printed\n  \
    2  a file is missing, is not what it should be, or is there already; the message says which\n  \
    3  load: the rows cannot be had in that layout or capacity\n  \
    5  controld does not answer at the socket\n  \
    6  no answer in time\n\n\
    Examples:\n  \
    controlctl state verify\n  \
    controlctl state save /var/tmp/region && controlctl state stats --image /var/tmp/region\n  \
    controlctl state dump --table flows --format csv > flows.csv\n  \
    controlctl state dump --table flows --format rows --out flows.rows\n  \
    controlctl state load --binary ./dataplane-old --rows flows.rows --out table-1-0.seg";

const AFTER_HELP: &str = "Exit codes:\n  \
    0  done\n  \
    1  failed; doctor: the host lacks something that is required; state verify: something is wrong\n  \
    2  bad usage; a file that was named is missing or is not what it should be\n  \
    3  swap refused; the running dataplane was not touched; check: it would be refused (--strict: or lossy);\n     \
       state load: the rows cannot be had in that layout\n  \
    4  swap begun and undone; the old dataplane serves on\n  \
    5  controld does not answer at the socket\n  \
    6  no answer in time";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
        let args = Args::try_parse_from(["controlctl", "swap", "./new", "--dry-run", "--json"]).expect("parses");
        assert!(args.json && matches!(args.verb, Verb::Swap { dry_run: true, .. }));
    }
}
