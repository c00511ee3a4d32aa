//! Golden files: compared by default, rewritten with UPDATE_GOLDEN=1.

use std::path::Path;

/// Compares `text` with `tests/golden/NAME`.
#[allow(unreachable_pub)] // shared by several test programs
pub fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|v| v == "1") {
        std::fs::write(&path, text).expect("golden file is writable");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected == text {
        return;
    }
    let differs = expected.lines().zip(text.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| expected.lines().count().min(text.lines().count()));
    panic!(
        "{} differs at line {}:\n  golden: {}\n  now:    {}\nreview, then accept with UPDATE_GOLDEN=1",
        path.display(),
        line + 1,
        expected.lines().nth(line).unwrap_or("(end)"),
        text.lines().nth(line).unwrap_or("(end)"),
    );
}
