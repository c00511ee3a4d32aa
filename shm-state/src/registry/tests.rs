//! What fails the build, tried at run time, and descriptors held against a registry.

use super::*;
use crate::descriptor::{Case, FieldDesc, FieldType};

const CASES: &[Case] = &[Case::new(1, "up")];
const RENAMED: &[Case] = &[Case::new(1, "upper")];
const A: &[FieldSpec<'static>] = &[
    FieldSpec::new(FieldDesc::new(1, "a", FieldType::Unsigned, 0, 4).unit(Unit::Bytes)),
    FieldSpec::new(FieldDesc::new(2, "b", FieldType::Enum, 4, 1)).cases(CASES),
    FieldSpec::new(FieldDesc::new(3, "c", FieldType::Instant, 8, 8).unit(Unit::S)).array(1),
];

fn table(version: u32, fields: &'static [FieldSpec<'static>]) -> Known {
    Known { table: 1, name: "t", version, fields, bytes: || &[] }
}

/// What building a table of the layout `A` and this one says.
fn build(other: Known, retired: &'static [Retired]) -> Result<(), String> {
    let layouts = Box::leak(Box::new([table(1, A), other]));
    let table = Table { name: "t", layouts, retired };
    let checked = std::panic::catch_unwind(|| table.check());
    checked.map_err(|panic| panic.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()))
}

fn fails(entry: FieldSpec<'static>, why: &str) {
    let fields = Box::leak(Box::new([entry]));
    assert_eq!(build(table(2, fields), &[]), Err(format!("layouts: {why}")));
}

#[test]
fn layouts_agree_about_ids_cases_and_versions() {
    assert_eq!(build(table(2, A), &[]), Ok(()));
    let signed = FieldDesc::new(1, "other", FieldType::Signed, 0, 8).unit(Unit::Bytes);
    assert_eq!(build(table(2, Box::leak(Box::new([FieldSpec::new(signed)]))), &[]), Ok(()));
    let meaning = "a field id means something else in another layout";
    fails(FieldSpec::new(FieldDesc::new(1, "a", FieldType::Unsigned, 0, 4)), meaning);
    fails(FieldSpec::new(FieldDesc::new(1, "a", FieldType::Port, 0, 2)), meaning);
    fails(FieldSpec::new(FieldDesc::new(3, "c", FieldType::Instant, 0, 8).unit(Unit::S)), meaning);
    let renamed = FieldSpec::new(FieldDesc::new(2, "b", FieldType::Enum, 0, 1)).cases(RENAMED);
    fails(renamed, "a case number has another name in another layout");
    assert_eq!(build(table(1, A), &[]), Err("layouts: two layouts have the same version".into()));
    let other = |name, table| Known { table, name, version: 2, fields: A, bytes: || &[] };
    assert_eq!(build(other("u", 1), &[]), Err("layouts: a layout is of another table".into()));
    assert_eq!(build(other("t", 2), &[]), Err("layouts: a table has one id in all its layouts".into()));
    const USED: &[Retired] = &[Retired::new(3, "c", &["list", "instant"])];
    let reused = "layouts: the id of a retired field is used again; take a new one";
    assert_eq!(build(table(2, A), USED), Err(reused.into()));
}

#[test]
fn descriptors_of_the_past_are_held_against_it() {
    const RETIRED: &[Retired] =
        &[Retired::new(9, "mark", &["unsigned", "packets"]), Retired::new(8, "l", &["slot_link"])];
    let layouts = Box::leak(Box::new([table(7, A)]));
    let tables = Box::leak(Box::new([Table { name: "t", layouts, retired: RETIRED }]));
    let registry = Registry { tables };
    let check = |specs: &[FieldSpec<'_>], version| {
        registry.check(&Descriptor::from_specs(1, version, "t", 64, specs).expect("good"))
    };
    assert_eq!(check(A, 1), Ok(()));
    let one = |id, ty, len| FieldSpec::new(FieldDesc::new(id, "x", ty, 0, len));
    assert_eq!(check(&[one(8, FieldType::SlotLink, 4)], 1), Ok(()));
    let wrong = |spec| check(&[spec], 1).expect_err("contradicts");
    assert!(matches!(wrong(one(9, FieldType::Unsigned, 4)), Contradiction::Meaning { id: 9, .. }), "no packets");
    assert!(matches!(wrong(one(5, FieldType::Unsigned, 4)), Contradiction::Unknown { id: 5, .. }));
    let renamed = one(2, FieldType::Enum, 1).cases(RENAMED);
    assert!(matches!(wrong(renamed), Contradiction::Meaning { id: 2, .. }));
    assert_eq!(check(A, 7), Err(Contradiction::Changed { table: "t".into(), version: 7 }));
    let other = Descriptor::from_specs(2, 1, "t", 64, A).expect("good");
    assert_eq!(registry.check(&other), Err(Contradiction::Table("t".into())));
}
