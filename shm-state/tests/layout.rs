//! The derive macro, the wire form and the checked form agree with each other and with the compiler.

use shm_state::descriptor::{self, FieldDesc, FieldType, Meaning, Narrow, Unit};
use shm_state::note::{self, Chain, Note};
use shm_state::row::{Row, RowView, Value};
use shm_state::{Descriptor, Layout};
use std::mem::offset_of;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

type Nanos = u64;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[repr(C, align(8))]
#[layout(table = 9, name = "sample.all", version = 3)]
struct Sample {
    #[field(id = 1, ip, key)]
    client: [u8; 16],
    #[field(id = 2, port, key, name = "client-port")]
    port: u16,
    #[field(id = 3, bool, default = true)]
    open: u8,
    #[field(id = 4, enum, narrow = "drop", default = 2)]
    mode: u8,
    #[field(id = 5, signed, narrow = "clamp", default = -5)]
    balance: i32,
    #[field(id = 12, instant = "ns", compute = "first_seen")]
    seen: Nanos,
    #[field(id = 7, duration = "ms", default = 1500)]
    timeout: u32,
    #[field(id = 8, slot_link)]
    identity: u32,
    #[field(id = 9, unit = "packets", narrow = "clamp")]
    packets: u64,
    #[field(id = 10, bytes, default = b"none")]
    label: [u8; 6],
    #[field(skip)]
    pad: [u8; 2],
    #[field(id = 11, ip, default = "192.0.2.1")]
    gateway: [u8; 16],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[repr(C)]
#[layout(table = 10, name = "tiny", version = 1)]
struct Tiny {
    #[field(id = 1)]
    r#type: u64,
}

shm_state::layout_note!(Sample, Tiny);

fn sample() -> Sample {
    let mut sample = Sample::new_zeroed();
    sample.client = std::net::Ipv4Addr::new(10, 0, 0, 7).to_ipv6_mapped().octets();
    sample.port = 5353;
    sample.open = 1;
    sample.mode = 7;
    sample.balance = -3;
    sample.seen = 61_500_000_000;
    sample.timeout = 250;
    sample.identity = u32::MAX;
    sample.packets = 12;
    sample.label = *b"ab\0\0\0\0";
    sample
}

#[test]
fn derived_descriptor_says_what_the_compiler_does() {
    let descriptor = Sample::descriptor();
    assert_eq!((descriptor.table_id(), descriptor.name(), descriptor.layout_version()), (9, "sample.all", 3));
    assert_eq!((Sample::TABLE, Sample::NAME, Sample::VERSION), (9, "sample.all", 3));
    assert_eq!(descriptor.record_len(), size_of::<Sample>());
    assert_eq!(descriptor.fields().len(), 11, "padding is not described");
    let seen = descriptor.field(12).expect("id 12");
    assert_eq!((seen.offset(), seen.len()), (offset_of!(Sample, seen), 8));
    assert_eq!((seen.ty(), seen.unit(), seen.meaning()), (FieldType::Instant, Unit::Ns, Meaning::Instant));
    assert_eq!(seen.compute(), Some("first_seen"));
    assert_eq!(descriptor.field_named("client-port").map(|field| field.id()), Some(2));
    assert!(descriptor.field(1).is_some_and(|field| field.is_key()));
    assert_eq!(descriptor.field(9).map(|field| (field.narrow(), field.unit())), Some((Narrow::Clamp, Unit::Packets)));
    assert_eq!(Tiny::descriptor().fields()[0].name().as_ref(), "type");
}

#[test]
fn defaults_are_in_the_unit_of_their_field() {
    let descriptor = Sample::descriptor();
    let default = |id| descriptor.field(id).and_then(|field| field.default_value());
    assert_eq!(default(3), Some(Value::Bool(true)));
    assert_eq!(default(4), Some(Value::Enum(2)));
    assert_eq!(default(5), Some(Value::Signed(-5)));
    assert_eq!(default(7), Some(Value::Duration(1_500_000_000)));
    assert_eq!(default(10), Some(Value::Bytes(b"none\0\0".to_vec())));
    assert_eq!(default(11), Some(Value::Ip([192, 0, 2, 1].into())));
    assert_eq!(default(9), None);
}

#[test]
fn records_decode_to_rows_that_people_and_scripts_can_read() {
    let row = Sample::descriptor().decode(sample().as_bytes());
    assert_eq!(
        row.to_string(),
        "client=10.0.0.7 client-port=5353 open=true mode=7 balance=-3 timeout=0.25s identity=none packets=12 \
         label=616200000000 gateway=:: seen=61.5s"
    );
    assert_eq!(row.get("packets"), Some(&Value::Unsigned(12)));
    assert_eq!(
        serde_json::to_string(&row).expect("serialises"),
        r#"{"client":"10.0.0.7","client-port":5353,"open":true,"mode":7,"balance":-3,"timeout":250000000,"identity":null,"packets":12,"label":"616200000000","gateway":"::","seen":61500000000}"#
    );
}

#[test]
fn short_records_lack_fields_but_do_no_harm() {
    let descriptor = Sample::descriptor();
    let whole = sample();
    for len in 0..size_of::<Sample>() {
        assert!(descriptor.decode(&whole.as_bytes()[..len]).len() < 11);
    }
}

#[test]
fn parsing_and_encoding_are_inverse() {
    let bytes = Sample::descriptor_bytes();
    let (descriptor, consumed) = Descriptor::parse(bytes).expect("parses");
    assert_eq!(consumed, bytes.len());
    assert_eq!(descriptor.to_bytes(), bytes);
    assert_eq!(descriptor.as_bytes(), bytes);
    assert_eq!(descriptor.fingerprint(), descriptor::fingerprint(bytes));
}

/// The encoding is for ever: whoever changes this number strands every region and binary in the field.
#[test]
fn the_encoding_does_not_drift() {
    assert_eq!(Sample::descriptor().fingerprint(), 0xa315_c496_1e22_4047);
}

#[test]
fn a_note_holds_all_layouts() {
    let note = Note::new(Chain(Sample::WIRE, Tiny::WIRE));
    assert_eq!(size_of_val(&note), 20 + Sample::descriptor_bytes().len() + Tiny::descriptor_bytes().len());
    let contents = Chain(Sample::WIRE, Tiny::WIRE);
    let layouts = note::parse_note_desc(contents.as_bytes()).expect("parses");
    assert_eq!(layouts, [Sample::descriptor(), Tiny::descriptor()]);
}

/// The note is where tools look for it: in the executable's bytes, behind a head that ELF understands.
#[test]
fn the_executable_carries_its_layouts() {
    let file = std::fs::read(std::env::current_exe().expect("has a path")).expect("readable");
    let len = (Sample::descriptor_bytes().len() + Tiny::descriptor_bytes().len()) as u32;
    let head = [8u32.to_ne_bytes(), len.to_ne_bytes(), note::NOTE_LAYOUTS.to_ne_bytes()].concat();
    let head = [&head[..], note::NOTE_NAME.as_bytes(), b"\0"].concat();
    // This test's own constants are in the file too, but not with such a length in front.
    let at = file.windows(head.len()).position(|bytes| bytes == head).expect("the note is in the file");
    let contents = &file[at + head.len()..][..len as usize];
    assert_eq!(note::parse_note_desc(contents), Ok(vec![Sample::descriptor(), Tiny::descriptor()]));
    assert!(at.is_multiple_of(4), "notes are aligned to 4 bytes");
}

#[test]
fn views_read_by_id_what_rows_hold() {
    let fields = [
        FieldDesc::new(5000, "far", FieldType::Signed, 0, 2),
        FieldDesc::new(3, "near", FieldType::Unsigned, 2, 1),
        FieldDesc::new(900, "timeout", FieldType::Duration, 4, 4).unit(Unit::S),
        FieldDesc::new(901, "link", FieldType::SlotLink, 8, 8),
        FieldDesc::new(902, "tag", FieldType::Bytes, 16, 3),
    ];
    let descriptor = Descriptor::from_fields(1, 1, "views", 24, &fields).expect("valid");
    let mut record = [0; 24];
    record[..8].copy_from_slice(&[0xfe, 0xff, 200, 0, 2, 0, 0, 0]);
    record[8..16].copy_from_slice(&7u64.to_le_bytes());
    record[16..19].copy_from_slice(b"abc");
    let view = RowView::new(&descriptor, &record);
    assert_eq!((view.integer(5000), view.unsigned(5000)), (Some(-2), None));
    assert_eq!((view.integer(3), view.unsigned(3)), (Some(200), Some(200)));
    assert_eq!((view.nanos(900), view.slot(901), view.bytes(902)), (Some(2_000_000_000), Some(7), Some(&b"abc"[..])));
    assert_eq!((view.unsigned(4), view.unsigned(899), view.unsigned(70_000)), (None, None, None), "no such fields");
    assert_eq!((view.bool(3), view.ip(902), view.port(3), view.case(3)), (None, None, None, None), "other types");
    assert_eq!(view.to_row().to_string(), "near=200 timeout=2s link=#7 tag=616263 far=-2");
    for (id, value) in view.to_row().iter().map(|cell| (cell.id, &cell.value)) {
        assert_eq!(view.value(id).as_ref(), Some(value));
    }
}

#[test]
fn rows_can_be_edited() {
    let mut row = Row::new();
    assert_eq!(row.insert(2, "b", Value::Bool(true)), None);
    assert_eq!(row.insert(1, "a", Value::Unsigned(1)), None);
    assert_eq!(row.insert(2, "b", Value::Bool(false)), Some(Value::Bool(true)));
    assert_eq!(row.to_string(), "a=1 b=false");
    assert_eq!((row.remove(1), row.remove(1), row.len()), (Some(Value::Unsigned(1)), None, 1));
    assert_eq!((row.get_id(2), row.get("a")), (Some(&Value::Bool(false)), None));
}

/// The widest count in the coarsest unit still has its nanoseconds, and JSON says them without rounding.
#[test]
fn times_do_not_overflow() {
    let field = FieldDesc::new(1, "seen", FieldType::Instant, 0, 8).unit(Unit::S);
    let descriptor = Descriptor::from_fields(1, 1, "times", 8, &[field]).expect("valid");
    let row = descriptor.decode(&[0xff; 8]);
    assert_eq!(row.get("seen").and_then(Value::as_nanos), Some(u128::from(u64::MAX) * 1_000_000_000));
    assert_eq!(serde_json::to_string(&row).expect("serialises"), r#"{"seen":"18446744073709551615000000000"}"#);
    assert_eq!(row.to_string(), "seen=18446744073709551615s");
}
