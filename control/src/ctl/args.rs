//! The command line of controlctl.

mod offline;

use std::path::PathBuf;
use std::time::Duration;

pub use offline::{CheckArgs, Format, SourceArgs, StateVerb};

use clap::{Parser, Subcommand};

/// Shows and changes what controld runs.
#[derive(Debug, Parser)]
#[command(name = "controlctl", version, after_help = AFTER_HELP)]
pub struct Args {
    /// Control socket of controld.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "HITLESS_SOCKET",
        default_value = "/run/hitless/control.sock"
    )]
    pub socket: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Give up if nothing is heard for so long (default: 10s; swap: never).
    #[arg(long, global = true, value_name = "TIME", value_parser = humantime::parse_duration)]
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
    /// The last swaps in detail.
    Report {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 1)]
        last: u64,
    },
    /// What a dataplane binary is and serves: machine, versions, and every table's layout. Needs no controld.
    Info {
        /// The file.
        binary: PathBuf,
    },
    /// What a swap from one binary to another would do. Needs no controld and starts nothing.
    ///
    /// For each table: what happens to each field, what may be lost and by which policy, the memory that is needed, and
    /// the estimated time of the background copy. The verdict is "ok", "lossy" or "refused".
    Check(CheckArgs),
    /// Look into the tables, of the running region or of an image of it.
    ///
    /// The running region is copied first and never written to; records that change meanwhile may be of different
    /// moments.
    #[command(subcommand)]
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
