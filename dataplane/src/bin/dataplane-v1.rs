//! The dataplane with the frozen flow layout 1: what runs in the field before the first upgrade.

use dataplane::state::backends::BackendRecord;
use dataplane::state::counters::Counters;
use dataplane::state::flow_v1::FlowV1;
use std::process::ExitCode;

shm_state::layout_note!(FlowV1, Counters, BackendRecord);
shm_state::versions_note!(dataplane::versions::Note, dataplane::versions::of("dataplane-v1"));

fn main() -> ExitCode {
    dataplane::process::main::<FlowV1>("dataplane-v1")
}
