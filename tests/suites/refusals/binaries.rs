//! Binaries that cannot take over: refused by name before anything is started.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use shm_state::Descriptor;
use shm_state::descriptor::{ENTRY_LEN, HEADER_LEN};
use tests::backend::Backend;
use tests::build::executables;
use tests::config::Config;
use tests::ctl::exit;
use tests::json::At;
use tests::udp::Udp;
use tests::world::World;

struct Scene {
    world: World,
    pid: u32,
    _backends: Vec<Backend>,
}

impl Scene {
    fn new() -> Self {
        let backends = Backend::several(1);
        let world = World::start(Config::new(backends.iter().map(Backend::address)));
        let pid = world.dataplane_pid();
        Self { world, pid, _backends: backends }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.world.dir().join(name);
        std::fs::write(&path, bytes).expect("a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("permissions");
        path
    }

    /// Swap and dry run are refused alike; the dataplane serves on.
    #[track_caller]
    fn assert_refused(&mut self, binary: &Path, code: &str, words: &[&str]) {
        let refused = self.world.status().number("/swaps/refused");
        let report = self.world.try_swap(binary, &[]).expect(exit::REFUSED).document();
        let dry = self.world.try_swap(binary, &["--dry-run"]).expect(exit::REFUSED).document();
        for document in [&report, &dry] {
            assert_eq!(document.text("/error/code"), code, "{document:#}");
            for word in words {
                assert!(document.text("/error/message").contains(word), "\"{word}\" in {document:#}");
            }
            assert!(!document.text("/error/remedy").is_empty(), "{document:#}");
        }
        assert_eq!(report.text("/outcome"), "refused");
        assert_eq!(report.number("/to/pid"), 0, "nothing was started");
        let status = self.world.status();
        assert_eq!(status.number("/dataplane/pid"), u64::from(self.pid), "the old one serves on");
        assert_eq!(status.number("/swaps/refused"), refused + 1);
        assert_eq!(self.world.controld().children(), [self.pid]);
        Udp::v4().ask(b"and it does serve", self.world.config.front());
    }
}

#[test]
fn what_is_no_dataplane_is_refused() {
    let mut scene = Scene::new();
    let dir = scene.world.dir().to_owned();
    scene.assert_refused(&dir.join("nothing-here"), "binary-unreadable", &["nothing-here"]);
    scene.assert_refused(&dir, "binary-not-regular", &[]);
    let script = scene.file("script", b"#!/bin/sh\nexec sleep 100\n");
    scene.assert_refused(&script, "binary-not-elf", &["script", "no ELF executable"]);
    let empty = scene.file("empty", b"");
    scene.assert_refused(&empty, "binary-not-elf", &["empty"]);
    let plain = scene.file("plain", &std::fs::read(&executables().dataplane).expect("readable"));
    std::fs::set_permissions(&plain, PermissionsExt::from_mode(0o644)).expect("permissions");
    scene.assert_refused(&plain, "binary-not-executable", &["plain"]);
    let controlctl = executables().controlctl.clone();
    scene.assert_refused(&controlctl, "binary-no-note", &["controlctl", "note"]);
}

#[test]
fn other_machines_and_damaged_files_are_refused() {
    let mut scene = Scene::new();
    let good = std::fs::read(&executables().dataplane).expect("readable");
    let machine = if cfg!(target_arch = "aarch64") { (62, "x86-64") } else { (183, "aarch64") };
    let mut other = good.clone();
    other[18..20].copy_from_slice(&u16::to_le_bytes(machine.0));
    let other = scene.file("other", &other);
    scene.assert_refused(&other, "binary-other-machine", &["other", machine.1]);
    let half = scene.file("half", &good[..1000]);
    scene.assert_refused(&half, "binary-damaged", &["half"]);
    let mut object = good.clone();
    object[16..18].copy_from_slice(&1_u16.to_le_bytes());
    let object = scene.file("object", &object);
    scene.assert_refused(&object, "binary-not-elf", &["object"]);
}

/// The bytes of the flow table's descriptor in an executable's note, and what follows from changing them.
struct Note {
    bytes: Vec<u8>,
    at: usize,
    flows: Descriptor,
}

impl Note {
    /// The descriptor is found by what the live table's looks like: the same bytes, in the file.
    fn of(binary: &Path) -> Self {
        let bytes = std::fs::read(binary).expect("readable");
        let magic = shm_state::descriptor::MAGIC;
        // Constants of the program hold the descriptors too; the note is the one behind a note's head.
        let head: &[u8] = b"HITLESS\0";
        let start = (0..bytes.len() - 20)
            .find(|&at| bytes[at..].starts_with(head) && bytes[at + 8..].starts_with(&magic))
            .expect("the note of layouts");
        let mut at = start + 8;
        while bytes[at..].starts_with(&magic) {
            let (descriptor, len) = Descriptor::parse(&bytes[at..]).expect("a layout of the note");
            if descriptor.name() == "flows" {
                return Self { bytes, at, flows: descriptor };
            }
            at += len;
        }
        panic!("no layout of the flow table in {}", binary.display());
    }

    /// Where a field's entry starts.
    fn entry(&self, name: &str) -> usize {
        let position = self.flows.fields().iter().position(|field| &**field.name() == name);
        self.at + HEADER_LEN + position.unwrap_or_else(|| panic!("no field {name}")) * ENTRY_LEN
    }

    /// The executable with other bytes in a field's entry.
    fn with(&self, field: &str, offset: usize, new: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let at = self.entry(field) + offset;
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    }
}

/// Places in a field's entry.
const ID: usize = 0;
const TYPE: usize = 4;
const COMPUTE: usize = 64;

#[test]
fn layouts_that_cannot_be_translated_are_refused_by_table_and_field() {
    let mut scene = Scene::new();
    let note = Note::of(&executables().dataplane_v1);
    // A key that means something else.
    let retyped = scene.file("retyped", &note.with("client_port", TYPE, &[1]));
    scene.assert_refused(&retyped, "not-translatable", &["flows", "client_port"]);
    // A key that the running layout lacks.
    let renamed = scene.file("renumbered", &note.with("client", ID, &900_u32.to_le_bytes()));
    scene.assert_refused(&renamed, "not-translatable", &["flows", "client"]);
    // A field that is neither there, nor defaulted, nor computed.
    let new = scene.file("new-field", &note.with("backend", ID, &901_u32.to_le_bytes()));
    scene.assert_refused(&new, "not-translatable", &["flows", "backend"]);
}

#[test]
fn damaged_notes_are_refused() {
    let mut scene = Scene::new();
    let note = Note::of(&executables().dataplane_v1);
    let unknown = scene.file("unknown-type", &note.with("backend", TYPE, &[99]));
    scene.assert_refused(&unknown, "binary-bad-note", &["unknown-type", "backend"]);
    let far = scene.file("far", &note.with("backend", 8, &u32::MAX.to_le_bytes()));
    scene.assert_refused(&far, "binary-bad-note", &["far", "backend"]);
    let twice = scene.file("twice", &note.with("backend", ID, &9_u32.to_le_bytes()));
    scene.assert_refused(&twice, "binary-bad-note", &["twice"]);
}

/// A binary whose note promises what its code does not keep: found when it attaches, before it could win.
#[test]
fn a_note_that_lies_about_its_code_does_no_harm() {
    let scene = Scene::new();
    let note = Note::of(&executables().dataplane);
    // In the note "answered" needs a function that nobody has; the code inside is what it always was.
    let lying = scene.file("lying", &note.with("answered", COMPUTE, b"no_such_function\0"));
    let answer = scene.world.try_swap(&lying, &[]);
    // The code decides in the end: either it is refused by name, or the table is what the code says.
    if answer.code == exit::OK {
        assert_eq!(scene.world.status().number("/dataplane/layouts/flows"), 2);
    } else {
        assert!([exit::REFUSED, exit::UNDONE].contains(&answer.code), "{answer:?}");
        assert_eq!(scene.world.dataplane_pid(), scene.pid);
    }
    Udp::v4().ask(b"served either way", scene.world.config.front());
}
