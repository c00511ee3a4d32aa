//! `controlctl info`.

use tests::build::executables;
use tests::ctl::exit;
use tests::fixtures::digest;
use tests::json::At;
use tests::layouts::RELEASED;
use tests::world::directory;

use super::{assert_named, file, json, run};

#[test]
fn a_binary_says_what_it_is_and_serves() {
    for (path, name, flows) in
        [(&executables().dataplane, "dataplane", 2), (&executables().dataplane_v1, "dataplane-v1", 1)]
    {
        let info = json(["info".as_ref(), path.as_os_str()]).expect(exit::OK).document();
        let bytes = std::fs::read(path).expect("readable");
        assert_eq!(info.text("/sha256"), digest(&bytes));
        assert_eq!(info.number("/bytes"), bytes.len() as u64);
        assert_eq!((info.text("/executable"), info.text("/version")), (name, env!("CARGO_PKG_VERSION")));
        for subject in ["prelude", "manifest", "directory", "index", "descriptor", "identities", "handover"] {
            let range = |end| info.number(&format!("/versions/{subject}/{end}"));
            assert!(1 <= range("min") && range("min") <= range("max"), "{subject}");
        }
        assert_eq!(info.text("/tables/0/table"), "flows");
        assert_eq!(info.number("/tables/0/layout_version"), flows);
        let released = RELEASED.iter().find(|layout| layout.name == format!("flows-{flows}")).expect("released");
        let layout = released.descriptor();
        assert_eq!(info.text("/tables/0/fingerprint"), format!("{:#018x}", layout.fingerprint()));
        let fields = info.list("/tables/0/fields");
        assert_eq!(fields.len(), layout.fields().len());
        for (said, field) in fields.iter().zip(layout.fields()) {
            assert_eq!((said.number("/offset"), said.number("/bytes")), (field.offset() as u64, field.len() as u64));
            assert_eq!((said.text("/name"), said.text("/type")), (&**field.name(), field.type_text().as_str()));
        }
        let text = run(["info".as_ref(), path.as_os_str()]).expect(exit::OK).stdout;
        for word in [name, "handover 1", &format!("flows {flows}: table 1"), "client_port (key)", "clamp"] {
            assert!(text.contains(word), "\"{word}\" in {text}");
        }
    }
    let info = json(["info".as_ref(), executables().dataplane.as_os_str()]).expect(exit::OK).document();
    let field = |name: &str| {
        let fields = info.list("/tables/0/fields");
        fields.iter().find(|field| field["name"] == name).unwrap_or_else(|| panic!("no field {name}")).clone()
    };
    assert_eq!(field("answered").text("/compute"), "answered");
    assert_eq!(
        (field("idle_max").number("/default"), field("idle_max").text("/narrow").to_owned()),
        (0, "clamp".into())
    );
}

/// The type of the note of versions, in an executable's bytes.
pub(super) fn versions_at(bytes: &[u8]) -> usize {
    let head: Vec<u8> = [&2_u32.to_le_bytes()[..], b"HITLESS\0"].concat();
    bytes.windows(head.len()).position(|window| window == head).expect("the note of versions")
}

#[test]
fn binaries_before_the_note_of_versions_do_not_say() {
    let dir = directory();
    let mut bytes = std::fs::read(&executables().dataplane).expect("readable");
    let at = versions_at(&bytes);
    bytes[at..at + 4].copy_from_slice(&77_u32.to_le_bytes());
    let old = file(&dir, "old", &bytes);
    let info = json(["info".as_ref(), old.as_os_str()]).expect(exit::OK).document();
    assert!(info.at("/versions").is_null() && info.at("/version").is_null());
    assert_eq!(info.number("/tables/0/layout_version"), 2, "its layouts are read as ever");
    let text = run(["info".as_ref(), old.as_os_str()]).expect(exit::OK).stdout;
    assert_eq!(text.matches("not said").count(), 3, "{text}");
    let args = ["check".as_ref(), old.as_os_str(), executables().dataplane.as_os_str()];
    assert_eq!(json(args).expect(exit::OK).document().text("/verdict"), "ok");
}

#[test]
fn what_is_no_dataplane_is_named() {
    let dir = directory();
    let good = std::fs::read(&executables().dataplane).expect("readable");
    let info = |path: &std::path::Path| run(["info".as_ref(), path.as_os_str()]).expect(exit::USAGE);
    assert_named(&info(&dir.path().join("nothing")), &["nothing", "No such file"]);
    assert_named(&info(dir.path()), &["no regular file"]);
    assert_named(&info(&file(&dir, "text", b"#!/bin/sh\n")), &["text", "no ELF executable"]);
    assert_named(&info(&file(&dir, "half", &good[..1000])), &["half", "damaged ELF"]);
    assert_named(&info(&executables().controlctl), &["controlctl", "no .note.hitless note"]);
    let mut other = good.clone();
    let machine: u16 = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    other[18..20].copy_from_slice(&machine.to_le_bytes());
    assert_named(&info(&file(&dir, "other", &other)), &["other is for", "this host is"]);
    let mut damaged = good;
    let at = versions_at(&damaged) + 12;
    damaged[at + 4..at + 8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_named(&info(&file(&dir, "damaged", &damaged)), &["damaged", "note of versions", "byte 0"]);
    let document = json(["info", "/nonexistent/binary"]).expect(exit::USAGE).document();
    assert_eq!((document.text("/error/code"), document.number("/exit")), ("binary-unreadable", 2));
}
