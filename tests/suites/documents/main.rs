//! What the documents list is what the code has.

mod shared_memory;

use std::path::{Path, PathBuf};

use tests::build::workspace;

/// Every Rust file of the workspace, by its path from the root.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(root: &Path, dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(dir).expect("a readable directory").map(|entry| entry.expect("an entry").path())
        {
            let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if entry.is_dir() && name != "target" && !name.starts_with('.') {
                walk(root, &entry, found);
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(&entry).expect("readable");
                found.push((entry.strip_prefix(root).expect("inside the root").to_owned(), text));
            }
        }
    }
    let mut found = Vec::new();
    walk(workspace(), workspace(), &mut found);
    assert!(found.len() > 100, "the workspace has its sources");
    found
}

#[test]
fn every_file_that_allows_unsafe_code_is_listed_in_the_architecture() {
    let page = std::fs::read_to_string(workspace().join("docs/architecture.md")).expect("the page");
    // Put together here, so that this file is not one of them.
    let mark = format!("allow({})", "unsafe_code");
    let fenced: Vec<_> = sources().into_iter().filter(|(_, text)| text.contains(&mark)).map(|(path, _)| path).collect();
    assert!(!fenced.is_empty());
    for path in fenced {
        assert!(page.contains(&format!("`{}`", path.display())), "{} is not listed", path.display());
    }
}

#[test]
fn every_atomic_pair_is_named_at_both_ends() {
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    for (_, text) in sources() {
        for line in text.lines().filter_map(|line| line.trim_start().strip_prefix("// PAIR ")) {
            let name = line.split(':').next().unwrap_or_default().trim().to_owned();
            *ends.entry(name).or_default() += 1;
        }
    }
    assert!(ends.contains_key("owner") && ends.contains_key("dirty"), "{ends:?}");
    for (name, count) in &ends {
        assert!(*count >= 2, "the pair \"{name}\" is named at one end only");
    }
}
