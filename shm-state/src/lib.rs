//! State that outlives a process: tables in sealed shared-memory segments that describe themselves.
//!
//! A table's records have a *layout*; its *descriptor* lies in the segment and in an ELF note of every
//! executable that knows it. Two descriptors compile into a translation plan, so that a new executable can
//! take over the records of an old one without knowing its structs. The crate knows nothing of packets.

extern crate self as shm_state;

pub mod descriptor;
pub mod directory;
pub mod error;
pub mod exchange;
pub mod identities;
pub mod image;
pub mod manifest;
pub mod map;
pub mod note;
pub mod owner;
pub mod places;
pub mod prelude;
pub mod recover;
pub mod registry;
pub mod row;
pub mod schema;
pub mod segment;
pub mod table;
pub mod translate;

pub use descriptor::{Descriptor, Layout, Record};
pub use shm_state_derive::{Cases, Layout, Record};
