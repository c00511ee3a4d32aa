//! The command line of controlctl.

use std::path::PathBuf;
use std::time::Duration;

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
    1  failed; doctor: the host lacks something that is required\n  \
    2  bad usage\n  \
    3  swap refused; the running dataplane was not touched\n  \
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
