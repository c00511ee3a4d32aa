//! What a client sends is what a backend gets, and the other way round.

use std::net::{Ipv4Addr, SocketAddr};

use tests::config::Config;
use tests::net::{free_port, free_v6, has_ipv6};
use tests::tools::skip;
use tests::udp::Udp;
use tests::world::World;

/// ECN alone, DSCP alone, both, all bits.
const CLASSES: [u8; 6] = [0x01, 0x02, 0x03, 0xb8, 0x2a, 0xff];

/// A world with one backend that the test plays itself.
fn world_for(backend: &Udp, listen: &[SocketAddr]) -> World {
    let mut config = Config::new([backend.address()]);
    if !listen.is_empty() {
        config.listener[0].addresses = listen.to_vec();
    }
    World::start(config)
}

#[test]
fn datagrams_of_every_length_pass_both_ways() {
    let (client, backend) = (Udp::v4(), Udp::v4());
    let world = world_for(&backend, &[]);
    for len in [0, 1, 2, 63, 64, 65, 512, 1200, 1472, 1473, 2047, 2048] {
        let payload: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
        client.send(&payload, world.config.front());
        let question = backend.recv();
        assert_eq!(question.payload, payload, "{len} bytes up");
        backend.send(&payload, question.from);
        let answer = client.recv();
        assert_eq!((answer.payload, answer.from), (payload, world.config.front()), "{len} bytes down");
    }
    world.await_counter("tx_down", 12);
    assert_eq!((world.counter("rx_up"), world.counter("tx_up"), world.counter("rx_down")), (12, 12, 12));
    assert_eq!(world.counter("bytes_up"), world.counter("bytes_down"));
    assert_eq!(world.counter("flows_created"), 1);
}

fn classes_pass(client: &Udp, backend: &Udp, front: SocketAddr) {
    for up in CLASSES {
        let down = up.rotate_left(1);
        client.send_tos(b"up", front, up);
        let question = backend.recv();
        assert_eq!(question.tos, up, "traffic class up");
        backend.send_tos(b"down", question.from, down);
        assert_eq!(client.recv().tos, down, "traffic class down");
    }
    // And none stays behind on a shared socket.
    client.send(b"up", front);
    let question = backend.recv();
    backend.send(b"down", question.from);
    assert_eq!((question.tos, client.recv().tos), (0, 0));
}

#[test]
fn ecn_and_dscp_pass_both_ways_over_ipv4() {
    let (client, backend) = (Udp::v4(), Udp::v4());
    let world = world_for(&backend, &[]);
    classes_pass(&client, &backend, world.config.front());
}

#[test]
fn ecn_and_dscp_pass_both_ways_over_ipv6() {
    if !has_ipv6() {
        return skip("IPv6 on the loopback interface");
    }
    let (client, backend) = (Udp::v6(), Udp::v6());
    let world = world_for(&backend, &[free_v6()]);
    classes_pass(&client, &backend, world.config.front());
}

#[test]
fn families_mix() {
    if !has_ipv6() {
        return skip("IPv6 on the loopback interface");
    }
    let (old, new) = (Udp::v4(), Udp::v6());
    for (client, backend, front) in [(&old, &new, None), (&new, &old, Some(free_v6()))] {
        let world = world_for(backend, front.as_slice());
        classes_pass(client, backend, world.config.front());
    }
}

#[test]
fn answers_come_from_the_address_that_was_written_to() {
    let (client, backend) = (Udp::bind((Ipv4Addr::UNSPECIFIED, 0).into()), Udp::v4());
    let port = free_port();
    let world = world_for(&backend, &[(Ipv4Addr::UNSPECIFIED, port).into()]);
    let fronts = [1, 2, 3, 200].map(|last| SocketAddr::from(([127, 0, 0, last], port)));
    let mut sources = Vec::new();
    for front in fronts.into_iter().chain(fronts) {
        client.send(b"up", front);
        let question = backend.recv();
        backend.send(b"down", question.from);
        let answer = client.recv();
        assert_eq!(answer.from, front);
        sources.push(question.from);
    }
    // One client port, but a flow for each address that it wrote to, each with its own identity.
    let (first, again) = sources.split_at(4);
    assert_eq!(first, again, "a flow keeps its source");
    let distinct: std::collections::HashSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 4, "{sources:?}");
    world.await_counter("flows_created", 4);
}

#[test]
fn answers_in_flight_come_from_the_right_address_too() {
    let (client, backend) = (Udp::v4(), Udp::v4());
    let port = free_port();
    let world = world_for(&backend, &[(Ipv4Addr::UNSPECIFIED, port).into()]);
    let fronts = [1, 2, 3].map(|last| SocketAddr::from(([127, 0, 0, last], port)));
    for front in fronts {
        client.send(front.to_string().as_bytes(), front);
    }
    let questions = fronts.map(|_| backend.recv());
    for question in questions.iter().rev() {
        backend.send(&question.payload, question.from);
    }
    for _ in fronts {
        let answer = client.recv();
        assert_eq!(answer.payload, answer.from.to_string().as_bytes());
    }
    drop(world);
}

/// A server may speak first, and often: nothing pairs answers with questions.
#[test]
fn a_backend_may_send_many_answers() {
    let (client, backend) = (Udp::v4(), Udp::v4());
    let world = world_for(&backend, &[]);
    client.send(b"subscribe", world.config.front());
    let source = backend.recv().from;
    for number in 0..100_u8 {
        backend.send(&[number], source);
        assert_eq!(client.recv().payload, [number]);
    }
}
