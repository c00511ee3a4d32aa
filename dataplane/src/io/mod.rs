//! The only place with effects on the network: sockets, rings, the clock.

pub mod clock;
pub mod descriptors;
pub mod errors;
pub mod sched;
pub mod socket_set;
mod socket_options;
pub mod sockets;
mod sources;
pub mod sys;
pub mod uring;
pub mod worker;
#[cfg(test)]
mod tests;
