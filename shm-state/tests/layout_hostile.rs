//! Descriptors are claims: hostile bytes are refused by name and never cause a panic.

use proptest::prelude::*;
use shm_state::Descriptor;
use shm_state::descriptor::{
    ConstDescriptor, DescriptorError, ENTRY_LEN, FieldDesc, FieldProblem, FieldType, HEADER_LEN, NameProblem, Narrow,
    Unit, fingerprint,
};
use shm_state::note::{NoteError, parse_note_desc};
use zerocopy::IntoBytes;

static GOOD: ConstDescriptor<4> = ConstDescriptor::new(
    1,
    2,
    "flows",
    40,
    [
        FieldDesc::new(1, "client", FieldType::Ip, 0, 16).key(),
        FieldDesc::new(2, "packets", FieldType::Unsigned, 16, 8).unit(Unit::Packets).narrow(Narrow::Clamp),
        FieldDesc::new(3, "seen", FieldType::Instant, 24, 8).unit(Unit::Ns).compute("seen"),
        FieldDesc::new(4, "state", FieldType::Enum, 32, 1).default_number(1),
    ],
);

fn good() -> Vec<u8> {
    GOOD.as_bytes().to_vec()
}

fn entry(index: usize) -> usize {
    HEADER_LEN + index * ENTRY_LEN
}

/// The good descriptor with some bytes replaced.
fn with(at: usize, bytes: &[u8]) -> Result<Descriptor, DescriptorError> {
    let mut all = good();
    all[at..at + bytes.len()].copy_from_slice(bytes);
    Descriptor::parse(&all).map(|(descriptor, _)| descriptor)
}

fn problem(at: usize, bytes: &[u8]) -> FieldProblem {
    match with(at, bytes) {
        Err(DescriptorError::Field { problem, .. }) => problem,
        other => panic!("not a field's problem: {other:?}"),
    }
}

fn header(at: usize, bytes: &[u8]) -> &'static str {
    match with(at, bytes) {
        Err(DescriptorError::Header { what, .. }) => what,
        other => panic!("not a problem of the header: {other:?}"),
    }
}

#[test]
fn every_claim_of_the_header_is_checked() {
    assert_eq!(with(0, b"X"), Err(DescriptorError::BadMagic));
    assert!(matches!(with(8, &[1]), Err(DescriptorError::TotalLength { computed: 448, .. })));
    assert_eq!(header(12, &63u16.to_le_bytes()), "header length");
    assert_eq!(header(14, &95u16.to_le_bytes()), "entry length");
    assert_eq!(header(16, &0u16.to_le_bytes()), "field count");
    assert_eq!(header(16, &257u16.to_le_bytes()), "field count");
    assert_eq!(with(18, &3u16.to_le_bytes()), Err(DescriptorError::UnknownEncoding { found: 3 }));
    assert_eq!(header(20, &0u32.to_le_bytes()), "table id");
    assert_eq!(header(24, &0u32.to_le_bytes()), "layout version");
    for record_len in [0u32, 41, 65_544, u32::MAX] {
        assert_eq!(header(28, &record_len.to_le_bytes()), "record length");
    }
    assert_eq!(with(32, &[0; 32]), Err(DescriptorError::TableName(NameProblem::Empty)));
    assert_eq!(with(32, &[0xff]), Err(DescriptorError::TableName(NameProblem::NotText)));
    assert_eq!(with(32, b"\x1b[2J"), Err(DescriptorError::TableName(NameProblem::Character)));
    assert_eq!(with(63, b"x"), Err(DescriptorError::TableName(NameProblem::Padding)));
}

#[test]
fn every_claim_of_a_field_is_checked() {
    let second = entry(1);
    assert_eq!(problem(second, &0u32.to_le_bytes()), FieldProblem::ZeroId);
    assert_eq!(problem(second, &1u32.to_le_bytes()), FieldProblem::DuplicateId { other: 0 });
    assert_eq!(problem(second + 4, &[11]), FieldProblem::UnknownType { number: 11 });
    assert_eq!(problem(second + 5, &[7]), FieldProblem::UnknownUnit { number: 7 });
    assert_eq!(problem(second + 6, &[3]), FieldProblem::UnknownNarrow { number: 3 });
    let (ty, unit) = (FieldType::Unsigned, Unit::Ms);
    assert_eq!(problem(second + 5, &[3]), FieldProblem::UnitForType { ty, unit });
    let (ty, narrow) = (FieldType::Enum, Narrow::Clamp);
    assert_eq!(problem(entry(3) + 6, &[1]), FieldProblem::NarrowForType { ty, narrow });
    let len = |len: u32| problem(second + 12, &len.to_le_bytes());
    for wrong in [0, 3, 16, u32::MAX] {
        assert_eq!(len(wrong), FieldProblem::Length { ty: FieldType::Unsigned, len: wrong });
    }
    let offset = |offset: u32| problem(second + 8, &offset.to_le_bytes());
    assert_eq!(offset(15), FieldProblem::Overlap { other: 0 });
    assert_eq!(offset(33), FieldProblem::OutOfRecord { offset: 33, len: 8, record_len: 40 });
    assert_eq!(offset(u32::MAX), FieldProblem::OutOfRecord { offset: u32::MAX, len: 8, record_len: 40 });
    assert_eq!(problem(entry(2) + 8, &8u32.to_le_bytes()), FieldProblem::OutOfOrder);
    assert_eq!(problem(second + 32, b"client\0"), FieldProblem::DuplicateName { other: 0 });
    assert_eq!(problem(second + 32, b"\xc3\x28"), FieldProblem::Name(NameProblem::NotText));
    assert_eq!(problem(entry(2) + 64, b"s een"), FieldProblem::ComputeName(NameProblem::Character));
    assert_eq!(problem(entry(3) + 17, &[1]), FieldProblem::DefaultTooLong);
}

#[test]
fn errors_name_the_field() {
    let error = with(entry(1) + 32, b"\x1bx").expect_err("bad name");
    assert_eq!(
        error.to_string(),
        r"field \x1bxckets (entry 1, id 2) has a bad name: it has a character other than letters, digits, '_', '-' and '.'"
    );
}

#[test]
fn longer_headers_and_entries_are_read_and_what_is_unknown_is_ignored() {
    let mut bytes = good()[..HEADER_LEN].to_vec();
    bytes.extend_from_slice(b"newer!!!");
    for index in 0..4 {
        bytes.extend_from_slice(&good()[entry(index)..entry(index + 1)]);
        bytes.extend_from_slice(&[0xaa; 24]);
    }
    let total = bytes.len() as u32;
    bytes[8..12].copy_from_slice(&total.to_le_bytes());
    bytes[12..14].copy_from_slice(&72u16.to_le_bytes());
    bytes[14..16].copy_from_slice(&120u16.to_le_bytes());
    // A flag of the future, too.
    bytes[72 + 7] |= 0x80;
    bytes.extend_from_slice(b"behind");
    let (descriptor, consumed) = Descriptor::parse(&bytes).expect("parses");
    assert_eq!(consumed, total as usize);
    assert_eq!(descriptor.to_bytes(), good(), "the canonical form has what this version understands");
    assert_eq!(descriptor.fingerprint(), fingerprint(&bytes[..consumed]), "the fingerprint is of all bytes");
}

#[test]
fn every_truncation_is_refused() {
    let good = good();
    for len in 0..good.len() {
        assert!(matches!(Descriptor::parse(&good[..len]), Err(DescriptorError::Truncated { have, .. }) if have == len));
    }
}

#[test]
fn notes_are_checked_as_a_whole() {
    assert_eq!(parse_note_desc(&[]), Err(NoteError::Empty));
    assert_eq!(parse_note_desc(&[good(), good()].concat()), Err(NoteError::Twice { table: "flows".into() }));
    let cut = [good(), good()[..70].to_vec()].concat();
    assert!(matches!(parse_note_desc(&cut), Err(NoteError::Descriptor { index: 1, offset: 448, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Descriptor::parse(&bytes);
        let _ = parse_note_desc(&bytes);
    }

    #[test]
    fn damaged_descriptors_never_panic_and_never_lie(
        damage in prop::collection::vec((0usize..448, any::<u8>()), 1..6),
        record in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = good();
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        if let Ok((descriptor, consumed)) = Descriptor::parse(&bytes) {
            prop_assert!(consumed <= bytes.len());
            let mut end = 0;
            for field in descriptor.fields() {
                prop_assert!(field.offset() >= end && field.len() > 0);
                end = field.end();
            }
            prop_assert!(end <= descriptor.record_len());
            let row = descriptor.decode(&record);
            prop_assert!(!row.to_string().contains('\x1b'));
            let (again, _) = Descriptor::parse(&descriptor.to_bytes()).expect("the canonical form is good");
            prop_assert_eq!(again.fields(), descriptor.fields());
        }
    }
}
