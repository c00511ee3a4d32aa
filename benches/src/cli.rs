//! Arguments and commands of `swapbench`.

mod bench;
mod demo;
mod faults;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use dataplane::config::Config;

use crate::baseline;
use crate::error::{Doing, Error, Result};
use crate::sys::interrupt;

/// Measures the hitless dataplane: load, faults counted, swaps, pictures.
///
/// Traffic stays on the loopback interface. Exit codes: 0 everything holds; 1 something does not, or could not be
/// measured; 2 wrong arguments or files, nothing was started; 130 interrupted.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Swap v1→v2→v1→… under load; writes report.json and report.svg
    Demo(demo::DemoArgs),
    /// Run scenarios; each replaces its rows in report.json
    Run(bench::RunArgs),
    /// Forward like the dataplane, by recvmmsg and sendmmsg, without ever being swapped
    Baseline(BaselineArgs),
    /// Do one thing wrong at a time on purpose and show that the checker counts it
    Faults,
}

/// Options of every command that runs the service.
#[derive(Debug, Args)]
struct Common {
    /// Directory of controld, controlctl, dataplane and dataplane-v1 [default: beside this program]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Change a value of the scenario, as in --set load.flows=500; may be repeated
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
    /// Scheduling class of the packet threads: other, fifo or auto
    #[arg(long, value_name = "CLASS")]
    scheduling: Option<String>,
}

impl Common {
    /// All changes to the scenario.
    fn changes(&self) -> Vec<String> {
        let class = self.scheduling.iter().map(|class| format!("dataplane.scheduling=\"{class}\""));
        self.overrides.iter().cloned().chain(class).collect()
    }
}

#[derive(Debug, Args)]
struct BaselineArgs {
    /// The dataplane's config file; IPv4 forwarding only
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs `swapbench`; its exit code.
pub fn main() -> u8 {
    let cli = Cli::parse();
    let outcome = interrupt::watch().doing(|| "watching for signals".to_owned()).and_then(|()| run(cli.command));
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("swapbench: {error}");
            error.exit_code()
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => bench::run(&args),
        Command::Baseline(args) => {
            let config = Config::load(&args.config).map_err(|error| Error::Usage(error.to_string()))?;
            baseline::serve(&config, interrupt::flag())
        }
        Command::Faults => faults::run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
