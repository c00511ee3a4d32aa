//! The tables of this product, and the layouts of their records.
//!
//! A released layout never changes: a change is a new version in a file of its own, registered in an executable
//! of its own (`src/bin`), and the packet path is generic over it.

pub mod backends;
pub mod counters;
pub mod flow;
pub mod flow_v1;
pub mod flow_v2;
pub mod flows;
pub mod glossary;
pub mod identities;
pub mod ids;
pub mod key;

/// Stable id of the flow table.
pub const FLOWS: u32 = 1;
/// Stable id of the flow table's index.
pub const FLOWS_INDEX: u32 = 2;
/// Stable id of the upstream identities.
pub const IDENTITIES: u32 = 3;
/// Stable id of the counters.
pub const COUNTERS: u32 = 4;
/// Stable id of the backends.
pub const BACKENDS: u32 = 5;

shm_state::layouts! {
    /// Every layout in the tree. A field that leaves the last of them is retired here, so that its id is not given to
    /// another.
    pub static LAYOUTS;
    table "flows": flow_v1::FlowV1, flow_v2::FlowV2;
    table "counters": counters::Counters;
    table "backends": backends::BackendRecord;
}

// The layouts carry the number as a literal, as their frozen descriptors do.
const _: () = {
    use shm_state::Layout;
    assert!(flow_v1::FlowV1::TABLE == FLOWS && flow_v2::FlowV2::TABLE == FLOWS);
    assert!(size_of::<flow_v1::FlowV1>() + 8 <= crate::limits::FLOW_ROW_BYTES_MAX);
    assert!(size_of::<flow_v2::FlowV2>() + 8 <= crate::limits::FLOW_ROW_BYTES_MAX);
    assert!(counters::Counters::TABLE == COUNTERS && backends::BackendRecord::TABLE == BACKENDS);
};
