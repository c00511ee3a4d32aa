//! Errors as they cross a process boundary: who is to blame, what is wrong, what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who can put the error right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Culprit {
    /// The person who wrote the config or the command.
    Operator,
    /// Another process of the handover.
    Peer,
    /// The kernel or a limit of the host.
    Kernel,
    /// This program, or a culprit that a newer peer names.
    #[serde(other)]
    Bug,
}

impl Culprit {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Peer => "peer",
            Self::Kernel => "kernel",
            Self::Bug => "bug",
        }
    }
}

/// An error that another process or a person will read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Stable kebab-case name, for scripts.
    pub code: String,
    /// Who can put it right.
    pub culprit: Culprit,
    /// What is wrong; names the table, field, file or key.
    pub message: String,
    /// What to do next; may be empty.
    #[serde(default)]
    pub remedy: String,
}

impl Fault {
    /// A fault that the person at the keyboard can put right.
    pub fn operator(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Culprit::Operator, code, message, remedy)
    }

    /// A fault of another process.
    pub fn peer(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Culprit::Peer, code, message, remedy)
    }

    /// A refusal or limit of the host.
    pub fn kernel(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Culprit::Kernel, code, message, remedy)
    }

    /// A broken promise of this program.
    pub fn bug(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Culprit::Bug, code, message, remedy)
    }

    fn new(culprit: Culprit, code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        debug_assert!(
            code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "codes are kebab-case: {code}"
        );
        Self { code: code.to_owned(), culprit, message: message.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.message, self.code, self.culprit.as_str())?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
