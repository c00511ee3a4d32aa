//! What a flow costs at four million of them, everything that grows with their number included.

use dataplane::state::flow_v1::FlowV1;
use dataplane::state::flow_v2::FlowV2;
use shm_state::Layout;
use shm_state::identities::{Identities, RowSpec};
use shm_state::table::{Index, Records};
use shm_state::translate::Layer;

const FLOWS: usize = 4_000_000;
const BYTES_MAX: usize = 192;

#[test]
fn a_flow_of_four_million_costs_at_most_192_bytes() {
    let index = Index::bytes(FLOWS);
    // As many upstream identities as flows, at one backend.
    let identities = Identities::bytes(&[RowSpec { backend: 1, identities: FLOWS as u32 }]);
    for (layout, records) in [("v1", Records::<FlowV1>::bytes(FLOWS)), ("v2", Records::<FlowV2>::bytes(FLOWS))] {
        let each = (records + index + identities) as f64 / FLOWS as f64;
        println!("{layout}: {each:.1} bytes a flow; records {records}, index {index}, identities {identities}");
        assert!(each <= BYTES_MAX as f64, "{layout}: {each:.1} bytes a flow");
    }
}

#[test]
fn what_is_kept_aside_costs_less_than_the_flows_themselves() {
    let (v1, v2) = (FlowV1::descriptor(), FlowV2::descriptor());
    for (from, to, records) in
        [(&v1, &v2, Records::<FlowV2>::bytes(FLOWS)), (&v2, &v1, Records::<FlowV1>::bytes(FLOWS))]
    {
        let aside = Layer::bytes_between(from, to, &[], FLOWS).expect("a layer");
        println!("kept aside from v{}: {:.1} bytes a flow", from.layout_version(), aside as f64 / FLOWS as f64);
        assert!(0 < aside && aside * 3 < records * 2, "{aside} bytes beside {records}");
    }
}
