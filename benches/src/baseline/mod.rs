//! The forwarder to compare with: epoll, recvmmsg and sendmmsg, nothing clever, and no way to be swapped.
//!
//! It reads the dataplane's config, and keeps the very flow table, identities and counters of the dataplane; it
//! shares upstream sockets and SNAT addresses in the same way. What differs is only how packets get in and out of
//! the kernel. IPv4 only.

mod serve;
mod tables;

pub use serve::serve;
