//! The supervisor `controld` and its command `controlctl`.
//!
//! * [`config`][]: the `[control]` table of the config file.
//! * [`protocol`], [`report`]: what the two programs say to each other, as JSON lines.
//! * [`verify`]: whether a binary can take over, and what that would do to each table.
//! * [`shell`]: controld round the pure swap machine of the `handover` crate: processes, descriptors, clock.
//! * [`ctl`][]: controlctl.
//!
//! Neither program knows a struct of the dataplane: tables are read through the descriptors that lie in them.

pub mod config;
pub mod ctl;
pub mod protocol;
pub mod report;
pub mod shell;
pub mod verify;

/// Exit codes of both programs; the dataplane's are the same.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// Failed.
    pub const FAILED: u8 = 1;
    /// Bad usage or bad config; nothing was started.
    pub const USAGE: u8 = 2;
    /// Refused; the old process was not touched.
    pub const REFUSED: u8 = 3;
    /// Begun and undone; the old process serves on.
    pub const UNDONE: u8 = 4;
    /// No controld answers.
    pub const UNREACHABLE: u8 = 5;
    /// No answer in time.
    pub const TIMED_OUT: u8 = 6;
}
