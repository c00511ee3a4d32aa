//! Arrays, parts of records, cases and ranges: what the macros say, what lies in the bytes, and who can read it.

use proptest::prelude::*;
use shm_state::descriptor::{
    Case, Cases as _, DescriptorError, ENTRY_LEN, FACTS_MAGIC, FactProblem, FactsProblem, FieldDesc, FieldProblem,
    FieldSpec, FieldType, HEADER_LEN, Meaning, NameProblem, Narrow, Unit,
};
use shm_state::row::{RowView, Value};
use shm_state::{Cases, Descriptor, Layout, Record};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

#[derive(Cases)]
#[repr(u8)]
#[allow(dead_code, reason = "the record keeps the number")]
enum Health {
    Up = 1,
    Unknown = 0,
    #[case(name = "draining")]
    GoingDown = 7,
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

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Record)]
#[repr(C)]
struct Ends {
    #[field(nested, base = 10, name = "in")]
    client: Endpoint,
    #[field(nested, base = 20, name = "out")]
    server: Endpoint,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[repr(C)]
#[layout(table = 12, name = "everything", version = 1)]
struct Everything {
    #[field(nested, base = 100)]
    ends: Ends,
    #[field(id = 1, unsigned, unit = "packets", default = 9, narrow = "clamp")]
    per_class: [u32; 4],
    #[field(id = 2, ip)]
    hops: [[u8; 16]; 2],
    #[field(id = 3, cases = Health, default = 1, narrow = "clamp")]
    health: u8,
    #[field(id = 4, cases = Health)]
    peers: [u8; 3],
    #[field(id = 5, signed, range = -8..=8, default = 0)]
    weight: i32,
    #[field(id = 6, duration = "ms", range = 1..=60_000)]
    timeouts: [u32; 2],
}

/// The same fields without anything that is new.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[repr(C)]
#[layout(table = 12, name = "plain", version = 1)]
struct Plain {
    #[field(id = 1, bytes)]
    all: [u8; 16],
}

fn everything() -> Descriptor {
    Everything::descriptor()
}

#[test]
fn parts_are_fields_of_the_whole() {
    let layout = everything();
    let port = layout.field_named("ends.out.port").expect("a field");
    let offset = std::mem::offset_of!(Everything, ends)
        + std::mem::offset_of!(Ends, server)
        + std::mem::offset_of!(Endpoint, port);
    assert_eq!((port.id(), port.offset(), port.ty(), port.is_key()), (122, offset, FieldType::Port, true));
    let ids: Vec<_> = layout.fields().iter().map(|field| field.id()).collect();
    assert_eq!(ids, [111, 112, 121, 122, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn arrays_cases_and_ranges_are_described() {
    let layout = everything();
    let field = |id| layout.field(id).expect("a field");
    let packets = field(1);
    assert_eq!((packets.elements(), packets.element_len(), packets.len()), (Some(4), 4, 16));
    assert_eq!(packets.meaning(), Meaning::List(&Meaning::Integer(Unit::Packets)));
    assert_eq!(packets.default_value(), Some(Value::List(vec![Value::Unsigned(9); 4])));
    assert_eq!((field(2).type_text(), field(6).type_text()), ("[ip; 2]".into(), "[duration u32; 2]".into()));
    let cases: Vec<_> = field(3).cases().expect("cases").iter().collect();
    assert_eq!(cases, [(0, "unknown"), (1, "up"), (7, "draining")]);
    assert_eq!(field(4).cases().and_then(|cases| cases.number("draining")), Some(Health::GoingDown as u32));
    assert_eq!((field(5).range(), field(6).range()), (Some((-8, 8)), Some((1, 60_000))));
    assert_eq!((field(5).cases(), field(2).range(), field(122).elements()), (None, None, None));
}

#[test]
fn rows_show_lists_and_names_of_cases() {
    let mut record = Everything::new_zeroed();
    record.per_class = [1, 2, 3, u32::MAX];
    record.peers = [1, 7, 9];
    record.timeouts = [1500, 1];
    record.hops[1][15] = 1;
    let layout = everything();
    let row = layout.decode(record.as_bytes());
    assert_eq!(row.get("peers"), Some(&Value::List([1, 7, 9].map(Value::Enum).to_vec())));
    let text = row.to_string();
    for part in [
        "per_class=[1,2,3,4294967295]",
        "hops=[::,::1]",
        "health=unknown",
        "peers=[up,draining,9]",
        "timeouts=[1.5s,0.001s]",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let json = serde_json::to_value(&row).expect("JSON");
    assert_eq!(json["peers"], serde_json::json!(["up", "draining", 9]));
    assert_eq!(json["health"], serde_json::json!("unknown"));
    assert_eq!(json["per_class"], serde_json::json!([1, 2, 3, u32::MAX]));
    let view = RowView::new(&layout, record.as_bytes());
    assert_eq!((view.unsigned(1), view.case(3), view.nanos(6)), (None, Some(0), None), "a list is no single value");
    assert_eq!(view.value(1), row.get_id(1).cloned());
}

#[test]
fn a_descriptor_without_facts_is_what_it_was() {
    let bytes = Plain::descriptor_bytes();
    assert_eq!(bytes.len(), HEADER_LEN + ENTRY_LEN);
    assert_eq!(bytes[12..20], [64, 0, 96, 0, 1, 0, 1, 0], "head of 64 bytes, entries of 96, one of them, encoding 1");
}

#[test]
fn facts_lie_in_the_head_and_only_arrays_take_another_encoding() {
    const CASES: [Case; 1] = [Case::new(3, "x")];
    let entry = FieldDesc::new(7, "a", FieldType::Enum, 0, 1);
    let with = |spec: FieldSpec<'_>| Descriptor::from_specs(1, 1, "t", 8, &[spec]).expect("good").to_bytes();
    let bytes = with(FieldSpec::new(entry).cases(&CASES));
    assert_eq!(bytes[12..20], [124, 0, 96, 0, 1, 0, 1, 0]);
    assert_eq!(bytes[64..80], [&FACTS_MAGIC[..], &44_u32.to_le_bytes(), &[0; 4]].concat());
    assert_eq!(bytes[80..92], [7, 0, 0, 0, 3, 0, 36, 0, 3, 0, 0, 0]);
    assert_eq!(bytes[92..95], [b'x', 0, 0]);
    let entry = FieldDesc::new(7, "a", FieldType::Signed, 0, 2);
    let bytes = with(FieldSpec::new(entry).array(3).range(-2, 5));
    assert_eq!(bytes[18], 2, "a reader of the first release would take an array for a single value");
    let facts = [[7, 0, 0, 0, 1, 0, 4, 0, 3, 0, 0, 0].to_vec(), [7, 0, 0, 0, 2, 0, 16, 0].to_vec()].concat();
    assert_eq!(bytes[80..100], facts);
    assert_eq!(bytes[100..116], [(-2_i64).to_le_bytes(), 5_i64.to_le_bytes()].concat());
}

/// What a reader of the first release does: it skips what is longer in a head.
#[test]
fn a_reader_that_knows_no_facts_reads_the_rest() {
    let specs = [FieldSpec::new(FieldDesc::new(1, "a", FieldType::Enum, 0, 1)).cases(Health::CASES)];
    let all = Descriptor::from_specs(1, 1, "t", 8, &specs).expect("good").to_bytes();
    let mut old = [&all[..HEADER_LEN], &all[all.len() - ENTRY_LEN..]].concat();
    old[8..12].copy_from_slice(&((HEADER_LEN + ENTRY_LEN) as u32).to_le_bytes());
    old[12..14].copy_from_slice(&64_u16.to_le_bytes());
    let plain = Descriptor::from_fields(1, 1, "t", 8, &[specs[0].entry]).expect("good");
    assert_eq!(old, plain.to_bytes());
}

#[test]
fn a_subset_has_the_facts_of_its_fields() {
    let layout = everything();
    let some = layout.subset([6, 4, 122]).expect("good").expect("fields");
    for id in [6, 4, 122] {
        let (a, b) = (layout.field(id).expect("a field"), some.field(id).expect("a field"));
        assert_eq!((a.elements(), a.range(), a.cases()), (b.elements(), b.range(), b.cases()));
        assert!(!b.is_key());
    }
    assert_eq!(some.fields().iter().map(|field| field.id()).collect::<Vec<_>>(), [6, 4, 122]);
}

fn problem(spec: FieldSpec<'_>) -> FactProblem {
    match Descriptor::from_specs(1, 1, "t", 1024, &[spec]) {
        Err(DescriptorError::Field { problem: FieldProblem::Fact(problem), .. }) => problem,
        other => panic!("{other:?}"),
    }
}

fn entry(ty: FieldType, len: usize) -> FieldDesc {
    FieldDesc::new(1, "a", ty, 0, len)
}

#[test]
fn every_claim_of_a_fact_is_checked() {
    use FieldType::{Enum, Port, Signed, Unsigned};
    let spec = |ty, len| FieldSpec::new(entry(ty, len));
    let mut uneven = spec(Unsigned, 4);
    for (elements, len) in [(3, 4), (0, 4), (1025, 4)] {
        uneven.facts.elements = Some(elements);
        assert_eq!(problem(uneven), FactProblem::Elements { elements, len });
    }
    uneven.facts.elements = Some(4);
    uneven.entry.len = 12.into();
    let odd = Descriptor::from_specs(1, 1, "t", 1024, &[uneven]);
    assert!(
        matches!(odd, Err(DescriptorError::Field { problem: FieldProblem::Length { len: 3, .. }, .. })),
        "elements of 3 bytes: {odd:?}"
    );
    assert_eq!(problem(spec(Port, 2).range(1, 2)), FactProblem::RangeForType { ty: Port });
    for (ty, min, max) in [(Unsigned, 2, 1), (Unsigned, 0, 256), (Unsigned, -1, 1), (Signed, -129, 0), (Signed, 0, 128)]
    {
        let mut spec = spec(ty, 1);
        spec.facts.range = Some((min, max));
        // In bytes a range of numbers without sign has none.
        let found = problem(spec);
        assert!(matches!(found, FactProblem::Range { .. }), "{found:?}");
    }
    assert_eq!(problem(spec(Unsigned, 1).cases(Health::CASES)), FactProblem::CasesForType { ty: Unsigned });
    let many: Vec<_> = (0..257).map(|number| Case::new(number, &format!("c{number}"))).collect();
    assert_eq!(problem(spec(Enum, 2).cases(&many)), FactProblem::TooManyCases { count: 257 });
    let bad: [(&[Case], usize); 4] = [
        (&[Case::new(1, "a"), Case::new(1, "b")], 1),
        (&[Case::new(2, "a"), Case::new(1, "b")], 1),
        (&[Case::new(1, "a"), Case::new(2, "a")], 1),
        (&[Case::new(256, "a")], 0),
    ];
    for (cases, index) in bad {
        assert_eq!(problem(spec(Enum, 1).cases(cases)), FactProblem::Case { index });
    }
    let named = [Case::new(1, "\x1b[2J")];
    let problem_of = problem(spec(Enum, 1).cases(&named));
    assert_eq!(problem_of, FactProblem::CaseName { index: 0, problem: NameProblem::Character });
    let default = FieldSpec::new(entry(Unsigned, 1).default_number(9)).range(1, 8);
    assert_eq!(problem(default), FactProblem::Default { value: 9 });
    let default = FieldSpec::new(entry(Signed, 1).default_number(-3)).range(-2, 8);
    assert_eq!(problem(default), FactProblem::Default { value: -3 });
    let default = FieldSpec::new(entry(Enum, 1).default_number(5)).cases(Health::CASES);
    assert_eq!(problem(default), FactProblem::Default { value: 5 });
}

#[test]
fn an_enum_is_clamped_only_to_a_default_among_listed_cases() {
    let clamped = entry(FieldType::Enum, 1).narrow(Narrow::Clamp);
    let build = |spec: FieldSpec<'_>| Descriptor::from_specs(1, 1, "t", 8, &[spec]);
    assert!(build(FieldSpec::new(clamped.default_number(1)).cases(Health::CASES)).is_ok());
    for spec in [FieldSpec::new(clamped.default_number(1)), FieldSpec::new(clamped).cases(Health::CASES)] {
        let refused = build(spec).expect_err("refused");
        let named = matches!(refused, DescriptorError::Field { problem: FieldProblem::NarrowForType { .. }, .. });
        assert!(named, "{refused}");
    }
}

/// The wire form of `everything` with some bytes replaced.
fn with(at: usize, bytes: &[u8]) -> Result<Descriptor, DescriptorError> {
    let mut all = Everything::descriptor_bytes().to_vec();
    all[at..at + bytes.len()].copy_from_slice(bytes);
    Descriptor::parse(&all).map(|(descriptor, _)| descriptor)
}

#[test]
fn the_facts_as_a_whole_are_checked() {
    let facts = |at: usize, bytes: &[u8]| match with(at, bytes) {
        Err(DescriptorError::Facts { offset, problem }) => (offset, problem),
        other => panic!("{other:?}"),
    };
    assert!(with(64, b"X").is_err(), "without its facts an array has a width that its type does not allow");
    assert_eq!(facts(72, &u32::MAX.to_le_bytes()), (64, FactsProblem::Truncated));
    // The first fact is that of the elements of field 1.
    assert_eq!(facts(80, &99_u32.to_le_bytes()), (80, FactsProblem::NoField { field: 99 }));
    assert_eq!(facts(86, &6_u16.to_le_bytes()), (80, FactsProblem::Length { kind: 1, len: 6 }));
    assert_eq!(facts(84, &2_u16.to_le_bytes()), (80, FactsProblem::Length { kind: 2, len: 4 }));
    assert_eq!(facts(86, &u16::MAX.to_le_bytes()), (80, FactsProblem::Truncated));
    assert_eq!(facts(18, &1_u16.to_le_bytes()), (80, FactsProblem::Encoding { field: 1 }));
    // The second is that of field 2.
    assert_eq!(facts(92, &1_u32.to_le_bytes()), (92, FactsProblem::Twice { field: 1, kind: 1 }));
    // An unknown one is skipped: here, what the array needs.
    assert!(matches!(with(84, &900_u16.to_le_bytes()), Err(DescriptorError::Field { id: 1, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn damaged_facts_never_panic_and_never_lie(
        damage in prop::collection::vec((0usize..1500, any::<u8>()), 1..4),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut all = Everything::descriptor_bytes().to_vec();
        let len = all.len();
        damage.into_iter().for_each(|(at, byte)| all[at % len] = byte);
        if let Ok((layout, _)) = Descriptor::parse(&all) {
            prop_assert!(!layout.decode(&bytes).to_string().contains('\x1b'));
            for field in layout.fields() {
                prop_assert_eq!(field.element_len() * field.elements().unwrap_or(1), field.len());
                prop_assert!(field.range().is_none_or(|(min, max)| min <= max));
            }
            let (again, _) = Descriptor::parse(&layout.to_bytes()).expect("the canonical form is good");
            prop_assert_eq!(again.fields(), layout.fields());
        }
    }
}
