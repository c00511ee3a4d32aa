//! Each policy by itself: what is refused, clamped or dropped, and that it is counted.

use shm_state::Descriptor;
use shm_state::descriptor::{Case, FieldDesc, FieldSpec, FieldType, Narrow, Unit};
use shm_state::row::Value;
use shm_state::schema::Schema;
use shm_state::translate::{Loss, Plan, Refusal, RefusalKind, RowOutcome};

const OLD: &[Case] = &[Case::new(0, "down"), Case::new(1, "up")];
const NEW: &[Case] = &[Case::new(0, "down"), Case::new(1, "up"), Case::new(2, "draining")];

fn layout(version: u32, spec: FieldSpec<'_>) -> Descriptor {
    Descriptor::from_specs(1, version, "t", 32, &[spec]).expect("valid")
}

fn entry(ty: FieldType, len: usize) -> FieldDesc {
    FieldDesc::new(1, "field", ty, 0, len)
}

/// What becomes of a record that begins with `bytes`: the outcome, the field, and how often it was clamped, dropped and
/// refused.
fn run(from: &Descriptor, to: &Descriptor, bytes: &[u8]) -> (RowOutcome, Option<Value>, [u64; 3]) {
    let plan = Plan::compile(from, to).expect("a plan");
    assert!(!plan.is_identity(), "what is to be checked cannot be handed over as it is");
    let mut loss = Loss::new(&plan);
    let (mut source, mut out) = (vec![0; 32], vec![0xee; 32]);
    source[..bytes.len()].copy_from_slice(bytes);
    let outcome = plan.bind(&Schema::new("t")).expect("no functions").run(&source, &mut out, &mut loss);
    let clamped = loss.report().clamped.iter().map(|count| count.count).sum();
    (outcome, to.decode(&out).remove(1), [clamped, loss.dropped_rows(), loss.refused_rows()])
}

/// The same for all three policies: the clamped value, and the others' outcomes.
#[track_caller]
fn assert_policies(from: &Descriptor, to: impl Fn(Narrow) -> FieldSpec<'static>, bytes: &[u8], clamped: Value) {
    let to = |narrow| layout(2, to(narrow));
    assert_eq!(run(from, &to(Narrow::Clamp), bytes), (RowOutcome::Done, Some(clamped), [1, 0, 0]));
    let (outcome, _, counts) = run(from, &to(Narrow::Drop), bytes);
    assert_eq!((outcome, counts), (RowOutcome::Dropped, [0, 1, 0]));
    let (outcome, _, counts) = run(from, &to(Narrow::Refuse), bytes);
    assert_eq!((outcome, counts), (RowOutcome::Refused { field: 1 }, [0, 0, 1]));
}

#[test]
fn a_value_out_of_range() {
    let from = layout(1, FieldSpec::new(entry(FieldType::Unsigned, 4)));
    let to = |narrow| FieldSpec::new(entry(FieldType::Unsigned, 4).narrow(narrow)).range(10, 20);
    assert_policies(&from, to, &[21], Value::Unsigned(20));
    assert_policies(&from, to, &[9], Value::Unsigned(10));
    for within in [10, 20] {
        let fits = run(&from, &layout(2, to(Narrow::Refuse)), &[within]);
        assert_eq!(fits, (RowOutcome::Done, Some(Value::Unsigned(within.into())), [0; 3]));
    }
    let signed = |narrow| FieldSpec::new(entry(FieldType::Signed, 2).narrow(narrow)).range(-5, 5);
    let from = layout(1, FieldSpec::new(entry(FieldType::Signed, 1)));
    assert_policies(&from, signed, &[-6_i8 as u8], Value::Signed(-5));
}

/// A range is in the field's own unit.
#[test]
fn a_time_out_of_range() {
    let time = |unit, narrow| entry(FieldType::Duration, 4).unit(unit).narrow(narrow);
    let from = layout(1, FieldSpec::new(time(Unit::Ms, Narrow::Refuse)).range(0, 10_000));
    let to = |narrow| FieldSpec::new(time(Unit::S, narrow)).range(2, 9);
    assert_policies(&from, to, &10_000_u32.to_le_bytes(), Value::Duration(9_000_000_000));
    assert_policies(&from, to, &1_000_u32.to_le_bytes(), Value::Duration(2_000_000_000));
    let fits = run(&from, &layout(2, to(Narrow::Refuse)), &9_000_u32.to_le_bytes());
    assert_eq!(fits, (RowOutcome::Done, Some(Value::Duration(9_000_000_000)), [0; 3]));
}

#[test]
fn a_case_that_is_unknown() {
    let from = layout(1, FieldSpec::new(entry(FieldType::Enum, 1)).cases(NEW));
    let to = |narrow| FieldSpec::new(entry(FieldType::Enum, 1).default_number(1).narrow(narrow)).cases(OLD);
    assert_policies(&from, to, &[2], Value::Enum(1));
    let fits = run(&from, &layout(2, to(Narrow::Refuse)), &[0]);
    assert_eq!(fits, (RowOutcome::Done, Some(Value::Enum(0)), [0; 3]));
    let unlisted = layout(1, FieldSpec::new(entry(FieldType::Enum, 4)));
    assert_policies(&unlisted, to, &300_u32.to_le_bytes(), Value::Enum(1));
    let last: &[Case] = &[Case::new(1, "up"), Case::new(255, "last")];
    let last = FieldSpec::new(entry(FieldType::Enum, 1).default_number(1).narrow(Narrow::Clamp)).cases(last);
    let refused = Plan::compile(&unlisted, &layout(2, last)).expect_err("300 would become 255");
    assert_eq!(refused.kind, RefusalKind::OtherMeaning);
}

#[test]
fn what_a_source_promises_is_not_checked() {
    let from = layout(1, FieldSpec::new(entry(FieldType::Unsigned, 4)).range(11, 19));
    let to = layout(2, FieldSpec::new(entry(FieldType::Unsigned, 4)).range(10, 20));
    assert!(Plan::compile(&from, &to).expect("a plan").is_identity());
    assert!(!Plan::compile(&to, &from).expect("a plan").is_identity());
    let old = layout(1, FieldSpec::new(entry(FieldType::Enum, 1)).cases(OLD));
    let new = layout(2, FieldSpec::new(entry(FieldType::Enum, 1)).cases(NEW));
    assert!(Plan::compile(&old, &new).expect("a plan").is_identity());
    assert!(!Plan::compile(&new, &old).expect("a plan").is_identity());
}

#[test]
fn an_array_with_fewer_elements() {
    let array = |elements, narrow| FieldSpec::new(entry(FieldType::Unsigned, 2).narrow(narrow)).array(elements);
    let from = layout(1, array(4, Narrow::Refuse));
    let list = |numbers: &[u64]| Value::List(numbers.iter().map(|number| Value::Unsigned(*number)).collect());
    let to = |narrow| layout(2, array(2, narrow));
    let bytes = [1, 0, 2, 0, 0, 0, 4, 0];
    let cut = run(&from, &to(Narrow::Clamp), &bytes);
    assert_eq!(cut, (RowOutcome::Done, Some(list(&[1, 2])), [1, 0, 0]));
    assert_eq!(run(&from, &to(Narrow::Drop), &bytes).2, [0, 1, 0]);
    assert_eq!(run(&from, &to(Narrow::Drop), &bytes[..4]).2, [0; 3], "nothing is missed");
    let refused = Plan::compile(&from, &to(Narrow::Refuse)).expect_err("it may not be cut");
    assert_eq!(refused.kind, RefusalKind::ArrayShrinks);
    assert!(refused.to_string().contains("[u16; 4] does not fit into [u16; 2]"), "{refused}");
}

#[test]
fn an_array_with_more_elements_and_one_with_others() {
    let array = |ty, len, elements, default: Option<i128>| {
        let entry = entry(ty, len);
        FieldSpec::new(default.map_or(entry, |number| entry.default_number(number))).array(elements)
    };
    let from = layout(1, array(FieldType::Unsigned, 1, 2, None));
    let list = |numbers: &[u64]| Value::List(numbers.iter().map(|number| Value::Unsigned(*number)).collect());
    let to = layout(2, array(FieldType::Unsigned, 4, 4, Some(9)));
    assert_eq!(run(&from, &to, &[1, 2]), (RowOutcome::Done, Some(list(&[1, 2, 9, 9])), [0; 3]));
    let kind = |refused: Result<Plan, Refusal>| refused.expect_err("refused").kind;
    let bare = layout(2, array(FieldType::Unsigned, 4, 4, None));
    assert_eq!(kind(Plan::compile(&from, &bare)), RefusalKind::MissingField);
    let single = layout(2, FieldSpec::new(entry(FieldType::Unsigned, 2)));
    assert_eq!(kind(Plan::compile(&from, &single)), RefusalKind::OtherMeaning, "a list is no number");
    // Element by element: one that does not fit is enough.
    let narrow = array(FieldType::Signed, 1, 2, None);
    let refusing = layout(2, narrow);
    assert_eq!(run(&from, &refusing, &[1, 200]).2, [0, 0, 1]);
    assert_eq!(run(&from, &refusing, &[1, 100]).2, [0; 3]);
}

#[test]
fn a_key_is_not_clamped_into_a_range() {
    let from = layout(1, FieldSpec::new(entry(FieldType::Unsigned, 4).key()));
    let to = |narrow| layout(2, FieldSpec::new(entry(FieldType::Unsigned, 4).key().narrow(narrow)).range(0, 9));
    assert_eq!(Plan::compile(&from, &to(Narrow::Clamp)).expect_err("two keys could meet").kind, RefusalKind::Key);
    assert!(Plan::compile(&from, &to(Narrow::Drop)).is_ok());
}
