//! What the packet path needs of a flow record, whatever its layout.

use super::key::FlowKey;
use shm_state::Layout;
use shm_state::schema::Schema;

/// A flow record. All times are CLOCK_MONOTONIC nanoseconds at this boundary, whatever the layout stores.
pub trait FlowRecord: Layout + Send {
    /// A new flow's record.
    fn new(start: FlowStart) -> Self;
    /// The flow's key.
    fn key(&self) -> FlowKey;
    /// Whether the record is of this key.
    fn is(&self, key: &FlowKey) -> bool;
    /// Stable id of the flow's backend.
    fn backend(&self) -> u32;
    /// The flow's upstream identity at its backend.
    fn identity(&self) -> u32;
    /// When the last packet of either direction came.
    fn last_seen_ns(&self) -> u64;
    /// Idle time after which the flow expires; 0 is the listener's.
    fn idle_max_ns(&self) -> u64;
    /// A packet from the client.
    fn count_up(&mut self, now_ns: u64, bytes: u32);
    /// A packet from the backend.
    fn count_down(&mut self, now_ns: u64, bytes: u32);
    /// What the fields mean beyond their descriptor: the functions that compute those which an older layout lacks.
    fn schema() -> Schema;
}

/// Facts of a new flow.
#[derive(Debug, Clone, Copy)]
pub struct FlowStart {
    pub key: FlowKey,
    pub backend: u32,
    pub identity: u32,
    pub now_ns: u64,
}
