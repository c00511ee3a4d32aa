//! What a config's numbers amount to: identities, flow rate, memory.

use super::error::{ConfigError, Warning};
use super::host::Host;
use super::source::Source;
use super::{Backend, Limits, Listener, Snat};
use crate::limits;
use shm_state::table::Shards;

/// Figures that follow from the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Capacity {
    /// Identities towards one IPv4 backend: sockets × local addresses. 0 without such a backend.
    pub identities_per_backend_v4: u64,
    /// The same for IPv6.
    pub identities_per_backend_v6: u64,
    /// Over all backends.
    pub identities: u64,
    /// New flows per second that the identities sustain if every flow sends one packet and then
    /// idles away: identities / (longest idle timeout + reuse delay).
    pub flows_per_second: u64,
    /// Upper bound of the shared memory of one process, in bytes. A swap needs up to twice that.
    pub region_bytes: u64,
}

impl Capacity {
    pub(super) fn of(
        limits: &Limits,
        workers: usize,
        snat: &Snat,
        listeners: &[Listener],
        backends: &[Backend],
    ) -> Self {
        let per_backend = |used: bool, addresses: Option<u64>| {
            if used { snat.sockets as u64 * addresses.unwrap_or(1) } else { 0 }
        };
        let v4 = backends.iter().filter(|b| b.address.is_ipv4()).count() as u64;
        let v6 = backends.len() as u64 - v4;
        let identities_per_backend_v4 = per_backend(v4 > 0, snat.v4.as_ref().map(|r| r.len()));
        let identities_per_backend_v6 = per_backend(v6 > 0, snat.v6.as_ref().map(|r| r.len()));
        let identities = v4 * identities_per_backend_v4 + v6 * identities_per_backend_v6;
        let hold_ns = snat.reuse_delay_ns + listeners.iter().map(|l| l.idle_timeout_ns).max().unwrap_or_default();
        let flows_per_second = u128::from(identities) * 1_000_000_000 / u128::from(hold_ns.max(1));
        let buffer = limits::RX_HEAD_BYTES + limits.datagram_bytes_max.next_multiple_of(16);
        // As many send buffers as receive buffers.
        let buffers = workers * limits.receive_buffers * buffer * 2;
        let region_bytes =
            flow_bytes(limits) + identities.saturating_mul(limits::IDENTITY_BYTES_MAX as u64) + buffers as u64;
        Self {
            identities_per_backend_v4,
            identities_per_backend_v6,
            identities,
            flows_per_second: u64::try_from(flows_per_second).unwrap_or(u64::MAX),
            region_bytes,
        }
    }

    /// Refuses what cannot fit; warns of what will run out early.
    pub(super) fn check(
        &self,
        source: &Source<'_>,
        limits: &Limits,
        host: &Host,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), ConfigError> {
        if self.identities > limits::IDENTITIES_MAX {
            return Err(source.bad_key(
                "snat",
                format!(
                    "{} identities (sockets × addresses × backends), at most {} are possible",
                    self.identities,
                    limits::IDENTITIES_MAX
                ),
                "shorten the address ranges or lower snat.sockets",
            ));
        }
        let memory = host.memory_bytes.unwrap_or(u64::MAX).min(limits::REGION_BYTES_MAX);
        if self.region_bytes > memory {
            let culprit = self.culprit(limits);
            return Err(source.bad_key(
                culprit,
                format!(
                    "the tables would take {} MiB of shared memory, this host can give {} MiB",
                    self.region_bytes >> 20,
                    memory >> 20
                ),
                format!("lower {culprit}"),
            ));
        }
        if self.region_bytes > memory / 2 {
            let message = format!(
                "the tables take up to {} MiB of shared memory, a swap that changes their layout \
                 up to twice that, more than this host's {} MiB: such a swap will be refused",
                self.region_bytes >> 20,
                memory >> 20
            );
            let warning = Warning::new("swap-memory", message);
            warnings.push(warning.numbers(self.region_bytes.saturating_mul(2), memory));
        }
        let flows_max = u64::from(limits.flows_max);
        if self.identities < flows_max {
            let message = format!(
                "limits.flows_max = {flows_max}, but the source pool has {} identities (sockets × \
                 addresses × backends, {} new flows/s sustained): new flows are refused beyond \
                 that; add addresses to snat, raise snat.sockets or lower limits.flows_max",
                self.identities, self.flows_per_second
            );
            warnings.push(Warning::new("snat-capacity", message).numbers(flows_max, self.identities));
        }
        Ok(())
    }

    /// The key that takes most of the memory.
    fn culprit(&self, limits: &Limits) -> &'static str {
        let flows = flow_bytes(limits);
        let identities = self.identities * limits::IDENTITY_BYTES_MAX as u64;
        if flows >= self.region_bytes / 2 {
            "limits.flows_max"
        } else if identities >= self.region_bytes / 2 {
            "snat"
        } else {
            "limits.receive_buffers"
        }
    }
}

/// Upper bound of the bytes of the flow table in any layout.
fn flow_bytes(limits: &Limits) -> u64 {
    let flows = limits.flows_max as usize;
    let index = Shards::bytes(flows, limits.shards).max(flows * limits::FLOW_INDEX_BYTES_PER_FLOW);
    (flows * limits::FLOW_ROW_BYTES_MAX + index) as u64
}
