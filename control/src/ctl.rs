//! controlctl: asks controld or looks at files, and prints.

pub mod args;
pub mod capacity;
mod check;
pub mod client;
pub mod doctor;
mod info;
mod progress;
mod render;
pub mod run;
pub mod state;
