//! Datagrams through a real dataplane, one at a time: what passes unchanged, what is dropped and counted.

mod errors;
mod identities;
mod limits;
mod transparent;
