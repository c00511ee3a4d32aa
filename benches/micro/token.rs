//! What the load itself pays per datagram: writing and checking tokens, and judging a reply.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddrV4};

use benches::check::client::ClientOracle;
use benches::token::{Key, Token};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const KEY: Key = Key::new(1, 2);
const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 128, 0, 1), 7000);
/// Replies judged per round.
const REPLIES: usize = 1024;

fn tokens(c: &mut Criterion) {
    for len in [64, 1200] {
        let token = Token::request(7, 8, 9, len).reply(1, CLIENT, 10);
        let mut payload = vec![0; len];
        c.bench_function(&format!("encode/{len}"), |b| {
            b.iter(|| black_box(&token).encode(KEY, black_box(&mut payload)))
        });
        c.bench_function(&format!("decode/{len}"), |b| b.iter(|| Token::decode(KEY, black_box(&payload))));
    }
}

/// An oracle with one flow and the replies to all it has asked.
fn asked() -> (ClientOracle, Vec<[u8; 64]>) {
    let mut oracle = ClientOracle::new(KEY);
    oracle.open(CLIENT, SERVICE);
    let mut replies = vec![[0; 64]; REPLIES];
    for payload in &mut replies {
        oracle.request(0, 1, payload);
        let token = Token::decode(KEY, payload).expect("own token");
        token.reply(1, CLIENT, 2).encode(KEY, payload);
    }
    oracle.sent(REPLIES);
    (oracle, replies)
}

fn judge(c: &mut Criterion) {
    c.bench_function(&format!("judge/{REPLIES} replies"), |b| {
        let judge_all = |(mut oracle, replies): (ClientOracle, Vec<[u8; 64]>)| {
            for payload in &replies {
                black_box(oracle.reply(CLIENT, SERVICE, payload));
            }
            oracle
        };
        b.iter_batched(asked, judge_all, BatchSize::SmallInput);
    });
}

criterion_group!(benches, tokens, judge);
criterion_main!(benches);
