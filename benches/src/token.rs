//! The token that every measured datagram carries, and by which generator and backends judge it.
//!
//! A request names its flow, its place in the flow and when it was due. The backend's reply repeats these and
//! adds who answered, the source that the backend saw, when it got the request and how long it held it. A
//! keyed tag covers all of it: a corrupted, foreign or stale datagram is recognised, never counted as traffic.
//!
//! Wire form, little endian, 64 bytes, followed by padding whose every byte follows from the sequence number:
//! `magic[4] kind[1] backend[1] port[2] flow[8] seq[4] hold_ns[4] due_ns[8] source[16] backend_ns[8] tag[8]`.

use std::hash::Hasher;
use std::net::{Ipv4Addr, SocketAddrV4};

use siphasher::sip::SipHasher13;

/// Bytes of a token, and so the smallest payload of the load.
pub const TOKEN_LEN: usize = 64;
/// Largest payload of the load: fits every common path unfragmented.
pub const PAYLOAD_MAX: usize = 1472;

const MAGIC: [u8; 4] = *b"HLT1";
const TAG_AT: usize = 56;

/// Key of one run's tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(u64, u64);

impl Key {
    pub const fn new(low: u64, high: u64) -> Self {
        Self(low, high)
    }

    /// A key that no other run has.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        let value = u128::from_le_bytes(bytes);
        Ok(Self(value as u64, (value >> 64) as u64))
    }

    fn tag(self, header: &[u8], payload_len: usize) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(header);
        hasher.write_u32(payload_len as u32);
        hasher.finish()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Request,
    Reply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    /// Which backend answered; 0 in a request.
    pub backend: u8,
    /// Flow number within the run.
    pub flow: u64,
    /// Place in the flow, from 0.
    pub seq: u32,
    /// When the request was due, ns: not when it was sent, so a late generator cannot hide latency.
    pub due_ns: u64,
    /// Source address and port that the backend saw; unspecified in a request.
    pub source: SocketAddrV4,
    /// When the request reached the backend, ns.
    pub backend_ns: u64,
    /// How long the backend kept the reply back, ns (at most 4.29 s).
    pub hold_ns: u32,
    /// Payload bytes, token included.
    pub len: usize,
}

/// Why a datagram is no token of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unrecognised {
    #[error("payload of {0} bytes is too short or too long")]
    Length(usize),
    #[error("not a token")]
    Magic,
    #[error("tag does not match: corrupted or of another run")]
    Tag,
    #[error("padding does not match")]
    Padding,
}

fn padding(seq: u32) -> u8 {
    seq as u8 ^ 0xa5
}

impl Token {
    pub const fn request(flow: u64, seq: u32, due_ns: u64, len: usize) -> Self {
        Self {
            kind: Kind::Request,
            backend: 0,
            flow,
            seq,
            due_ns,
            source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            backend_ns: 0,
            hold_ns: 0,
            len,
        }
    }

    /// The answer of `backend` to this request.
    pub const fn reply(mut self, backend: u8, source: SocketAddrV4, backend_ns: u64) -> Self {
        self.kind = Kind::Reply;
        self.backend = backend;
        self.source = source;
        self.backend_ns = backend_ns;
        self
    }

    /// Writes the whole payload: `out` must have `self.len` bytes, at least [`TOKEN_LEN`].
    pub fn encode(&self, key: Key, out: &mut [u8]) {
        assert!(out.len() == self.len && self.len >= TOKEN_LEN, "payload of {} bytes", out.len());
        let (token, rest) = out.split_at_mut(TOKEN_LEN);
        token[0..4].copy_from_slice(&MAGIC);
        token[4] = match self.kind {
            Kind::Request => 1,
            Kind::Reply => 2,
        };
        token[5] = self.backend;
        token[6..8].copy_from_slice(&self.source.port().to_le_bytes());
        token[8..16].copy_from_slice(&self.flow.to_le_bytes());
        token[16..20].copy_from_slice(&self.seq.to_le_bytes());
        token[20..24].copy_from_slice(&self.hold_ns.to_le_bytes());
        token[24..32].copy_from_slice(&self.due_ns.to_le_bytes());
        token[32..48].copy_from_slice(&self.source.ip().to_ipv6_mapped().octets());
        token[48..56].copy_from_slice(&self.backend_ns.to_le_bytes());
        let tag = key.tag(&token[..TAG_AT], self.len);
        token[TAG_AT..].copy_from_slice(&tag.to_le_bytes());
        rest.fill(padding(self.seq));
    }

    /// Reads and checks a payload.
    pub fn decode(key: Key, payload: &[u8]) -> Result<Self, Unrecognised> {
        let len = payload.len();
        if !(TOKEN_LEN..=PAYLOAD_MAX).contains(&len) {
            return Err(Unrecognised::Length(len));
        }
        let (token, rest) = payload.split_at(TOKEN_LEN);
        if token[0..4] != MAGIC {
            return Err(Unrecognised::Magic);
        }
        if key.tag(&token[..TAG_AT], len) != u64_at(token, TAG_AT) {
            return Err(Unrecognised::Tag);
        }
        let seq = u32_at(token, 16);
        if rest.iter().any(|&byte| byte != padding(seq)) {
            return Err(Unrecognised::Padding);
        }
        let kind = match token[4] {
            1 => Kind::Request,
            2 => Kind::Reply,
            _ => return Err(Unrecognised::Magic),
        };
        let ip = Ipv4Addr::new(token[44], token[45], token[46], token[47]);
        Ok(Self {
            kind,
            backend: token[5],
            flow: u64_at(token, 8),
            seq,
            due_ns: u64_at(token, 24),
            source: SocketAddrV4::new(ip, u16::from_le_bytes([token[6], token[7]])),
            backend_ns: u64_at(token, 48),
            hold_ns: u32_at(token, 20),
            len,
        })
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key::new(1, 2);

    fn reply(len: usize) -> Token {
        let source = SocketAddrV4::new(Ipv4Addr::new(127, 64, 3, 2), 40_001);
        let mut token = Token::request(0x0102_0304_0506, 77, 123_456_789, len).reply(2, source, 999);
        token.hold_ns = 100_000_000;
        token
    }

    #[test]
    fn round_trip_at_every_kind_of_size() {
        for len in [64, 65, 512, PAYLOAD_MAX] {
            for token in [reply(len), Token::request(1, 0, 0, len)] {
                let mut bytes = vec![0xff; len];
                token.encode(KEY, &mut bytes);
                assert_eq!(Token::decode(KEY, &bytes), Ok(token));
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut bytes = vec![0; 80];
        reply(80).encode(KEY, &mut bytes);
        for at in 0..bytes.len() * 8 {
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(Token::decode(KEY, &bytes).is_err(), "bit {at}");
            bytes[at / 8] ^= 1 << (at % 8);
        }
        assert!(Token::decode(KEY, &bytes).is_ok());
    }

    #[test]
    fn other_keys_and_lengths_are_refused() {
        let mut bytes = vec![0; 80];
        reply(80).encode(KEY, &mut bytes);
        assert_eq!(Token::decode(Key::new(1, 3), &bytes), Err(Unrecognised::Tag));
        assert_eq!(Token::decode(KEY, &bytes[..79]), Err(Unrecognised::Tag));
        assert_eq!(Token::decode(KEY, &bytes[..63]), Err(Unrecognised::Length(63)));
        assert_eq!(Token::decode(KEY, &[0; 64]), Err(Unrecognised::Magic));
        assert_eq!(Token::decode(KEY, &vec![0; PAYLOAD_MAX + 1]), Err(Unrecognised::Length(PAYLOAD_MAX + 1)));
    }

    #[test]
    fn random_keys_differ() {
        assert_ne!(Key::random().expect("random"), Key::random().expect("random"));
    }
}
