//! What is too long, comes from nowhere, or finds no room is dropped, and counted by its reason.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket};
use std::os::fd::AsRawFd;
use tests::config::Config;
use tests::tools::{require_tool, skip};
use tests::udp::Udp;
use tests::world::World;

#[test]
fn over_long_datagrams_are_dropped_and_counted() {
    let (client, backend) = (Udp::v4(), Udp::v4());
    let mut config = Config::new([backend.address()]);
    config.limits.datagram_bytes_max = 1000;
    let world = World::start(config);
    for len in [1001, 1002, 1500, 9000, 65_000] {
        client.send(&vec![1; len], world.config.front());
    }
    world.await_counter("drop_truncated", 5);
    client.send(&[2; 1000], world.config.front());
    let question = backend.recv();
    assert_eq!(question.payload, [2; 1000], "the longest that is allowed is the first to pass");
    backend.send(&[3; 1001], question.from);
    world.await_counter("drop_truncated", 6);
    backend.send(&[4; 1000], question.from);
    assert_eq!(client.recv().payload, [4; 1000]);
}

/// A UDP datagram with a source port that no socket can be bound to.
fn send_from_port(port: u16, to: SocketAddr, payload: &[u8]) -> nix::Result<()> {
    let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Udp)?;
    // No checksum (0) is legal over IPv4.
    let header = [port, to.port(), 8 + payload.len() as u16, 0].map(u16::to_be_bytes).concat();
    let bytes = [&header, payload].concat();
    let to = SockaddrStorage::from(SocketAddr::new(to.ip(), 0));
    sendto(raw.as_raw_fd(), &bytes, &to, MsgFlags::empty()).map(drop)
}

#[test]
fn source_port_zero_is_dropped_and_counted() {
    let (client, backend) = (Udp::v4(), Udp::v4());
    let world = World::start(Config::new([backend.address()]));
    for _ in 0..3 {
        match send_from_port(0, world.config.front(), b"answer me if you can") {
            Ok(()) => {}
            Err(nix::errno::Errno::EPERM | nix::errno::Errno::EACCES) => return skip("CAP_NET_RAW (run as root)"),
            Err(errno) => panic!("raw socket: {errno}"),
        }
    }
    world.await_counter("drop_port_zero", 3);
    client.send(b"from a port", world.config.front());
    assert_eq!(backend.recv().payload, b"from a port", "the first that passes");
    assert_eq!(world.counter("flows_created"), 1);
}

#[test]
fn a_full_table_refuses_new_flows_and_serves_the_old_ones() {
    let backend = Udp::v4();
    let mut config = Config::new([backend.address()]);
    config.limits.flows_max = 64;
    let world = World::start(config);
    let front = world.config.front();
    let clients: Vec<_> = (0..64).map(|_| Udp::v4()).collect();
    let mut sources = Vec::new();
    for client in &clients {
        client.send(b"hello", front);
        sources.push(backend.recv().from);
    }
    let late: Vec<_> = (0..10).map(|_| Udp::v4()).collect();
    late.iter().for_each(|client| client.send(b"too late", front));
    let refused = || world.counter("refused_table_full") + world.counter("refused_index_full");
    tests::wait::until_true("ten refusals", || refused() >= 10);
    assert_eq!((refused(), world.counter("flows_created")), (10, 64));
    for (client, source) in clients.iter().zip(&sources) {
        client.send(b"still here", front);
        let question = backend.recv();
        assert_eq!((question.payload.as_slice(), question.from), (&b"still here"[..], *source));
        backend.send(b"indeed", question.from);
        assert_eq!(client.recv().payload, b"indeed");
    }
    assert_eq!(backend.try_recv(Duration::from_millis(50)), None, "nothing of a refused flow came through");
    assert_eq!(world.status().pointer("/flows_live").and_then(|live| live.as_u64()), Some(64));
}

/// With DF set on what it sends, a datagram that fits into no packet of the path is counted, not cut into pieces.
#[test]
fn what_the_path_cannot_carry_is_counted() {
    let Some(ip) = require_tool("ip", "iproute2") else { return };
    // A thread with a network of its own, whose loopback interface carries 1500 bytes.
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            return skip("CAP_SYS_ADMIN (run as root)");
        }
        let up = Command::new(ip).args(["link", "set", "lo", "up", "mtu", "1500"]).status();
        assert!(up.is_ok_and(|status| status.success()), "ip link set lo up");
        over_a_short_path();
    });
    thread.expect("a thread").join().expect("the test in the other network");
}

fn over_a_short_path() {
    let (client, backend) = (Udp::v4(), Udp::v4());
    let mut config = Config::new([backend.address()]);
    config.snat.v4 = Some(vec!["127.0.0.7".into()]);
    let world = World::start(config);
    let front = world.config.front();
    // The client's own packets are cut into pieces and put together again on arrival.
    for _ in 0..4 {
        client.send(&[1; 1473], front);
    }
    world.await_counter("tx_msgsize", 4);
    client.send(&[2; 1472], front);
    let question = backend.recv();
    assert_eq!(question.payload, [2; 1472], "the longest that one packet carries is the first to pass");
    backend.send(&[3; 1473], question.from);
    world.await_counter("tx_msgsize", 5);
    backend.send(&[4; 1472], question.from);
    assert_eq!(client.recv().payload, [4; 1472]);
    assert_eq!((world.counter("rx_up"), world.counter("tx_up")), (5, 1), "what was not sent is not counted as sent");
    assert_eq!((world.counter("tx_failed"), world.counter("tx_again")), (0, 0));
}

#[test]
fn replies_from_elsewhere_and_to_nobody_are_dropped_and_counted() {
    let (client, backend, stranger) = (Udp::v4(), Udp::v4(), Udp::v4());
    let world = World::start(Config::new([backend.address()]));
    client.send(b"hello", world.config.front());
    let source = backend.recv().from;
    stranger.send(b"spoofed", source);
    world.await_counter("drop_unknown_source", 1);
    // Another address of the source pool on the same socket: an identity that no flow has.
    let IpAddr::V4(ip) = source.ip() else { panic!("an IPv4 flow") };
    let [a, b, c, d] = ip.octets();
    let other = Ipv4Addr::new(a, b, c, d.wrapping_add(1));
    backend.send(b"to nobody", (other, source.port()).into());
    world.await_counter("drop_no_flow", 1);
    backend.send(b"to the client", source);
    assert_eq!(client.recv().payload, b"to the client", "the first that passes");
}
