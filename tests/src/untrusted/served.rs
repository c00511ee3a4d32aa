//! Service from tables that were taken over: packets of both directions, the sweep, the scan; then everything ends, a
//! scan puts right what is left, and the table is as good as new.

use arbitrary::{Arbitrary, Unstructured};
use dataplane::core::forward::{Forwarder, Packet};
use dataplane::state::FLOWS;
use dataplane::state::flow::FlowRecord;
use dataplane::state::flows::LINKS;
use dataplane::state::identities::Identities;
use shm_state::prelude::Kind;
use shm_state::recover::{Ledger, Scan, verify};
use shm_state::table::{Index, RecordsView, Shards};

use super::regions::{CLIENTS, exchange, topology};

const SECOND: u64 = 1_000_000_000;
/// Things that are done with one forwarder.
const ACTS_MAX: usize = 48;

#[derive(Debug, Arbitrary)]
enum Act {
    /// A client's packet and its answer.
    Exchange(u8),
    /// A packet from a backend that nothing was sent to.
    Stray { socket: u8, local: u8, backend: u8 },
    /// Some slots are swept.
    Sweep(u8),
    /// Time passes, in seconds.
    Wait(u8),
    /// The scan goes on.
    Scan(u8),
}

/// Serves as the input says, then ends it all. `meanwhile` is called once, in the middle. The ledger is of the
/// forwarder's tables.
///
/// # Panics
/// When something does not end in as many steps as the tables have room for, or a scan leaves the table unfit for use.
pub fn to_the_end<R: FlowRecord>(
    mut forwarder: Forwarder<R>,
    ledger: &Ledger,
    input: &mut Unstructured<'_>,
    meanwhile: impl FnOnce(),
) {
    let mut now = 100 * SECOND;
    for _ in 0..ACTS_MAX {
        if input.is_empty() {
            break;
        }
        let Ok(act) = input.arbitrary() else { break };
        one(&mut forwarder, act, &mut now);
    }
    meanwhile();
    let most = steps(ledger) + ACTS_MAX;
    for _ in 0..most.div_ceil(64) {
        forwarder.recover(64, now);
    }
    assert!(!forwarder.recovering(), "a scan takes more than {most} steps");
    forwarder.recovered();
    for client in 0..CLIENTS {
        exchange(&mut forwarder, client, now);
    }
    now += 1000 * SECOND;
    forwarder.sweep(forwarder.capacity(), now);
    // Whatever was written over since: one more scan, of which nobody's death need remind.
    let mut scan = Scan::new(ledger.clone());
    assert!(scan.step(most, now).is_some(), "a scan takes more than {most} steps");
    assert_eq!(verify(ledger), [], "a scan leaves it whole");
    let served = (0..CLIENTS).filter(|&client| exchange(&mut forwarder, client, now + 10 * SECOND)).count();
    assert!(served > 0, "a table that a scan has put right serves");
    assert_eq!(verify(ledger), [], "and stays whole");
}

fn one<R: FlowRecord>(forwarder: &mut Forwarder<R>, act: Act, now: &mut u64) {
    match act {
        Act::Exchange(client) => _ = exchange(forwarder, client, *now),
        Act::Stray { socket, local, backend } => {
            let target = &topology().targets[usize::from(backend) % topology().targets.len()];
            let mapped = dataplane::wire::sockaddr::map_v4([127, 64, 0, local]);
            let packet = Packet { sender: target.endpoint, local: mapped, tos: 0, len: 9 };
            if let Some(place) = forwarder.locate(usize::from(socket) % 4, &packet) {
                forwarder.down(place, &packet, *now);
            }
        }
        Act::Sweep(slots) => _ = forwarder.sweep(slots.into(), *now),
        Act::Wait(seconds) => *now += u64::from(seconds) * SECOND,
        Act::Scan(steps) => forwarder.recover(steps.into(), *now),
    }
}

/// The tables as recovery sees them, right after they were attached: before anybody writes over a header again.
///
/// # Panics
/// When they cannot be attached once more.
pub fn ledger<R: FlowRecord>(forwarder: &Forwarder<R>) -> Ledger {
    let segments = forwarder.segments();
    let of = |kind| segments.iter().filter(move |segment| segment.id().kind == kind).map(|segment| (*segment).clone());
    let flows = of(Kind::Table).find(|segment| segment.id().table == FLOWS).expect("flows");
    let records = RecordsView::attach(flows).expect("records");
    let indexes = of(Kind::Index).map(Index::attach).collect::<Result<_, _>>().expect("indexes");
    let identities = of(Kind::Identities).next().expect("a table of identities");
    let identities = Identities::attach(identities, &topology().rows()).expect("identities");
    Ledger::new(records, Shards::join(indexes).expect("shards"), identities, LINKS).expect("tables that fit")
}

/// Most steps of a scan: each looks at an entry, a place or an identity, or takes one out; none comes back.
fn steps(ledger: &Ledger) -> usize {
    let identities: usize = topology().rows().iter().map(|row| row.identities as usize).sum();
    let entries: u64 = ledger.shards().list().iter().map(|shard| shard.index.places()).sum();
    let free_places = ledger.capacity() * ledger.shards().count();
    entries as usize + free_places + ledger.capacity() + 4 * identities + 16 * ledger.shards().count()
}
