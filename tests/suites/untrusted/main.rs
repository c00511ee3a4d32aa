//! The fuzzer's targets without a fuzzer: seeds as they are, seeds changed by fixed random numbers, and every input that
//! ever was a finding. `make fuzz` goes further, guided by coverage.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use tests::build::workspace;
use tests::untrusted::{Outcome, TARGETS, Target, target};

/// No input takes a thousandth of this.
const PATIENCE: Duration = Duration::from_secs(120);

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    fn byte(&mut self) -> u8 {
        const ENDS: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 0x40];
        if self.below(2) == 0 { ENDS[self.below(8)] } else { self.below(256) as u8 }
    }
}

/// A seed with bytes, words and lengths changed: much of it stays, so that what reads it gets far.
fn changed(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..1 + random.below(8) {
        let len = input.len().max(1);
        // Headers come first, and are short.
        let at = if random.below(2) == 0 { random.below(len) } else { random.below(len.min(400)) };
        match random.below(8) {
            0..4 => input[at..].iter_mut().take(1).for_each(|byte| *byte = random.byte()),
            4 => input[at..].iter_mut().take(8).for_each(|byte| *byte = random.byte()),
            5 => {
                let from = random.below(len);
                let part: Vec<u8> = input[from..].iter().take(1 + random.below(32)).copied().collect();
                input.splice(at..at, part);
            }
            6 => drop(input.drain(at..(at + 1 + random.below(16)).min(input.len()))),
            _ => input.truncate(at),
        }
    }
    input
}

/// Runs an input; names the file that keeps it if it is a finding.
fn run(target: &Target, input: &[u8]) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).unwrap_or_else(|_| {
        let name = format!("{}-{:08x}", target.name, crc32fast::hash(input));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, input).expect("a place for the input");
        panic!("{target:?} panics; the input is in {}", path.display());
    })
}

/// Fixed numbers of inputs (`UNTRUSTED_INPUTS=n` for others); what does not end is a finding too.
#[track_caller]
fn holds(name: &str, inputs: usize) {
    let inputs = std::env::var("UNTRUSTED_INPUTS").map_or(inputs, |number| number.parse().expect("a number"));
    let target = target(name);
    let (done, ended) = mpsc::channel();
    let runner = std::thread::spawn(move || {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let seeds = (target.seeds)();
        let mut worked = 0;
        for seed in &seeds {
            worked += usize::from(run(&target, seed) == Outcome::Worked);
            let _ = done.send(());
        }
        for _ in 0..inputs {
            let input = changed(&seeds[random.below(seeds.len())], &mut random);
            worked += usize::from(run(&target, &input) == Outcome::Worked);
            let _ = done.send(());
        }
        (worked, inputs + seeds.len())
    });
    loop {
        match ended.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{name}: an input does not end within {PATIENCE:?}"),
        }
    }
    let (worked, all) = runner.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    println!("{name}: {worked} of {all} inputs worked");
    // Inputs that are all refused, or all good, would show little.
    assert!(worked * 50 > all && worked < all, "{worked} of {all} worked");
}

#[test]
fn descriptors() {
    holds("descriptor", 6000);
}

#[test]
fn notes() {
    holds("note", 20_000);
}

#[test]
fn segments() {
    holds("segment", 4000);
}

#[test]
fn tables() {
    holds("table", 3000);
}

#[test]
fn rows() {
    holds("rows", 6000);
}

#[test]
fn images() {
    holds("image", 3000);
}

#[test]
fn what_was_found_once_is_not_found_again() {
    for target in TARGETS {
        let dir: PathBuf = workspace().join("tests/fuzz/regressions").join(target.name);
        for file in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            run(target, &std::fs::read(file.path()).expect("an input"));
        }
    }
}
