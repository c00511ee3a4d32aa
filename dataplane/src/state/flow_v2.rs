//! Flow layout 2: what the packet path writes lies together; counters are wide, times are nanoseconds, and a flow
//! knows whether its backend ever answered.

use super::flow::{FlowRecord, FlowStart};
use super::key::FlowKey;
use shm_state::Layout;
use shm_state::schema::Schema;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One flow, 112 bytes.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 1, name = "flows", version = 2)]
#[repr(C)]
pub struct FlowV2 {
    #[field(id = 15, instant = "ns", narrow = "clamp")]
    last_seen: u64,
    #[field(id = 9, unsigned, unit = "packets", narrow = "clamp")]
    packets_up: u64,
    #[field(id = 10, unsigned, unit = "packets", narrow = "clamp")]
    packets_down: u64,
    #[field(id = 12, unsigned, unit = "bytes")]
    bytes_up: u64,
    #[field(id = 13, unsigned, unit = "bytes")]
    bytes_down: u64,
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
    /// 1 once the backend has answered. Computed from `packets_down` where an older layout lacks it.
    #[field(id = 17, unsigned, compute = "answered")]
    answered: u32,
    #[field(id = 14, instant = "ns", narrow = "clamp")]
    created: u64,
    /// Idle time after which the flow expires; 0 is the listener's.
    #[field(id = 16, duration = "ns", narrow = "clamp", default = 0)]
    idle_max: u64,
}

/// Id of `packets_down`.
const PACKETS_DOWN: u32 = 10;

impl FlowRecord for FlowV2 {
    fn new(start: FlowStart) -> Self {
        let FlowStart { key, backend, identity, now_ns } = start;
        let FlowKey { client, local, client_port, local_port, scope, listener } = key;
        Self {
            last_seen: now_ns,
            packets_up: 0,
            packets_down: 0,
            bytes_up: 0,
            bytes_down: 0,
            client,
            local,
            client_port,
            local_port,
            scope,
            listener,
            backend,
            identity,
            answered: 0,
            created: now_ns,
            idle_max: 0,
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
        self.last_seen
    }

    #[inline]
    fn idle_max_ns(&self) -> u64 {
        self.idle_max
    }

    #[inline]
    fn count_up(&mut self, now_ns: u64, bytes: u32) {
        self.last_seen = now_ns;
        self.packets_up = self.packets_up.wrapping_add(1);
        self.bytes_up = self.bytes_up.wrapping_add(bytes.into());
    }

    #[inline]
    fn count_down(&mut self, now_ns: u64, bytes: u32) {
        self.last_seen = now_ns;
        self.packets_down = self.packets_down.wrapping_add(1);
        self.bytes_down = self.bytes_down.wrapping_add(bytes.into());
        self.answered = 1;
    }

    fn schema() -> Schema {
        Schema::new(Self::NAME).compute_flag("answered", PACKETS_DOWN)
    }
}
