//! `controlctl check`.

use std::ffi::OsStr;
use std::path::Path;

use dataplane::config::{Config, Host};
use serde_json::Value;
use shm_state::Descriptor;
use shm_state::descriptor::{ENTRY_LEN, HEADER_LEN, MAGIC};
use tests::build::executables;
use tests::ctl::{Answer, exit};
use tests::json::At;
use tests::world::directory;

use super::{assert_named, binaries, file, json, run};

fn check(old: &Path, new: &Path, more: &[&str]) -> Answer {
    let args = [OsStr::new("check"), old.as_os_str(), new.as_os_str()];
    json(args.into_iter().chain(more.iter().map(OsStr::new)))
}

fn field<'a>(document: &'a Value, direction: usize, name: &str) -> &'a Value {
    let fields = document.list(&format!("/directions/{direction}/tables/0/fields"));
    fields.iter().find(|field| field["field"] == name).unwrap_or_else(|| panic!("no field {name}"))
}

#[test]
fn a_swap_of_layouts_is_foretold_in_both_directions() {
    let (v1, v2) = (&executables().dataplane_v1, &executables().dataplane);
    let document = check(v1, v2, &["--both", "--flows", "1000000", "--rate", "1000"]).expect(exit::OK).document();
    assert_eq!((document.text("/verdict"), document.list("/directions").len()), ("lossy", 2));
    assert_eq!(document.number("/assumed/flows"), 1_000_000);
    for (direction, name, action, lossy) in [
        (0, "client", "copied", false),
        (0, "packets_up", "widened", false),
        (0, "created", "converted", true),
        (0, "idle_max", "defaulted", false),
        (0, "answered", "computed", false),
        (0, "last_len", "dropped", true),
        (1, "packets_up", "narrowed", true),
        (1, "idle_max", "dropped", true),
    ] {
        let field = field(&document, direction, name);
        assert_eq!((field.text("/action"), field.at("/lossy")), (action, &Value::Bool(lossy)), "{name}");
        // Nothing is lost for good but instants centuries ahead, which are clamped.
        let aside = lossy && (direction, name) != (0, "created");
        assert_eq!(field.get("aside").is_some_and(|is| is == true), aside, "{name}");
    }
    assert_eq!(field(&document, 1, "packets_up").text("/policy"), "clamp");
    let flows = document.at("/directions/0/tables/0");
    // Header and marks, slots of 8 bytes and a record, marks of groups: docs/shared-memory.md.
    let table = |record: u64| (64_u64 + 125_000).next_multiple_of(64) + 1_000_000 * (8 + record) + 1_954;
    assert_eq!((flows.number("/bytes"), flows.number("/new_bytes")), (table(96), table(112)));
    assert_eq!(document.number("/directions/0/index_bytes"), 128 + 262_144 * 64 + 1_000_000 * 4);
    assert_eq!(flows.number("/background_ns"), 1_000_000 * (96 + 112), "at the given 1000 MB/s");
    assert_eq!(flows.text("/rate/source"), "given");
    assert_eq!(document.text("/directions/0/tables/1/step"), "shared");
    assert_eq!(document.number("/directions/0/tables/1/new_bytes"), 0);
    check(v1, v2, &["--strict"]).expect(exit::REFUSED);
    let measured = check(v1, v2, &[]).expect(exit::OK).document();
    assert_eq!(measured.text("/directions/0/tables/0/rate/source"), "self-test");
    assert!(measured.number("/directions/0/background_ns") > 0);
    let text = run(["check".as_ref(), v1.as_os_str(), v2.as_os_str()]).expect(exit::OK).stdout;
    for word in ["translated", "1 → 2", "widened u32 → u64", "kept aside", "self-test", "verdict     lossy"] {
        assert!(text.contains(word), "\"{word}\" in {text}");
    }
}

#[test]
fn a_binary_follows_itself_without_loss() {
    let binary = &executables().dataplane;
    let document = check(binary, binary, &["--strict", "--both"]).expect(exit::OK).document();
    assert_eq!((document.text("/verdict"), document.number("/directions/0/bytes_beside")), ("ok", 0));
}

#[test]
fn what_cannot_be_done_is_refused_by_table_and_field() {
    let dir = directory();
    let (v1, v2) = (&executables().dataplane_v1, &executables().dataplane);
    let good = std::fs::read(v1).expect("readable");
    // The descriptor of the flows in the note, and in it the type of the client's port.
    let head: &[u8] = b"HITLESS\0HLDESC\0\0";
    let at = good.windows(head.len()).position(|window| window == head).expect("the note of layouts") + 8;
    assert!(good[at..].starts_with(&MAGIC));
    let (flows, _) = Descriptor::parse(&good[at..]).expect("the first layout");
    let position = flows.fields().iter().position(|field| &**field.name() == "client_port").expect("the field");
    let mut bytes = good.clone();
    bytes[at + HEADER_LEN + position * ENTRY_LEN + 4] = 1;
    let retyped = file(&dir, "retyped", &bytes);
    let document = check(v2, &retyped, &[]).expect(exit::REFUSED).document();
    assert_eq!(document.text("/verdict"), "refused");
    let why = document.text("/directions/0/tables/0/refusal/message");
    assert!(why.contains("flows") && why.contains("client_port"), "{why}");
    let answer = run(["check".as_ref(), v2.as_os_str(), retyped.as_os_str()]).expect(exit::REFUSED);
    assert!(answer.stdout.contains("refused") && answer.stdout.contains("remedy: "), "{}", answer.stdout);

    // A later handover protocol: the last entry of the note of versions.
    let mut bytes = good;
    let note = binaries::versions_at(&bytes) + 12;
    let entry = [32_u8, 0, 2, 0, 8, 0, 0, 0];
    let handover = bytes[note..].windows(8).position(|window| window == entry).expect("the range") + note + 8;
    bytes[handover..handover + 4].copy_from_slice(&9_u32.to_le_bytes());
    bytes[handover + 4..handover + 8].copy_from_slice(&9_u32.to_le_bytes());
    let later = file(&dir, "later", &bytes);
    let document = check(v2, &later, &[]).expect(exit::REFUSED).document();
    assert_eq!(document.text("/directions/0/refusals/0/code"), "protocol-mismatch");
}

#[test]
fn sizes_come_from_the_config_and_defaults_are_the_dataplanes() {
    let dir = directory();
    let binary = &executables().dataplane;
    let minimal = "[[listener]]\nname = \"l\"\nmode = \"forward\"\naddresses = [\"127.0.0.1:5300\"]\npool = \"p\"\n\
                   [[pool]]\nname = \"p\"\n[[pool.backend]]\naddress = \"127.0.0.1:53\"\n";
    let parsed = Config::parse(Path::new("minimal.toml"), minimal, &Host::detect()).expect("a config");
    let document = check(binary, binary, &[]).expect(exit::OK).document();
    assert_eq!(document.number("/assumed/flows"), u64::from(parsed.limits.flows_max));
    assert_eq!(document.number("/assumed/workers"), parsed.runtime.workers as u64);
    let config = file(&dir, "hitless.toml", format!("[limits]\nflows_max = 5000\n{minimal}").as_bytes());
    let config = config.to_str().expect("text");
    let flows = |more: &[&str]| check(binary, binary, more).expect(exit::OK).document().number("/assumed/flows");
    assert_eq!(flows(&["--config", config]), 5000);
    assert_eq!(flows(&["--config", config, "--flows", "7000"]), 7000);
    let bad = file(&dir, "bad.toml", b"[limits]\nflows_max = \"all\"\n");
    let args = ["check".as_ref(), binary.as_os_str(), binary.as_os_str(), "--config".as_ref(), bad.as_os_str()];
    assert_named(&run(args).expect(exit::USAGE), &["bad.toml", "limits.flows_max"]);
    let absent = ["check".as_ref(), binary.as_os_str(), "/nonexistent/new".as_ref()];
    assert_named(&run(absent).expect(exit::USAGE), &["/nonexistent/new"]);
    run(["check"]).expect(exit::USAGE);
}
