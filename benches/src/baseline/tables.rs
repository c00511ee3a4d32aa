//! The dataplane's own tables, fresh.

use std::sync::Arc;

use dataplane::config::Config;
use dataplane::core::forward::Forwarder;
use dataplane::core::topology::Topology;
use dataplane::state::backends::BackendTable;
use dataplane::state::counters::Counters;
use dataplane::state::flow_v2::FlowV2;
use dataplane::state::flows::FlowTable;
use dataplane::state::identities::Identities;
use shm_state::table::{Records, Slot};

use crate::error::{Doing, Error, Result};

/// The tables of one worker for this config, in the current layout.
pub(super) fn forwarder(config: &Config, topology: Arc<Topology>) -> Result<Forwarder<FlowV2>> {
    let region: [u8; 16] = random()?;
    let failed = |error: shm_state::error::RegionError| Error::World(format!("making the tables: {error}"));
    let flows = FlowTable::create(region, config.limits.flows_max as usize, random()?).map_err(failed)?;
    let identities = Identities::create(region, &topology.rows()).map_err(failed)?;
    let mut counters = Records::<Counters>::create(region, 1).map_err(failed)?;
    counters.fill(Slot(0), Counters::default());
    let backends = BackendTable::create(region, &topology).map_err(failed)?;
    Forwarder::new(topology, flows, identities, counters, backends, 0).map_err(failed)
}

fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other).doing(|| "making a key".to_owned())?;
    Ok(bytes)
}
