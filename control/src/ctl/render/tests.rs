use super::*;
use crate::verify::TablePlan;
use handover::messages::{Fault, TableWork};
use serde_json::json;

#[test]
fn columns_of_flows_are_what_the_descriptor_names() {
    let value = json!({
        "flows_live": 2, "flows_max": 64, "columns": ["port", "client"],
        "flows": [{"client": "192.0.2.1", "port": 53}, {"client": "2001:db8::1", "port": 5353}],
    });
    let text = flows(&value);
    assert!(text.trim_start().starts_with("port"), "in the order of the layout");
    assert!(
        text.contains("client") && text.contains("2001:db8::1") && text.ends_with("2 shown, 2 live, room for 64\n")
    );
    assert_eq!(flows(&json!({"flows": [], "flows_live": 0, "flows_max": 1})), "0 shown, 0 live, room for 1\n");
}

#[test]
fn a_status_without_a_dataplane_is_readable() {
    let value = json!({
        "service": "edge", "state": "down", "controld": {"pid": 1, "version": "0.1.0"}, "dataplane": null,
        "flows_live": 0, "flows_max": 0, "swap": null, "swaps": {"committed": 0, "undone": 0, "refused": 1},
    });
    assert!(status(&value).contains("dataplane   none"));
}

#[test]
fn a_report_names_outcome_reason_and_tables() {
    let report = SwapReport {
        id: 7,
        outcome: "undone".into(),
        error: Some(Fault::peer("new-late", "too slow", "wait")),
        blackout_ns: 81_500,
        tables: vec![TableWork { table: "flows".into(), from_version: 1, to_version: 2, ..TableWork::default() }],
        ..SwapReport::default()
    };
    let text = super::report(&json!(report));
    for part in ["7 undone", "too slow (new-late, peer); wait", "81.5 µs", "flows", "1 → 2"] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
}

#[test]
fn a_plan_lists_tables_and_fields() {
    let step = |step, fields| TablePlan {
        table: "flows".into(),
        step,
        from_version: 1,
        to_version: 2,
        records: 10,
        capacity: 64,
        bytes: 4096,
        fields,
    };
    let field =
        json!({"id": 1, "field": "packets_up", "action": "widened", "from": "u32", "to": "u64", "lossy": false});
    let fields = vec![serde_json::from_value(field).expect("a field's action")];
    let view = PlanView {
        binary: "/b".into(),
        sha256: "00".into(),
        layout_changed: true,
        tables: vec![step(TableStep::Translated, fields), step(TableStep::Shared, vec![])],
    };
    let text = plan(&json!(view));
    for part in ["translated", "shared as it is", "packets_up", "widened u32 → u64", "4096"] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
}
