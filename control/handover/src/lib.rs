//! The contract between the supervisor (`controld`) and a `dataplane`.
//!
//! * [`messages`]: everything they say to each other, as JSON objects.
//! * [`channel`]: the packet socket that carries the messages and the descriptors beside them.
//! * [`negotiate`]: which protocol version two builds have in common.
//! * [`rights`]: descriptors beside an answer on a stream socket.
//! * [`machine`]: the supervisor's swap as a pure state machine; no clock, no descriptors.
//! * [`switch`]: the two dataplanes' halves of the switch itself, as pure steps.
//!
//! No message decides who may serve. The owner word in the region's manifest does; a message only says when to
//! look at it.

pub mod channel;
pub mod machine;
pub mod messages;
pub mod negotiate;
pub mod rights;
mod socket;
pub mod switch;

pub use channel::{Channel, ChannelError, Collector, Received};
pub use messages::{Fault, Message};
