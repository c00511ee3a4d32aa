//! The dataplane as a process: arguments, region, workers, and the conversation with the supervisor.

mod args;
mod aside;
mod control;
mod heir;
pub mod inheritance;
pub mod inherited;
mod memory;
mod real_time;
mod region;
mod run;
mod signals;
mod successor;

pub use run::main;
