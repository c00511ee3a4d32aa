//! Random layouts of one table, records of them, and the naive translation between them.

mod naive;
pub use naive::{Counts, naive, schema};

use proptest::prelude::*;
use shm_state::Descriptor;
use shm_state::descriptor::{Case, Field, FieldDesc, FieldSpec, FieldType, Narrow, Unit};

const TIMES: [Unit; 4] = [Unit::Ns, Unit::Us, Unit::Ms, Unit::S];
const CASES: [&[Case]; 3] = [
    &[],
    &[Case::new(0, "none"), Case::new(1, "up"), Case::new(5, "down")],
    &[Case::new(0, "none"), Case::new(5, "down"), Case::new(200, "gone")],
];

/// How one layout holds a field.
#[derive(Debug, Clone)]
pub struct Held {
    present: bool,
    width: usize,
    signed: bool,
    unit: usize,
    narrow: usize,
    gap: usize,
    order: u16,
    default: Option<u64>,
    elements: usize,
    range: Option<(i8, i8)>,
    cases: usize,
}

/// A field in two layouts.
#[derive(Debug, Clone)]
pub struct Shared {
    ty: FieldType,
    key: bool,
    array: bool,
    held: [Held; 2],
}

fn held() -> impl Strategy<Value = Held> {
    let numbers = (0usize..8, any::<bool>(), 0usize..4, 0usize..3, 0usize..4, any::<u16>());
    let facts = (1usize..5, prop::option::weighted(0.25, (-20i8..20, 0i8..90)), 0usize..3);
    (prop::bool::weighted(0.8), numbers, prop::option::of(any::<u64>()), facts).prop_map(
        |(present, (width, signed, unit, narrow, gap, order), default, (elements, range, cases))| Held {
            present,
            width,
            signed,
            unit,
            narrow,
            gap,
            order,
            default,
            elements,
            range,
            cases,
        },
    )
}

pub fn shared() -> impl Strategy<Value = Shared> {
    let ty = prop::sample::select(FieldType::ALL);
    (ty, prop::bool::weighted(0.1), prop::bool::weighted(0.25), held(), held()).prop_map(|(ty, key, array, a, b)| {
        let ty = if ty == FieldType::Signed { FieldType::Unsigned } else { ty };
        Shared { ty, key, array, held: if key { [a.clone(), a] } else { [a, b] } }
    })
}

pub fn layout(fields: &[Shared], which: usize) -> Option<Descriptor> {
    let mut chosen: Vec<_> = fields.iter().enumerate().filter(|(_, field)| field.held[which].present).collect();
    chosen.sort_by_key(|(_, field)| field.held[which].order);
    let mut specs = Vec::new();
    let mut offset = 0;
    for (index, shared) in chosen {
        offset += shared.held[which].gap;
        let spec = spec(index as u32 + 1, shared, which, offset);
        offset += spec.entry.len.get() as usize;
        specs.push(spec);
    }
    let record_len = (offset.max(1) as u32).next_multiple_of(8);
    (!specs.is_empty())
        .then(|| Descriptor::from_specs(1, which as u32 + 1, "random", record_len, &specs).expect("valid"))
}

fn spec(id: u32, Shared { ty, key, array, held }: &Shared, which: usize, offset: usize) -> FieldSpec<'static> {
    let Held { width, signed, unit, narrow, default, elements, range, cases, .. } = &held[which];
    let ty = if *ty == FieldType::Unsigned && *signed { FieldType::Signed } else { *ty };
    let len = match ty {
        FieldType::Unsigned | FieldType::Signed | FieldType::Duration => [1, 2, 4, 8][width % 4],
        FieldType::Bool => 1,
        FieldType::Enum => [1, 2, 4][width % 3],
        FieldType::Bytes => width * 3 + 1,
        FieldType::Ip => 16,
        FieldType::Port => 2,
        FieldType::Instant | FieldType::SlotLink => [4, 8][width % 2],
    };
    let cases = if ty == FieldType::Enum { CASES[*cases] } else { &[] };
    let ranged = matches!(ty, FieldType::Unsigned | FieldType::Signed | FieldType::Instant | FieldType::Duration);
    let range = range.filter(|_| ranged).map(|(min, span)| {
        let min = if ty == FieldType::Signed { min } else { min.abs() };
        (i128::from(min), i128::from(min) + i128::from(span))
    });
    let narrow = match ty {
        FieldType::Bool | FieldType::Ip | FieldType::Port => Narrow::Refuse,
        FieldType::Enum if !cases.is_empty() && default.is_some() => Narrow::ALL[*narrow],
        FieldType::Enum | FieldType::SlotLink => [Narrow::Refuse, Narrow::Drop][narrow % 2],
        _ => Narrow::ALL[*narrow],
    };
    let mut entry = FieldDesc::new(id, &format!("f{id}"), ty, offset, len).narrow(narrow);
    if matches!(ty, FieldType::Instant | FieldType::Duration) {
        entry = entry.unit(TIMES[*unit]);
    }
    if *key {
        entry = entry.key();
    }
    entry = match default {
        Some(default) => match (range, cases) {
            (Some((min, max)), _) => entry.default_number(min + i128::from(*default) % (max - min + 1)),
            (None, []) => entry.default_bytes(&default.to_le_bytes()[..len.min(8)]),
            (None, cases) => entry.default_number(cases[*default as usize % cases.len()].number.get().into()),
        },
        None if *array && ty == FieldType::Unsigned => entry.compute("list"),
        // Half of the functions read rows, half a number.
        None if id.is_multiple_of(4) => entry.compute("first-is-not-0"),
        None if id.is_multiple_of(2) => entry.compute("from-first"),
        None => entry.compute(ty.name()),
    };
    let mut spec = FieldSpec::new(entry).cases(cases);
    if *array {
        spec = spec.array(*elements);
    }
    if let Some((min, max)) = range {
        spec = spec.range(min, max);
    }
    spec
}

/// Bytes that are often at the ends of their ranges.
pub fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(0xff), Just(0x7f), Just(0x80), any::<u8>()];
    let run = (byte, 1usize..9).prop_map(|(byte, len)| vec![byte; len]);
    prop::collection::vec(run, 60).prop_map(|runs| runs.concat())
}

/// A record of this layout that begins with `bytes`, but for values that its writer may not have put there.
pub fn record(bytes: &[u8], layout: &Descriptor) -> Vec<u8> {
    let mut record = bytes.to_vec();
    record.resize(layout.record_len(), 0x5a);
    for field in layout.fields() {
        for element in record[field.offset()..field.end()].chunks_exact_mut(field.element_len()) {
            obey(field, element);
        }
    }
    record
}

fn obey(field: &Field, element: &mut [u8]) {
    let number = element.iter().rev().take(8).fold(0i128, |number, byte| number << 8 | i128::from(*byte));
    let valid = match (field.range(), field.cases()) {
        // Often at the ends.
        (Some((min, max)), _) => match number % 3 {
            0 => min,
            1 => max,
            _ => min + number % (max - min + 1),
        },
        (None, Some(cases)) => cases.iter().nth(number as usize % cases.len()).map_or(0, |(case, _)| case.into()),
        (None, None) => return,
    };
    element.copy_from_slice(&valid.to_le_bytes()[..element.len()]);
}
