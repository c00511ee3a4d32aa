//! Writes the fixtures that are not there yet, and their digests. What is there is never touched: fixtures are what
//! the code of their release wrote.

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use tests::fixtures::{SUMS, digest, directory, make};

fn main() -> ExitCode {
    match write_missing() {
        Ok(0) => {
            println!("all fixtures are there already; nothing was written");
            ExitCode::SUCCESS
        }
        Ok(written) => {
            println!("{written} fixtures written to {}", directory().display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("make-fixtures: {}: {error}", directory().display());
            ExitCode::FAILURE
        }
    }
}

fn write_missing() -> io::Result<usize> {
    let dir = directory();
    std::fs::create_dir_all(&dir)?;
    let mut written = 0;
    for (name, bytes) in make() {
        match File::create_new(dir.join(&name)) {
            Ok(mut file) => {
                file.write_all(&bytes)?;
                let mut sums = File::options().create(true).append(true).open(dir.join(SUMS))?;
                writeln!(sums, "{}  {name}", digest(&bytes))?;
                written += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => println!("kept {name}"),
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
