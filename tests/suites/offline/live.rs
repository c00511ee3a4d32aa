//! `controlctl state` on a running region.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::ctl::{Ctl, exit};
use tests::json::At;
use tests::load::{Load, Plan};
use tests::udp::Udp;
use tests::world::World;

use super::assert_named;

fn world() -> (World, Vec<Backend>) {
    let backends = Backend::several(2);
    let mut config = Config::new(backends.iter().map(Backend::address));
    config.control.dataplane = executables().dataplane_v1.clone();
    (World::start(config), backends)
}

fn clients(rows: impl Iterator<Item = Value>) -> BTreeSet<(String, u64)> {
    rows.map(|row| (row.text("/client").to_owned(), row.number("/client_port"))).collect()
}

#[test]
fn a_running_region_is_dumped_saved_and_looked_at_as_an_image() {
    let (world, _backends) = world();
    let clients_of_ours: Vec<Udp> = (0..5).map(|_| Udp::v4()).collect();
    clients_of_ours.iter().for_each(|client| drop(client.ask(b"hello", world.config.front())));
    let lines = world.ctl().run(["state", "dump", "--table", "flows", "--format", "jsonl"]).expect(exit::OK).stdout;
    let rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object")["row"].clone());
    assert_eq!(clients(rows), clients(world.flows().into_iter()));
    let stats = world.ctl().json(["state", "stats"]).expect(exit::OK).document();
    assert_eq!((stats.text("/tables/0/table"), stats.number("/tables/0/live")), ("flows", 5));
    assert_eq!(stats.number("/region/generation"), world.status().number("/dataplane/generation"));

    let image = world.dir().join("image");
    let saved = ["state".as_ref(), "save".as_ref(), image.as_os_str()];
    world.ctl().run(saved).expect(exit::OK);
    let files = std::fs::read_dir(&image).expect("the image").map(|entry| entry.expect("an entry").file_name());
    let files: BTreeSet<_> = files.map(|name| name.into_string().expect("ASCII")).collect();
    let expected =
        ["directory-0-0", "identities-3-0", "index-2-0", "manifest-0-0", "table-1-0", "table-4-0", "table-5-0"];
    assert_eq!(files, expected.map(|name| format!("{name}.seg")).into());
    assert_named(&world.ctl().run(saved).expect(exit::USAGE), &["image is not empty"]);
    let on_image = |verb: &'static str| ["state".as_ref(), verb.as_ref(), "--image".as_ref(), image.as_os_str()];
    let verify = world.ctl().json(on_image("verify")).expect(exit::OK).document();
    assert_eq!(verify.number("/records"), 5 + 1 + 2, "flows, one worker's counters, backends: {verify:#}");
    let lines = world.ctl().json(on_image("dump")).expect(exit::OK).stdout;
    assert_eq!(lines.lines().filter(|line| line.contains("\"table\":\"flows\"")).count(), 5);
    clients_of_ours.iter().for_each(|client| drop(client.ask(b"it serves on", world.config.front())));
}

#[test]
fn a_region_under_load_verifies_before_and_after_a_change_of_layout() {
    let (world, _backends) = world();
    let load = Load::start(Plan::at(world.config.front()));
    for layout in [2, 1] {
        load.await_more(200);
        let verify = world.ctl().json(["state", "verify"]);
        assert_eq!(verify.code, exit::OK, "{}", verify.stdout);
        world.swap(executables().layout(layout));
    }
    load.await_more(200);
    let verify = world.ctl().json(["state", "verify"]).expect(exit::OK).document();
    assert!(verify.number("/records") > 0);
    load.stop().assert_perfect();
}

#[test]
fn no_service_is_told_apart_from_no_file() {
    let answer = Ctl::nowhere().run(["state", "stats"]).expect(exit::UNREACHABLE);
    assert_named(&answer, &["/nonexistent/control.sock"]);
}
