//! Flow layout 1. Frozen: executables in the field have records of it in their memory.

use super::flow::{FlowRecord, FlowStart};
use super::key::FlowKey;
use shm_state::Layout;
use shm_state::schema::Schema;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One flow, 96 bytes.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 1, name = "flows", version = 1)]
#[repr(C)]
pub struct FlowV1 {
    #[field(id = 1, ip, key)]
    client: [u8; 16],
    #[field(id = 2, ip, key)]
    local: [u8; 16],
    #[field(id = 3, port, key)]
    client_port: u16,
    #[field(id = 4, port, key)]
    local_port: u16,
    #[field(id = 5, unsigned, key)]
    scope: u32,
    #[field(id = 6, unsigned, key)]
    listener: u32,
    #[field(id = 7, unsigned)]
    backend: u32,
    #[field(id = 8, unsigned)]
    identity: u32,
    /// Packets from the client; stays at its largest value when that is reached.
    #[field(id = 9, unsigned, unit = "packets", narrow = "clamp")]
    packets_up: u32,
    /// Packets from the backend; stays at its largest value when that is reached.
    #[field(id = 10, unsigned, unit = "packets", narrow = "clamp")]
    packets_down: u32,
    /// Length of the last datagram, either direction.
    #[field(id = 11, unsigned, unit = "bytes", default = 0)]
    last_len: u32,
    #[field(id = 12, unsigned, unit = "bytes")]
    bytes_up: u64,
    #[field(id = 13, unsigned, unit = "bytes")]
    bytes_down: u64,
    #[field(id = 14, instant = "us", narrow = "clamp")]
    created: u64,
    #[field(id = 15, instant = "us", narrow = "clamp")]
    last_seen: u64,
}

const NS_PER_US: u64 = 1000;

impl FlowRecord for FlowV1 {
    fn new(start: FlowStart) -> Self {
        let FlowStart { key, backend, identity, now_ns } = start;
        let FlowKey { client, local, client_port, local_port, scope, listener } = key;
        let now = now_ns / NS_PER_US;
        Self {
            client,
            local,
            client_port,
            local_port,
            scope,
            listener,
            backend,
            identity,
            packets_up: 0,
            packets_down: 0,
            last_len: 0,
            bytes_up: 0,
            bytes_down: 0,
            created: now,
            last_seen: now,
        }
    }

    fn key(&self) -> FlowKey {
        let Self { client, local, client_port, local_port, scope, listener, .. } = *self;
        FlowKey { client, local, client_port, local_port, scope, listener }
    }

    #[inline]
    fn is(&self, key: &FlowKey) -> bool {
        self.key() == *key
    }

    #[inline]
    fn backend(&self) -> u32 {
        self.backend
    }

    #[inline]
    fn identity(&self) -> u32 {
        self.identity
    }

    #[inline]
    fn last_seen_ns(&self) -> u64 {
        self.last_seen.saturating_mul(NS_PER_US)
    }

    fn idle_max_ns(&self) -> u64 {
        0
    }

    #[inline]
    fn count_up(&mut self, now_ns: u64, bytes: u32) {
        self.last_seen = now_ns / NS_PER_US;
        self.packets_up = self.packets_up.saturating_add(1);
        self.bytes_up = self.bytes_up.wrapping_add(bytes.into());
        self.last_len = bytes;
    }

    #[inline]
    fn count_down(&mut self, now_ns: u64, bytes: u32) {
        self.last_seen = now_ns / NS_PER_US;
        self.packets_down = self.packets_down.saturating_add(1);
        self.bytes_down = self.bytes_down.wrapping_add(bytes.into());
        self.last_len = bytes;
    }

    fn schema() -> Schema {
        Schema::new(Self::NAME)
    }
}
