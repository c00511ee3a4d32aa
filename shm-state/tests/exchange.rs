//! Rows on the wire: nothing is lost from a layout to rows and back, and no bytes make the reader panic, loop or take
//! memory that the stream does not account for.

#[allow(dead_code, unused_imports, reason = "translation is for another suite")]
mod random;

use proptest::prelude::*;
use shm_state::Descriptor;
use shm_state::descriptor::{FieldDesc, FieldType, Unit};
use shm_state::exchange::{Fit, Fitted, Item, MAGIC, Reader, RowsError, SlotRow, TableHeader, Writer, Wrong};
use shm_state::table::{Meta, RecordsView, Slot};
use shm_state::translate::RefusalKind;

const TIMES: [Unit; 4] = [Unit::Ns, Unit::Us, Unit::Ms, Unit::S];
const REGION: [u8; 16] = [7; 16];

/// A layout of random fields in random order with gaps.
fn layout() -> impl Strategy<Value = Descriptor> {
    let field = (prop::sample::select(FieldType::ALL), 0usize..8, 0usize..4, 0usize..4, any::<bool>(), 1u32..2000);
    prop::collection::vec(field, 1..14).prop_map(|fields| {
        let (mut entries, mut offset) = (Vec::<FieldDesc>::new(), 0);
        for (ty, width, unit, gap, key, id) in fields {
            let len = match ty {
                FieldType::Unsigned | FieldType::Signed | FieldType::Duration => [1, 2, 4, 8][width % 4],
                FieldType::Bool => 1,
                FieldType::Enum => [1, 2, 4][width % 3],
                FieldType::Bytes => width * 3 + 1,
                FieldType::Ip => 16,
                FieldType::Port => 2,
                FieldType::Instant | FieldType::SlotLink => [4, 8][width % 2],
            };
            if entries.iter().any(|entry| entry.id.get() == id) {
                continue;
            }
            offset += gap;
            let mut entry = FieldDesc::new(id, &format!("f{id}"), ty, offset, len);
            if matches!(ty, FieldType::Instant | FieldType::Duration) {
                entry = entry.unit(TIMES[unit]);
            }
            entries.push(if key { entry.key() } else { entry });
            offset += len;
        }
        Descriptor::from_fields(1, 3, "random", (offset as u32).next_multiple_of(8), &entries).expect("valid")
    })
}

/// Bytes that are often at the ends of their ranges.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(0xff), Just(0x7f), Just(0x80), any::<u8>()];
    let run = (byte, 1usize..9).prop_map(|(byte, len)| vec![byte; len]);
    prop::collection::vec(run, 60).prop_map(|runs| runs.concat())
}

/// The record with zeros where no field is, and with truths that are 0 or 1: what a layout says of it.
fn described(layout: &Descriptor, bytes: &[u8]) -> Vec<u8> {
    let mut record = vec![0; layout.record_len()];
    for field in layout.fields() {
        record[field.offset()..field.end()].copy_from_slice(&bytes[field.offset()..field.end()]);
        if field.ty() == FieldType::Bool {
            record[field.offset()..field.end()].iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
    }
    record
}

fn slots() -> impl Strategy<Value = Vec<(u32, Option<Vec<u8>>)>> {
    let incarnation = prop_oneof![Just(0), Just(u32::MAX), any::<u32>()];
    prop::collection::vec((incarnation, prop::option::weighted(0.7, record())), 1..12)
}

fn written(layout: &Descriptor, slots: &[(u32, Option<Vec<u8>>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).expect("memory");
    writer.table(TableHeader::of(layout, 0, slots.len() as u64, REGION)).expect("memory");
    for (slot, (incarnation, record)) in (0..).zip(slots) {
        match record {
            Some(record) => {
                let record = described(layout, &resized(record, layout));
                writer.row(slot, *incarnation, &layout.decode(&record)).expect("memory");
            }
            None => writer.free(slot, *incarnation).expect("memory"),
        }
    }
    writer.end().expect("memory")
}

fn resized(record: &[u8], layout: &Descriptor) -> Vec<u8> {
    let mut record = record.to_vec();
    record.resize(layout.record_len(), 0x5a);
    record
}

fn items(bytes: &[u8]) -> Result<Vec<Item>, RowsError> {
    let mut reader = Reader::new(bytes)?;
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        items.push(item);
    }
    Ok(items)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_table_comes_back_byte_by_byte(layout in layout(), slots in slots()) {
        let table = RecordsView::create(&layout, REGION, slots.len() as u64, 0).expect("a table");
        let stream = written(&layout, &slots);
        let mut reader = Reader::new(&stream[..]).expect("rows");
        let Some(Item::Table(header)) = reader.next_item().expect("good") else { panic!("a table comes first") };
        prop_assert_eq!(&header, &TableHeader::of(&layout, 0, slots.len() as u64, REGION));
        let mut fit = Fit::new(&header, &layout).expect("its own layout");
        let mut record = vec![0xee; layout.record_len()];
        while let Some(item) = reader.next_item().expect("good") {
            let Item::Row { slot: SlotRow { slot, incarnation, row }, .. } = item else { continue };
            let live = row.is_some();
            match row {
                Some(row) => prop_assert_eq!(fit.store(&row, &mut record).expect("its own values"), Fitted::Done),
                None => record.fill(0),
            }
            table.put(Slot(slot as u32), Meta { incarnation, live }, &record);
        }
        for (slot, (incarnation, expected)) in (0..).map(Slot).zip(&slots) {
            prop_assert_eq!(table.meta(slot), Meta { incarnation: *incarnation, live: expected.is_some() });
            if let Some(expected) = expected {
                table.read(slot, &mut record);
                prop_assert_eq!(&record, &described(&layout, &resized(expected, &layout)));
            }
        }
        prop_assert_eq!(fit.counts(), &Default::default());
    }

    #[test]
    fn lists_cases_and_ranges_come_back_too(
        fields in prop::collection::vec(random::shared(), 1..12),
        bytes in random::bytes(),
    ) {
        let Some(layout) = random::layout(&fields, 0) else { return Ok(()) };
        let record = described(&layout, &random::record(&bytes, &layout));
        let items = items(&written(&layout, &[(3, Some(record.clone()))])).expect("readable");
        let (Item::Table(header), Item::Row { slot, .. }) = (&items[0], &items[1]) else { panic!("{items:?}") };
        let row = slot.row.as_ref().expect("a live slot");
        for field in layout.fields() {
            let told = header.field(field.id()).expect("every field is told of");
            prop_assert_eq!(told.elements, field.elements().map(|elements| elements as u32));
            prop_assert_eq!(told.cases.as_ref(), field.cases());
            prop_assert_eq!(row.cell(field.name()).and_then(|cell| cell.cases.as_ref()), field.cases());
        }
        prop_assert_eq!(row.to_string(), layout.decode(&record).to_string());
        let mut back = vec![0xee; record.len()];
        let fitted = Fit::new(header, &layout).and_then(|mut fit| fit.store(row, &mut back)).expect("it fits");
        prop_assert_eq!(fitted, Fitted::Done);
        prop_assert_eq!(back, record);
    }

    #[test]
    fn damage_is_refused_and_never_read_as_something_else(
        layout in layout(), slots in slots(), at: prop::sample::Index, flip in 1u8..=255, cut: prop::sample::Index,
    ) {
        let stream = written(&layout, &slots);
        let whole = items(&stream).expect("good");
        let mut damaged = stream.clone();
        damaged[at.index(stream.len())] ^= flip;
        // A flipped kind that may be skipped is still caught: the rows are counted.
        prop_assert!(items(&damaged).is_err());
        prop_assert!(items(&stream[..cut.index(stream.len())]).is_err());
        let mut longer = stream;
        longer.extend_from_slice(b"what follows the end is not read");
        prop_assert_eq!(items(&longer).expect("good"), whole);
    }

    /// Payloads with a right checksum and any contents.
    #[test]
    fn any_payload_is_read_or_refused(
        layout in layout(), slots in slots(),
        frames in prop::collection::vec((0u8..6, prop::collection::vec(any::<u8>(), 0..80)), 0..6),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut stream = MAGIC.to_vec();
        for (kind, payload) in &frames {
            stream.extend(frame(*kind, payload));
        }
        let _ = items(&stream);
        let mut parts = split(&written(&layout, &slots));
        for (at, byte) in edits {
            let part = at.index(parts.len());
            let payload = &mut parts[part].1;
            if !payload.is_empty() {
                let place = at.index(payload.len());
                payload[place] = byte;
            }
        }
        let edited: Vec<u8> = parts.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect();
        let _ = items(&[&MAGIC[..], &edited[..]].concat());
    }
}

/// A frame with a right checksum.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_le_bytes();
    let crc = crc32fast::hash(&[&[kind], &len[..], payload].concat()).to_le_bytes();
    [&[kind], &len[..], &crc[..], payload].concat()
}

/// Kinds and payloads.
type Frames = Vec<(u8, Vec<u8>)>;

fn split(stream: &[u8]) -> Frames {
    let mut parts = Vec::new();
    let mut rest = &stream[MAGIC.len()..];
    while let [kind, l0, l1, l2, l3, _, _, _, _, payload @ ..] = rest {
        let (payload, behind) = payload.split_at(u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize);
        parts.push((*kind, payload.to_vec()));
        rest = behind;
    }
    parts
}

fn small() -> Descriptor {
    let fields = [
        FieldDesc::new(1, "key", FieldType::Unsigned, 0, 4).key(),
        FieldDesc::new(2, "seen", FieldType::Instant, 8, 8).unit(Unit::Us),
        FieldDesc::new(3, "count", FieldType::Signed, 16, 8),
    ];
    Descriptor::from_fields(9, 1, "small", 24, &fields).expect("valid")
}

#[test]
fn the_bytes_are_frozen() {
    let mut record = [0_u8; 24];
    record[0] = 5;
    record[8..10].copy_from_slice(&1000_u16.to_le_bytes());
    record[16..24].copy_from_slice(&(-2_i64).to_le_bytes());
    let stream = written(&small(), &[(3, Some(record.to_vec())), (7, None)]);
    let parts = split(&stream);
    let table = [
        &[1, 9, 0, 1, 2][..],
        &REGION,
        b"\x05small\x03",
        b"\x09\x01\x01\x00\x00\x01\x03key",
        b"\x0a\x02\x08\x00\x00\x00\x04seen",
        b"\x0b\x03\x01\x00\x00\x00\x05count",
    ]
    .concat();
    // Zigzag 5 is 10, 1000 µs are 1,000,000 ns, zigzag -2 is 3.
    let rows = [9, 0, 9, 0, 3, 1, 7, 10, 0xc0, 0x84, 0x3d, 3, 3, 1, 7, 0];
    let expected = [(1, table), (2, rows.to_vec()), (3, vec![9, 0, 1, 1]), (4, vec![1])];
    assert_eq!(parts, expected);
}

#[test]
fn what_a_later_version_adds_is_skipped() {
    let mut record = [0_u8; 24];
    record[0] = 5;
    record[16..24].copy_from_slice(&(-2_i64).to_le_bytes());
    let parts = split(&written(&small(), &[(3, Some(record.to_vec()))]));
    let mut later = MAGIC.to_vec();
    for (kind, mut payload) in parts {
        later.extend(frame(200, b"a frame of a kind that may be skipped"));
        match kind {
            1 => {
                // A field of a meaning that is not known here, in front of the others, and more behind each part.
                let name = payload.iter().position(|&byte| byte == b's').expect("the name");
                payload[name + 5] = 4;
                let more = b"\x0b\x63\x50\x01\x09\x00\x03new\x00\x00";
                payload.splice(name + 6..name + 6, more.iter().copied());
                payload.extend(b"more");
            }
            2 => payload = vec![9, 0, 13, 0, 3, 1, 0b1111, 3, b'x', b'y', b'z', 10, 0, 3, 0xaa, 0xbb],
            _ => payload.extend(b"more"),
        }
        later.extend(frame(kind, &payload));
    }
    let items = items(&later).expect("a reader of today understands it");
    let Item::Table(header) = &items[0] else { panic!("{items:?}") };
    assert_eq!(header.field(0x63).map(|field| field.meaning), Some(None));
    let Item::Row { slot, .. } = &items[1] else { panic!("{items:?}") };
    assert_eq!(slot.row.as_ref(), Some(&small().decode(&record)));
    Fit::new(header, &small()).expect("what is not needed does not stand in the way");
}

#[test]
fn what_must_not_be_missed_is_refused_by_name() {
    let good = split(&written(&small(), &[(3, None)]));
    let error = |change: &dyn Fn(&mut Frames)| {
        let mut parts = good.clone();
        change(&mut parts);
        let frames: Vec<u8> = parts.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect();
        match items(&[&MAGIC[..], &frames[..]].concat()) {
            Err(RowsError::Frame { wrong, .. }) => wrong,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(error(&|parts| parts[0].1[0] = 2), Wrong::Version(2));
    assert_eq!(error(&|parts| parts[1].0 = 9), Wrong::Kind(9));
    assert_eq!(error(&|parts| parts[1].1[0] = 8), Wrong::NoTable { table: 8, shard: 0 });
    assert_eq!(error(&|parts| drop(parts.remove(1))), Wrong::Count { what: "free rows", said: 1, found: 0 });
    assert_eq!(error(&|parts| parts.insert(1, parts[0].clone())), Wrong::TableTwice { table: 9, shard: 0 });
    let slot = Wrong::Number { what: "slot", found: 1, expected: "one that the table has" };
    assert_eq!(error(&|parts| parts[1].1[3] = 1), slot);
    assert!(matches!(items(b"HLROWS"), Err(RowsError::BadMagic)));
    assert!(matches!(items(b"HLROWS\0\0"), Err(RowsError::Truncated { offset: 8 })));
    let long = [&MAGIC[..], &[2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]].concat();
    assert!(matches!(items(&long), Err(RowsError::Frame { offset: 8, wrong: Wrong::FrameLength(u32::MAX) })));
}

#[test]
fn rows_that_a_layout_cannot_hold_are_refused_or_counted() {
    let header = TableHeader::of(&small(), 0, 1, REGION);
    let with = |fields: &[FieldDesc]| Descriptor::from_fields(9, 2, "small", 32, fields).expect("valid");
    let key = FieldDesc::new(1, "key", FieldType::Unsigned, 0, 4).key();
    let refused = |fields: &[FieldDesc]| Fit::new(&header, &with(fields)).expect_err("refused").kind;
    let more = FieldDesc::new(9, "more", FieldType::Unsigned, 4, 4);
    assert_eq!(refused(&[key, more]), RefusalKind::MissingField);
    assert_eq!(refused(&[key, more.compute("f")]), RefusalKind::UnknownFunction);
    assert_eq!(refused(&[FieldDesc::new(1, "key", FieldType::Unsigned, 0, 4)]), RefusalKind::Key);
    assert_eq!(refused(&[key, FieldDesc::new(3, "count", FieldType::Bool, 4, 1)]), RefusalKind::OtherMeaning);
    assert_eq!(refused(&[more.key()]), RefusalKind::Key);

    let seconds = FieldDesc::new(2, "seen", FieldType::Instant, 4, 4).unit(Unit::S);
    let narrow = FieldDesc::new(3, "count", FieldType::Unsigned, 8, 1);
    let mut record = [0_u8; 24];
    record[8..16].copy_from_slice(&1_500_000_u64.to_le_bytes());
    record[16..24].copy_from_slice(&(-1_i64).to_le_bytes());
    let row = small().decode(&record);
    let mut out = vec![0; 32];
    let clamp = narrow.narrow(shm_state::descriptor::Narrow::Clamp);
    let mut fit = Fit::new(&header, &with(&[key, seconds, clamp, more_at(12)])).expect("fits");
    assert_eq!(fit.store(&row, &mut out), Ok(Fitted::Done));
    assert_eq!((out[4], out[8], &out[12..16]), (1, 0, &[7, 0, 0, 0][..]), "rounded, clamped, defaulted");
    assert_eq!((fit.counts().rounded["seen"], fit.counts().clamped["count"]), (1, 1));
    let mut fit = Fit::new(&header, &with(&[key, narrow])).expect("fits");
    assert_eq!(fit.store(&row, &mut out).expect_err("does not fit").field.as_deref(), Some("count"));
    let drop = narrow.narrow(shm_state::descriptor::Narrow::Drop);
    let mut fit = Fit::new(&header, &with(&[key, drop])).expect("fits");
    assert_eq!((fit.store(&row, &mut out), fit.counts().dropped_rows), (Ok(Fitted::Dropped), 1));
}

fn more_at(offset: usize) -> FieldDesc {
    FieldDesc::new(9, "more", FieldType::Unsigned, offset, 4).default_number(7)
}

#[test]
fn lists_of_other_lengths_are_filled_cut_or_refused() {
    use shm_state::descriptor::{Case, FieldSpec, Narrow};
    use shm_state::row::Value;
    const CASES: [Case; 2] = [Case::new(1, "up"), Case::new(4, "down")];
    let layout = |elements: usize, default: bool, narrow| {
        let entry = FieldDesc::new(1, "rates", FieldType::Unsigned, 0, 2).narrow(narrow);
        let entry = if default { entry.default_number(7) } else { entry };
        let state = FieldSpec::new(FieldDesc::new(2, "state", FieldType::Enum, 24, 1)).cases(&CASES);
        let specs = [FieldSpec::new(entry).array(elements), state];
        Descriptor::from_specs(9, 2, "lists", 32, &specs).expect("valid")
    };
    let from = layout(3, false, Narrow::Refuse);
    let mut record = [0_u8; 32];
    record[..6].copy_from_slice(&[1, 0, 2, 0, 3, 0]);
    record[24] = 4;
    let items = items(&written(&from, &[(1, Some(record.to_vec()))])).expect("readable");
    let (Item::Table(header), Item::Row { slot, .. }) = (&items[0], &items[1]) else { panic!("{items:?}") };
    let row = slot.row.clone().expect("a live slot");
    assert_eq!(row.to_string(), "rates=[1,2,3] state=down");
    let store = |to: &Descriptor, row| {
        let mut fit = Fit::new(header, to).expect("the header fits");
        let mut out = vec![0; 32];
        fit.store(row, &mut out).map(|fitted| (fitted, to.decode(&out).to_string(), fit.counts().clone()))
    };
    let (_, text, _) = store(&layout(5, true, Narrow::Refuse), &row).expect("fits");
    assert_eq!(text, "rates=[1,2,3,7,7] state=down");
    let refused = Fit::new(header, &layout(5, false, Narrow::Refuse)).expect_err("no default");
    assert_eq!((refused.kind, refused.field.as_deref()), (RefusalKind::MissingField, Some("rates")));
    let (fitted, text, counts) = store(&layout(2, false, Narrow::Clamp), &row).expect("cut");
    assert_eq!((fitted, text.as_str(), counts.clamped["rates"]), (Fitted::Done, "rates=[1,2] state=down", 1));
    let (fitted, _, counts) = store(&layout(2, false, Narrow::Drop), &row).expect("dropped");
    assert_eq!((fitted, counts.dropped_rows), (Fitted::Dropped, 1));
    assert!(store(&layout(2, false, Narrow::Refuse), &row).is_err());
    let mut unknown = row.clone();
    unknown.insert(2, "state", Value::Enum(3));
    let refused = store(&from, &unknown).expect_err("no such case");
    assert_eq!(refused.field.as_deref(), Some("state"));
}
