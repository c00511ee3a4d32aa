//! Harness of the suites: the real executables, real sockets, real processes.
//!
//! A suite makes a [`world::World`]: a directory, a config, controld and its dataplane, backends on threads. It sends
//! datagrams of its own or lets a [`load::Load`] run, steers through controlctl as an operator would, and judges by
//! what clients and backends saw. Whatever a world started it ends, also when a test panics; then it prints the logs.
//! No test depends on how fast the machine is: waiting has an end, but only a generous one.

pub mod backend;
pub mod build;
pub mod config;
pub mod ctl;
pub mod fixtures;
pub mod json;
pub mod layouts;
pub mod load;
pub mod net;
pub mod oracle;
pub mod process;
pub mod region;
pub mod tools;
pub mod udp;
pub mod untrusted;
pub mod wait;
pub mod world;
