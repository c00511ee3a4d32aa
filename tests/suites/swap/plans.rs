//! `swap --dry-run`: the plan, and nothing else.

use serde_json::Value;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::ctl::exit;
use tests::json::At;
use tests::udp::Udp;
use tests::world::World;

fn world() -> (World, Vec<Backend>) {
    let backends = Backend::several(1);
    (World::start(Config::new(backends.iter().map(Backend::address))), backends)
}

fn table<'a>(plan: &'a Value, name: &str) -> &'a Value {
    plan.list("/tables").iter().find(|table| table["table"] == name).unwrap_or_else(|| panic!("no {name} in {plan:#}"))
}

#[test]
fn a_dry_run_says_what_would_happen_and_does_nothing() {
    let (mut world, _backends) = world();
    for _ in 0..5 {
        Udp::v4().ask(b"a flow, to have a record to count", world.config.front());
    }
    let before = world.status();
    let processes = world.controld().children();
    let plan = world.try_swap(&executables().dataplane_v1, &["--dry-run"]).expect(exit::OK).document();
    assert_eq!(plan.at("/layout_changed"), true);
    let flows = table(&plan, "flows");
    assert_eq!((flows.text("/step"), flows.number("/from_version"), flows.number("/to_version")), ("translated", 2, 1));
    assert_eq!((flows.number("/records"), flows.number("/capacity")), (5, 4096));
    assert!(flows.number("/bytes") > 4096 * 64);
    assert_eq!(table(&plan, "counters").text("/step"), "shared");

    // One line per field of either layout, each with a word for what happens.
    let field = |name: &str| {
        let fields = flows.list("/fields");
        fields.iter().find(|field| field["field"] == name).unwrap_or_else(|| panic!("no {name} in {fields:#?}"))
    };
    let all: Vec<_> = flows.list("/fields").iter().map(|field| field.text("/field")).collect();
    assert_eq!(all.len(), 17, "{all:?}");
    for name in ["packets_up", "packets_down", "answered", "idle_max"] {
        assert_eq!(field(name).at("/lossy"), true, "{name} may lose something on the way down");
    }
    for name in ["client", "local", "client_port", "backend", "identity", "bytes_up"] {
        assert_eq!(field(name).at("/lossy"), false, "{name}");
    }

    let after = world.status();
    assert_eq!(before.at("/dataplane/pid"), after.at("/dataplane/pid"));
    assert_eq!(before.at("/swaps"), after.at("/swaps"));
    assert_eq!(world.controld().children(), processes, "no process was started");
    let reports = world.ctl().json(["report", "--last", "5"]).expect(exit::OK).document();
    assert_eq!(reports.list("/reports"), &[] as &[Value]);
}

#[test]
fn the_plan_up_again_widens_converts_computes_and_defaults() {
    let (world, _backends) = world();
    world.swap(&executables().dataplane_v1);
    let plan = world.try_swap(&executables().dataplane, &["--dry-run"]).expect(exit::OK).document();
    let text = world.ctl().run(["swap".as_ref(), executables().dataplane.as_os_str(), "--dry-run".as_ref()]);
    let text = text.expect(exit::OK).stdout;
    for field in table(&plan, "flows").list("/fields") {
        assert!(text.contains(field.text("/field")), "{field:#} in\n{text}");
    }
    for word in [
        "flows",
        "translated",
        "1 → 2",
        "shared",
        "copied",
        "widened",
        "converted",
        "computed",
        "default",
        "kept aside",
    ] {
        assert!(text.contains(word), "\"{word}\" in\n{text}");
    }
    assert!(text.contains("Nothing was changed"), "{text}");
}

#[test]
fn a_dry_run_to_the_same_layout_shares_everything() {
    let (world, _backends) = world();
    let plan = world.try_swap(&executables().dataplane, &["--dry-run"]).expect(exit::OK).document();
    assert_eq!(plan.at("/layout_changed"), false);
    assert!(plan.list("/tables").iter().all(|table| table["step"] == "shared"), "{plan:#}");
}
