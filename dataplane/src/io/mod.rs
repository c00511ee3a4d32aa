//! The only place with effects on the network: sockets, rings, the clock.

pub mod clock;
pub mod descriptors;
pub mod errors;
pub mod sched;
mod socket_options;
pub mod socket_set;
pub mod sockets;
mod sources;
pub mod sys;
#[cfg(test)]
mod tests;
pub mod uring;
pub mod worker;
