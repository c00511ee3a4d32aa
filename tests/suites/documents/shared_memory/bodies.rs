//! Bodies of the segments that descriptors do not describe.

use std::fmt::Write;

use dataplane::io::uring::IoShape;
use dataplane::limits;
use dataplane::state::identities::{BYTES_PER_IDENTITY, IDENTITIES_VERSION};
use shm_state::directory::{self, DIRECTORY_VERSION};
use shm_state::table::{BLOCK_SLOTS, INDEX_VERSION, RECORD_LEN_MAX, marks::GROUP_BLOCKS, places};

use super::{map, say};

pub fn all(page: &mut String) {
    table(page);
    index(page);
    identity_rows(page);
    directories(page);
    io(page);
}

fn table(page: &mut String) {
    say(
        page,
        "## Table\n\nThe descriptor lies between prelude and body. The body: header, dirty marks, slots, groups of \
         marks. Layers (kind side), which keep aside what a table's layout cannot hold, lie the same way.",
    );
    map(page, places::TABLE_HEADER);
    say(
        page,
        &format!(
            "Dirty marks: one byte per {BLOCK_SLOTS} slots, a bit for each, stored after every write to one of them (by \
             executables of the first release: any value for all of them). Slots start on the next multiple of 64, \
             groups on the next one behind them: one byte per {GROUP_BLOCKS} marks, stored after a mark. A record has up to {RECORD_LEN_MAX} bytes. A slot with a record of 112 bytes:"
        ),
    );
    map(page, &places::slot(112));
    say(
        page,
        "Bodies of tables, in bytes:\n\n| slots | record | marks | slots start | groups start | body |\n\
         |---:|---:|---:|---:|---:|---:|",
    );
    for (capacity, record_len) in [(64, 96), (65_536, 96), (65_536, 112), (4_194_304, 112)] {
        let [marks, slots, groups, len] = places::table_body(capacity, record_len);
        let _ = writeln!(page, "| {capacity} | {record_len} | {marks} | {slots} | {groups} | {len} |");
    }
}

fn index(page: &mut String) {
    say(page, &format!("## Index\n\nFrom the keyed hash of a key to a slot. Version {INDEX_VERSION}. Header:"));
    map(page, places::INDEX_HEADER);
    let entries = places::BUCKET_ENTRIES;
    say(
        page,
        &format!(
            "Buckets follow, of {entries} entries each: a power of two of them, at least {} per {entries} slots. Then \
             the stack of free slots, 4 bytes each, of which the first `free` count.\n\nIn a table of several shards each \
             has an index of this form, for the keys that fall to it: the highest 16 bits of the hash's low word, times \
             the shards, divided by 65536. It has buckets for its even share of the slots, and room for twice that \
             share and 1024 free slots more, but not for more than all.\n\nAn entry:",
            2
        ),
    );
    map(page, places::INDEX_ENTRY);
    say(
        page,
        "The hash is SipHash-1-3 with 128 bits (low word, high word) of the key's canonical bytes: its key fields in \
         order of their ids, as they lie. First bucket: low word modulo the buckets. Second: (low word >> 32) xor (high \
         word >> 32), modulo the buckets; if that is the first again, its neighbour (number xor 1).",
    );
    say(
        page,
        "Bodies of indexes, in bytes:\n\n| slots | buckets start | free slots start | body |\n|---:|---:|---:|---:|",
    );
    for capacity in [64, 65_536, 4_194_304] {
        let [buckets, free, len] = places::index_body(capacity);
        let _ = writeln!(page, "| {capacity} | {buckets} | {free} | {len} |");
    }
}

fn identity_rows(page: &mut String) {
    use shm_state::identities::places;
    let head = format!(
        "## Identities\n\nUpstream identities per backend: free, bound to a flow, resting. Version \
         {IDENTITIES_VERSION}. Header:"
    );
    say(page, &head);
    map(page, places::HEADER);
    say(page, "Then per backend a row. Its header:");
    map(page, places::ROW_HEADER);
    say(
        page,
        &format!(
            "Behind it {} arrays of as many elements as there are identities, rounded up to an even number \
             ({BYTES_PER_IDENTITY} bytes per identity):\n\n| array | bytes per element | meaning |\n|---|---:|---|",
            places::ARRAYS.len()
        ),
    );
    for (name, bytes, meaning) in places::ARRAYS {
        let _ = writeln!(page, "| `{name}` | {bytes} | {meaning} |");
    }
}

fn directories(page: &mut String) {
    use directory::places;
    say(page, &format!("## Directory\n\nWhat one process holds. Version {DIRECTORY_VERSION}. Header:"));
    map(page, places::HEADER);
    say(page, "Entry of a segment:");
    map(page, places::SEGMENT);
    say(page, "Entry of a socket:");
    map(page, places::SOCKET);
}

fn io(page: &mut String) {
    let shape = IoShape {
        submissions: 2048,
        completions: 8192,
        buffers: 4096,
        buffer_len: (limits::RX_HEAD_BYTES + 2048) as u32,
    };
    say(
        page,
        &format!(
            "## Io\n\nRing and receive buffers of one worker; never translated, never read by another version. The parts \
             start on pages of the segment. With {} submissions, {} completions and {} buffers of {} bytes:\n\n\
             | offset | part |\n|---:|---|",
            shape.submissions, shape.completions, shape.buffers, shape.buffer_len
        ),
    );
    for (offset, part) in [
        (shape.ring_off(), "the kernel's ring header and the completions"),
        (shape.submissions_off(), "submissions, 64 bytes each"),
        (shape.buffer_ring_off(), "buffer ring, 16 bytes an entry"),
        (shape.buffers_off(), "buffers, each on a cache line"),
        (shape.body_len(), "end"),
    ] {
        let _ = writeln!(page, "| {offset} | {part} |");
    }
}
