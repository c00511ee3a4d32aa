//! Flow layout 1 into layout 2, as somebody would write it who knew both structs: what an engine that knows neither is
//! measured against.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A slot of layout 1: what its use is, and its record.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SlotV1 {
    pub meta: u64,
    pub client: [u8; 16],
    pub local: [u8; 16],
    pub client_port: u16,
    pub local_port: u16,
    pub scope: u32,
    pub listener: u32,
    pub backend: u32,
    pub identity: u32,
    pub packets_up: u32,
    pub packets_down: u32,
    pub last_len: u32,
    pub bytes_up: u64,
    pub bytes_down: u64,
    pub created_us: u64,
    pub last_seen_us: u64,
}

/// A slot of layout 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SlotV2 {
    pub meta: u64,
    pub last_seen_ns: u64,
    pub packets_up: u64,
    pub packets_down: u64,
    pub bytes_up: u64,
    pub bytes_down: u64,
    pub client: [u8; 16],
    pub local: [u8; 16],
    pub client_port: u16,
    pub local_port: u16,
    pub scope: u32,
    pub listener: u32,
    pub backend: u32,
    pub identity: u32,
    pub answered: u32,
    pub created_ns: u64,
    pub idle_max_ns: u64,
}

impl From<&SlotV1> for SlotV2 {
    #[inline]
    fn from(old: &SlotV1) -> Self {
        Self {
            meta: old.meta,
            // Times that do not fit are the latest that do, as the layout demands.
            last_seen_ns: old.last_seen_us.saturating_mul(1000),
            packets_up: old.packets_up.into(),
            packets_down: old.packets_down.into(),
            bytes_up: old.bytes_up,
            bytes_down: old.bytes_down,
            client: old.client,
            local: old.local,
            client_port: old.client_port,
            local_port: old.local_port,
            scope: old.scope,
            listener: old.listener,
            backend: old.backend,
            identity: old.identity,
            answered: (old.packets_down > 0).into(),
            created_ns: old.created_us.saturating_mul(1000),
            idle_max_ns: 0,
        }
    }
}
