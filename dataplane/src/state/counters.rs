//! What the packet path counts: one record per worker, in the region, so that the sums go on across swaps.

use shm_state::Layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One worker's counters. "up" is client to backend, "down" is backend to client; all count datagrams unless said.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 4, name = "counters", version = 1)]
#[repr(C)]
pub struct Counters {
    /// Received from clients.
    #[field(id = 1, unsigned, unit = "packets")]
    pub rx_up: u64,
    /// Received from backends.
    #[field(id = 2, unsigned, unit = "packets")]
    pub rx_down: u64,
    /// Sent to backends.
    #[field(id = 3, unsigned, unit = "packets")]
    pub tx_up: u64,
    /// Sent to clients.
    #[field(id = 4, unsigned, unit = "packets")]
    pub tx_down: u64,
    /// Payload bytes sent to backends.
    #[field(id = 5, unsigned, unit = "bytes")]
    pub bytes_up: u64,
    /// Payload bytes sent to clients.
    #[field(id = 6, unsigned, unit = "bytes")]
    pub bytes_down: u64,
    /// Flows begun.
    #[field(id = 7, unsigned)]
    pub flows_created: u64,
    /// Flows ended after their idle time.
    #[field(id = 8, unsigned)]
    pub flows_expired: u64,
    /// Dropped: new flow, but no slot is free.
    #[field(id = 9, unsigned, unit = "packets")]
    pub refused_table_full: u64,
    /// Dropped: new flow, but no upstream identity is free at its backend.
    #[field(id = 10, unsigned, unit = "packets")]
    pub refused_no_identity: u64,
    /// Dropped: new flow, but its index buckets are full.
    #[field(id = 11, unsigned, unit = "packets")]
    pub refused_index_full: u64,
    /// Dropped: source port 0 cannot be answered.
    #[field(id = 12, unsigned, unit = "packets")]
    pub drop_port_zero: u64,
    /// Dropped: longer than a receive buffer.
    #[field(id = 13, unsigned, unit = "packets")]
    pub drop_truncated: u64,
    /// Dropped: from a backend, to an identity that no flow has.
    #[field(id = 14, unsigned, unit = "packets")]
    pub drop_no_flow: u64,
    /// Dropped: at an upstream socket, from an address that is no backend's.
    #[field(id = 15, unsigned, unit = "packets")]
    pub drop_unknown_source: u64,
    /// Dropped: what the kernel handed over could not be read.
    #[field(id = 16, unsigned, unit = "packets")]
    pub drop_bad_message: u64,
    /// Not sent: the socket's send buffer stayed full.
    #[field(id = 17, unsigned, unit = "packets")]
    pub tx_again: u64,
    /// Not sent: longer than the path allows.
    #[field(id = 18, unsigned, unit = "packets")]
    pub tx_msgsize: u64,
    /// Not sent: any other error.
    #[field(id = 19, unsigned, unit = "packets")]
    pub tx_failed: u64,
    /// ICMP errors reported against backends.
    #[field(id = 20, unsigned)]
    pub icmp_errors: u64,
    /// Receives armed again after they had ended.
    #[field(id = 21, unsigned)]
    pub rearmed: u64,
    /// Receives that ended because no buffer was free.
    #[field(id = 22, unsigned)]
    pub no_buffers: u64,
    /// Completions that the ring had no room for at once.
    #[field(id = 23, unsigned)]
    pub cq_overflow: u64,
    /// Turns of the packet loop.
    #[field(id = 24, unsigned)]
    pub turns: u64,
}

/// Adds to a counter in the region. What a predecessor left there may be anything: counters wrap, as all readers of
/// differences expect.
#[inline]
pub fn count(counter: &mut u64, more: u64) {
    *counter = counter.wrapping_add(more);
}
