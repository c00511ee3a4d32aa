//! See `swapbench --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(benches::cli::main())
}
