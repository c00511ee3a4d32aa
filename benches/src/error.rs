//! Errors of the measuring program, by who can do something about them.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong arguments, scenario or config: nothing was started.
    #[error("{0}")]
    Usage(String),
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error("{path}: {why}")]
    File { path: PathBuf, why: String },
    /// A program under test did something other than what was asked of it.
    #[error("{0}")]
    World(String),
    /// The run itself went through and its figures do not hold.
    #[error("the run failed: {0}")]
    Failed(String),
    #[error("interrupted")]
    Interrupted,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::File { .. } => 2,
            Self::Interrupted => 130,
            Self::Io { .. } | Self::World(_) | Self::Failed(_) => 1,
        }
    }
}

/// Says what was being done when a system call failed.
pub trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::Io { what: what(), source: error.into() })
    }
}
