//! The `[control]` table of the config file.
//!
//! The rest of the file belongs to the dataplane and is not judged here, but for the service's name and the wanted
//! socket buffer, which are shown. Every error names the file, the line and the key.

mod locate;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

/// What controld reads from the config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file itself, absolute: it is handed to every dataplane.
    pub file: PathBuf,
    /// `[service] name`.
    pub service: String,
    /// Control socket.
    pub socket: PathBuf,
    /// Reports and the state of the running dataplane.
    pub state_dir: PathBuf,
    /// Binary that is started first.
    pub dataplane: PathBuf,
    /// How long the old process stays parked after a switch.
    pub probation: Duration,
    /// Largest expected blackout that is accepted.
    pub blackout_budget: Duration,
    /// Limit of the prepare phase, and of the background phase.
    pub phase_timeout: Duration,
    /// How long the old process stays quiesced before it serves again.
    pub quiesce_timeout: Duration,
    /// Where a new process prepares; empty is anywhere.
    pub swap_cpus: Vec<usize>,
    /// `[limits] socket_buffer_bytes`, if it is there and a number.
    pub socket_buffer_bytes: Option<u64>,
    /// `[runtime] scheduling`, if it is there and a text.
    pub scheduling: Option<String>,
}

/// Why the config cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it is wrong.
    #[error("{}:{line}: {key}{}{message}", file.display(), if key.is_empty() { "" } else { ": " })]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Key with its table, such as `control.probation`; empty if there is none.
        key: String,
        /// What is wrong, and what to do.
        message: String,
    },
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    control: Option<Spanned<Control>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Control {
    socket: Option<Spanned<PathBuf>>,
    state_dir: Option<Spanned<PathBuf>>,
    dataplane: Option<Spanned<PathBuf>>,
    probation: Option<Spanned<String>>,
    blackout_budget: Option<Spanned<String>>,
    phase_timeout: Option<Spanned<String>>,
    quiesce_timeout: Option<Spanned<String>>,
    swap_cpus: Option<Spanned<Vec<i64>>>,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ConfigError`], naming file, line and key.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        let absolute = std::path::absolute(file).map_err(unreadable)?;
        let config = Self::parse(&absolute, &text)?;
        config.check_host(&text)?;
        Ok(config)
    }

    /// Reads the text of a file, without looking at the host.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let place = locate::Place { file, text };
        let parsed: File = toml::from_str(text).map_err(|error| place.toml_error(&error))?;
        let Some(control) = parsed.control else {
            return Err(place.wrong(0, "control", "the table [control] is missing"));
        };
        let whole = control.span();
        let Control {
            socket,
            state_dir,
            dataplane,
            probation,
            blackout_budget,
            phase_timeout,
            quiesce_timeout,
            swap_cpus,
        } = control.into_inner();
        let path = |key: &str, value: Option<Spanned<PathBuf>>, default: &str| match value {
            None => Ok(PathBuf::from(default)),
            Some(value) if value.get_ref().is_absolute() => Ok(value.into_inner()),
            Some(value) => Err(place.wrong(
                value.span().start,
                &format!("control.{key}"),
                &format!("\"{}\" is not an absolute path", value.get_ref().display()),
            )),
        };
        let time = |key: &str, value: Option<Spanned<String>>, default: Duration, min: Duration, max: Duration| {
            let Some(value) = value else { return Ok(default) };
            let key = format!("control.{key}");
            let text = value.get_ref();
            let parsed = humantime::parse_duration(text).map_err(|_| {
                place.wrong(value.span().start, &key, &format!("\"{text}\" is no time; write it like \"200ms\""))
            })?;
            if (min..=max).contains(&parsed) {
                return Ok(parsed);
            }
            let (min, max) = (humantime::format_duration(min), humantime::format_duration(max));
            Err(place.wrong(value.span().start, &key, &format!("{text} is outside {min} to {max}")))
        };
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        let config = Self {
            file: file.to_owned(),
            service: place.peek_text("service", "name").unwrap_or_else(|| "hitless".to_owned()),
            socket: path("socket", socket, "/run/hitless/control.sock")?,
            state_dir: path("state_dir", state_dir, "/var/lib/hitless")?,
            dataplane: path("dataplane", dataplane, "/usr/bin/dataplane")?,
            probation: time("probation", probation, ms(200), Duration::ZERO, s(3600))?,
            blackout_budget: time("blackout_budget", blackout_budget, ms(5), Duration::from_micros(1), s(60))?,
            phase_timeout: time("phase_timeout", phase_timeout, s(10), ms(100), s(3600))?,
            quiesce_timeout: time("quiesce_timeout", quiesce_timeout, ms(20), ms(1), s(10))?,
            swap_cpus: match &swap_cpus {
                None => Vec::new(),
                Some(cpus) => check_cpus(&place, cpus)?,
            },
            socket_buffer_bytes: place.peek_number("limits", "socket_buffer_bytes"),
            scheduling: place.peek_text("runtime", "scheduling"),
        };
        // A socket's address holds 108 bytes, its end included.
        if config.socket.as_os_str().len() > 107 {
            return Err(place.wrong(whole.start, "control.socket", "the path is longer than 107 bytes"));
        }
        Ok(config)
    }

    /// Looks at what the config names on this host.
    fn check_host(&self, text: &str) -> Result<(), ConfigError> {
        let place = locate::Place { file: &self.file, text };
        let allowed = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0));
        for &cpu in &self.swap_cpus {
            if allowed.is_ok_and(|set| !set.is_set(cpu).unwrap_or(false)) {
                return Err(place.wrong_key("control", "swap_cpus", &format!("this process may not run on CPU {cpu}")));
            }
        }
        Ok(())
    }

    /// An error about a key of `[control]`, with its line if it is in the file.
    pub fn wrong(&self, key: &str, message: &str) -> ConfigError {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        locate::Place { file: &self.file, text: &text }.wrong_key("control", key, message)
    }
}

fn check_cpus(place: &locate::Place<'_>, cpus: &Spanned<Vec<i64>>) -> Result<Vec<usize>, ConfigError> {
    cpus.get_ref()
        .iter()
        .map(|&cpu| {
            usize::try_from(cpu)
                .ok()
                .filter(|&cpu| cpu < nix::sched::CpuSet::count())
                .ok_or_else(|| place.wrong(cpus.span().start, "control.swap_cpus", &format!("there is no CPU {cpu}")))
        })
        .collect()
}

#[cfg(test)]
mod tests;
