//! Planted faults: one thing done wrong is counted exactly once, in the right column, and fails the run.

use benches::check::verdict::Verdict;
use benches::relay::{Fault, trial};

/// The bad counts that are not zero, and how many packets are missing.
fn wrong(verdict: &Verdict) -> (Vec<(&'static str, u64)>, u64) {
    let bad = verdict.bad().into_iter().filter(|&(_, count)| count > 0).collect();
    (bad, verdict.sent - verdict.received)
}

#[track_caller]
fn expect(fault: Fault, bad: &[(&'static str, u64)], missing: u64) {
    let verdict = trial(fault).expect("a trial");
    assert!(verdict.sent > 100, "{fault:?}: only {} sent", verdict.sent);
    assert_eq!(verdict.offered, verdict.sent, "{fault:?}");
    assert_eq!(wrong(&verdict), (bad.to_vec(), missing), "{fault:?}: {verdict:?}");
    assert_eq!(verdict.failures().is_empty(), bad.is_empty(), "{fault:?} must decide the run");
}

#[test]
fn a_faultless_run_passes() {
    expect(Fault::None, &[], 0);
}

#[test]
fn one_dropped_request_or_reply_is_lost() {
    expect(Fault::DropRequest, &[("lost", 1)], 1);
    expect(Fault::DropReply, &[("lost", 1)], 1);
}

#[test]
fn one_doubled_request_or_reply_is_duplicated() {
    expect(Fault::DoubleRequest, &[("duplicated", 1)], 0);
    expect(Fault::DoubleReply, &[("duplicated", 1)], 0);
}

#[test]
fn one_overtaken_request_is_reordered() {
    expect(Fault::ReorderRequests, &[("reordered", 1)], 0);
}

#[test]
fn one_reply_to_another_client_is_misrouted() {
    expect(Fault::Misroute, &[("misrouted", 1)], 1);
}

#[test]
fn one_reply_from_another_address_is_misrouted() {
    expect(Fault::WrongSource, &[("misrouted", 1)], 1);
}

#[test]
fn a_flow_with_a_new_upstream_port_changed_its_source() {
    expect(Fault::Resource, &[("source_changed", 1)], 0);
}

#[test]
fn a_flow_sent_to_another_backend_changed_its_backend() {
    expect(Fault::Move, &[("backend_changed", 1)], 0);
}

#[test]
fn one_corrupted_reply_is_foreign_and_what_it_answered_is_lost() {
    expect(Fault::Corrupt, &[("lost", 1), ("foreign", 1)], 1);
}
