//! What plans do, refuse and say, case by case; `tests/layout_translate.rs` has the random cases.

use super::*;
use crate::descriptor::{Descriptor, FieldDesc, FieldType, Narrow, Unit};
use crate::row::{RowView, Value};
use crate::schema::Schema;

use FieldType::{Bool, Bytes, Duration, Enum, Instant, Ip, Port, Signed, SlotLink, Unsigned};

/// What an entry has besides id, name, type and width.
type More = fn(FieldDesc) -> FieldDesc;

/// A layout of table 1 whose fields follow each other: (id, name, type, width) and more.
fn layout(version: u32, fields: &[(u32, &str, FieldType, usize, More)]) -> Descriptor {
    let mut offset = 0;
    let entries: Vec<_> = fields
        .iter()
        .map(|&(id, name, ty, len, more)| {
            let entry = more(FieldDesc::new(id, name, ty, offset, len));
            offset += len;
            entry
        })
        .collect();
    let record_len = (offset as u32).next_multiple_of(8);
    Descriptor::from_fields(1, version, "flows", record_len, &entries).expect("a valid layout")
}

fn plain(entry: FieldDesc) -> FieldDesc {
    entry
}

/// The layouts of a product: reordered, two counters widened, a unit changed, a field dropped, two added.
fn v1() -> Descriptor {
    layout(
        1,
        &[
            (1, "client", Ip, 16, FieldDesc::key),
            (2, "client_port", Port, 2, FieldDesc::key),
            (3, "local_port", Port, 2, FieldDesc::key),
            (4, "packets_up", Unsigned, 4, |e| e.unit(Unit::Packets).narrow(Narrow::Clamp)),
            (5, "last_seen", Instant, 8, |e| e.unit(Unit::Us).narrow(Narrow::Clamp)),
            (6, "route_hint", Unsigned, 8, |e| e.default_number(0)),
        ],
    )
}

fn v2() -> Descriptor {
    layout(
        2,
        &[
            (5, "last_seen", Instant, 8, |e| e.unit(Unit::Ns)),
            (4, "packets_up", Unsigned, 8, |e| e.unit(Unit::Packets)),
            (1, "client", Ip, 16, FieldDesc::key),
            (2, "peer_port", Port, 2, FieldDesc::key),
            (3, "local_port", Port, 2, FieldDesc::key),
            (7, "class", Enum, 1, |e| e.default_number(3)),
            (8, "assured", Bool, 1, |e| e.compute("assured")),
        ],
    )
}

fn schema() -> Schema {
    Schema::new("flows").compute("assured", |view| Value::Bool(view.unsigned(4).is_some_and(|packets| packets > 9)))
}

fn texts(plan: &Plan) -> Vec<String> {
    plan.fields().iter().map(ToString::to_string).collect()
}

fn record(descriptor: &Descriptor, values: &[(u32, Value)]) -> Vec<u8> {
    let mut record = vec![0; descriptor.record_len()];
    for (id, value) in values {
        let field = descriptor.field(*id).expect("a known field");
        assert_eq!(store::store(field, value, &mut record[field.offset()..field.end()]), store::Stored::Fits);
    }
    record
}

#[test]
fn a_dry_run_says_what_happens_to_each_field() {
    let up = Plan::compile(&v1(), &v2()).expect("compiles");
    assert_eq!(
        texts(&up),
        [
            "client: copied",
            "peer_port: copied (was client_port)",
            "local_port: copied",
            "packets_up: widened u32 → u64",
            "last_seen: converted us → ns, refused if a value does not fit",
            "class: defaulted to 3",
            "assured: computed by `assured`",
            "route_hint: not in the new layout",
        ]
    );
    assert!(up.lossy() && !up.is_identity());
    let down = Plan::compile(&v2(), &v1()).expect("compiles");
    assert_eq!(
        texts(&down)[3..],
        [
            "packets_up: narrowed u64 → u32, clamped and counted where it does not fit",
            "last_seen: converted ns → us, rounded down",
            "route_hint: defaulted to 0",
            "class: not in the new layout",
            "assured: not in the new layout",
        ]
    );
    let json = serde_json::to_string(&up.fields()[3]).expect("serialises");
    assert_eq!(json, r#"{"id":4,"field":"packets_up","action":"widened","from":"u32","to":"u64","lossy":false}"#);
    assert_eq!(serde_json::from_str::<FieldAction>(&json).expect("comes back"), up.fields()[3]);
}

#[test]
fn records_go_up_and_down() {
    let up = Plan::compile(&v1(), &v2()).expect("compiles");
    let source = record(
        &v1(),
        &[
            (1, Value::Ip([10, 0, 0, 1].into())),
            (2, Value::Port(53)),
            (4, Value::Unsigned(10)),
            (5, Value::Instant(5_000)),
            (6, Value::Unsigned(77)),
        ],
    );
    let mut there = vec![0xee; v2().record_len()];
    let mut loss = Loss::new(&up);
    assert_eq!(up.bind(&schema()).expect("binds").run(&source, &mut there, &mut loss), RowOutcome::Done);
    assert_eq!(
        v2().decode(&there).to_string(),
        "client=10.0.0.1 peer_port=53 local_port=0 packets_up=10 last_seen=0.000005s class=3 assured=true"
    );
    let json = serde_json::to_string(&loss).expect("serialises");
    assert_eq!(
        json,
        r#"{"table":"flows","rows":1,"clamped":[],"rounded":[],"rows_dropped":[],"rows_refused":[],"defaulted":[{"field":"class","count":1}],"fields_dropped":[{"field":"route_hint","count":1}]}"#
    );

    let large = record(&v2(), &[(4, Value::Unsigned(1 << 40)), (5, Value::Instant(1_999))]);
    let down = Plan::compile(&v2(), &v1()).expect("compiles");
    let mut back = vec![0xee; v1().record_len()];
    let mut loss = Loss::new(&down);
    assert_eq!(down.bind(&schema()).expect("binds").run(&large, &mut back, &mut loss), RowOutcome::Done);
    assert_eq!(v1().decode(&back).get("packets_up"), Some(&Value::Unsigned(u32::MAX.into())));
    assert_eq!(v1().decode(&back).get("last_seen"), Some(&Value::Instant(1_000)));
    let report = loss.report();
    assert_eq!(report.clamped, [FieldCount { field: "packets_up".into(), count: 1 }]);
    assert_eq!(report.rounded, [FieldCount { field: "last_seen".into(), count: 1 }]);
}

#[test]
fn equal_layouts_are_one_run_and_need_no_translation() {
    let plan = Plan::compile(&v2(), &v2()).expect("compiles");
    assert!(plan.is_identity() && !plan.lossy());
    assert_eq!(plan.steps().len(), 2, "one run of copies, one of padding: {:?}", plan.steps());
}

/// Compiles a plan for one field between two types, in tables of one name.
fn one(from: (FieldType, usize, More), to: (FieldType, usize, More)) -> Result<Plan, Refusal> {
    Plan::compile(&layout(1, &[(1, "x", from.0, from.1, from.2)]), &layout(2, &[(1, "x", to.0, to.1, to.2)]))
}

fn kind(result: Result<Plan, Refusal>) -> RefusalKind {
    let refusal = result.expect_err("refused");
    assert!(!refusal.remedy.is_empty() && refusal.to_string().starts_with("table flows, field x: "), "{refusal}");
    refusal.kind
}

#[test]
fn what_cannot_be_translated_is_refused_by_name() {
    let us: More = |e| e.unit(Unit::Us);
    let ns: More = |e| e.unit(Unit::Ns);
    assert_eq!(kind(one((Ip, 16, plain), (Bytes, 16, plain))), RefusalKind::OtherMeaning);
    assert_eq!(kind(one((Unsigned, 2, plain), (Port, 2, plain))), RefusalKind::OtherMeaning);
    assert_eq!(kind(one((Unsigned, 8, |e| e.unit(Unit::Bytes)), (Unsigned, 8, plain))), RefusalKind::OtherMeaning);
    assert_eq!(kind(one((Instant, 8, ns), (Duration, 8, ns))), RefusalKind::OtherMeaning);
    assert_eq!(kind(one((Bytes, 8, plain), (Bytes, 4, plain))), RefusalKind::BytesShrink);
    assert_eq!(kind(one((Unsigned, 8, FieldDesc::key), (Unsigned, 8, plain))), RefusalKind::Key);
    let clamped: More = |e| e.key().narrow(Narrow::Clamp);
    assert_eq!(kind(one((Unsigned, 8, FieldDesc::key), (Unsigned, 4, clamped))), RefusalKind::Key);
    assert_eq!(
        kind(one((Instant, 8, |e| e.unit(Unit::Ns).key()), (Instant, 8, |e| e.unit(Unit::S).key()))),
        RefusalKind::Key
    );
    assert!(one((Unsigned, 8, FieldDesc::key), (Unsigned, 4, FieldDesc::key)).is_ok(), "narrow = refuse is safe");
    assert!(one((Instant, 8, us), (Instant, 8, ns)).is_ok());

    let (y, x) = (layout(1, &[(2, "y", Unsigned, 8, |e| e.default_number(0))]), |more| {
        layout(2, &[(1, "x", Unsigned, 8, more)])
    });
    assert_eq!(kind(Plan::compile(&y, &x(plain))), RefusalKind::MissingField);
    assert_eq!(kind(Plan::compile(&y, &x(|e| e.key().default_number(1)))), RefusalKind::Key);
    assert_eq!(kind(Plan::compile(&x(FieldDesc::key), &y)), RefusalKind::Key);
    assert!(Plan::compile(&y, &x(|e| e.default_number(1))).is_ok());

    let other = Descriptor::from_fields(2, 1, "conns", 8, &[FieldDesc::new(1, "x", Unsigned, 0, 8)]).expect("valid");
    let refusal = Plan::compile(&other, &x(plain)).expect_err("refused");
    assert_eq!((refusal.kind, refusal.field), (RefusalKind::OtherTable, None));
}

#[test]
fn functions_are_resolved_when_the_plan_is_bound() {
    let plan = Plan::compile(&v1(), &v2()).expect("compiles");
    let refusal = plan.bind(&Schema::new("flows")).expect_err("refused");
    assert_eq!((refusal.kind, refusal.field.as_deref()), (RefusalKind::UnknownFunction, Some("assured")));
    assert_eq!(plan.bind(&Schema::new("conns")).expect_err("refused").kind, RefusalKind::OtherTable);
    let strange = layout(3, &[(4, "packets_up", Ip, 16, plain)]);
    let learned = schema().learn(&strange).expect("learns");
    assert_eq!(plan.bind(&learned).expect_err("refused").kind, RefusalKind::OtherMeaning);
    assert_eq!(learned.learn(&v1()).expect_err("refused").kind, RefusalKind::OtherMeaning);
    assert_eq!(schema().learn(&v1()).and_then(|schema| schema.learn(&v2())).expect("learns").fields().len(), 8);
}

/// Runs one number through a plan for one field; gives the outcome and the number that was stored.
fn through(plan: &Plan, number: u64) -> (RowOutcome, u64) {
    let runner = plan.bind(&schema()).expect("binds");
    let mut record = vec![0; plan.source().record_len()];
    let len = plan.source().fields()[0].len();
    record[..len].copy_from_slice(&number.to_le_bytes()[..len]);
    let mut out = vec![0; plan.destination().record_len()];
    let (outcome, _) = runner.run_marked(&record, &mut out);
    (outcome, crate::row::load(&out[..plan.destination().fields()[0].len()]))
}

#[test]
fn thresholds_hold_on_both_sides() {
    let refused = RowOutcome::Refused { field: 1 };
    let plan = one((Unsigned, 4, plain), (Unsigned, 2, plain)).expect("compiles");
    assert_eq!(through(&plan, 0xffff), (RowOutcome::Done, 0xffff));
    assert_eq!(through(&plan, 0x1_0000).0, refused);
    let plan = one((Unsigned, 4, plain), (Unsigned, 2, |e| e.narrow(Narrow::Drop))).expect("compiles");
    assert_eq!(through(&plan, 0x1_0000).0, RowOutcome::Dropped);

    let plan = one((Signed, 8, plain), (Signed, 1, |e| e.narrow(Narrow::Clamp))).expect("compiles");
    assert_eq!(through(&plan, -128i64 as u64), (RowOutcome::Done, 0x80));
    assert_eq!(through(&plan, -129i64 as u64), (RowOutcome::Done, 0x80));
    assert_eq!(through(&plan, 128), (RowOutcome::Done, 0x7f));
    let plan = one((Signed, 4, plain), (Unsigned, 4, plain)).expect("compiles");
    assert_eq!(through(&plan, 0x7fff_ffff), (RowOutcome::Done, 0x7fff_ffff));
    assert_eq!(through(&plan, 0xffff_ffff).0, refused);
    let plan = one((Signed, 4, plain), (Signed, 8, plain)).expect("compiles");
    assert_eq!(through(&plan, 0xffff_fffe), (RowOutcome::Done, -2i64 as u64));

    let plan = one((Instant, 8, |e| e.unit(Unit::Us)), (Instant, 8, |e| e.unit(Unit::Ns))).expect("compiles");
    let most = u64::MAX / 1_000;
    assert_eq!(through(&plan, most), (RowOutcome::Done, most * 1_000));
    assert_eq!(through(&plan, most + 1).0, refused);
    let plan = one((Duration, 8, |e| e.unit(Unit::Ms)), (Duration, 1, |e| e.unit(Unit::S).narrow(Narrow::Clamp)));
    let plan = plan.expect("compiles");
    assert_eq!(through(&plan, 255_999), (RowOutcome::Done, 255));
    assert_eq!(through(&plan, 256_000), (RowOutcome::Done, 255));

    let plan = one((SlotLink, 8, plain), (SlotLink, 4, plain)).expect("compiles");
    assert_eq!(through(&plan, u64::MAX), (RowOutcome::Done, 0xffff_ffff));
    assert_eq!(through(&plan, 0xffff_fffe), (RowOutcome::Done, 0xffff_fffe));
    assert_eq!(through(&plan, 0xffff_ffff).0, refused);
    let plan = one((SlotLink, 4, plain), (SlotLink, 8, plain)).expect("compiles");
    assert_eq!(through(&plan, 0xffff_ffff), (RowOutcome::Done, u64::MAX));

    let plan = one((Bytes, 4, plain), (Bytes, 2, |e| e.narrow(Narrow::Clamp))).expect("compiles");
    assert_eq!(through(&plan, 0x0403_0201), (RowOutcome::Done, 0x0201));
}

#[test]
fn a_value_that_must_be_refused_is_told_by_table_and_field() {
    let plan = one((Unsigned, 8, plain), (Unsigned, 1, plain)).expect("compiles");
    let mut loss = Loss::new(&plan);
    let runner = plan.bind(&schema()).expect("binds");
    assert!(loss.refusal().is_none());
    assert_eq!(runner.run(&[0, 1, 0, 0, 0, 0, 0, 0], &mut [0; 8], &mut loss), RowOutcome::Refused { field: 1 });
    let refusal = loss.refusal().expect("refused");
    assert_eq!((refusal.kind, refusal.field.as_deref()), (RefusalKind::Value, Some("x")));
    assert_eq!((loss.rows(), loss.refused_rows(), loss.dropped_rows()), (0, 1, 0));
}

#[test]
fn a_function_that_gives_another_type_is_refused() {
    let from = layout(1, &[(2, "y", Unsigned, 8, plain)]);
    let to = layout(2, &[(1, "x", Bool, 1, |e| e.compute("assured")), (2, "y", Unsigned, 8, plain)]);
    let wrong = Schema::new("flows").compute("assured", |_: &RowView<'_>| Value::Port(1));
    let plan = Plan::compile(&from, &to).expect("compiles");
    let runner = plan.bind(&wrong).expect("binds");
    let mut loss = Loss::new(&plan);
    assert_eq!(runner.run(&[0; 8], &mut [0; 16], &mut loss), RowOutcome::Refused { field: 1 });
}

#[test]
fn losses_beyond_the_marks_of_a_row_are_refused() {
    let names: Vec<String> = (1..=70).map(|id| format!("f{id}")).collect();
    let wide = |len: usize| {
        let entries: Vec<_> = (0..70)
            .map(|at| FieldDesc::new(at as u32 + 1, &names[at], Unsigned, at * len, len).narrow(Narrow::Clamp))
            .collect();
        Descriptor::from_fields(1, 1, "flows", (70 * len as u32).next_multiple_of(8), &entries).expect("valid")
    };
    assert!(Plan::compile(&wide(4), &wide(8)).is_ok());
    let refusal = Plan::compile(&wide(8), &wide(4)).expect_err("refused");
    assert_eq!((refusal.kind, refusal.field.as_deref()), (RefusalKind::TooManyLosses, Some("f64")));
}
