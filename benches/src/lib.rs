//! Load, judgement and measurement of the hitless dataplane.
//!
//! [`token`] is what every datagram carries; [`check`] judges, purely; [`load`] makes the traffic and answers
//! it; [`memory`] measures the state engine alone; [`relay`] plants faults to prove the judge; [`baseline`] is the forwarder to compare with; [`world`]
//! runs the real programs; [`scenario`] puts these together; [`out`] writes what came of it.

pub mod baseline;
pub mod check;
pub mod cli;
pub mod error;
pub mod load;
pub mod memory;
pub mod out;
pub mod relay;
pub mod scenario;
pub mod sys;
pub mod token;
pub mod world;
