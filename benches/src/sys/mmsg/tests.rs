use super::*;
use crate::sys::socket::{Wants, address, udp};

fn pair() -> (std::net::UdpSocket, std::net::UdpSocket) {
    let all = Wants { destination: true, stamps: true };
    let a = udp(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), all).expect("socket");
    let b = udp(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), all).expect("socket");
    (a, b)
}

#[test]
fn source_and_destination_addresses_survive_the_trip() {
    let (a, b) = pair();
    let to = SocketAddrV4::new(Ipv4Addr::new(127, 9, 8, 7), address(&b).expect("bound").port());
    let mut tx = TxBatch::new(4);
    let arena = b"onetwo";
    tx.push(0..3, to, Some(Ipv4Addr::new(127, 1, 2, 3)));
    tx.push(3..6, to, None);
    tx.push(0..0, to, Some(Ipv4Addr::new(127, 4, 4, 4)));
    assert_eq!(tx.flush(&a, arena), (3, 0));
    assert!(tx.is_empty());

    let mut rx = RxBatch::new(8, 64);
    assert_eq!(rx.receive(&b).expect("receive"), 3);
    let first = rx.datagram(0);
    assert_eq!(rx.payload(&first), b"one");
    assert_eq!(*first.from.ip(), Ipv4Addr::new(127, 1, 2, 3));
    assert_eq!(first.to, Some(*to.ip()));
    assert!(first.stamp.is_some() && !first.truncated);
    assert_eq!(rx.payload(&rx.datagram(1)), b"two");
    assert!(rx.payload(&rx.datagram(2)).is_empty());
    assert_eq!(rx.receive(&b).expect("receive"), 0);
}

#[test]
fn a_refused_datagram_is_counted_and_the_rest_goes() {
    let (a, b) = pair();
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, address(&b).expect("bound").port());
    let mut tx = TxBatch::new(3);
    tx.push(0..1, to, None);
    tx.push(0..1, to, Some(Ipv4Addr::new(203, 0, 113, 1))); // not an address of this host
    tx.push(1..2, to, None);
    assert!(tx.is_full());
    assert_eq!(tx.flush(&a, b"xy"), (2, 1));
    let mut rx = RxBatch::new(8, 64);
    assert_eq!(rx.receive(&b).expect("receive"), 2);
    assert_eq!(rx.payload(&rx.datagram(1)), b"y");
}

#[test]
fn long_datagrams_are_marked_truncated() {
    let (a, b) = pair();
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, address(&b).expect("bound").port());
    let mut tx = TxBatch::new(1);
    tx.push(0..65, to, None);
    assert_eq!(tx.flush(&a, &[7; 65]), (1, 0));
    let mut rx = RxBatch::new(1, 64);
    assert_eq!(rx.receive(&b).expect("receive"), 1);
    assert!(rx.datagram(0).truncated);
    assert_eq!(rx.payload(&rx.datagram(0)).len(), 64);
}
