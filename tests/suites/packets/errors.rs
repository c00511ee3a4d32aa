//! A backend that is gone costs nobody else a datagram, and is served again when it comes back.

use tests::config::Config;
use tests::udp::Udp;
use tests::wait::until;
use tests::world::World;

/// A client whose flow goes to `backend`.
fn client_of<'a>(
    world: &World,
    clients: impl Iterator<Item = Udp>,
    backends: &[&'a Udp],
    wanted: usize,
) -> (Udp, &'a Udp) {
    for client in clients.take(200) {
        client.send(b"where to", world.config.front());
        let at = until("a backend is asked", || {
            backends.iter().position(|backend| backend.try_recv(std::time::Duration::from_millis(2)).is_some())
        });
        if at == wanted {
            return (client, backends[at]);
        }
    }
    panic!("no flow of 200 went to backend {wanted}");
}

#[test]
fn a_flow_recovers_when_its_backend_comes_back() {
    let (client, backend) = (Udp::v4(), Udp::v4());
    let address = backend.address();
    let world = World::start(Config::new([address]));
    let front = world.config.front();
    let source = {
        client.send(b"first", front);
        backend.recv().from
    };
    drop(backend);
    for sent in 2..=20 {
        client.send(b"to a closed port", front);
        world.await_counter("tx_up", sent);
    }
    until("ICMP errors are counted", || (world.counter("icmp_errors") > 0).then_some(()));
    let backend = Udp::bind(address);
    client.send(b"welcome back", front);
    let question = backend.recv();
    assert_eq!((question.payload.as_slice(), question.from), (&b"welcome back"[..], source), "not one is lost");
    backend.send(b"thanks", question.from);
    assert_eq!(client.recv().payload, b"thanks");
    assert_eq!(world.counter("tx_failed"), 0);
}

#[test]
fn a_dead_backend_costs_its_neighbour_nothing() {
    let (dying, living) = (Udp::v4(), Udp::v4());
    let mut config = Config::new([dying.address(), living.address()]);
    // Both backends behind one socket: the errors of one come up in the other's sends and receives.
    config.snat.sockets = 1;
    let world = World::start(config);
    let front = world.config.front();
    let backends = [&dying, &living];
    let (unlucky, _) = client_of(&world, std::iter::repeat_with(Udp::v4), &backends, 0);
    let (lucky, _) = client_of(&world, std::iter::repeat_with(Udp::v4), &backends, 1);
    drop(dying);
    for number in 0..500_u32 {
        let payload = number.to_le_bytes();
        unlucky.send(&payload, front);
        unlucky.send(&payload, front);
        lucky.send(&payload, front);
        let question = living.recv();
        assert_eq!(question.payload, payload);
        living.send(&payload, question.from);
        assert_eq!(lucky.recv().payload, payload);
    }
    assert!(world.counter("icmp_errors") > 0);
    assert_eq!((world.counter("tx_failed"), world.counter("tx_again")), (0, 0));
    assert_eq!(world.counter("rx_up"), world.counter("tx_up"));
}

#[test]
fn a_client_that_is_gone_costs_the_others_nothing() {
    let (gone, there, backend) = (Udp::v4(), Udp::v4(), Udp::v4());
    let world = World::start(Config::new([backend.address()]));
    let front = world.config.front();
    gone.send(b"and away", front);
    let source = backend.recv().from;
    drop(gone);
    for number in 0..200_u32 {
        backend.send(b"anybody there", source);
        there.send(&number.to_le_bytes(), front);
        let question = backend.recv();
        assert_eq!(question.payload, number.to_le_bytes());
        backend.send(&question.payload, question.from);
        assert_eq!(there.recv().payload, number.to_le_bytes());
    }
    assert_eq!(world.counter("tx_failed"), 0);
}
