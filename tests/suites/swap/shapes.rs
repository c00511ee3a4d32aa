//! What scripts read: the shapes of the JSON documents, and the exit codes.

use serde_json::Value;
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::ctl::{Ctl, exit};
use tests::json::At;
use tests::udp::Udp;
use tests::world::World;

const COUNTERS: [&str; 24] = [
    "rx_up",
    "rx_down",
    "tx_up",
    "tx_down",
    "bytes_up",
    "bytes_down",
    "flows_created",
    "flows_expired",
    "refused_table_full",
    "refused_no_identity",
    "refused_index_full",
    "drop_port_zero",
    "drop_truncated",
    "drop_no_flow",
    "drop_unknown_source",
    "drop_bad_message",
    "tx_again",
    "tx_msgsize",
    "tx_failed",
    "icmp_errors",
    "rearmed",
    "no_buffers",
    "cq_overflow",
    "turns",
];

fn world() -> (World, Vec<Backend>) {
    let backends = Backend::several(1);
    let world = World::start(Config::new(backends.iter().map(Backend::address)));
    Udp::v4().ask(b"a flow, to have something to show", world.config.front());
    (world, backends)
}

fn assert_fields(document: &Value, pointers: &[&str]) {
    for pointer in pointers {
        document.at(pointer);
    }
}

#[test]
fn status_flows_and_counters_have_their_fields() {
    let (world, _backends) = world();
    let status = world.status();
    assert_fields(
        &status,
        &[
            "/service",
            "/controld/pid",
            "/controld/version",
            "/dataplane/pid",
            "/dataplane/binary",
            "/dataplane/version",
            "/dataplane/generation",
            "/dataplane/party",
            "/dataplane/started_unix",
            "/dataplane/layouts/flows",
            "/dataplane/scheduling",
            "/dataplane/warnings",
            "/flows_live",
            "/flows_max",
            "/counters",
            "/swap",
            "/swaps/committed",
            "/swaps/undone",
            "/swaps/refused",
        ],
    );
    assert_eq!(status.text("/service"), "under-test");
    assert_eq!((status.number("/flows_live"), status.number("/flows_max")), (1, 4096));
    assert_eq!(status.at("/swap"), &Value::Null);

    let counters = world.ctl().json(["counters"]).expect(exit::OK).document();
    for name in COUNTERS {
        assert!(counters["counters"][name].is_u64(), "{name}: {counters:#}");
    }
    let flows = world.ctl().json(["flows"]).expect(exit::OK).document();
    let row = &flows.list("/flows")[0];
    assert_fields(row, &["/client", "/client_port", "/local", "/local_port", "/backend", "/packets_up", "/bytes_down"]);
    assert_eq!(row.text("/client"), "127.0.0.1", "IPv4 addresses look like IPv4 addresses");

    Udp::v4().ask(b"another flow", world.config.front());
    let one = world.ctl().json(["flows", "--limit", "1"]).expect(exit::OK).document();
    assert_eq!((one.list("/flows").len(), one.number("/flows_live")), (1, 2));
}

#[test]
fn reports_are_kept_and_given_back() {
    let (world, _backends) = world();
    let ids: Vec<_> = [1, 2, 1].map(|layout| world.swap(executables().layout(layout)).number("/id")).into();
    let document = world.ctl().json(["report", "--last", "10"]).expect(exit::OK).document();
    let mut told: Vec<_> = document.list("/reports").iter().map(|report| report.number("/id")).collect();
    told.sort_unstable();
    assert_eq!(told, ids);
    let last = world.ctl().json(["report"]).expect(exit::OK).document();
    assert_eq!(last.number("/reports/0/id"), ids[2]);
    // They are files too, for whoever collects them.
    let files = std::fs::read_dir(world.config.control.state_dir.join("reports")).expect("the directory of reports");
    let texts = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
    let kept = texts
        .filter_map(|text| serde_json::from_str::<Value>(&text).ok())
        .filter(|json| json["outcome"] == "committed");
    assert_eq!(kept.count(), 3);
}

#[test]
fn people_get_text() {
    let (world, _backends) = world();
    let text = |args: &[&str]| world.ctl().run(args).expect(exit::OK).stdout;
    let swapped = world.ctl().run(["swap".as_ref(), executables().dataplane_v1.as_os_str()]).expect(exit::OK);
    for word in ["committed", "blackout", "flows", "translated", "2 → 1"] {
        assert!(swapped.stdout.contains(word), "{word} in\n{}", swapped.stdout);
    }
    for phase in ["background", "switch", "probation"] {
        assert!(swapped.stderr.contains(phase), "a line for phase {phase} in\n{}", swapped.stderr);
    }
    assert!(text(&["status"]).contains("under-test"));
    assert!(text(&["flows"]).contains("127.0.0.1"));
    assert!(text(&["counters"]).contains("rx_up"));
    assert!(text(&["report"]).contains("committed"));
}

#[test]
fn doctor_needs_no_service() {
    let ctl = Ctl::nowhere();
    let document = ctl.json(["doctor"]).expect(exit::OK).document();
    assert_eq!(document.at("/fit"), true);
    for finding in document.list("/findings") {
        assert_fields(finding, &["/name", "/level", "/found", "/remedy"]);
        assert!(["ok", "warn", "missing"].contains(&finding.text("/level")), "{finding:#}");
    }
}

#[test]
fn exit_codes_tell_bad_usage_from_no_service() {
    let nowhere = Ctl::nowhere();
    for verb in [&["status"][..], &["flows"], &["counters"], &["report"], &["stop"], &["swap", "/bin/true"]] {
        nowhere.run(verb).expect(exit::UNREACHABLE);
        nowhere.json(verb).expect(exit::UNREACHABLE);
    }
    for bad in [&["dance"][..], &[], &["swap"], &["flows", "--limit", "many"], &["status", "--no-such-option"]] {
        nowhere.run(bad).expect(exit::USAGE);
    }
    nowhere.run(["--version"]).expect(exit::OK);
    nowhere.run(["--help"]).expect(exit::OK);
}
