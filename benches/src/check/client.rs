//! The clients' side: what each flow sent, and what came back to whom, from where.

use std::net::SocketAddrV4;

use super::seqs::{Seen, SeqSet};
use crate::token::{Key, Kind, Token};

/// Why a datagram that reached a client socket was not a good reply, or that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Good,
    /// Good, but overtaken by a later one of its flow.
    Late,
    Duplicate,
    /// Reached another client than the one that asked.
    Misrouted,
    /// Reached the right client, from an address that it had not written to.
    WrongSource,
    /// No reply of this run, or to a request that was never sent.
    Foreign,
}

/// One client: an address of its own that talks to one service address.
#[derive(Debug)]
pub struct ClientFlow {
    pub client: SocketAddrV4,
    pub service: SocketAddrV4,
    next_seq: u32,
    replies: SeqSet,
}

// Four million of these are a quarter of a gigabyte.
const _: () = assert!(size_of::<ClientFlow>() <= 40);

impl ClientFlow {
    /// Requests numbered so far.
    pub fn requests(&self) -> u32 {
        self.next_seq
    }
}

/// Counts of one run; the sum over all flows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientCounts {
    /// Requests that were due, sent or not.
    pub offered: u64,
    /// Requests that the kernel took.
    pub sent: u64,
    /// Different requests that were answered to the right client from the right address.
    pub received: u64,
    pub duplicated: u64,
    pub reordered: u64,
    /// Wrong client or wrong source address.
    pub misrouted: u64,
    /// Of these, from the wrong source address.
    pub wrong_source: u64,
    pub foreign: u64,
    /// Different requests whose reply went astray: arrived, so not lost, but not received either.
    pub astray: u64,
}

impl ClientCounts {
    /// Sent and never heard of again. (Meaningful once everything in flight had time to arrive.)
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received + self.astray)
    }
}

#[derive(Debug)]
pub struct ClientOracle {
    key: Key,
    flows: Vec<ClientFlow>,
    counts: ClientCounts,
}

impl ClientOracle {
    pub fn new(key: Key) -> Self {
        Self { key, flows: Vec::new(), counts: ClientCounts::default() }
    }

    pub fn counts(&self) -> &ClientCounts {
        &self.counts
    }

    pub fn flows(&self) -> &[ClientFlow] {
        &self.flows
    }

    /// A new flow; its number.
    pub fn open(&mut self, client: SocketAddrV4, service: SocketAddrV4) -> usize {
        self.flows.push(ClientFlow { client, service, next_seq: 0, replies: SeqSet::default() });
        self.flows.len() - 1
    }

    /// Numbers and writes the next request of `flow` into `payload`.
    pub fn request(&mut self, flow: usize, due_ns: u64, payload: &mut [u8]) -> &ClientFlow {
        let state = &mut self.flows[flow];
        Token::request(flow as u64, state.next_seq, due_ns, payload.len()).encode(self.key, payload);
        state.next_seq += 1;
        self.counts.offered += 1;
        state
    }

    /// The kernel took `sent` of the requests written before.
    pub fn sent(&mut self, sent: usize) {
        self.counts.sent += sent as u64;
    }

    /// Judges a datagram that arrived at `to` from `from`.
    pub fn reply(&mut self, to: SocketAddrV4, from: SocketAddrV4, payload: &[u8]) -> (Outcome, Option<Token>) {
        let Some((token, flow)) = self.known(payload) else {
            self.counts.foreign += 1;
            return (Outcome::Foreign, None);
        };
        // Judged by where it went first: a packet that strayed says nothing about its flow's order.
        let outcome = if to != flow.client {
            Outcome::Misrouted
        } else if from != flow.service {
            Outcome::WrongSource
        } else {
            match flow.replies.insert(token.seq) {
                Seen::InOrder => Outcome::Good,
                Seen::Late => Outcome::Late,
                Seen::Duplicate => Outcome::Duplicate,
            }
        };
        if matches!(outcome, Outcome::Misrouted | Outcome::WrongSource)
            && flow.replies.insert(token.seq) != Seen::Duplicate
        {
            self.counts.astray += 1;
        }
        let counts = &mut self.counts;
        match outcome {
            Outcome::Good => counts.received += 1,
            Outcome::Late => {
                counts.received += 1;
                counts.reordered += 1;
            }
            Outcome::Duplicate => counts.duplicated += 1,
            Outcome::Misrouted => counts.misrouted += 1,
            Outcome::WrongSource => {
                counts.misrouted += 1;
                counts.wrong_source += 1;
            }
            Outcome::Foreign => {}
        }
        (outcome, Some(token))
    }

    /// The reply's token and flow, if it answers a request of this run.
    fn known(&mut self, payload: &[u8]) -> Option<(Token, &mut ClientFlow)> {
        let token = Token::decode(self.key, payload).ok().filter(|token| token.kind == Kind::Reply)?;
        let flow = self.flows.get_mut(usize::try_from(token.flow).ok()?)?;
        (token.seq < flow.next_seq).then_some((token, flow))
    }

    /// Makes room for so many flows at once: growing step by step would stall the load.
    pub fn expect(&mut self, flows: usize) {
        self.flows.reserve_exact(flows);
    }

    /// The first few unanswered requests as (flow, seq), to look into a failed run.
    pub fn unanswered(&self, limit: usize) -> Vec<(usize, u32)> {
        let missing = |(number, flow): (usize, &ClientFlow)| {
            let gaps = (0..flow.next_seq).filter(|&seq| !flow.replies.contains(seq));
            gaps.map(|seq| (number, seq)).take(limit).collect::<Vec<_>>()
        };
        let flows = self.flows.iter().enumerate().filter(|(_, flow)| flow.replies.count() < flow.next_seq);
        flows.flat_map(missing).take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const KEY: Key = Key::new(7, 8);
    const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 1), 53);

    fn client(n: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(127, 128, 0, n), 7000)
    }

    /// Two flows; `requests` written by the first, all sent. Returns the replies' payloads.
    fn world(requests: u32) -> (ClientOracle, Vec<Vec<u8>>) {
        let mut oracle = ClientOracle::new(KEY);
        assert_eq!(oracle.open(client(1), SERVICE), 0);
        assert_eq!(oracle.open(client(2), SERVICE), 1);
        let mut replies = Vec::new();
        for _ in 0..requests {
            let mut payload = vec![0; 64];
            oracle.request(0, 5, &mut payload);
            let token = Token::decode(KEY, &payload).expect("own token").reply(1, client(9), 6);
            token.encode(KEY, &mut payload);
            replies.push(payload);
        }
        oracle.sent(requests as usize);
        (oracle, replies)
    }

    #[test]
    fn a_clean_run_is_clean() {
        let (mut oracle, replies) = world(3);
        for reply in &replies {
            assert_eq!(oracle.reply(client(1), SERVICE, reply).0, Outcome::Good);
        }
        let expected = ClientCounts { offered: 3, sent: 3, received: 3, ..Default::default() };
        assert_eq!(*oracle.counts(), expected);
        assert_eq!((oracle.counts().lost(), oracle.unanswered(9)), (0, vec![]));
    }

    #[test]
    fn lost_duplicated_and_reordered_are_told_apart() {
        let (mut oracle, replies) = world(4);
        for (reply, expected) in [
            (&replies[0], Outcome::Good),
            (&replies[3], Outcome::Good),
            (&replies[1], Outcome::Late),
            (&replies[1], Outcome::Duplicate),
        ] {
            assert_eq!(oracle.reply(client(1), SERVICE, reply).0, expected);
        }
        let counts = oracle.counts();
        assert_eq!((counts.received, counts.duplicated, counts.reordered, counts.lost()), (3, 1, 1, 1));
        assert_eq!(oracle.unanswered(9), vec![(0, 2)]);
    }

    #[test]
    fn astray_replies_are_misrouted_and_not_lost() {
        let (mut oracle, replies) = world(2);
        assert_eq!(oracle.reply(client(2), SERVICE, &replies[0]).0, Outcome::Misrouted);
        assert_eq!(oracle.reply(client(1), client(3), &replies[1]).0, Outcome::WrongSource);
        let counts = oracle.counts();
        assert_eq!((counts.misrouted, counts.wrong_source, counts.lost(), counts.received), (2, 1, 0, 0));
    }

    #[test]
    fn the_right_port_of_the_right_client_is_asked_for() {
        let (mut oracle, replies) = world(1);
        let other_port = SocketAddrV4::new(*client(1).ip(), 7001);
        assert_eq!(oracle.reply(other_port, SERVICE, &replies[0]).0, Outcome::Misrouted);
    }

    #[test]
    fn requests_strangers_and_answers_to_nothing_are_foreign() {
        let (mut oracle, replies) = world(1);
        let mut echoed = vec![0; 64];
        Token::request(0, 0, 5, 64).encode(KEY, &mut echoed);
        let mut never_sent = vec![0; 64];
        Token::request(0, 1, 5, 64).reply(1, client(9), 6).encode(KEY, &mut never_sent);
        let mut no_such_flow = vec![0; 64];
        Token::request(2, 0, 5, 64).reply(1, client(9), 6).encode(KEY, &mut no_such_flow);
        let mut corrupted = replies[0].clone();
        corrupted[20] ^= 1;
        for payload in [&echoed, &never_sent, &no_such_flow, &corrupted] {
            assert_eq!(oracle.reply(client(1), SERVICE, payload), (Outcome::Foreign, None));
        }
        assert_eq!((oracle.counts().foreign, oracle.counts().lost()), (4, 1));
    }
}
