//! Hostile bytes for every reader of foreign memory and files: what a successor attaches, what controld looks at, what
//! controlctl is given.
//!
//! A *target* takes any bytes and turns them into the claims of one reader: most often edits of a good image, after
//! which checksums and fingerprints are made right again ([`Mend`]), because they keep accidents out and not an
//! opponent, and a fuzzer that has to guess a SHA-256 never sees the code behind it. The reader then refuses by name or
//! works, and what works is used to the end: translated, repaired, scanned, served from. A panic is a finding, and so is
//! a step count beyond what the size of the image allows.
//!
//! The same functions run under libFuzzer (`tests/fuzz`) and, with fixed seeds and without it, in the suite `untrusted`.

pub mod descriptor;
pub mod edits;
pub mod image;
pub mod memory;
pub mod note;
pub mod regions;
pub mod rich;
pub mod rows;
pub mod segment;
pub mod served;
pub mod table;

pub use edits::Mend;

/// What became of an input; a panic is the third end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A reader said what is wrong.
    Refused,
    /// Everything was accepted and used.
    Worked,
}

/// One group of readers.
#[derive(Clone, Copy)]
pub struct Target {
    /// Name, also of its directories.
    pub name: &'static str,
    /// Gives the bytes to the readers.
    pub run: fn(&[u8]) -> Outcome,
    /// Inputs to begin with, made by the code that writes what the readers read.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "descriptor", run: descriptor::run, seeds: descriptor::seeds },
    Target { name: "note", run: note::run, seeds: note::seeds },
    Target { name: "segment", run: segment::run, seeds: segment::seeds },
    Target { name: "table", run: table::run, seeds: table::seeds },
    Target { name: "rows", run: rows::run, seeds: rows::seeds },
    Target { name: "image", run: image::run, seeds: image::seeds },
];

/// The target with this name.
///
/// # Panics
/// When there is none.
pub fn target(name: &str) -> Target {
    *TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target `{name}`"))
}

/// Where [`write_seeds`] puts them.
pub const SEEDS_DIR: &str = "FUZZ_SEEDS";

/// Writes the seeds of a target, one file each, into the directory that the environment names, if it names one, and ends
/// the process: an instrumented executable is linked with a fuzzer and cannot be anything else.
///
/// # Panics
/// When they cannot be written.
pub fn write_seeds(name: &str) {
    let Some(dir) = std::env::var_os(SEEDS_DIR) else { return };
    for (at, seed) in (target(name).seeds)().iter().enumerate() {
        std::fs::write(std::path::Path::new(&dir).join(format!("seed-{at}")), seed).expect("a directory for seeds");
    }
    std::process::exit(0);
}

/// A refusal says what is refused: the reader's own word for it is part of its text.
///
/// # Panics
/// When the text is empty.
fn refused(error: impl std::fmt::Display) -> Outcome {
    let text = error.to_string();
    assert!(text.len() > 10, "a refusal without a reason: {text:?}");
    Outcome::Refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_seeds_are_worked_with() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            let worked = seeds.iter().filter(|seed| (target.run)(seed) == Outcome::Worked).count();
            // What some add on purpose is bad, or is of more tables than one reader takes.
            assert!(worked * 2 >= seeds.len(), "{target:?}: {worked} of {} seeds", seeds.len());
        }
    }
}
