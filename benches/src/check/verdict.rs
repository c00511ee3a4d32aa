//! Clients and backends judged together.

use serde::Serialize;

use super::backend::BackendOracle;
use super::client::ClientCounts;

/// The outcome of one run. Every count but the first three must be zero, and these three equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub offered: u64,
    pub sent: u64,
    pub received: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    /// Replies that reached another client, or came from an address that the client had not written to.
    pub misrouted: u64,
    /// Of these, from a wrong address.
    pub wrong_source: u64,
    /// Flows that more than one backend saw.
    pub backend_changed: u64,
    /// Flows that one backend saw from more than one (address, port).
    pub source_changed: u64,
    /// Datagrams at clients or backends that are corrupted or not of this run.
    pub foreign: u64,
    /// What the load itself dropped: failed sends and overflows of its own sockets.
    pub generator_drops: u64,
}

impl Verdict {
    pub fn of(clients: &ClientCounts, backends: &[&BackendOracle], generator_drops: u64) -> Self {
        let sum = |count: fn(&BackendOracle) -> u64| backends.iter().map(|b| count(b)).sum::<u64>();
        let flows = backends.iter().map(|backend| backend.flows().len()).max().unwrap_or(0);
        let seen_by = |flow: usize| backends.iter().filter_map(move |b| b.flows().get(flow)?.as_ref());
        Self {
            offered: clients.offered,
            sent: clients.sent,
            received: clients.received,
            lost: clients.lost(),
            // A request doubled or overtaken on its way is also seen in its reply: the larger count holds
            // every event once, also where the second copy got lost on the way back.
            duplicated: clients.duplicated.max(sum(|b| b.counts().duplicated)),
            reordered: clients.reordered.max(sum(|b| b.counts().reordered)),
            misrouted: clients.misrouted,
            wrong_source: clients.wrong_source,
            backend_changed: (0..flows).filter(|&flow| seen_by(flow).count() > 1).count() as u64,
            source_changed: (0..flows).filter(|&flow| seen_by(flow).any(|f| f.source_changed)).count() as u64,
            foreign: clients.foreign + sum(|b| b.counts().foreign),
            generator_drops,
        }
    }

    /// What is wrong with the run, one line each; empty if nothing is.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if self.sent == 0 {
            failures.push("nothing was sent".to_owned());
        }
        if self.received != self.sent {
            failures.push(format!("received {} of {} sent", self.received, self.sent));
        }
        if self.offered != self.sent {
            failures.push(format!("sent {} of {} offered", self.sent, self.offered));
        }
        for (name, count) in self.bad() {
            if count != 0 {
                failures.push(format!("{name} {count}"));
            }
        }
        failures
    }

    /// The counts that must be zero.
    pub fn bad(&self) -> [(&'static str, u64); 8] {
        [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("misrouted", self.misrouted),
            ("backend_changed", self.backend_changed),
            ("source_changed", self.source_changed),
            ("foreign", self.foreign),
            ("generator_drops", self.generator_drops),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Key, Token};
    use std::net::{Ipv4Addr, SocketAddrV4};

    const KEY: Key = Key::new(5, 6);

    fn backends(requests: &[(u8, u64, u32, u16)]) -> Vec<BackendOracle> {
        let mut backends = vec![BackendOracle::new(KEY, 1), BackendOracle::new(KEY, 2)];
        for &(backend, flow, seq, port) in requests {
            let mut payload = [0; 64];
            Token::request(flow, seq, 0, 64).encode(KEY, &mut payload);
            let source = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
            backends[usize::from(backend) - 1].request(source, 0, &payload);
        }
        backends
    }

    fn judge(clients: &ClientCounts, backends: &[BackendOracle], generator_drops: u64) -> Verdict {
        Verdict::of(clients, &backends.iter().collect::<Vec<_>>(), generator_drops)
    }

    fn clean(n: u64) -> ClientCounts {
        ClientCounts { offered: n, sent: n, received: n, ..Default::default() }
    }

    #[test]
    fn a_clean_run_passes() {
        let verdict = judge(&clean(3), &backends(&[(1, 0, 0, 1), (1, 0, 1, 1), (2, 1, 0, 1)]), 0);
        assert_eq!(verdict.failures(), Vec::<String>::new());
    }

    #[test]
    fn a_moved_flow_changed_its_backend_and_nothing_else() {
        // The identity towards another backend is another one by nature.
        let verdict = judge(&clean(3), &backends(&[(1, 0, 0, 1), (2, 0, 1, 2), (2, 0, 2, 2)]), 0);
        assert_eq!((verdict.backend_changed, verdict.source_changed), (1, 0));
        assert_eq!(verdict.failures(), ["backend_changed 1"]);
    }

    #[test]
    fn a_resourced_flow_changed_its_source_and_nothing_else() {
        let verdict = judge(&clean(3), &backends(&[(1, 0, 0, 1), (1, 0, 1, 2), (1, 1, 0, 3)]), 0);
        assert_eq!((verdict.backend_changed, verdict.source_changed), (0, 1));
        assert_eq!(verdict.failures(), ["source_changed 1"]);
    }

    #[test]
    fn a_request_doubled_on_its_way_counts_once() {
        let clients = ClientCounts { duplicated: 1, ..clean(2) };
        let verdict = judge(&clients, &backends(&[(1, 0, 0, 1), (1, 0, 0, 1), (1, 0, 1, 1)]), 0);
        assert_eq!(verdict.failures(), ["duplicated 1"]);
    }

    #[test]
    fn what_was_not_sent_fails_the_run_too() {
        let clients = ClientCounts { offered: 5, sent: 4, received: 4, ..Default::default() };
        assert_eq!(judge(&clients, &[], 1).failures(), ["sent 4 of 5 offered", "generator_drops 1"]);
        assert_eq!(Verdict::default().failures(), ["nothing was sent"]);
    }
}
