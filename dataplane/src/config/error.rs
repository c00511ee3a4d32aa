//! What is wrong with a config, where, and what to do about it.

use std::path::Path;

use serde::Serialize;

/// A place in the config file: kept beside values whose trouble shows only later, such as an
/// address that cannot be bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Dotted path of the key, list positions from 0: `listener[0].addresses[1]`.
    pub key: String,
    /// From 1; `None` for a default that the file does not mention.
    pub line: Option<usize>,
}

/// One thing that the operator has to change. Always the operator's: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// The config file as it was named on the command line.
    pub file: Box<Path>,
    /// From 1; `None` if the trouble is the file as a whole.
    pub line: Option<usize>,
    /// Dotted path of the key; empty if the trouble is the file as a whole.
    pub key: Box<str>,
    /// The text of the value as written, shortened.
    pub value: Option<Box<str>>,
    /// What is wrong.
    pub problem: Box<str>,
    /// What to do.
    pub remedy: Box<str>,
}

impl std::error::Error for ConfigError {}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        match (self.key.is_empty(), &self.value) {
            (true, _) => {}
            (false, None) => write!(f, "{}: ", self.key)?,
            (false, Some(value)) => write!(f, "{} = {value}: ", self.key)?,
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// Something that works, but probably not as the operator expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Short and stable, for scripts: `snat-capacity`, `socket-buffer` …
    pub code: &'static str,
    /// One sentence that names the key and the remedy.
    pub message: String,
    /// What was asked for, where it is a number.
    pub asked: Option<u64>,
    /// What there is instead.
    pub granted: Option<u64>,
}

impl Warning {
    pub(crate) fn new(code: &'static str, message: String) -> Self {
        Self { code, message, asked: None, granted: None }
    }

    pub(crate) fn numbers(mut self, asked: u64, granted: u64) -> Self {
        (self.asked, self.granted) = (Some(asked), Some(granted));
        self
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
