//! Ctrl-C and SIGTERM as a flag, so that a run ends in order and takes its processes with it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::raw;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Begins to take the ending signals as a flag. Handlers, not a blocked mask: a mask would be inherited by the
/// processes that are started, which could then not be asked to end.
pub fn watch() -> io::Result<()> {
    raw::set_on_end(&INTERRUPTED)
}

pub fn interrupted() -> bool {
    INTERRUPTED.load(Relaxed)
}

/// The flag itself, for loops that take one.
pub fn flag() -> &'static AtomicBool {
    &INTERRUPTED
}
