//! One backend's side: which flows it was asked for, from which source, in which order.

use std::net::SocketAddrV4;

use super::seqs::{Seen, SeqSet};
use crate::token::{Key, Kind, Token};

/// What one backend knows of one flow.
#[derive(Debug, Clone)]
pub struct BackendFlow {
    /// The source that its first request came from.
    pub source: SocketAddrV4,
    /// A later request came from another source.
    pub source_changed: bool,
    requests: SeqSet,
}

const _: () = assert!(size_of::<Option<BackendFlow>>() <= 32);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackendCounts {
    /// Requests of this run, duplicates included.
    pub requests: u64,
    pub duplicated: u64,
    pub reordered: u64,
    /// Datagrams that are no request of this run.
    pub foreign: u64,
}

#[derive(Debug)]
pub struct BackendOracle {
    key: Key,
    id: u8,
    flows: Vec<Option<BackendFlow>>,
    counts: BackendCounts,
}

impl BackendOracle {
    /// Flow numbers are dense; one beyond this is not ours, whatever its tag says.
    const FLOWS_MAX: u64 = 1 << 24;

    pub fn new(key: Key, id: u8) -> Self {
        Self { key, id, flows: Vec::new(), counts: BackendCounts::default() }
    }

    /// Makes room for so many flows at once: growing step by step would stall the backend.
    pub fn expect(&mut self, flows: usize) {
        self.flows.reserve_exact(flows);
    }

    pub fn id(&self) -> u8 {
        self.id
    }

    pub fn counts(&self) -> &BackendCounts {
        &self.counts
    }

    /// By flow number; `None` where this backend never saw the flow.
    pub fn flows(&self) -> &[Option<BackendFlow>] {
        &self.flows
    }

    /// Judges a datagram; the reply to send, or nothing when it is foreign. A duplicate is answered like the
    /// original: what becomes of its reply is for the client to see.
    pub fn request(&mut self, source: SocketAddrV4, now: u64, payload: &[u8]) -> Option<Token> {
        let token = Token::decode(self.key, payload)
            .ok()
            .filter(|token| token.kind == Kind::Request && token.flow < Self::FLOWS_MAX);
        let Some(token) = token else {
            self.counts.foreign += 1;
            return None;
        };
        let number = token.flow as usize;
        if number >= self.flows.len() {
            self.flows.resize(number + 1, None);
        }
        let flow = self.flows[number].get_or_insert_with(|| BackendFlow {
            source,
            source_changed: false,
            requests: SeqSet::default(),
        });
        flow.source_changed |= flow.source != source;
        self.counts.requests += 1;
        match flow.requests.insert(token.seq) {
            Seen::InOrder => {}
            Seen::Late => self.counts.reordered += 1,
            Seen::Duplicate => self.counts.duplicated += 1,
        }
        Some(token.reply(self.id, source, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const KEY: Key = Key::new(3, 4);

    fn source(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(127, 64, 0, 1), port)
    }

    fn ask(oracle: &mut BackendOracle, flow: u64, seq: u32, from: SocketAddrV4) -> Option<Token> {
        let mut payload = [0; 64];
        Token::request(flow, seq, 1, 64).encode(KEY, &mut payload);
        oracle.request(from, 2, &payload)
    }

    #[test]
    fn replies_say_who_answered_and_what_was_seen() {
        let mut oracle = BackendOracle::new(KEY, 2);
        let reply = ask(&mut oracle, 5, 0, source(4000)).expect("a reply");
        assert_eq!((reply.backend, reply.source, reply.backend_ns), (2, source(4000), 2));
        assert_eq!(oracle.flows().iter().filter(|flow| flow.is_some()).count(), 1);
    }

    #[test]
    fn a_changed_source_is_one_changed_flow() {
        let mut oracle = BackendOracle::new(KEY, 1);
        for (seq, port) in [(0, 1), (1, 2), (2, 1), (3, 2)] {
            ask(&mut oracle, 0, seq, source(port));
        }
        ask(&mut oracle, 1, 0, source(9));
        let changed = oracle.flows().iter().flatten().filter(|flow| flow.source_changed).count();
        assert_eq!(changed, 1);
    }

    #[test]
    fn order_duplicates_and_strangers() {
        let mut oracle = BackendOracle::new(KEY, 1);
        for seq in [0, 2, 1, 1] {
            ask(&mut oracle, 0, seq, source(1));
        }
        assert_eq!(oracle.request(source(1), 0, b"who am I"), None);
        let mut reply = [0; 64];
        Token::request(0, 9, 1, 64).reply(1, source(1), 2).encode(KEY, &mut reply);
        assert_eq!(oracle.request(source(1), 0, &reply), None);
        let mut far = [0; 64];
        Token::request(1 << 40, 0, 1, 64).encode(KEY, &mut far);
        assert_eq!(oracle.request(source(1), 0, &far), None);
        let expected = BackendCounts { requests: 4, duplicated: 1, reordered: 1, foreign: 3 };
        assert_eq!(*oracle.counts(), expected);
    }
}
