//! Every capacity of the dataplane, named once and related to the others.
//!
//! The config may ask for less than a `*_MAX`, never for more. Plain byte counts of table rows are
//! upper bounds for *any* layout of that table, so that a config that one version accepts is not
//! too large for the next one; each layout asserts that its row fits.

/// Workers of one process. This version runs one; the tables and the config already allow for more.
pub const WORKERS_MAX: usize = 64;

/// Workers that this version can run.
pub const WORKERS_RUN_MAX: usize = 1;

/// Flows that one dataplane can hold, over all workers.
pub const FLOWS_MAX: u64 = 16 * 1024 * 1024;

/// The smallest flow table: below it a sweep step and a batch would cover the whole table.
pub const FLOWS_MIN: u64 = 64;

/// Shards of the flow table.
pub const SHARDS_MAX: usize = shm_state::table::SHARDS_MAX;

/// Named listeners of one config.
pub const LISTENERS_MAX: usize = 256;

/// Listener addresses over all listeners: each is one socket.
pub const LISTENER_ADDRESSES_MAX: usize = 1024;

/// Pools of one config: each has a balancing table of [`BALANCE_SLOTS`] entries.
pub const POOLS_MAX: usize = 64;

/// Backends over all pools.
pub const BACKENDS_MAX: usize = 1024;

/// The largest weight of a backend in a pool.
pub const WEIGHT_MAX: u32 = 1000;

/// Slots of a pool's balancing table: a prime, so that every step visits every slot.
pub const BALANCE_SLOTS: usize = 65_537;

/// Upstream sockets of one address family.
pub const UPSTREAM_SOCKETS_MAX: usize = 4096;

/// Address families: upstream sockets exist once per family in use.
pub const FAMILIES: usize = 2;

/// Sockets of one process, listeners and upstream together.
pub const SOCKETS_MAX: usize = 16_384;

/// Local addresses of one family in the source pool.
pub const SNAT_ADDRESSES_MAX: u64 = 1024 * 1024;

/// Separate ranges of one family in the source pool.
pub const SNAT_RANGES_MAX: usize = 1024;

/// Identities over all backends: (socket, local address, backend) triples.
pub const IDENTITIES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes in the longest UDP payload over IPv4: 65,535 less the IP and UDP headers.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// The smallest permitted value of `limits.datagram_bytes_max`.
pub const DATAGRAM_BYTES_MIN: usize = 64;

/// Completions served in one turn before the sends they caused are submitted.
pub const BATCH: usize = 256;

/// Receive buffers of one worker: the kernel's limit for one provided-buffer ring.
pub const RX_BUFFERS_MAX: usize = 32_768;

/// Two batches: one being served, one being filled.
pub const RX_BUFFERS_MIN: usize = 2 * BATCH;

/// Bytes in front of the payload of a receive buffer: the kernel's header, the peer's address and
/// room for the control messages that the sockets ask for.
pub const RX_HEAD_BYTES: usize = RX_HEADER_BYTES + RX_NAME_BYTES + RX_CONTROL_BYTES;

/// `struct io_uring_recvmsg_out`.
pub const RX_HEADER_BYTES: usize = 16;

/// Room for the peer's address: `sockaddr_in6` rounded up to a multiple of 16.
pub const RX_NAME_BYTES: usize = 32;

/// Room for `IPV6_PKTINFO` (40), `IPV6_TCLASS` (24), `UDP_GRO` (24) and one spare small message.
pub const RX_CONTROL_BYTES: usize = 112;

/// Bytes to ask for as a socket's buffer; the kernel doubles the number and keeps it in an `int`.
pub const SOCKET_BUFFER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// The smallest socket buffer worth having: two batches of large datagrams.
pub const SOCKET_BUFFER_BYTES_MIN: usize = 64 * 1024;

/// Bytes of one flow in the flow table, in any layout, with its slot header.
pub const FLOW_ROW_BYTES_MAX: usize = 256;

/// Bytes of the index of a flow table of one shard for one flow at worst: buckets of 8 entries, half full, rounded up to
/// a power of two (32), and a free slot (4).
pub const FLOW_INDEX_BYTES_PER_FLOW: usize = 36;

/// Bytes of the identity table for one identity.
pub const IDENTITY_BYTES_MAX: usize = 20;

/// Shared memory of one process, all segments together.
pub const REGION_BYTES_MAX: u64 = 32 * GIB;

/// Bytes in a name of the config.
pub const NAME_BYTES_MAX: usize = 64;

/// Bytes of a config file; more is not a config.
pub const CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Nanoseconds.
pub const IDLE_TIMEOUT_NS_MIN: u64 = 10 * MS;
/// Nanoseconds. A flow table is no archive, and a 32-bit count of milliseconds must hold it.
pub const IDLE_TIMEOUT_NS_MAX: u64 = 7 * 24 * HOUR;
/// Nanoseconds.
pub const REUSE_DELAY_NS_MAX: u64 = HOUR;

const MS: u64 = 1_000_000;
const HOUR: u64 = 3600 * 1000 * MS;
const GIB: u64 = 1024 * 1024 * 1024;

const _: () = {
    assert!(WORKERS_RUN_MAX >= 1 && WORKERS_RUN_MAX <= WORKERS_MAX);
    assert!(FLOWS_MIN * SHARDS_MAX as u64 <= FLOWS_MAX);
    // Slot numbers are 32 bits wide, with one value kept for "none".
    assert!(FLOWS_MAX < u32::MAX as u64);
    assert!(IDENTITIES_MAX < u32::MAX as u64);
    // Every socket of the largest config has a number, and 16 bits hold it.
    assert!(LISTENER_ADDRESSES_MAX + FAMILIES * UPSTREAM_SOCKETS_MAX <= SOCKETS_MAX);
    assert!(SOCKETS_MAX <= u16::MAX as usize);
    assert!(LISTENERS_MAX <= LISTENER_ADDRESSES_MAX);
    assert!(POOLS_MAX <= BACKENDS_MAX);
    // A balancing slot holds a backend's position in 16 bits, and every backend can have a slot.
    assert!(BACKENDS_MAX < u16::MAX as usize);
    assert!(BACKENDS_MAX * 16 < BALANCE_SLOTS);
    assert!(BACKENDS_MAX as u64 * WEIGHT_MAX as u64 <= u32::MAX as u64);
    // An address of the pool and a socket together name an identity in 32 bits.
    assert!(SNAT_ADDRESSES_MAX <= IDENTITIES_MAX);
    assert!(SNAT_ADDRESSES_MAX * UPSTREAM_SOCKETS_MAX as u64 <= u32::MAX as u64 + 1);
    assert!(SNAT_RANGES_MAX as u64 <= SNAT_ADDRESSES_MAX);
    assert!(RX_BUFFERS_MAX.is_power_of_two() && RX_BUFFERS_MIN.is_power_of_two());
    assert!(RX_BUFFERS_MIN <= RX_BUFFERS_MAX);
    assert!(BATCH.is_power_of_two());
    assert!(DATAGRAM_BYTES_MIN < DATAGRAM_BYTES_MAX);
    assert!(RX_HEAD_BYTES.is_multiple_of(16));
    assert!(RX_NAME_BYTES >= 28);
    assert!(RX_CONTROL_BYTES >= 40 + 24 + 24);
    assert!(SOCKET_BUFFER_BYTES_MIN >= DATAGRAM_BYTES_MAX);
    assert!(SOCKET_BUFFER_BYTES_MAX <= (i32::MAX / 2) as usize);
    assert!(IDLE_TIMEOUT_NS_MAX / MS <= u32::MAX as u64);
    // The largest flow table alone never exceeds what a region may be.
    assert!(FLOWS_MAX * (FLOW_ROW_BYTES_MAX + FLOW_INDEX_BYTES_PER_FLOW) as u64 <= REGION_BYTES_MAX);
};
