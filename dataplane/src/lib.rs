//! The packet side of hitless: receives, forwards and hands over.
//!
//! `config` turns one file into checked values, `core` decides without effects, `wire` reads and
//! writes bytes, `io` is the only place that talks to the kernel.

pub mod config;
pub mod core;
pub mod handover;
pub mod io;
pub mod limits;
pub mod process;
pub mod state;
pub mod versions;
pub mod wire;
