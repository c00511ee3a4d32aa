//! The macro's own errors: each names the culprit, at the culprit's span, and says what to do.

use crate::cases;
use crate::expand::{expand, expand_record};
use syn::{DeriveInput, parse_str};

/// The error that a record with these fields gives; `text` is what the span points at.
fn field_error(fields: &str) -> (String, String) {
    error(&format!("#[repr(C)] #[layout(table = 1, name = \"flows\", version = 2)] struct Flow {{ {fields} }}"))
}

fn error(record: &str) -> (String, String) {
    let input: DeriveInput = parse_str(record).expect("Rust syntax");
    let error = expand(&input).expect_err("refused");
    (error.to_string(), error.span().source_text().unwrap_or_default())
}

fn assert_field_error(fields: &str, message: &str, at: &str) {
    assert_eq!(field_error(fields), (message.to_owned(), at.to_owned()), "{fields}");
}

#[test]
fn good_records_expand() {
    let record = r#"
        #[repr(C, align(64))]
        #[layout(table = 1, name = "flows", version = 2)]
        pub struct Flow {
            #[field(id = 1, ip, key)] client: [u8; 16],
            #[field(id = 2, instant = "ns", compute = "now")] seen: Nanos,
            #[field(id = 3, unsigned, unit = "packets", narrow = "clamp")] packets: u32,
            #[field(id = 4, enum, default = 1)] r#type: u8,
            #[field(id = 5, unsigned, range = 1..=64)] rates: [u32; 4],
            #[field(id = 6, ip)] hops: [[u8; 16]; 2],
            #[field(id = 7, cases = Health)] health: u8,
            #[field(nested, base = 100)] local: Endpoint,
            #[field(skip)] pad: [u8; 3],
        }"#;
    let input: DeriveInput = parse_str(record).expect("Rust syntax");
    let text = expand(&input).expect("expands").to_string();
    for part in [
        "impl :: shm_state :: descriptor :: Record for Flow",
        "facts_len (< Flow as",
        "offset_of ! (Flow , seen)",
        "FieldType :: Instant",
        "Unit :: Ns",
        "Narrow :: Clamp",
        "default_number (1i128)",
        "\"type\"",
        "array (:: core :: mem :: size_of :: < [u32 ; 4] > () / :: core :: mem :: size_of :: < u32 > ()) . range (1i128 , 64i128)",
        "array (:: core :: mem :: size_of :: < [[u8 ; 16] ; 2] > ()",
        "cases (< Health as :: shm_state :: descriptor :: Cases > :: CASES)",
        "base : 100u32 , name : \"local\" , specs : < Endpoint as :: shm_state :: descriptor :: Record > :: SPECS",
    ] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
}

#[test]
fn the_record_must_have_one_fixed_shape() {
    let cases = [
        ("struct Flow { a: u8 }", "a layout needs #[repr(C)], so that its fields stay where they are"),
        ("#[repr(packed)] struct Flow { a: u8 }", "a layout needs #[repr(C)], so that its fields stay where they are"),
        ("#[repr(C)] struct Flow(u8);", "a layout is a struct with named fields"),
        ("enum Flow { A }", "a layout is a struct with named fields"),
        (
            "#[repr(C)] struct Flow<T> { a: T }",
            "a layout is one fixed set of bytes: the struct can have no type parameters",
        ),
        ("#[repr(C)] struct Flow { a: u8 }", "missing `table` in #[layout(table = 1, name = \"flows\", version = 1)]"),
        (
            "#[repr(C)] #[layout(table = 1, name = \"flows\", version = 1)] struct Flow { #[field(skip)] a: u8 }",
            "a layout needs at least one field with an id",
        ),
    ];
    for (record, message) in cases {
        assert_eq!(error(record), (message.to_owned(), "Flow".to_owned()));
    }
}

#[test]
fn the_layout_attribute_is_checked() {
    let layout = |words: &str| error(&format!("#[repr(C)] #[layout({words})] struct Flow {{ }}"));
    assert_eq!(layout("table = 0").0, "`table` is a number from 1 to 4294967295");
    assert_eq!(layout("table = 1, table = 2").0, "`table` is said twice");
    assert_eq!(
        layout("tabel = 1"),
        ("unknown layout key `tabel`; expected table, name, version or secret".into(), "tabel".into())
    );
    let rule = "1 to 32 letters, digits, '_', '-' and '.'";
    assert_eq!(layout("name = \"my flows\"").0, format!("`my flows` is not a name that can be stored: {rule}"));
}

#[test]
fn ids_and_names_are_unique_and_every_field_is_decided() {
    assert_field_error("a: u8", "field `a` needs #[field(id = ...)], or #[field(skip)] if it is padding", "a");
    assert_field_error("#[field(unsigned)] a: u8", "field `a` has no id; ids are stable and start at 1", "a");
    assert_field_error("#[field(id = 0)] a: u8", "`id` is a number from 1 to 4294967295", "0");
    assert_field_error("#[field(id = 1)] a: u8, #[field(id = 1)] b: u8", "id 1 belongs to field `a` already", "id");
    assert_field_error(
        "#[field(id = 1, name = \"b\")] a: u8, #[field(id = 2)] b: u8",
        "name `b` belongs to field `a` already",
        "b",
    );
    assert_field_error("#[field(skip, id = 1)] a: u8", "field `a` is skipped and can have nothing else", "a");
}

const WIDTHS: &str = "an integer has 1, 2, 4 or 8 bytes: values are carried in words; keep a wider one as bytes";

#[test]
fn types_and_widths_agree() {
    let cases = [
        ("instant = \"ns\"", "u16", "an instant field is a u32 or u64"),
        ("ip", "[u8; 4]", "an ip field is a [u8; 16], IPv4 as a mapped address"),
        ("ip", "u128", "an ip field is a [u8; 16], IPv4 as a mapped address"),
        ("port", "u32", "a port field is a u16 in host order"),
        ("signed", "u32", "a signed field is an i8, i16, i32 or i64"),
        ("unsigned", "u128", WIDTHS),
        ("signed", "i128", WIDTHS),
        ("unsigned", "[u128; 2]", WIDTHS),
        ("signed", "[u32; 2]", "a signed field is an i8, i16, i32 or i64"),
        ("port", "[u8; 2]", "a port field is a u16 in host order"),
        ("bytes", "[[[u8; 2]; 2]; 2]", "an array has elements of a plain type; lists of lists there are none"),
        ("bool", "u16", "a bool field is a u8"),
        ("bool", "bool", "Rust's bool has invalid bit patterns; use a u8 with #[field(bool)]"),
        ("enum", "u64", "an enum field is a u8, u16 or u32"),
        ("bytes", "u64", "a bytes field is a [u8; N]"),
        ("slot_link", "u16", "a slot_link field is a u32 or u64"),
    ];
    for (word, ty, why) in cases {
        assert_field_error(&format!("#[field(id = 1, {word})] a: {ty}"), &format!("field `a`: {why}"), ty);
    }
    assert_field_error(
        "#[field(id = 1)] a: Opaque",
        "say what field `a` is: unsigned, signed, bytes, ip, ...",
        "Opaque",
    );
    assert_field_error("#[field(id = 1, ip, port)] a: u16", "a field has one type; this one is Ip already", "port");
    assert_field_error("#[field(id = 1, ipv4)] a: u32", "unknown field key `ipv4`", "ipv4");
}

#[test]
fn units_and_policies_suit_the_type() {
    let units = "`instant` takes one of \"ns\", \"us\", \"ms\", \"s\"";
    assert_field_error("#[field(id = 1, instant)] a: u64", units, "instant");
    assert_field_error("#[field(id = 1, instant = \"h\")] a: u64", units, "\"h\"");
    assert_field_error(
        "#[field(id = 1, unit = \"bits\")] a: u64",
        "`unit` takes one of \"none\", \"bytes\", \"packets\"",
        "\"bits\"",
    );
    let only = "field `a`: only integers and times have a unit";
    assert_field_error("#[field(id = 1, port, unit = \"bytes\")] a: u16", only, "unit");
    assert_field_error(
        "#[field(id = 1, instant = \"ns\", unit = \"bytes\")] a: u64",
        "`unit` is said twice",
        "unit = \"bytes\"",
    );
    assert_field_error(
        "#[field(id = 1, enum, narrow = \"clamp\")] a: u8",
        "field `a`: the nearest number would be another case or slot; use refuse or drop",
        "narrow",
    );
    assert_field_error(
        "#[field(id = 1, ip, narrow = \"drop\")] a: [u8; 16]",
        "field `a`: a value of this type always fits",
        "narrow",
    );
}

#[test]
fn defaults_are_of_the_fields_type() {
    let both = "field `a` can be computed or have a default, not both";
    assert_field_error("#[field(id = 1, default = 1, compute = \"f\")] a: u8", both, "compute");
    let cases = [
        ("unsigned", "u8", "true", "a number"),
        ("bool", "u8", "1", "true or false"),
        ("ip", "[u8; 16]", "\"localhost\"", "an IP address as text"),
        ("bytes", "[u8; 4]", "\"text\"", "a byte string, b\"...\""),
    ];
    for (word, ty, default, want) in cases {
        let message = format!("the default of field `a` must be {want}");
        assert_field_error(&format!("#[field(id = 1, {word}, default = {default})] a: {ty}"), &message, default);
    }
}

#[test]
fn ranges_and_cases_suit_the_type() {
    let ends = "`range` is from the lowest to the highest valid number, both included: 1..=64";
    for range in ["1..64", "1..", "9..=1", "low..=high"] {
        assert_field_error(&format!("#[field(id = 1, range = {range})] a: u8"), ends, range);
    }
    let only = "field `a`: only integers and times have a range";
    assert_field_error("#[field(id = 1, port, range = 1..=9)] a: u16", only, "range");
    assert_field_error(
        "#[field(id = 1, unsigned, cases = Health)] a: u8",
        "field `a`: only an enum has cases",
        "cases",
    );
    assert_field_error(
        "#[field(id = 1, cases = Health, narrow = \"clamp\")] a: u8",
        "field `a`: the nearest number would be another case or slot; use refuse or drop",
        "narrow",
    );
}

#[test]
fn parts_say_nothing_but_their_base() {
    assert_field_error(
        "#[field(nested)] a: Inner",
        "field `a` is nested and needs base = ..., which is added to the inner ids",
        "a",
    );
    assert_field_error(
        "#[field(nested, base = 100, key)] a: Inner",
        "field `a` is nested: only base and name are said here, all else in the inner record",
        "a",
    );
    assert_field_error(
        "#[field(nested, base = 100)] a: [Inner; 2]",
        "field `a` is an array of records; make each of them a nested field, with a base of its own",
        "a",
    );
    assert_field_error("#[field(id = 1, base = 2)] a: u8", "field `a` has a base, and only nested records do", "a");
    assert_field_error("#[field(skip, nested)] a: u8", "field `a` is skipped and can have nothing else", "a");
    let part: DeriveInput = parse_str("struct Part { #[field(id = 1)] a: u8 }").expect("Rust syntax");
    let error = expand_record(&part).expect_err("refused").to_string();
    assert_eq!(error, "a layout needs #[repr(C)], so that its fields stay where they are");
}

#[test]
fn cases_have_numbers_and_names_of_their_own() {
    let error = |text: &str| {
        let input: DeriveInput = parse_str(text).expect("Rust syntax");
        cases::expand(&input).expect_err("refused").to_string()
    };
    assert_eq!(error("struct Health { a: u8 }"), "cases are those of an enum");
    assert_eq!(error("enum Health { }"), "an enum without variants has no cases");
    assert_eq!(
        error("enum Health { Up = 1, Down }"),
        "case `Down` needs its number, written down: numbers are for ever"
    );
    assert_eq!(error("enum Health { Up(u8) = 1 }"), "case `Up` has fields, and a record keeps nothing but its number");
    let literal = "case `Up` has a number that is not a literal from 0 to 4294967295";
    assert_eq!(error("enum Health { Up = 1 + 1 }"), literal);
    assert_eq!(error("enum Health { Up = -1 }"), literal);
    assert_eq!(error("enum Health { Up = 1, #[case(name = \"up\")] Alive = 2 }"), "another case is named `up`");
    assert_eq!(error("enum Health { #[case(nom = \"up\")] Alive = 2 }"), "unknown case key; expected name");
    let input: DeriveInput =
        parse_str("enum Health { GoingDown = 7, #[case(name = \"alive\")] Up = 1 }").expect("Rust syntax");
    let text = cases::expand(&input).expect("expands").to_string();
    let (alive, down) = (text.find("new (1u32 , \"alive\")"), text.find("new (7u32 , \"going-down\")"));
    assert!(alive.is_some() && alive < down, "sorted by number: {text}");
}

#[test]
fn all_fields_are_reported_at_once() {
    let record = "#[repr(C)] #[layout(table = 1, name = \"f\", version = 1)] struct F { a: u8, b: u8 }";
    let input: DeriveInput = parse_str(record).expect("Rust syntax");
    assert_eq!(expand(&input).expect_err("refused").into_iter().count(), 2);
}
