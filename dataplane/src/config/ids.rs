//! Stable ids: what records in shared memory call a listener, a pool or a backend.
//!
//! Fixed for ever: the first four bytes, little endian, of SHA-256 over `kind:name`.

use sha2::{Digest, Sha256};

/// The id of the listener, pool or backend (`kind`) of this name.
pub fn stable_id(kind: &str, name: &str) -> u32 {
    let digest = Sha256::new().chain_update(kind).chain_update(":").chain_update(name).finalize();
    let mut head = [0; 4];
    head.copy_from_slice(&digest[..4]);
    u32::from_le_bytes(head)
}

/// The key of the balancing hash where the config has none: every version and every host with the
/// same service name agrees on it. It is no secret; who minds sets `balance.key`.
pub(super) fn default_balance_key(service: &str) -> [u8; 16] {
    let digest = Sha256::new().chain_update("hitless balance key:").chain_update(service).finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: computed with `printf listener:dns | sha256sum`. A change would orphan every flow.
    #[test]
    fn ids_never_change() {
        assert_eq!(stable_id("listener", "dns"), GOLDEN_LISTENER_DNS);
        assert_eq!(stable_id("pool", "resolvers"), GOLDEN_POOL_RESOLVERS);
        assert_eq!(stable_id("backend", "127.0.0.1:5301"), GOLDEN_BACKEND);
        assert_eq!(default_balance_key("edge"), GOLDEN_KEY_EDGE);
    }

    const GOLDEN_LISTENER_DNS: u32 = 0x7344_8d88;
    const GOLDEN_POOL_RESOLVERS: u32 = 0x4c70_3366;
    const GOLDEN_BACKEND: u32 = 0x6370_c324;
    const GOLDEN_KEY_EDGE: [u8; 16] = [135, 43, 25, 81, 60, 15, 33, 106, 147, 223, 175, 208, 130, 21, 188, 20];
}
