//! Damaged images: `verify` finds it, and whatever lies there, controlctl ends with an exit code of its own.

use std::path::Path;

use shm_state::table::places;
use tests::ctl::exit;
use tests::fixtures::CAPACITY;
use tests::json::At;
use tests::layouts::RELEASED;
use tests::world::directory;

use super::{json, region, run};

/// Where the body of an image starts.
fn body(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes[80..88].try_into().expect("8 bytes")) as usize
}

fn verify(region: &Path) -> (i32, Vec<String>) {
    let answer = json(["state".as_ref(), "verify".as_ref(), "--image".as_ref(), region.as_os_str()]);
    let found = answer.document();
    (answer.code, found.list("/findings").iter().map(|finding| finding.text("/what").to_owned()).collect())
}

/// One change to one image, and words that the findings must have.
fn assert_found(image: &str, change: impl Fn(&mut Vec<u8>), words: &[&str]) {
    let dir = directory();
    let region = region(dir.path(), "flows-2");
    let path = region.join(image);
    let mut bytes = std::fs::read(&path).expect("readable");
    change(&mut bytes);
    std::fs::write(&path, bytes).expect("writable");
    let (code, found) = verify(&region);
    assert_eq!(code, exit::FAILED, "{found:?}");
    for word in words {
        assert!(found.iter().any(|what| what.contains(word)), "\"{word}\" in {found:?}");
    }
    let text = run(["state".as_ref(), "verify".as_ref(), "--image".as_ref(), region.as_os_str()]).expect(exit::FAILED);
    assert!(text.stdout.contains(image) && text.stdout.contains("findings"), "{}", text.stdout);
}

#[test]
fn broken_links_are_found() {
    let [buckets, free, _] = places::index_body(CAPACITY as usize);
    let entry = |bytes: &[u8]| {
        let start = body(bytes) + buckets;
        (start..start + 1024).step_by(8).find(|&at| bytes[at..at + 8] != [0; 8]).expect("an entry")
    };
    let zero = |bytes: &mut Vec<u8>| {
        let at = entry(bytes);
        bytes[at..at + 8].fill(0);
    };
    assert_found("index-1.seg", zero, &["is live, but not in the index"]);
    let tag = |bytes: &mut Vec<u8>| {
        let at = entry(bytes);
        bytes[at + 4] ^= 1;
    };
    assert_found("index-1.seg", tag, &["not by its key"]);
    let far = |bytes: &mut Vec<u8>| {
        let at = entry(bytes);
        bytes[at..at + 4].copy_from_slice(&1000_u32.to_le_bytes());
    };
    assert_found("index-1.seg", far, &["names slot 999, which the table does not have"]);
    let depth = |bytes: &mut Vec<u8>| {
        let at = body(bytes) + 32;
        bytes[at] -= 1;
    };
    assert_found("index-1.seg", depth, &["leaked"]);
    let twice = |bytes: &mut Vec<u8>| {
        let at = body(bytes) + free;
        bytes.copy_within(at..at + 4, at + 4);
    };
    assert_found("index-1.seg", twice, &["there twice", "leaked"]);
    let bound = |bytes: &mut Vec<u8>| {
        let reverse = body(bytes) + 64 + 64 + 40 * 4;
        let at = (reverse..).step_by(4).find(|&at| bytes[at] != 0).expect("a bound identity");
        bytes[at] += 1;
    };
    assert_found("identities-1.seg", bound, &["leads to slot"]);
    let count = |bytes: &mut Vec<u8>| {
        let at = body(bytes) + 64 + 8;
        bytes[at] = 41;
    };
    assert_found("identities-1.seg", count, &["counts 41 free"]);
}

#[test]
fn broken_values_and_claims_are_found() {
    let layout = RELEASED.iter().find(|layout| layout.name == "flows-2").expect("released").descriptor();
    let [_, slots, ..] = places::table_body(CAPACITY as usize, layout.record_len());
    let stride = layout.record_len() + 8;
    let live = |bytes: &[u8]| {
        let start = body(bytes) + slots;
        (start..).step_by(stride).filter(|&at| bytes[at] == 1).take(2).collect::<Vec<_>>()
    };
    let state = |bytes: &mut Vec<u8>| {
        let at = live(bytes)[0];
        bytes[at] = 7;
    };
    assert_found("flows-2.seg", state, &["state 7"]);
    let same_key = |bytes: &mut Vec<u8>| {
        let [from, to] = live(bytes)[..] else { panic!("two live slots") };
        bytes.copy_within(from + 8..from + stride, to + 8);
    };
    assert_found("flows-2.seg", same_key, &["another live record has its key", "not by its key", "leads to slot"]);
    let capacity = |bytes: &mut Vec<u8>| {
        let at = body(bytes);
        bytes[at] = 49;
    };
    assert_found("flows-2.seg", capacity, &["capacity"]);
    assert_found("flows-2.seg", |bytes| bytes.truncate(4096), &["truncated or resized"]);
    assert_found("manifest-1.seg", |bytes| bytes[8] = 9, &["prelude version 9"]);
    let owner = |bytes: &mut Vec<u8>| {
        let at = body(bytes) + 2;
        bytes[at] = 99;
    };
    assert_found("manifest-1.seg", owner, &["owner word"]);
}

/// A change of any byte is found or makes no difference; nothing crashes.
#[test]
fn random_damage_ends_in_an_exit_code() {
    let dir = directory();
    let region = region(dir.path(), "flows-2");
    // A fixed sequence: the same on every run.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let names = ["flows-2", "index-1", "identities-1", "manifest-1", "directory-1", "counters-1"];
    for _ in 0..60 {
        let path = region.join(format!("{}.seg", names[next(names.len())]));
        let whole = std::fs::read(&path).expect("readable");
        let mut bytes = whole.clone();
        let start = if next(2) == 0 { 0 } else { body(&bytes) };
        for _ in 0..1 + next(4) {
            let at = start + next((bytes.len() - start).min(400));
            bytes[at] = next(256) as u8;
        }
        std::fs::write(&path, &bytes).expect("writable");
        for verb in ["verify", "stats", "dump"] {
            let answer = run(["state".as_ref(), verb.as_ref(), "--image".as_ref(), region.as_os_str()]);
            assert!([exit::OK, exit::FAILED, exit::USAGE].contains(&answer.code), "{verb}: {answer:?}");
            assert!(!answer.stderr.contains("panicked"), "{verb}: {answer:?}");
        }
        std::fs::write(&path, whole).expect("writable");
    }
}
