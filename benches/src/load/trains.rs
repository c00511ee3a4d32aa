//! Datagrams to be sent in batches, those to one address in a row as a train: one entry of a batch, which the kernel cuts
//! into datagrams (UDP_SEGMENT). Trains of one are plain datagrams.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use crate::error::{Doing, Result};
use crate::sys::mmsg::TxBatch;
use crate::token::PAYLOAD_MAX;

const BATCH: usize = 64;

/// Has the kernel cut what the socket sends into datagrams of `payload` bytes.
pub fn cut_into(socket: &UdpSocket, payload: usize) -> Result<()> {
    setsockopt(socket, UdpGsoSegment, &(payload as i32)).doing(|| "asking for UDP_SEGMENT".to_owned())
}

/// A train that may still grow.
#[derive(Debug, Clone, Copy)]
struct Open {
    to: SocketAddrV4,
    from: Option<Ipv4Addr>,
    start: usize,
    end: usize,
    datagrams: usize,
}

/// The batch under way, and what became of those before.
#[derive(Debug)]
pub struct Trains {
    tx: TxBatch,
    arena: Vec<u8>,
    most: usize,
    open: Option<Open>,
    queued: usize,
    sent: usize,
    failed: u64,
}

impl Trains {
    /// Trains of at most `most` datagrams; of more than one only over sockets that [`cut_into`].
    pub fn new(most: usize) -> Self {
        let arena = vec![0; BATCH * PAYLOAD_MAX];
        Self { tx: TxBatch::new(BATCH), arena, most, open: None, queued: 0, sent: 0, failed: 0 }
    }

    /// True when the next datagram to another address than the last has the batch sent first.
    pub fn is_full(&self) -> bool {
        self.tx.len() + usize::from(self.open.is_some()) == BATCH
    }

    pub fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Room for one more datagram of `len` bytes; the caller writes it.
    pub fn add(&mut self, to: SocketAddrV4, from: Option<Ipv4Addr>, len: usize, socket: &UdpSocket) -> &mut [u8] {
        let start = match &mut self.open {
            Some(open)
                if (open.to, open.from) == (to, from)
                    && open.datagrams < self.most
                    && open.end + len <= open.start + PAYLOAD_MAX =>
            {
                let start = open.end;
                open.end += len;
                open.datagrams += 1;
                start
            }
            _ => {
                self.close();
                if self.tx.is_full() {
                    self.flush(socket);
                }
                let start = self.tx.len() * PAYLOAD_MAX;
                self.open = Some(Open { to, from, start, end: start + len, datagrams: 1 });
                start
            }
        };
        self.queued += 1;
        &mut self.arena[start..start + len]
    }

    /// Sends the batch.
    pub fn flush(&mut self, socket: &UdpSocket) {
        self.close();
        let (_, failed) = self.tx.flush(socket, &self.arena);
        // How long those were that failed is not known; a run with a failure does not hold anyway.
        let failed = (failed * self.most).min(self.queued);
        self.sent += self.queued - failed;
        self.failed += failed as u64;
        self.queued = 0;
    }

    /// Datagrams that the kernel took since the last call.
    pub fn take_sent(&mut self) -> usize {
        std::mem::take(&mut self.sent)
    }

    /// Datagrams that the kernel refused, at most.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    fn close(&mut self) {
        if let Some(Open { to, from, start, end, .. }) = self.open.take() {
            self.tx.push(start..end, to, from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket::{Wants, address, udp};
    use std::time::Duration;

    const LEN: usize = 64;

    /// Sends `rows` (destination, how many in a row) in trains of `most`; the first byte of each datagram that came.
    fn arrivals(most: usize, rows: &[(usize, u8)]) -> [Vec<u8>; 2] {
        let socket = || udp(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), Wants::default()).expect("a socket");
        let (sender, receivers) = (socket(), [socket(), socket()]);
        if most > 1 {
            cut_into(&sender, LEN).expect("UDP_SEGMENT");
        }
        let (mut trains, mut number) = (Trains::new(most), 0);
        for &(to, count) in rows {
            for _ in 0..count {
                let to = address(&receivers[to]).expect("an address");
                trains.add(to, None, LEN, &sender).fill(number);
                number += 1;
            }
        }
        trains.flush(&sender);
        assert_eq!((trains.take_sent(), trains.failed(), trains.is_empty()), (usize::from(number), 0, true));
        receivers.map(|receiver| {
            receiver.set_nonblocking(false).expect("blocking");
            receiver.set_read_timeout(Some(Duration::from_millis(20))).expect("a time limit");
            let mut buffer = [0; PAYLOAD_MAX];
            std::iter::from_fn(|| receiver.recv(&mut buffer).ok().map(|len| (len == LEN).then_some(buffer[0])))
                .map(|first| first.expect("datagrams of one length"))
                .collect()
        })
    }

    #[test]
    fn every_datagram_arrives_once_and_in_order_whatever_the_trains() {
        let rows = [(0, 3), (1, 1), (0, 20), (1, 2), (0, 120)];
        let of = |to| {
            let mut all = rows.iter().flat_map(|&(to, count)| (0..count).map(move |_| to)).zip(0u8..);
            std::iter::from_fn(move || all.next()).filter(move |(at, _)| *at == to).map(|(_, n)| n).collect::<Vec<_>>()
        };
        for most in [1, 2, 8] {
            assert_eq!(arrivals(most, &rows), [of(0), of(1)], "trains of {most}");
        }
    }
}
