//! Upstream identities: what tells a flow apart at its backend, and what leads a reply back to it. See
//! [`shm_state::identities`].

pub use shm_state::identities::{BYTES_PER_IDENTITY, ID, IDENTITIES_VERSION, Identities, RowSpec};

// The config check refuses what the host has no memory for, and reckons with the limit.
const _: () = assert!(BYTES_PER_IDENTITY <= crate::limits::IDENTITY_BYTES_MAX);
const _: () = assert!(shm_state::identities::TABLE == super::IDENTITIES);
