//! What a test needs beside this repository: skipped and said where it is not there, an error with REQUIRE_TOOLS=1.

use std::io::Write;
use std::path::PathBuf;

/// Whether a missing tool is a failure.
pub fn required() -> bool {
    std::env::var_os("REQUIRE_TOOLS").is_some_and(|value| value == "1")
}

/// The path of a tool; `None` means: leave the test, it was listed as skipped.
///
/// # Panics
/// When the tool is not there and REQUIRE_TOOLS=1.
pub fn require_tool(tool: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Servers live where an ordinary user's PATH does not lead.
    places.extend(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.into_iter().map(|place| place.join(tool)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("Debian package {package}"));
    }
    found
}

/// Lists the running test as skipped, because it needs `what`.
///
/// # Panics
/// With REQUIRE_TOOLS=1.
pub fn skip(what: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    assert!(!required(), "{name} needs {what}, and REQUIRE_TOOLS=1");
    // Not through the macros: their output is shown for failed tests only.
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: needs {what}");
}
