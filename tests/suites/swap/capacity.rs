//! Another capacity and another number of shards are a matter of a swap: the config names them, flows stay where they
//! are.

use super::deaths::kill;
use super::scene::Scene;
use serde_json::Value;
use tests::build::executables;
use tests::ctl::exit;
use tests::json::At;

fn rewrite(scene: &mut Scene, flows_max: u64, shards: u64) {
    scene.world.config.limits.flows_max = flows_max;
    scene.world.config.limits.shards = shards;
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
        rewrite(&mut scene, flows_max, 1);
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
fn shards_become_more_and_fewer_under_load_with_and_without_another_layout() {
    let mut scene = Scene::new(|config| config.limits.flows_max = 4096);
    let (v1, v2) = (&executables().dataplane_v1, &executables().dataplane);
    scene.load.await_more(500);
    let swaps = [(v2, 4096, 4), (v1, 4096, 16), (v2, 4096, 16), (v2, 8192, 3), (v1, 8192, 1), (v1, 4096, 2)];
    let mut before = 1;
    for (binary, flows_max, shards) in swaps {
        rewrite(&mut scene, flows_max, shards);
        let report = scene.world.swap(binary);
        let rebuilt = if before == shards { "shared" } else { "rebuilt" };
        assert_eq!(action(&report, "flows.index"), rebuilt, "{report:#}");
        assert_eq!(action(&report, "identities"), "shared", "slots stay what they are");
        // Those that there are no longer are not held either.
        let stats = scene.world.ctl().json(["state", "stats"]).expect(exit::OK).document();
        assert_eq!(stats.list("/indexes").len() as u64, shards, "{stats:#}");
        let entries = stats.list("/indexes").iter().map(|index| index.number("/entries"));
        assert!(entries.filter(|&entries| entries > 0).count() > shards as usize / 2, "{stats:#}");
        scene.load.await_more(500);
        before = shards;
    }
    let Scene { world, load, .. } = scene;
    load.stop().assert_perfect();
    assert_eq!(world.flows().len() as u64, world.status().number("/flows_live"));
    assert_eq!(world.counter("refused_table_full") + world.counter("refused_index_full"), 0);
    // A death is looked into in every shard.
    let recovered = kill(&world);
    assert_eq!(recovered.number("/dropped"), 0, "{recovered:#}");
    world.ctl().json(["state", "verify"]).expect(exit::OK);
}

/// The config names fewer shards when a dataplane dies: its heir makes the table anew, and the heir of that one, too, finds
/// just the shards that there are.
#[test]
fn a_death_may_change_the_shards_and_the_next_death_as_well() {
    let mut scene = Scene::new(|config| config.limits.shards = 4);
    scene.load.await_more(300);
    let flows = scene.world.status().number("/flows_live");
    for shards in [2, 2, 8] {
        rewrite(&mut scene, 4096, shards);
        kill(&scene.world);
        let stats = scene.world.ctl().json(["state", "stats"]).expect(exit::OK).document();
        assert_eq!(stats.list("/indexes").len() as u64, shards, "{stats:#}");
        assert!(scene.world.status().number("/flows_live") >= flows, "flows outlive every death");
        scene.load.await_more(300);
    }
    scene.world.ctl().json(["state", "verify"]).expect(exit::OK);
    scene.load.stop();
}

#[test]
fn less_room_than_records_is_refused_with_the_numbers_before_anybody_stops() {
    let mut scene = Scene::new(|config| config.limits.flows_max = 4096);
    scene.load.await_more(1000);
    rewrite(&mut scene, 64, 1);
    let live = scene.world.status().number("/flows_live");
    assert!(live > 64, "{live}");
    let report = scene.world.try_swap(&executables().dataplane, &[]).expect(exit::REFUSED).document();
    assert_eq!(report.text("/error/code"), "no-room", "{report:#}");
    let message = report.text("/error/message");
    assert!(message.contains("live records lie in slots beyond the new capacity of 64"), "{message}");
    assert_eq!(report.number("/blackout_ns"), 0, "{report:#}");
    rewrite(&mut scene, 4096, 1);
    scene.assert_untouched();
}
