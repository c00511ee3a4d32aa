//! `controlctl state` on images: what is dumped and loaded is what was there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;

use serde_json::Value;
use shm_state::table::{RecordsView, Slot};
use tests::build::executables;
use tests::ctl::exit;
use tests::fixtures::{CAPACITY, directory as fixtures};
use tests::json::At;
use tests::layouts::RELEASED;
use tests::world::directory;

use super::{assert_named, json, region, run};

fn state<'a>(verb: &'a str, image: &'a Path, more: &'a [&'a str]) -> Vec<&'a OsStr> {
    let args = ["state".as_ref(), verb.as_ref(), "--image".as_ref(), image.as_os_str()];
    args.into_iter().chain(more.iter().map(OsStr::new)).collect()
}

fn table(image: &Path) -> RecordsView {
    let segment = shm_state::image::load(&File::open(image).expect("an image")).expect("a segment");
    RecordsView::attach(segment).expect("a table")
}

/// Equal in all that the layout describes, in slots and in incarnations.
fn assert_same(before: &RecordsView, after: &RecordsView) {
    assert_eq!(before.descriptor(), after.descriptor());
    assert_eq!(before.capacity(), after.capacity());
    assert_eq!(before.segment().prelude().region_id, after.segment().prelude().region_id);
    let mut records = [vec![0; before.descriptor().record_len()], vec![0; before.descriptor().record_len()]];
    for slot in (0..before.capacity() as u32).map(Slot) {
        assert_eq!(before.meta(slot), after.meta(slot), "{slot:?}");
        if before.meta(slot).live {
            before.read(slot, &mut records[0]);
            after.read(slot, &mut records[1]);
            for field in before.descriptor().fields() {
                let [was, is] = [0, 1].map(|which| field.bytes(&records[which]).expect("in the record"));
                assert_eq!(was, is, "{} of {slot:?}", field.name());
            }
        }
    }
}

#[test]
fn every_table_comes_back_from_its_rows() {
    for layout in RELEASED {
        let dir = directory();
        let [rows, image] = ["rows", "image"].map(|name| dir.path().join(name));
        let fixture = fixtures().join(format!("{}.seg", layout.name));
        let out = rows.to_str().expect("text");
        run(state("dump", &fixture, &["--format", "rows", "--out", out])).expect(exit::OK);
        let binary = if layout.name == "flows-1" { executables().layout(1) } else { executables().layout(2) };
        let args = [OsStr::new("state"), OsStr::new("load"), OsStr::new("--binary"), binary.as_os_str()];
        let files = [OsStr::new("--rows"), rows.as_os_str(), OsStr::new("--out"), image.as_os_str()];
        let done = json(args.into_iter().chain(files)).expect(exit::OK).document();
        assert_eq!(done.number("/live"), table(&fixture).live());
        assert_same(&table(&fixture), &table(&image));
        // The same rows again are the same bytes: nothing is lost in the second round either.
        let again = dir.path().join("again");
        run(state("dump", &image, &["--format", "rows", "--out", again.to_str().expect("text")])).expect(exit::OK);
        assert_eq!(std::fs::read(&rows).expect("rows"), std::fs::read(&again).expect("rows"), "{}", layout.name);
    }
}

#[test]
fn rows_become_an_older_layout_with_what_is_lost_counted_and_a_computed_field_is_refused() {
    let dir = directory();
    let region = region(dir.path(), "flows-2");
    let rows = dir.path().join("rows");
    let out = rows.to_str().expect("text");
    run(state("dump", &region, &["--format", "rows", "--out", out])).expect(exit::OK);
    let load = |binary: &Path, image: &str, more: &[&str]| {
        let image = dir.path().join(image);
        let args = [OsStr::new("state"), OsStr::new("load"), OsStr::new("--binary"), binary.as_os_str()];
        let files = [OsStr::new("--rows"), rows.as_os_str(), OsStr::new("--out"), image.as_os_str()];
        json(args.into_iter().chain(files).chain(more.iter().map(OsStr::new)))
    };
    let (v1, v2) = (executables().layout(1), executables().layout(2));
    let several = load(v1, "several", &[]).expect(exit::USAGE).document();
    assert_eq!(several.text("/error/code"), "several-tables");
    let done = load(v1, "older", &["--table", "flows"]).expect(exit::OK).document();
    assert_eq!((done.number("/from_version"), done.number("/to_version"), done.number("/live")), (2, 1, 34));
    assert!(done.number("/clamped/packets_up") > 0 && done.number("/rounded/created") > 0, "{done:#}");
    let larger = load(v1, "larger", &["--table", "flows", "--capacity", "100"]).expect(exit::OK).document();
    assert_eq!((larger.number("/capacity"), larger.number("/live")), (100, 34));
    let small = load(v1, "small", &["--table", "flows", "--capacity", "10"]).expect(exit::REFUSED).document();
    assert!(small.text("/error/message").contains("slot 10 is live"), "{small:#}");
    let none = load(v1, "none", &["--table", "conns"]).expect(exit::USAGE).document();
    assert!(none.text("/error/message").contains("flows"), "{none:#}");
    let exists = load(v1, "older", &["--table", "flows"]).expect(exit::USAGE).document();
    assert_eq!(exists.text("/error/code"), "not-written");
    // What the older layout lost cannot be computed from rows.
    let older = dir.path().join("older");
    std::fs::remove_file(&rows).expect("removed");
    run(state("dump", &older, &["--format", "rows", "--out", out])).expect(exit::OK);
    let refused = load(v2, "newer", &[]).expect(exit::REFUSED).document();
    assert!(refused.text("/error/message").contains("answered"), "{refused:#}");
    assert!(!dir.path().join("newer").exists(), "nothing was written");
}

#[test]
fn all_text_forms_tell_the_same_records() {
    let image = fixtures().join("flows-2.seg");
    let lines = run(state("dump", &image, &["--format", "jsonl"])).expect(exit::OK).stdout;
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("one object per line")).collect();
    assert_eq!(rows.len(), 34);
    let csv = run(state("dump", &image, &["--format", "csv"])).expect(exit::OK).stdout;
    let mut cells = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = cells.next().expect("a header");
    for (row, cells) in rows.iter().zip(cells) {
        assert_eq!(cells.len(), header.len());
        for (name, cell) in header.iter().zip(cells) {
            let value = if ["slot", "incarnation"].contains(name) { &row[name] } else { &row["row"][name] };
            assert_eq!(value.to_string().trim_matches('"'), cell, "{name}");
        }
    }
    let text = run(state("dump", &image, &[])).expect(exit::OK).stdout;
    assert!(text.starts_with("flows 2: 34 of 48 slots live\n"), "{text}");
    assert_eq!(text.lines().count(), 35);
    let incarnations: BTreeSet<u64> = rows.iter().map(|row| row.number("/incarnation")).collect();
    assert!(incarnations.contains(&0) && incarnations.contains(&u32::MAX.into()), "wrapped ones are there");
}

#[test]
fn stats_and_verify_know_the_region_of_the_fixtures() {
    for flows in ["flows-1", "flows-2"] {
        let dir = directory();
        let region = region(dir.path(), flows);
        let stats = json(state("stats", &region, &[])).expect(exit::OK).document();
        assert_eq!(stats.number("/region/swaps"), 1);
        let table = stats.at("/tables/0");
        let numbers = ["capacity", "live", "free", "blocks", "blocks_dirty", "incarnation_max"];
        let expected = [CAPACITY, 34, 14, 6, 2, u32::MAX.into()];
        assert_eq!(numbers.map(|name| table.number(&format!("/{name}"))), expected);
        let index = stats.at("/indexes/0");
        assert_eq!((index.number("/entries"), index.number("/free_slots")), (34, 14));
        let occupancy = index.list("/buckets_by_entries").iter().map(|count| count.as_u64().expect("a count"));
        let (entries, buckets) =
            (0..).zip(occupancy).fold((0, 0), |(e, b), (used, count)| (e + used * count, b + count));
        assert_eq!((entries, buckets), (34, index.number("/buckets")));
        let identities = stats.list("/identities");
        let bound: u64 = identities.iter().map(|row| row.number("/bound")).sum();
        assert_eq!((identities.len(), bound), (2, 34));
        let text = run(state("stats", &region, &[])).expect(exit::OK).stdout;
        assert!(text.contains("incarnation_max") && text.contains("identities"), "{text}");
        let verify = json(state("verify", &region, &[])).expect(exit::OK).document();
        assert_eq!((verify.at("/ok"), verify.number("/segments")), (&Value::Bool(true), 7), "{verify:#}");
    }
}

#[test]
fn wrong_files_are_named() {
    let dir = directory();
    let image = fixtures().join("flows-2.seg");
    let dump = |path: &Path, more: &[&str]| run(state("dump", path, more)).expect(exit::USAGE);
    assert_named(&dump(Path::new("/nonexistent/image"), &[]), &["/nonexistent/image", "No such file"]);
    assert_named(&dump(dir.path(), &[]), &["0 files that end in .seg"]);
    assert_named(&dump(&image, &["--table", "conns"]), &["no table `conns`", "flows"]);
    let bytes = std::fs::read(&image).expect("readable");
    let file = |name: &str, bytes: &[u8]| super::file(&dir, name, bytes);
    assert_named(&dump(&file("half", &bytes[..4096]), &[]), &["half", "4096", "8192", "truncated"]);
    assert_named(&dump(&file("short", &bytes[..100]), &[]), &["short", "100 bytes", "truncated"]);
    assert_named(&dump(&file("text", &[b'x'; 4096]), &[]), &["text", "not a segment"]);
    let both = dir.path().join("both");
    std::fs::create_dir(&both).expect("a directory");
    for name in ["flows-1.seg", "flows-2.seg"] {
        std::fs::copy(fixtures().join(name), both.join(name)).expect("a copy");
    }
    assert_named(&dump(&both, &[]), &["flows-1.seg", "flows-2.seg", "table:1"]);
    let region = region(dir.path(), "flows-2");
    assert_named(&dump(&region, &["--format", "csv"]), &["several tables", "backends"]);
}

#[test]
fn wrong_rows_are_named_with_their_place() {
    let dir = directory();
    let rows = dir.path().join("rows");
    let image = fixtures().join("flows-2.seg");
    run(state("dump", &image, &["--format", "rows", "--out", rows.to_str().expect("text")])).expect(exit::OK);
    let good = std::fs::read(&rows).expect("rows");
    let load = |bytes: &[u8]| {
        let rows = super::file(&dir, "bad-rows", bytes);
        let binary = executables().layout(2);
        let out = dir.path().join("never");
        let args = ["state".as_ref(), "load".as_ref(), "--binary".as_ref(), binary.as_os_str()];
        let files = ["--rows".as_ref(), rows.as_os_str(), "--out".as_ref(), out.as_os_str()];
        let answer = run(args.into_iter().chain(files)).expect(exit::USAGE);
        assert!(!out.exists(), "nothing was written");
        answer
    };
    assert_named(&load(b"something else"), &["bad-rows is no file of rows"]);
    assert_named(&load(&good[..good.len() - 1]), &["bad-rows is truncated", "byte"]);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    assert_named(&load(&flipped), &["bad-rows is damaged", "the frame at byte", "checksum"]);
    let mut later = good;
    later[8] = 100;
    assert_named(&load(&later), &["bad-rows", "checksum"]);
}
