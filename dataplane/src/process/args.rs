//! Command line of a dataplane.

use std::path::PathBuf;

/// Forwards UDP datagrams, and hands its flows over to a successor without losing one.
///
/// Without --control-fd it starts alone and serves until SIGTERM or SIGINT. The supervisor controld starts it with
/// --control-fd, and then swaps it for another dataplane while it serves.
///
/// Exit codes: 0 ended as asked, 1 failed, 2 bad usage or config (nothing started), 3 refused to take over,
/// 4 the switch was undone.
#[derive(Debug, clap::Parser)]
#[command(version, about)]
pub(super) struct Args {
    /// Config file (TOML); see docs/configuration.md.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Check the config, say what it amounts to, and exit.
    #[arg(long)]
    pub(super) check: bool,
    /// Descriptor of the supervisor's channel; for controld.
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(super) control_fd: Option<i32>,
}
