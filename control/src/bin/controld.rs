//! controld: starts a dataplane, keeps it alive, and replaces it while it serves.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use control::shell::startup::{Options, controld};

/// Starts a dataplane, keeps it alive, and replaces it with another binary while it serves.
///
/// Stays in the foreground and logs to standard error; HITLESS_LOG sets what is logged (such as "debug").
/// SIGTERM and SIGINT end the dataplane and then controld; a second one kills the dataplane.
#[derive(Parser)]
#[command(name = "controld", version, after_help = AFTER_HELP)]
struct Args {
    /// Config file, the same for controld and the dataplane.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Leave the dataplane running when controld ends.
    ///
    /// It serves on without a supervisor. A controld that is started later does not adopt it, and refuses to start a
    /// second one beside it.
    #[arg(long)]
    leave_dataplane: bool,
    /// Only check the config file and the dataplane binary.
    #[arg(long)]
    check: bool,
}

const AFTER_HELP: &str = "Exit codes:\n  \
    0  ended as asked\n  \
    1  failed\n  \
    2  bad usage or config; nothing was started";

fn main() -> ExitCode {
    let Args { config, leave_dataplane, check } = Args::parse();
    controld(&Options { config, leave_dataplane, check }).into()
}
