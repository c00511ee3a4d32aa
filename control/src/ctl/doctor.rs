//! What this host lacks: each fact is probed, not guessed, wherever the kernel lets one try.

mod limits;
mod memory;
mod raw;
mod uring;

use std::path::Path;

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::json;

use super::run::{print, print_json};
use crate::config::Config;
use crate::exit;

/// Oldest kernel that the dataplane runs on.
pub const KERNEL_MIN: (u32, u32) = (6, 12);

/// How a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but not as well as it could.
    Warn,
    /// Required and not there.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How it weighs.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do; empty if all is well.
    pub remedy: String,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, found: found.into(), remedy: String::new() }
    }

    fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, found: found.into(), remedy: remedy.into() }
    }

    fn missing(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, level: Level::Missing, found: found.into(), remedy: remedy.into() }
    }
}

/// What the config asks for, as far as the host limits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Receive buffer of each socket, in bytes.
    pub socket_buffer_bytes: u64,
    /// Packet threads shall run in real time.
    pub real_time: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { socket_buffer_bytes: 4 * 1024 * 1024, real_time: false }
    }
}

/// Looks at everything.
pub fn examine(wanted: &Wanted) -> Vec<Finding> {
    vec![
        limits::kernel(),
        uring::permitted(),
        uring::ring(),
        uring::ring_in_shared_memory(),
        uring::operations(),
        memory::sealed_memfd(),
        memory::locked(),
        memory::huge_pages(),
        limits::descriptors(),
        limits::receive_buffer(wanted.socket_buffer_bytes),
        limits::real_time(wanted.real_time),
        limits::real_time_share(),
        limits::descriptor_stealing(),
    ]
}

/// Runs `controlctl doctor`; gives the exit code.
pub(super) fn run(config: Option<&Path>, as_json: bool) -> u8 {
    let wanted = match config.map(Config::load) {
        None => Wanted::default(),
        Some(Ok(config)) => Wanted {
            socket_buffer_bytes: config.socket_buffer_bytes.unwrap_or(Wanted::default().socket_buffer_bytes),
            real_time: config.scheduling.as_deref() == Some("fifo"),
        },
        Some(Err(error)) => {
            eprintln!("controlctl: {error}");
            return exit::USAGE;
        }
    };
    let findings = examine(&wanted);
    let fit = findings.iter().all(|finding| finding.level != Level::Missing);
    if as_json {
        print_json(&json!({"fit": fit, "findings": findings}));
    } else {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        for Finding { name, level, found, remedy } in &findings {
            let level = format!("{level:?}").to_lowercase();
            table.add_row([level.as_str(), name, found, remedy]);
        }
        print(&format!("{}\n", table.trim_fmt()));
        if !fit {
            print("This host lacks something that the dataplane requires.\n");
        }
    }
    if fit { exit::OK } else { exit::FAILED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_that_is_not_well_has_a_remedy() {
        let findings = examine(&Wanted { socket_buffer_bytes: 1 << 40, real_time: true });
        assert_eq!(findings.len(), 13);
        for finding in findings {
            assert!(!finding.found.is_empty(), "{finding:?}");
            assert_eq!(finding.level == Level::Ok, finding.remedy.is_empty(), "{finding:?}");
        }
    }
}
