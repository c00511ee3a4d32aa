//! Named scenarios: what is run, from files, and what must hold.

pub mod background;
pub mod beside;
pub mod definition;
pub mod host;
pub mod memory;
pub mod observed;
pub mod rows;
pub mod saturation;
mod stage;
pub mod swapping;

use std::path::Path;

use crate::error::{Error, Result};
use definition::Scenario;

const DEMO: &str = include_str!("../../scenarios/demo.toml");

/// The scenarios of `swapbench run`, in order.
const STANDARD: [&str; 11] = [
    include_str!("../../scenarios/translate-1m.toml"),
    include_str!("../../scenarios/lookup-1m.toml"),
    include_str!("../../scenarios/lookup-4m.toml"),
    include_str!("../../scenarios/delayed-replies-swap.toml"),
    include_str!("../../scenarios/blackout-flows-10k.toml"),
    include_str!("../../scenarios/singles-vs-sockets.toml"),
    include_str!("../../scenarios/background-rate.toml"),
    include_str!("../../scenarios/blackout-flows-1k.toml"),
    include_str!("../../scenarios/blackout-flows-100k.toml"),
    include_str!("../../scenarios/blackout-flows-1m.toml"),
    include_str!("../../scenarios/blackout-flows-4m.toml"),
];

/// The demo's scenario.
pub fn demo(overrides: &[String]) -> Result<Scenario> {
    Scenario::parse("demo", DEMO, overrides)
}

/// Every named scenario.
pub fn standard(overrides: &[String]) -> Result<Vec<Scenario>> {
    STANDARD.iter().map(|text| Scenario::parse("built-in scenario", text, overrides)).collect()
}

/// Those named scenarios that are `chosen`, by position.
pub fn standard_where(chosen: &[bool], overrides: &[String]) -> Result<Vec<Scenario>> {
    let texts = STANDARD.iter().zip(chosen).filter(|(_, chosen)| **chosen);
    texts.map(|(text, _)| Scenario::parse("built-in scenario", text, overrides)).collect()
}

/// A scenario from a file.
pub fn from_file(path: &Path, overrides: &[String]) -> Result<Scenario> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Error::File { path: path.to_owned(), why: error.to_string() })?;
    Scenario::parse(&path.display().to_string(), &text, overrides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_scenarios_are_sound() {
        let demo = demo(&[]).expect("demo");
        assert_eq!(demo.name, "demo");
        let names: Vec<String> = standard(&[]).expect("all").into_iter().map(|s| s.name).collect();
        let expected = [
            "translate-1m",
            "lookup-1m",
            "lookup-4m",
            "delayed-replies-swap",
            "blackout-flows-10k",
            "singles-vs-sockets",
            "background-rate",
            "blackout-flows-1k",
            "blackout-flows-100k",
            "blackout-flows-1m",
            "blackout-flows-4m",
        ];
        assert_eq!(names, expected);
    }
}
