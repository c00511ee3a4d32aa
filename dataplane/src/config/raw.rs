//! The file's shape as serde sees it: every value keeps its place in the text, nothing is judged.
//!
//! Numbers are `i64` so that a negative or oversized one reaches the checks, which know the limit,
//! and is not refused with a mere type name.

use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) service: Service,
    /// The supervisor's own; it checks the keys.
    #[serde(default, rename = "control")]
    pub(super) _control: toml::Table,
    #[serde(default)]
    pub(super) runtime: Runtime,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) balance: Balance,
    #[serde(default)]
    pub(super) snat: Snat,
    #[serde(default)]
    pub(super) listener: Vec<Spanned<Listener>>,
    #[serde(default)]
    pub(super) pool: Vec<Spanned<Pool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Runtime {
    pub(super) workers: Option<Spanned<i64>>,
    pub(super) cpus: Option<Spanned<Vec<Spanned<i64>>>>,
    pub(super) scheduling: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) flows_max: Option<Spanned<i64>>,
    pub(super) datagram_bytes_max: Option<Spanned<i64>>,
    pub(super) socket_buffer_bytes: Option<Spanned<i64>>,
    pub(super) receive_buffers: Option<Spanned<i64>>,
    pub(super) shards: Option<Spanned<i64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Balance {
    pub(super) key: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Snat {
    pub(super) v4: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) v6: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) sockets: Option<Spanned<i64>>,
    pub(super) ports: Option<Spanned<String>>,
    pub(super) reuse_delay: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) name: Spanned<String>,
    pub(super) mode: Option<Spanned<String>>,
    pub(super) addresses: Spanned<Vec<Spanned<String>>>,
    pub(super) pool: Spanned<String>,
    pub(super) idle_timeout: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) backend: Vec<Spanned<Backend>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backend {
    pub(super) name: Option<Spanned<String>>,
    pub(super) address: Spanned<String>,
    pub(super) weight: Option<Spanned<i64>>,
}
