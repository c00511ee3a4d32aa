//! docs/shared-memory.md is what this prints: byte maps from the structures, layouts from their descriptors.

mod bodies;
mod layouts;

use std::fmt::Write;

use shm_state::descriptor::{self, FieldType, Narrow, Unit};
use shm_state::manifest::{MANIFEST_VERSION, WORKERS_MAX};
use shm_state::places::Place;
use shm_state::prelude::{self, Kind, PRELUDE_VERSION};
use tests::build::workspace;

const INTRODUCTION: &str = "\
# Shared memory

Generated from the code; `UPDATE_GOLDEN=1 cargo test -p tests --test documents` rewrites it.

A region is a set of segments, each a memfd that is allocated in full and then sealed against shrinking, growing and
unsealing. All numbers are little endian, all times CLOCK_MONOTONIC in nanoseconds unless a unit is given, offsets and
lengths in bytes. What is reserved is zero, and readers do not look at it: new facts go there.
";

#[test]
fn the_page_on_shared_memory_is_what_the_code_prints() {
    let path = workspace().join("docs/shared-memory.md");
    let now = page();
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, now).expect("the page is writable");
        return;
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(now.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| page.lines().count().min(now.lines().count()));
    assert!(
        page == now,
        "docs/shared-memory.md differs from the code at line {}:\n  page: {}\n  code: {}\naccept with UPDATE_GOLDEN=1",
        line + 1,
        page.lines().nth(line).unwrap_or("(end)"),
        now.lines().nth(line).unwrap_or("(end)"),
    );
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    preludes(&mut page);
    descriptors(&mut page);
    manifest(&mut page);
    bodies::all(&mut page);
    layouts::all(&mut page);
    notes(&mut page);
    page
}

/// Adds a line of text; an empty one before it.
fn say(page: &mut String, text: &str) {
    let _ = writeln!(page, "\n{text}");
}

/// Adds a table of places.
fn map(page: &mut String, places: &[Place]) {
    say(page, "| offset | bytes | name | meaning |\n|---:|---:|---|---|");
    for Place { offset, bytes, name, meaning } in places {
        let _ = writeln!(page, "| {offset} | {bytes} | `{name}` | {meaning} |");
    }
}

/// Adds a table of stable numbers.
fn numbers<'a>(page: &mut String, what: &str, all: impl Iterator<Item = (u32, &'a str)>) {
    let list: Vec<_> = all.map(|(number, name)| format!("{number} {name}")).collect();
    say(page, &format!("{what}: {}.", list.join(", ")));
}

fn preludes(page: &mut String) {
    say(page, "## Prelude\n\nThe first 128 bytes of every segment, readable by every version for ever.");
    say(page, &format!("Version {PRELUDE_VERSION}."));
    map(page, prelude::PLACES);
    let kinds = (0..64).filter_map(Kind::from_number).map(|kind| (kind as u32, kind.name()));
    numbers(page, "Kinds", kinds);
}

fn descriptors(page: &mut String) {
    say(page, "## Descriptor\n\nHow the records of a table lie; in the table's segment and in the ELF note.");
    let (oldest, newest) = (descriptor::ENCODING_MIN, descriptor::ENCODING);
    say(
        page,
        &format!("Encodings {oldest} to {newest}; a descriptor has the oldest that says all that it has to say. Head:"),
    );
    map(page, descriptor::places::HEADER);
    say(page, "Entry of one field:");
    map(page, descriptor::places::ENTRY);
    say(
        page,
        "Facts for which entries have no room lie in a head of more than 64 bytes, behind those 64: a reader of the \
         first release skips them. A descriptor without them is what it was in the first release. First:",
    );
    map(page, descriptor::places::FACTS);
    say(page, "In front of each fact:");
    map(page, descriptor::places::FACT);
    say(
        page,
        "Elements (kind 1, encoding 2 only): the field is an array of so many (32 bits) of its type; its length is that \
         of all of them, its default that of each. Range (kind 2): the lowest and the highest valid number (64 bits \
         each, with a sign if the field has one), in the field's unit. Cases (kind 3): the known cases of an enum, in \
         order of their numbers, each:",
    );
    map(page, descriptor::places::CASE);
    numbers(page, "Types", FieldType::ALL.iter().map(|ty| (*ty as u32, ty.name())));
    numbers(page, "Units", Unit::ALL.iter().map(|unit| (*unit as u32, unit.name())));
    numbers(page, "What is done with a value that does not fit", Narrow::ALL.iter().map(|n| (*n as u32, n.name())));
    say(page, "The fingerprint is the first 8 bytes of the SHA-256 of the descriptor's bytes.");
}

fn notes(page: &mut String) {
    use shm_state::note::{NOTE_LAYOUTS, NOTE_MIGRATIONS, NOTE_NAME, NOTE_VERSIONS, SECTION, Subject, TEXT_LEN};
    say(page, "## ELF notes\n\nWhat an executable carries, so that a swap can be foretold from files alone.");
    say(
        page,
        &format!(
            "Section `{SECTION}`, name `{NOTE_NAME}`. Type {NOTE_LAYOUTS}: the descriptors of the layouts that it serves, \
             one after the other. Type {NOTE_VERSIONS}: entries of subject (16 bits), form (16), length of the value \
             (32, a multiple of 4) and value. Form 1 is a text of {TEXT_LEN} bytes, padded with zeros; form 2 the oldest \
             and the newest supported version (32 bits each). Other types, subjects and forms are skipped. \
             Type {NOTE_MIGRATIONS}: declarations of migrations, each:"
        ),
    );
    map(page, shm_state::schema::MIGRATION_PLACES);
    numbers(page, "Subjects", Subject::ALL.iter().map(|subject| (*subject as u32, subject.name())));
}

fn manifest(page: &mut String) {
    use shm_state::manifest::places;
    say(page, &format!("## Manifest\n\nWho owns the region. Version {MANIFEST_VERSION}. Body:"));
    map(page, places::BODY);
    say(page, "Handover words:");
    map(page, places::HANDOVER);
    say(page, &format!("Stop of one worker ({WORKERS_MAX} of them):"));
    map(page, places::STOP);
    say(page, "Entry of one party:");
    map(page, places::PARTY);
}
