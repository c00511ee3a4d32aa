//! The layouts are what executables in the field have in their memory: they never change.

use dataplane::state::backends::BackendRecord;
use dataplane::state::counters::Counters;
use dataplane::state::flow::{FlowRecord, FlowStart};
use dataplane::state::flow_v1::FlowV1;
use dataplane::state::flow_v2::FlowV2;
use dataplane::state::key::FlowKey;
use shm_state::Layout;
use shm_state::translate::{Loss, Plan, RowOutcome};
use zerocopy::{FromBytes, IntoBytes};

/// A fingerprint that differs means: the layout was changed. Make a new version instead, in a file of its own.
#[test]
fn released_layouts_are_frozen() {
    let found = [
        ("flows 1", FlowV1::descriptor().fingerprint()),
        ("flows 2", FlowV2::descriptor().fingerprint()),
        ("counters 1", Counters::descriptor().fingerprint()),
        ("backends 1", BackendRecord::descriptor().fingerprint()),
    ];
    let frozen = [("flows 1", FLOWS_1), ("flows 2", FLOWS_2), ("counters 1", COUNTERS_1), ("backends 1", BACKENDS_1)];
    assert_eq!(found.map(|(name, print)| (name, format!("{print:#018x}"))), frozen.map(|(n, p)| (n, p.to_owned())));
}

/// Every layout in the tree to every other of its table, at once.
#[test]
fn every_pair_of_layouts_has_a_plan() {
    let parse = |bytes| shm_state::Descriptor::parse(bytes).expect("a descriptor").0;
    let mut pairs = 0;
    for table in dataplane::state::LAYOUTS.tables {
        let schema = match table.name {
            "flows" => FlowV2::schema(),
            name => shm_state::schema::Schema::new(name),
        };
        let migrations: Vec<_> = schema.migration_facts().cloned().collect();
        for (from, to) in table.layouts.iter().flat_map(|from| table.layouts.iter().map(move |to| (from, to))) {
            let (from, to) = (parse((from.bytes)()), parse((to.bytes)()));
            let plan = Plan::compile_with(&from, &to, &migrations).unwrap_or_else(|refusal| panic!("{refusal}"));
            plan.bind(&schema).unwrap_or_else(|refusal| panic!("{refusal}"));
            assert_eq!(plan.is_identity(), from == to);
            pairs += 1;
        }
    }
    assert!(pairs >= 6, "{pairs} pairs");
}

const FLOWS_1: &str = "0xfb79d8536ddfd20e";
const FLOWS_2: &str = "0x4183ffe6f3fbbeba";
const COUNTERS_1: &str = "0x1fd6b878e0130331";
const BACKENDS_1: &str = "0x63ba7c2d214562d1";

fn key() -> FlowKey {
    FlowKey { client: [1; 16], local: [2; 16], client_port: 3, local_port: 4, scope: 5, listener: 6 }
}

fn translate<A: FlowRecord, B: FlowRecord>(record: A) -> (B, Loss) {
    let plan = Plan::compile(&A::descriptor(), &B::descriptor()).expect("the two layouts fit");
    let mut loss = Loss::new(&plan);
    let mut to = vec![0; size_of::<B>()];
    let outcome = plan.bind(&B::schema()).expect("functions").run(record.as_bytes(), &mut to, &mut loss);
    assert_eq!(outcome, RowOutcome::Done);
    (B::read_from_bytes(&to).expect("length"), loss)
}

#[test]
fn up_keeps_every_fact_and_computes_the_new_one() {
    for answers in [0, 3] {
        let mut old = FlowV1::new(FlowStart { key: key(), backend: 7, identity: 8, now_ns: 9_000 });
        old.count_up(10_000, 100);
        for _ in 0..answers {
            old.count_down(11_000, 50);
        }
        let (new, loss) = translate::<FlowV1, FlowV2>(old);
        assert!(new.is(&key()) && new.backend() == 7 && new.identity() == 8);
        assert_eq!(new.last_seen_ns(), old.last_seen_ns());
        assert_eq!(new.idle_max_ns(), 0, "defaulted");
        let row = FlowV2::descriptor().decode(new.as_bytes());
        let text = |name| row.get(name).expect("field").to_string();
        assert_eq!(text("answered"), if answers > 0 { "1" } else { "0" });
        assert_eq!((text("packets_up"), text("packets_down")), ("1".to_owned(), answers.to_string()));
        assert!(loss.report().clamped.iter().all(|count| count.count == 0));
    }
}

#[test]
fn down_clamps_what_does_not_fit_and_counts_it() {
    let wide = FlowV2::new(FlowStart { key: key(), backend: 7, identity: 8, now_ns: 9_999 });
    let packets_up = FlowV2::descriptor().field_named("packets_up").expect("field").clone();
    let mut bytes = wide.as_bytes().to_vec();
    let at = packets_up.offset();
    bytes[at..at + 8].copy_from_slice(&(u64::from(u32::MAX) + 1).to_le_bytes());
    let wide = FlowV2::read_from_bytes(&bytes).expect("length");
    let (narrow, loss) = translate::<FlowV2, FlowV1>(wide);
    assert!(narrow.is(&key()));
    assert_eq!(narrow.last_seen_ns(), 9_000, "microseconds");
    let row = FlowV1::descriptor().decode(narrow.as_bytes());
    assert_eq!(row.get("packets_up").expect("field").to_string(), u32::MAX.to_string());
    let clamped: Vec<_> = loss.report().clamped.into_iter().filter(|count| count.count > 0).collect();
    assert_eq!(clamped.len(), 1);
    assert_eq!((clamped[0].field.as_str(), clamped[0].count), ("packets_up", 1));
}
