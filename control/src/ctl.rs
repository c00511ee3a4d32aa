//! controlctl: asks controld, and prints.

pub mod args;
pub mod client;
pub mod doctor;
mod progress;
mod render;
pub mod run;
