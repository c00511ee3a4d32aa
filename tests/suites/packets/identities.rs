//! Upstream identities: one per flow and backend, refused when there is none, rested before they are given out again.

use std::time::{Duration, Instant};

use tests::config::Config;
use tests::udp::Udp;
use tests::world::World;

/// One source address and one socket: one flow per backend.
fn single(backend: &Udp) -> Config {
    let mut config = Config::new([backend.address()]);
    config.snat.v4 = Some(vec!["127.64.0.9".into()]);
    config.snat.sockets = 1;
    config
}

#[test]
fn when_no_identity_is_free_new_flows_are_refused_and_counted() {
    let (first, second, backend) = (Udp::v4(), Udp::v4(), Udp::v4());
    let world = World::start(single(&backend));
    let front = world.config.front();
    first.send(b"first", front);
    let source = backend.recv().from;
    for _ in 0..5 {
        second.send(b"second", front);
    }
    world.await_counter("refused_no_identity", 5);
    first.send(b"first again", front);
    let question = backend.recv();
    assert_eq!((question.payload.as_slice(), question.from), (&b"first again"[..], source));
    assert_eq!(world.counter("flows_created"), 1);
}

#[test]
fn an_identity_rests_after_its_flow_and_late_replies_reach_nobody() {
    let (idle, rest) = (Duration::from_millis(300), Duration::from_millis(1500));
    let (first, second, backend) = (Udp::v4(), Udp::v4(), Udp::v4());
    let mut config = single(&backend);
    config.listener[0].idle_timeout = "300ms".into();
    config.snat.reuse_delay = "1500ms".into();
    let world = World::start(config);
    let front = world.config.front();

    let asked = Instant::now();
    first.send(b"first", front);
    let source = backend.recv().from;
    world.await_counter("flows_expired", 1);
    backend.send(b"too late", source);
    world.await_counter("drop_no_flow", 1);

    // However slow the machine is, the second flow begins no sooner than the two times after the first one's packet.
    let question = tests::wait::until("the identity is free again", || {
        second.send(b"second", front);
        backend.try_recv(Duration::from_millis(20))
    });
    assert!(asked.elapsed() >= idle + rest, "reused after {:?}", asked.elapsed());
    assert_eq!((question.payload.as_slice(), question.from), (&b"second"[..], source));
    assert!(world.counter("refused_no_identity") > 0);
    backend.send(b"for the second", question.from);
    assert_eq!(second.recv().payload, b"for the second");
    assert_eq!(first.try_recv(Duration::from_millis(20)), None);
}

#[test]
fn idle_flows_expire_and_busy_ones_do_not() {
    let (busy, quiet, backend) = (Udp::v4(), Udp::v4(), Udp::v4());
    let mut config = Config::new([backend.address()]);
    // The busy one speaks every few milliseconds; only a stall of two seconds would let it expire.
    config.listener[0].idle_timeout = "2s".into();
    let world = World::start(config);
    let front = world.config.front();
    quiet.send(b"quiet", front);
    backend.recv();
    busy.send(b"busy", front);
    let source = backend.recv().from;
    tests::wait::until("the quiet flow expires", || {
        busy.send(b"busy", front);
        assert_eq!(backend.recv().from, source, "a busy flow keeps its identity");
        (world.counter("flows_expired") == 1).then_some(())
    });
    assert_eq!(world.flows().len(), 1);
}

/// Many flows behind few sockets: their sources are all distinct, so that replies can be told apart.
#[test]
fn flows_that_share_a_socket_differ_in_their_address() {
    let backend = Udp::v4();
    let mut config = Config::new([backend.address()]);
    config.snat.sockets = 2;
    config.snat.v4 = Some(vec!["127.64.1.0/26".into()]);
    let world = World::start(config);
    let clients: Vec<_> = (0..128).map(|_| Udp::v4()).collect();
    let mut sources = std::collections::HashMap::new();
    for (number, client) in clients.iter().enumerate() {
        client.send(&(number as u32).to_le_bytes(), world.config.front());
        let source = backend.recv().from;
        assert_eq!(sources.insert(source, number), None, "{source} twice");
    }
    let ports: std::collections::HashSet<_> = sources.keys().map(|source| source.port()).collect();
    assert_eq!(ports.len(), 2);
    for (source, number) in &sources {
        backend.send(&(*number as u32).to_le_bytes(), *source);
        assert_eq!(clients[*number].recv().payload, (*number as u32).to_le_bytes());
    }
    // All 128 identities are in use now.
    Udp::v4().send(b"one too many", world.config.front());
    world.await_counter("refused_no_identity", 1);
}
