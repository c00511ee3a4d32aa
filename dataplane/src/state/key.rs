//! What tells one flow from another.

/// Length of a key's canonical bytes.
pub const KEY_LEN: usize = 44;

/// One client address talking to one local address. IPv4 addresses are IPv4-mapped.
///
/// The canonical bytes, which the index hashes, are the same in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    pub client: [u8; 16],
    pub local: [u8; 16],
    pub client_port: u16,
    pub local_port: u16,
    /// IPv6 scope of the client; 0 where there is none.
    pub scope: u32,
    /// Stable id of the listening address.
    pub listener: u32,
}

impl FlowKey {
    /// Canonical bytes.
    #[inline]
    pub fn bytes(&self) -> [u8; KEY_LEN] {
        let Self { client, local, client_port, local_port, scope, listener } = *self;
        let mut bytes = [0; KEY_LEN];
        bytes[..16].copy_from_slice(&client);
        bytes[16..32].copy_from_slice(&local);
        bytes[32..34].copy_from_slice(&client_port.to_le_bytes());
        bytes[34..36].copy_from_slice(&local_port.to_le_bytes());
        bytes[36..40].copy_from_slice(&scope.to_le_bytes());
        bytes[40..44].copy_from_slice(&listener.to_le_bytes());
        bytes
    }
}
