//! The judge: pure, without clock or socket. [`client`] sees what the clients sent and got back, [`backend`]
//! what one backend was asked, [`verdict`] puts them together.
//!
//! Nothing here asks the dataplane anything: what it says about itself is not evidence.

pub mod backend;
pub mod client;
pub mod seqs;
pub mod verdict;
