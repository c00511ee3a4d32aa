//! Another capacity is a matter of a swap: the config names it, flows stay where they are.

use super::scene::Scene;
use serde_json::Value;
use tests::build::executables;
use tests::ctl::exit;
use tests::json::At;

fn rewrite(scene: &mut Scene, flows_max: u64) {
    scene.world.config.limits.flows_max = flows_max;
    std::fs::write(scene.world.dir().join("hitless.toml"), scene.world.config.text()).expect("the config is written");
}

fn action(report: &Value, table: &str) -> String {
    let tables = report.list("/tables");
    let found = tables.iter().find(|work| work["table"] == table).unwrap_or_else(|| panic!("no {table}: {report:#}"));
    found.text("/action").to_owned()
}

#[test]
fn capacity_grows_and_shrinks_under_load_with_and_without_another_layout() {
    let mut scene = Scene::new(|config| config.limits.flows_max = 4096);
    let (v1, v2) = (&executables().dataplane_v1, &executables().dataplane);
    scene.load.await_more(500);
    for (binary, flows_max) in [(v2, 20_000), (v1, 9000), (v1, 70_000), (v2, 4096), (v2, 4096)] {
        let before = scene.world.status().number("/flows_max");
        rewrite(&mut scene, flows_max);
        let report = scene.world.swap(binary);
        assert_eq!(scene.world.status().number("/flows_max"), flows_max);
        let rebuilt = if before == flows_max { "shared" } else { "rebuilt" };
        assert_eq!(action(&report, "flows.index"), rebuilt, "{report:#}");
        assert_eq!(action(&report, "identities"), "shared", "slots stay what they are");
        scene.load.await_more(500);
    }
    let Scene { world, load, .. } = scene;
    load.stop().assert_perfect();
    assert_eq!(world.flows().len() as u64, world.status().number("/flows_live"));
    // The rebuilt index and its free slots go on.
    assert_eq!(world.counter("refused_table_full") + world.counter("refused_index_full"), 0);
}

#[test]
fn less_room_than_records_is_refused_with_the_numbers_before_anybody_stops() {
    let mut scene = Scene::new(|config| config.limits.flows_max = 4096);
    scene.load.await_more(1000);
    rewrite(&mut scene, 64);
    let live = scene.world.status().number("/flows_live");
    assert!(live > 64, "{live}");
    let report = scene.world.try_swap(&executables().dataplane, &[]).expect(exit::REFUSED).document();
    assert_eq!(report.text("/error/code"), "no-room", "{report:#}");
    let message = report.text("/error/message");
    assert!(message.contains("live records lie in slots beyond the new capacity of 64"), "{message}");
    assert_eq!(report.number("/blackout_ns"), 0, "{report:#}");
    rewrite(&mut scene, 4096);
    scene.assert_untouched();
}
