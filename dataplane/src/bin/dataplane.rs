//! The current dataplane: flow layout 2.

use dataplane::state::backends::BackendRecord;
use dataplane::state::counters::Counters;
use dataplane::state::flow_v2::FlowV2;
use std::process::ExitCode;

shm_state::layout_note!(FlowV2, Counters, BackendRecord);
shm_state::versions_note!(dataplane::versions::Note, dataplane::versions::of("dataplane"));

fn main() -> ExitCode {
    dataplane::process::main::<FlowV2>("dataplane")
}
