//! Waiting for what must come, with an end that only a hang reaches.

use std::time::{Duration, Instant};

/// Longer than anything takes on the slowest machine that should still pass.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until `done` gives something; panics with `what` if it never does.
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Polls until `done` is true; panics with `what` if it never is.
pub fn until_true(what: &str, mut done: impl FnMut() -> bool) {
    until(what, || done().then_some(()));
}
