//! The layouts in the tree: what each is called, its descriptor, and the code that its computed fields need.

use dataplane::state::backends::BackendRecord;
use dataplane::state::counters::Counters;
use dataplane::state::flow::FlowRecord;
use dataplane::state::flow_v1::FlowV1;
use dataplane::state::flow_v2::FlowV2;
use shm_state::schema::Schema;
use shm_state::{Descriptor, Layout};

/// A released layout.
#[derive(Debug, Clone, Copy)]
pub struct Released {
    /// Name of its files among the fixtures.
    pub name: &'static str,
    descriptor: fn() -> Descriptor,
    schema: fn() -> Schema,
}

/// All released layouts. A new one gets a line here and a fixture; no line is ever taken out.
pub const RELEASED: &[Released] = &[
    Released { name: "flows-1", descriptor: FlowV1::descriptor, schema: FlowV1::schema },
    Released { name: "flows-2", descriptor: FlowV2::descriptor, schema: FlowV2::schema },
    Released { name: "counters-1", descriptor: Counters::descriptor, schema: plain::<Counters> },
    Released { name: "backends-1", descriptor: BackendRecord::descriptor, schema: plain::<BackendRecord> },
];

impl Released {
    /// How its records lie.
    pub fn descriptor(&self) -> Descriptor {
        (self.descriptor)()
    }

    /// What it knows beyond its descriptor.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }
}

fn plain<R: Layout>() -> Schema {
    Schema::new(R::NAME)
}
