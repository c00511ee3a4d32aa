//! Against the real kernel, on loopback.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::errors::{self, PathErrorOrigin};
use super::sockets::{self, Options, SocketError, Sockets};
use super::sys;
use crate::config::{Config, Host};
use crate::wire::cmsg::{self, Received, Writer};
use crate::wire::sockaddr::{Endpoint, SOCKADDR_IN6_BYTES, map_v4, to_ip16};

const NO_GRO: Options = Options { gro: false };

/// A config with the given listener addresses and source pool, towards these backends.
fn config(listeners: &[SocketAddr], backends: &[SocketAddr], snat: &str) -> Config {
    let text = format!(
        "[snat]\n{snat}\n[[listener]]\nname = \"l\"\npool = \"p\"\naddresses = {:?}\n\
         [[pool]]\nname = \"p\"\n{}",
        listeners.iter().map(SocketAddr::to_string).collect::<Vec<_>>(),
        backends.iter().map(|b| format!("[[pool.backend]]\naddress = \"{b}\"\n")).collect::<String>()
    );
    Config::parse(Path::new("test.toml"), &text, &Host::detect()).unwrap()
}

/// Containers often have no IPv6.
fn has_v6() -> bool {
    UdpSocket::bind("[::1]:0").is_ok()
}

/// A port that was free a moment ago.
fn free(ip: &str) -> SocketAddr {
    UdpSocket::bind((ip.parse::<IpAddr>().unwrap(), 0)).unwrap().local_addr().unwrap()
}

/// Opens with one listener on a free port of `ip`; another test may take the port between asking
/// and binding, then once more.
fn try_open(ip: &str, backends: &[SocketAddr], snat: &str, options: Options) -> Result<(Config, Sockets), SocketError> {
    loop {
        let config = config(&[free(ip)], backends, snat);
        match sockets::open(&config, options) {
            Ok(sockets) => return Ok((config, sockets)),
            Err(e) if e.to_string().contains("listener[0]") => continue,
            Err(e) => return Err(e),
        }
    }
}

fn open(ip: &str, backends: &[SocketAddr], snat: &str) -> (Config, Sockets) {
    try_open(ip, backends, snat, NO_GRO).unwrap()
}

struct Message {
    from: Endpoint,
    beside: Received,
    payload: Vec<u8>,
    flags: i32,
}

fn receive(fd: BorrowedFd<'_>) -> Message {
    let (mut name, mut control, mut payload) = ([0; 28], [0; 128], [0; 2048]);
    let start = Instant::now();
    loop {
        match sys::receive(fd, &mut name, &mut control, &mut payload, 0) {
            Ok(n) => {
                return Message {
                    from: Endpoint::parse(&name[..n.name]).unwrap(),
                    beside: Received::parse(&control[..n.control]),
                    payload: payload[..n.payload].to_vec(),
                    flags: n.flags,
                };
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                assert!(start.elapsed() < Duration::from_secs(2), "nothing arrived");
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(e) => panic!("{e}"),
        }
    }
}

fn send_from(fd: BorrowedFd<'_>, source: IpAddr, to: SocketAddr, tos: u8, payload: &[u8]) -> std::io::Result<usize> {
    let mut name = [0; SOCKADDR_IN6_BYTES];
    let name_len = Endpoint::from(to).write(&mut name);
    let mut control = [0; cmsg::SEND_BYTES_MAX];
    let mut w = Writer::new(&mut control);
    w.source(&to_ip16(source), 0).unwrap();
    w.tos(to.is_ipv4(), tos).unwrap();
    let len = w.len();
    sys::send(fd, &name[..name_len], &control[..len], payload, 0)
}

#[test]
fn sources_and_traffic_class_of_a_loopback_range() {
    let backend = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = backend.local_addr().unwrap();
    let (config, sockets) = open("127.0.0.1", &[to], "v4 = [\"127.64.0.0/24\"]\nsockets = 3");
    assert_eq!(sockets.upstream.len(), 3);
    let pool = config.snat.v4.as_ref().unwrap();
    backend.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    for (i, n) in [0, 1, 17, 254, 255].into_iter().enumerate() {
        let up = &sockets.upstream[i % 3];
        let source = pool.nth(n).unwrap();
        send_from(up.fd.as_fd(), source, to, 0xb9, b"q").unwrap();
        // The backend sees exactly this source, and its answer tells the same address.
        let mut buffer = [0; 16];
        let (_, seen) = backend.recv_from(&mut buffer).unwrap();
        assert_eq!(seen, (source, up.port).into());
        backend.send_to(b"answer", seen).unwrap();
        let answer = receive(up.fd.as_fd());
        assert_eq!(answer.payload, b"answer");
        assert_eq!(SocketAddr::from(answer.from), to);
        assert_eq!(answer.beside.local, Some(to_ip16(source)));
        assert_eq!(answer.beside.tos, Some(0));
    }
}

#[test]
fn listeners_tell_the_address_that_the_client_wrote_to() {
    for (wild, aim, client) in
        [("0.0.0.0", "127.9.8.7", "127.1.2.3"), ("127.0.0.1", "127.0.0.1", "127.0.0.1"), ("::", "::1", "::1")]
    {
        if wild == "::" && !has_v6() {
            continue;
        }
        let (config, sockets) = open(wild, &["127.0.0.1:9".parse().unwrap()], "sockets = 1");
        let fd = sockets.listeners[0].fd.as_fd();
        let at = config.listeners[0].addresses[0].address;
        let aim: IpAddr = aim.parse().unwrap();
        let client = UdpSocket::bind((client.parse::<IpAddr>().unwrap(), 0)).unwrap();
        let to = SocketAddr::from((aim, at.port()));
        send_from(client.as_fd(), client.local_addr().unwrap().ip(), to, 0x2e << 2 | 2, b"").unwrap();
        let got = receive(fd);
        assert_eq!(got.payload, b"", "an empty datagram is a datagram");
        assert_eq!(SocketAddr::from(got.from), client.local_addr().unwrap());
        assert_eq!(got.beside.local, Some(to_ip16(aim)));
        assert_eq!(got.beside.tos, Some(0x2e << 2 | 2));
        assert!(got.beside.interface > 0 && !got.beside.malformed);
        assert_eq!(got.flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC), 0);
        // The reply leaves from there.
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        send_from(fd, aim, client.local_addr().unwrap(), 1, b"back").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(client.recv_from(&mut buffer).unwrap(), (4, to));
    }
}

#[test]
fn trains_are_joined_and_told() {
    let backend = ["127.0.0.1:9".parse().unwrap()];
    let gro = Options { gro: true };
    let (config, sockets) = try_open("127.0.0.1", &backend, "sockets = 1", gro).unwrap();
    let to = config.listeners[0].addresses[0].address;
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut name = [0; SOCKADDR_IN6_BYTES];
    let name_len = Endpoint::from(to).write(&mut name);
    let mut control = [0; cmsg::SEND_BYTES_MAX];
    let mut w = Writer::new(&mut control);
    w.segment(100).unwrap();
    let len = w.len();
    sys::send(client.as_fd(), &name[..name_len], &control[..len], &[7; 350], 0).unwrap();
    let got = receive(sockets.listeners[0].fd.as_fd());
    assert_eq!((got.payload.len(), got.beside.segment), (350, Some(100)));
    // A single one is no train.
    client.send_to(&[7; 350], to).unwrap();
    let got = receive(sockets.listeners[0].fd.as_fd());
    assert_eq!((got.payload.len(), got.beside.segment), (350, None));
}

#[test]
fn long_datagrams_and_messages_are_cut_and_say_so() {
    let (config, sockets) = open("127.0.0.1", &["127.0.0.1:9".parse().unwrap()], "sockets = 1");
    let fd = sockets.listeners[0].fd.as_fd();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(&[1; 3000], config.listeners[0].addresses[0].address).unwrap();
    let got = receive(fd);
    assert_eq!((got.payload.len(), got.flags & libc::MSG_TRUNC), (2048, libc::MSG_TRUNC));

    client.send_to(&[1; 3], config.listeners[0].addresses[0].address).unwrap();
    let (mut name, mut control, mut payload) = ([0; 28], [0; 40], [0; 16]);
    let start = Instant::now();
    let filled = loop {
        match sys::receive(fd, &mut name, &mut control, &mut payload, 0) {
            Err(_) if start.elapsed() < Duration::from_secs(2) => continue,
            other => break other.unwrap(),
        }
    };
    assert_ne!(filled.flags & libc::MSG_CTRUNC, 0);
    assert_eq!(Received::parse(&control[..filled.control]).local, Some(map_v4([127, 0, 0, 1])));
}

#[test]
fn refused_datagrams_are_told_with_their_destination() {
    for ip in ["127.0.0.1", "::1"] {
        if ip == "::1" && !has_v6() {
            continue;
        }
        // Bound, so that no other test gets the port, but deaf to everybody except one.
        let deaf = UdpSocket::bind((ip.parse::<IpAddr>().unwrap(), 0)).unwrap();
        deaf.connect((ip.parse::<IpAddr>().unwrap(), 9)).unwrap();
        let closed = deaf.local_addr().unwrap();
        let open_backend = UdpSocket::bind((ip.parse::<IpAddr>().unwrap(), 0)).unwrap();
        let (_, sockets) = open(ip, &[closed, open_backend.local_addr().unwrap()], "sockets = 1");
        let fd = sockets.upstream[0].fd.as_fd();
        let source = ip.parse().unwrap();
        send_from(fd, source, closed, 0, b"x").unwrap();

        let mut seen = Vec::new();
        let start = Instant::now();
        while seen.is_empty() && start.elapsed() < Duration::from_secs(2) {
            assert!(errors::drain(fd, 8, |e| seen.push(e)).unwrap() <= 8);
        }
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].destination.map(SocketAddr::from), Some(closed));
        assert_eq!(seen[0].errno, libc::ECONNREFUSED);
        assert_eq!(seen[0].origin, PathErrorOrigin::Network);
        // The queue read, the socket is free of the error: other flows never notice.
        send_from(fd, source, open_backend.local_addr().unwrap(), 0, b"y").unwrap();

        // Unread, it hits whoever sends next, and the send is not made.
        send_from(fd, source, closed, 0, b"x").unwrap();
        std::thread::sleep(Duration::from_millis(5));
        let hit = send_from(fd, source, open_backend.local_addr().unwrap(), 0, b"z");
        assert_eq!(hit.unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
        send_from(fd, source, open_backend.local_addr().unwrap(), 0, b"z").unwrap();
        assert_eq!(errors::drain(fd, 1, |_| ()).unwrap(), 1, "the limit holds");
        assert_eq!(errors::drain(fd, 1, |_| ()).unwrap(), 0);
    }
}

#[test]
fn nothing_is_fragmented() {
    let (_, sockets) = open("127.0.0.1", &["127.0.0.1:9".parse().unwrap()], "sockets = 1");
    for fd in [sockets.listeners[0].fd.as_fd(), sockets.upstream[0].fd.as_fd()] {
        let df = sys::option(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER).unwrap();
        assert_eq!(df, libc::IP_PMTUDISC_DO);
    }
}

#[test]
fn a_port_in_use_is_the_operators_and_nothing_stays_open() {
    let squatter = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = squatter.local_addr().unwrap();
    let config = config(&[taken], &["127.0.0.1:9".parse().unwrap()], "sockets = 1");
    match sockets::open(&config, NO_GRO) {
        Err(SocketError::Config(e)) => assert_eq!(
            e.to_string(),
            format!(
                "test.toml:6: listener[0].addresses[0] = \"{taken}\": the address is in use by \
                 another program; end that program ('ss -ulnp' shows it) or choose another port"
            )
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn given_ports_are_used_and_taken_ones_skipped() {
    let backend = ["127.0.0.1:9".parse().unwrap()];
    // Two free neighbours of a taken port, found by trying.
    for _ in 0..20 {
        let squatter = UdpSocket::bind("0.0.0.0:0").unwrap();
        let taken = squatter.local_addr().unwrap().port();
        if taken > 60_000 {
            continue;
        }
        let snat = format!("ports = \"{taken}-{}\"\nsockets = 2", taken + 2);
        let Ok((_, sockets)) = try_open("127.0.0.1", &backend, &snat, NO_GRO) else {
            continue;
        };
        let ports: Vec<_> = sockets.upstream.iter().map(|u| u.port).collect();
        assert_eq!(ports, [taken + 1, taken + 2]);
        assert!(sockets.warnings.iter().any(|w| w.code == "snat-ports-in-use"));
        drop(sockets);

        let snat = format!("ports = \"{taken}\"\nsockets = 1");
        let e = try_open("127.0.0.1", &backend, &snat, NO_GRO).unwrap_err().to_string();
        assert!(e.contains("test.toml:2: snat.ports = ") && e.contains("found a free port"), "{e}");
        return;
    }
    panic!("no two free neighbours in 20 tries");
}

#[test]
fn addresses_that_are_not_local() {
    let backends = ["127.0.0.1:9".parse().unwrap()];
    let warned = |s: &Sockets, code| s.warnings.iter().any(|w| w.code == code);
    // These blocks are for documentation: no host has them.
    let v4 = "v4 = [\"127.0.0.5\", \"203.0.113.77\"]\nsockets = 1";
    match try_open("127.0.0.1", &backends, v4, NO_GRO) {
        // Privileged: sent from all the same, with a warning.
        Ok((_, s)) => assert!(warned(&s, "snat-not-local"), "{:?}", s.warnings),
        Err(e) => {
            let e = e.to_string();
            assert!(e.contains("test.toml:2: snat.v4: 203.0.113.77 is not"), "{e}");
        }
    }
    if has_v6() {
        let v6 = "v6 = [\"2001:db8::5\"]\nsockets = 1";
        let six = ["[::1]:9".parse().unwrap()];
        let (_, s) = try_open("127.0.0.1", &six, v6, NO_GRO).unwrap();
        assert!(warned(&s, "snat-not-local"), "{:?}", s.warnings);
    }

    let (_, s) = try_open("127.0.0.1", &backends, "v4 = [\"127.0.0.5\"]", NO_GRO).unwrap();
    assert!(!warned(&s, "snat-not-local"), "{:?}", s.warnings);

    let absent = config(&["203.0.113.77:5300".parse().unwrap()], &backends, "sockets = 1");
    let s = sockets::open(&absent, NO_GRO).unwrap();
    assert!(warned(&s, "listener-not-local"), "{:?}", s.warnings);
}

#[test]
fn a_broadcast_address_is_no_source() {
    // 127.255.255.255 is the broadcast address of the loopback network.
    let snat = "v4 = [\"127.255.255.254-127.255.255.255\"]\nsockets = 1";
    match try_open("127.0.0.1", &["127.0.0.1:9".parse().unwrap()], snat, NO_GRO) {
        Err(e) => assert!(e.to_string().contains("127.255.255.255 is not an address"), "{e}"),
        Ok((_, s)) => {
            let told = s.warnings.iter().any(|w| w.message.contains("127.255.255.255"));
            assert!(told, "{:?}", s.warnings);
        }
    }
}

#[test]
fn buffers_are_granted_or_warned_of() {
    let (config, sockets) = open("127.0.0.1", &["127.0.0.1:9".parse().unwrap()], "sockets = 1");
    let fd = sockets.upstream[0].fd.as_fd();
    let granted = sys::option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF).unwrap() as usize / 2;
    let warned = sockets.warnings.iter().find(|w| w.code == "socket-buffer");
    match warned {
        None => assert!(granted >= config.limits.socket_buffer_bytes),
        Some(w) => assert!(w.granted.unwrap() < w.asked.unwrap()),
    }
}

#[test]
fn drops_are_counted() {
    let (config, sockets) = open("127.0.0.1", &["127.0.0.1:9".parse().unwrap()], "sockets = 1");
    let fd = sockets.listeners[0].fd.as_fd();
    assert_eq!(sys::drops(fd).unwrap(), 0);
    sys::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, 2048).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..200 {
        client.send_to(&[0; 1000], config.listeners[0].addresses[0].address).unwrap();
    }
    let mut taken = 0;
    let (mut name, mut control, mut payload) = ([0; 28], [0; 128], [0; 2048]);
    while sys::receive(fd, &mut name, &mut control, &mut payload, 0).is_ok() {
        taken += 1;
    }
    let drops = sys::drops(fd).unwrap();
    assert!(drops > 0);
    assert_eq!(drops + taken, 200);
}

#[test]
fn descriptors_do_not_leak_into_children() {
    let (_, sockets) = open("127.0.0.1", &["127.0.0.1:9".parse().unwrap()], "sockets = 1");
    for fd in [sockets.listeners[0].fd.as_fd(), sockets.upstream[0].fd.as_fd()] {
        use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
        let flags = FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC));
        let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap());
        assert!(flags.contains(OFlag::O_NONBLOCK));
    }
}
