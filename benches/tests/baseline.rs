//! The baseline forwards faithfully: what it is compared in must not be traffic that it loses.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use benches::baseline;
use benches::load::backend::BackendPlan;
use benches::load::generator::GeneratorPlan;
use benches::load::schedule::Mix;
use benches::load::session::{Backends, Session};
use benches::scenario::definition::Dataplane;
use benches::sys::clock::{MILLI, SECOND, now};
use benches::sys::place::Placement;
use benches::token::Key;
use benches::world::config::{Config as ServiceConfig, Setting, free_port};
use dataplane::config::{Config, Host};

#[test]
fn a_paced_load_passes_through_whole() {
    let key = Key::random().expect("random key");
    let place = Placement::here();
    let origin_ns = now();
    let backend = BackendPlan {
        id: 0,
        delay_ns: 20 * MILLI,
        key,
        origin_ns,
        flows: 0,
        train: 1,
        payload: 64,
        cpu: place.backends,
        realtime: false,
    };
    let backends = Backends::start(2, &backend).expect("backends");
    let service = free_port().expect("a port");
    let setting = Setting {
        name: "test",
        dir: Path::new("/nonexistent"),
        dataplane: Path::new("/nonexistent"),
        port: service,
        backends: backends.addresses(),
        cpu: place.dut,
        background_cpu: place.background,
        scheduling: "other",
        probation: Duration::ZERO,
    };
    let text = ServiceConfig::of(&Dataplane::default(), &setting).to_toml().expect("a config");
    let config = Config::parse(Path::new("test.toml"), &text, &Host::detect()).expect("a config that loads");
    let stop = Arc::new(AtomicBool::new(false));
    let forwarder = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || baseline::serve(&config, &stop))
    };
    let plan = GeneratorPlan {
        mix: Mix {
            rate: 2000,
            steady: 50,
            new_per_s: 40,
            new_packets: 3,
            life_ns: SECOND / 4,
            tick_ns: MILLI,
            scattered: false,
            train: 1,
        },
        services: [1, 2].map(|n| SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, n), service)).to_vec(),
        payload: 200,
        sockets: 2,
        key,
        origin_ns,
        start_ns: now() + 50 * MILLI,
        idle_timeout_ns: 60 * SECOND,
        patience_ns: SECOND,
        cpu: place.generator,
        realtime: false,
    };
    let session = Session::start(plan, backends).expect("session");
    let deadline = Instant::now() + Duration::from_secs(20);
    while session.live.glance().sent < 1000 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let outcome = session.finish().expect("outcome");
    stop.store(true, Relaxed);
    forwarder.join().expect("no panic").expect("served");
    assert_eq!(outcome.verdict.failures(), Vec::<String>::new());
    assert!(outcome.verdict.sent >= 1000 && outcome.in_flight_max >= 20, "{:?}", outcome.verdict);
    assert!(outcome.backends.iter().all(|backend| backend.oracle.counts().requests > 0));
}
