//! What a flow may see and what it may not: judged from tokens in the payload, never from what the dataplane says.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const MAGIC: u32 = 0x7e57_f10c;
/// Bytes of a question's token.
pub const QUESTION_LEN: usize = 12;
/// Bytes that a backend's mark adds to it.
pub const MARK_LEN: usize = 20;

/// Which question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    pub flow: u32,
    pub seq: u32,
}

/// Who answered it, and whom it saw asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    pub backend: u16,
    pub source: SocketAddr,
}

impl Question {
    /// A question of `len` bytes, at least [`QUESTION_LEN`].
    pub fn encode(self, len: usize) -> Vec<u8> {
        let mut bytes = [MAGIC, self.flow, self.seq].map(u32::to_le_bytes).concat();
        bytes.resize(len.max(QUESTION_LEN), 0x5a);
        bytes
    }

    /// The question in a datagram.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        (word(0)? == MAGIC).then_some(Self { flow: word(4)?, seq: word(8)? })
    }
}

/// The answer of a backend: the question with the mark behind its token.
pub fn answer(question: &[u8], mark: Mark) -> Vec<u8> {
    let (token, rest) = question.split_at(QUESTION_LEN.min(question.len()));
    let ip = match mark.source.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    [token, &mark.backend.to_le_bytes(), &mark.source.port().to_le_bytes(), &ip.octets(), rest].concat()
}

/// The mark in an answer.
pub fn mark_of(answer: &[u8]) -> Option<Mark> {
    let mark = answer.get(QUESTION_LEN..QUESTION_LEN + MARK_LEN)?;
    let number = |at: usize| u16::from_le_bytes([mark[at], mark[at + 1]]);
    let ip: [u8; 16] = mark[4..].try_into().ok()?;
    let source = SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), number(2));
    Some(Mark { backend: number(0), source })
}

/// Faults, counted. All zero is perfect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Questions without an answer.
    pub lost: u64,
    /// Answers that had been there before.
    pub duplicated: u64,
    /// Answers that came after a later one of their flow.
    pub reordered: u64,
    /// Answers to another flow's question, or to none that was asked.
    pub misrouted: u64,
    /// Answers from another backend than the flow's first.
    pub backend_changed: u64,
    /// Answers whose backend saw another source than at first.
    pub source_changed: u64,
    /// Flows that share source and backend with another flow: their replies cannot be told apart.
    pub identity_shared: u64,
}

/// What one flow has seen.
#[derive(Debug, Clone, Default)]
pub struct FlowView {
    pub sent: u32,
    pub answered: HashSet<u32>,
    last: Option<u32>,
    pub mark: Option<Mark>,
}

/// Judges all flows of a load.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    pub flows: HashMap<u32, FlowView>,
    faults: Faults,
}

impl Oracle {
    /// The next question of a flow.
    pub fn ask(&mut self, flow: u32) -> Question {
        let view = self.flows.entry(flow).or_default();
        view.sent += 1;
        Question { flow, seq: view.sent - 1 }
    }

    /// Takes back the last question of a flow: the kernel did not take it.
    pub fn not_asked(&mut self, question: Question) {
        if let Some(view) = self.flows.get_mut(&question.flow) {
            view.sent = question.seq;
        }
    }

    /// A datagram that arrived at the socket of a flow; true if it is the first answer to a question.
    pub fn arrived(&mut self, flow: u32, bytes: &[u8]) -> bool {
        let view = self.flows.entry(flow).or_default();
        let (Some(question), Some(mark)) = (Question::decode(bytes), mark_of(bytes)) else {
            self.faults.misrouted += 1;
            return false;
        };
        if question.flow != flow || question.seq >= view.sent {
            self.faults.misrouted += 1;
            return false;
        }
        if !view.answered.insert(question.seq) {
            self.faults.duplicated += 1;
            return false;
        }
        if view.last.is_some_and(|last| question.seq < last) {
            self.faults.reordered += 1;
        } else {
            view.last = Some(question.seq);
        }
        let first = *view.mark.get_or_insert(mark);
        self.faults.backend_changed += u64::from(first.backend != mark.backend);
        self.faults.source_changed += u64::from(first.source != mark.source);
        true
    }

    /// Questions asked.
    pub fn sent(&self) -> u64 {
        self.flows.values().map(|view| u64::from(view.sent)).sum()
    }

    /// Questions answered.
    pub fn received(&self) -> u64 {
        self.flows.values().map(|view| view.answered.len() as u64).sum()
    }

    /// The verdict, once no more answers are to come.
    pub fn faults(&self) -> Faults {
        let marks: Vec<_> = self.flows.values().filter_map(|view| view.mark).collect();
        let distinct: HashSet<_> = marks.iter().collect();
        Faults {
            lost: self.sent() - self.received(),
            identity_shared: (marks.len() - distinct.len()) as u64,
            ..self.faults
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(backend: u16, port: u16) -> Mark {
        Mark { backend, source: ([127, 64, 0, 1], port).into() }
    }

    fn told(oracle: &mut Oracle, flow: u32, question: Question, mark: Mark) {
        oracle.arrived(flow, &answer(&question.encode(40), mark));
    }

    #[test]
    fn what_is_in_order_is_perfect() {
        let mut oracle = Oracle::default();
        for _ in 0..3 {
            let question = oracle.ask(7);
            let bytes = answer(&question.encode(40), mark(1, 9));
            assert_eq!((Question::decode(&bytes), mark_of(&bytes)), (Some(question), Some(mark(1, 9))));
            assert_eq!(bytes.len(), 40 + MARK_LEN);
            assert!(oracle.arrived(7, &bytes));
        }
        assert_eq!((oracle.sent(), oracle.received(), oracle.faults()), (3, 3, Faults::default()));
    }

    /// Each fault, planted alone, is seen, and nothing else is.
    #[test]
    fn every_planted_fault_is_seen() {
        let faults = |plant: &dyn Fn(&mut Oracle, Question, Question)| {
            let mut oracle = Oracle::default();
            let (first, second) = (oracle.ask(1), oracle.ask(1));
            plant(&mut oracle, first, second);
            oracle.faults()
        };
        let good = mark(1, 9);
        assert_eq!(faults(&|o, _, second| told(o, 1, second, good)), Faults { lost: 1, ..Faults::default() });
        let doubled = faults(&|o, first, second| [first, second, second].iter().for_each(|q| told(o, 1, *q, good)));
        assert_eq!(doubled, Faults { duplicated: 1, ..Faults::default() });
        let reordered = faults(&|o, first, second| [second, first].iter().for_each(|q| told(o, 1, *q, good)));
        assert_eq!(reordered, Faults { reordered: 1, ..Faults::default() });
        let with = |second_mark| {
            faults(&move |o, first, second| {
                told(o, 1, first, good);
                told(o, 1, second, second_mark);
            })
        };
        assert_eq!(with(mark(2, 9)), Faults { backend_changed: 1, source_changed: 0, ..Faults::default() });
        assert_eq!(with(mark(1, 8)), Faults { source_changed: 1, ..Faults::default() });
        let misrouted = faults(&|o, first, second| {
            told(o, 1, first, good);
            told(o, 1, second, good);
            told(o, 2, first, good);
        });
        assert_eq!(misrouted, Faults { misrouted: 1, ..Faults::default() });
        let shared = faults(&|o, first, second| {
            let other = o.ask(2);
            told(o, 1, first, good);
            told(o, 1, second, good);
            told(o, 2, other, good);
        });
        assert_eq!(shared, Faults { identity_shared: 1, ..Faults::default() });
    }
}
