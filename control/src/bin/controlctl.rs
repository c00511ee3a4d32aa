//! controlctl: shows and changes what controld runs.

use std::process::ExitCode;

use clap::Parser;
use control::ctl::args::Args;
use control::ctl::run::controlctl;

fn main() -> ExitCode {
    controlctl(&Args::parse()).into()
}
