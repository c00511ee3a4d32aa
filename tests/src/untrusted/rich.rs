//! Layouts with all that descriptors can say and the released ones do not use yet: arrays, parts, cases, ranges, and a
//! migration between two of them.

use std::sync::OnceLock;

use shm_state::row::{Row, Value};
use shm_state::schema::{Migration, MigrationDesc, Schema};
use shm_state::{Cases, Descriptor, Layout, Record};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layouts::RELEASED;

#[derive(Cases)]
#[repr(u8)]
#[allow(dead_code, reason = "the records keep the number")]
enum Health {
    Unknown = 0,
    Up = 1,
    Draining = 7,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Record)]
#[repr(C)]
struct Endpoint {
    #[field(id = 1, ip, key)]
    address: [u8; 16],
    #[field(id = 2, port, key)]
    port: u16,
    #[field(skip)]
    pad: [u8; 6],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 12, name = "rich", version = 1)]
#[repr(C)]
struct Older {
    #[field(nested, base = 100)]
    server: Endpoint,
    #[field(id = 1, unsigned, default = 9, narrow = "clamp")]
    per_class: [u32; 4],
    #[field(id = 3, cases = Health, default = 1, narrow = "clamp")]
    health: u8,
    #[field(id = 4, cases = Health, narrow = "drop")]
    peers: [u8; 3],
    #[field(id = 5, signed, range = -8..=8, default = 0, narrow = "clamp")]
    weight: i32,
    /// Seconds in the upper half, nanoseconds in the lower one.
    #[field(id = 7, unsigned, default = 0)]
    stamp: u64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 12, name = "rich", version = 2)]
#[repr(C)]
struct Newer {
    #[field(id = 5, signed, range = -8..=8, default = 0, narrow = "clamp")]
    weight: i16,
    #[field(id = 3, cases = Health, default = 1, narrow = "clamp")]
    health: u8,
    #[field(id = 4, cases = Health, narrow = "drop")]
    peers: [u8; 3],
    #[field(skip)]
    pad: [u8; 2],
    #[field(id = 1, unsigned, default = 9, narrow = "clamp")]
    per_class: [u16; 4],
    #[field(nested, base = 100)]
    server: Endpoint,
    #[field(id = 8, unsigned)]
    seconds: u32,
    #[field(id = 9, unsigned)]
    nanos: u32,
    #[field(id = 6, duration = "ms", range = 1..=60_000, default = 1)]
    timeouts: [u32; 2],
}

/// Its declaration, as executables carry it.
pub const SPLIT: MigrationDesc = MigrationDesc::new(12, "split-stamp", 1, 2, &[7], &[8, 9]);

fn number(row: &Row, id: u32) -> Result<u64, String> {
    match row.get_id(id) {
        Some(Value::Unsigned(number)) => Ok(*number),
        other => Err(format!("field {id} is {other:?}")),
    }
}

/// What has more than 32 bits was damaged, and is refused.
fn half(row: &Row, id: u32) -> Result<u64, String> {
    number(row, id).and_then(|found| u32::try_from(found).map(u64::from).map_err(|error| error.to_string()))
}

fn row<const N: usize>(values: [(u32, u64); N]) -> Result<Row, String> {
    let mut row = Row::new();
    values.into_iter().for_each(|(id, value)| drop(row.insert(id, "made", Value::Unsigned(value))));
    Ok(row)
}

fn schema() -> Schema {
    let up = |from: &Row| number(from, 7).and_then(|stamp| row([(8, stamp >> 32), (9, u64::from(stamp as u32))]));
    let down = |from: &Row| row([(7, half(from, 8)? << 32 | half(from, 9)?)]);
    Schema::new("rich").migrate(Migration::both_ways(&SPLIT, up, down))
}

/// Every layout that is known here, the released ones first, with the code that belongs to it.
pub fn known() -> &'static [(Descriptor, Schema)] {
    static KNOWN: OnceLock<Vec<(Descriptor, Schema)>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let released = RELEASED.iter().map(|layout| (layout.descriptor(), layout.schema()));
        released.chain([Older::descriptor(), Newer::descriptor()].map(|layout| (layout, schema()))).collect()
    })
}
