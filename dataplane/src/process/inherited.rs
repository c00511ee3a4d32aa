//! What a predecessor handed over: descriptors become checked segments and named sockets.

use crate::state::FLOWS_INDEX;
use crate::state::flows::LINKS;
use crate::state::identities::Identities;
use handover::messages::{DescriptorEntry, Fault, Role as WireRole, What};
use shm_state::directory::{Role, SocketEntry};
use shm_state::prelude::{Kind, SegmentId};
use shm_state::recover::Ledger;
use shm_state::segment::Segment;
use shm_state::table::{Index, RecordsView, Shards};
use shm_state::translate::Layer;
use std::os::fd::OwnedFd;

/// A region and sockets, not yet ours.
#[derive(Debug, Default)]
pub struct Inherited {
    segments: Vec<Segment>,
    pub(super) sockets: Vec<(SocketEntry, OwnedFd)>,
}

impl Inherited {
    /// Checks every descriptor. What this version does not know is closed.
    ///
    /// # Errors
    /// The first segment that is not what it is said to be, by name.
    pub fn new(list: Vec<(DescriptorEntry, OwnedFd)>) -> Result<Self, Fault> {
        let mut inherited = Self::default();
        for (entry, fd) in list {
            match entry.what {
                What::Segment => inherited.segment(&entry, fd)?,
                What::Socket => inherited.sockets.extend(socket(&entry, fd)),
                What::Unknown => {}
            }
        }
        Ok(inherited)
    }

    fn segment(&mut self, entry: &DescriptorEntry, fd: OwnedFd) -> Result<(), Fault> {
        // Rings and directories belong to the process that made them.
        let Some(kind) = Kind::from_number(entry.kind).filter(|kind| !matches!(kind, Kind::Io | Kind::Directory))
        else {
            return Ok(());
        };
        let expected = SegmentId { kind, table: entry.table, shard: entry.shard };
        let segment = Segment::attach_as(fd, expected).map_err(|error| bad(expected, &error))?;
        self.segments.push(segment);
        Ok(())
    }

    /// What was kept aside from layouts of a table.
    ///
    /// # Errors
    /// A layer that cannot be trusted, by name.
    pub(super) fn layers(&self, table: u32) -> Result<Vec<Layer>, Fault> {
        let sides = self.segments.iter().filter(|segment| segment.id().kind == Kind::Side);
        sides
            .filter(|segment| segment.id().table == table)
            .map(|segment| Layer::attach(segment.clone()).map_err(|error| bad(segment.id(), &error)))
            .collect()
    }

    /// The flow table as its holder has it, in the holder's own layout and capacity.
    ///
    /// # Errors
    /// The part of it that cannot be trusted, by name.
    pub(super) fn ledger(&self, flows: SegmentId, identities: Identities) -> Result<Ledger, Fault> {
        let records = RecordsView::attach(self.take(flows)?).map_err(|e| bad(flows, &e))?;
        Ledger::new(records, self.flow_shards()?, identities, LINKS).map_err(|e| bad(Index::id(FLOWS_INDEX), &e))
    }

    /// The shards of the flow table.
    ///
    /// # Errors
    /// One that is missing or cannot be trusted, by name.
    pub(super) fn flow_shards(&self) -> Result<Shards, Fault> {
        let first = Index::id(FLOWS_INDEX);
        self.take(first)?;
        let is_one = |id: SegmentId| (id.kind, id.table) == (first.kind, first.table);
        let segments = self.segments.iter().filter(|segment| is_one(segment.id()));
        let indexes = segments.map(|segment| Index::attach(segment.clone()).map_err(|e| bad(segment.id(), &e)));
        Shards::join(indexes.collect::<Result<_, _>>()?).map_err(|e| bad(first, &e))
    }

    /// The segment with this id.
    ///
    /// # Errors
    /// It was not handed over.
    pub(super) fn take(&self, id: SegmentId) -> Result<Segment, Fault> {
        self.segments.iter().find(|segment| segment.id() == id).cloned().ok_or_else(|| {
            let message = format!("segment {id} was not handed over");
            Fault::peer("segment-missing", message, "the running dataplane is of a version that has no such table")
        })
    }
}

fn socket(entry: &DescriptorEntry, fd: OwnedFd) -> Option<(SocketEntry, OwnedFd)> {
    let role = match entry.role? {
        WireRole::Listener => Role::Listener,
        WireRole::Upstream => Role::Upstream,
        WireRole::Unknown => return None,
    };
    let DescriptorEntry { owner_id, ordinal, shard, .. } = *entry;
    Some((SocketEntry { role, owner_id, ordinal, shard, fd: -1 }, fd))
}

/// A segment that cannot be trusted.
pub(super) fn bad(id: SegmentId, error: &dyn std::error::Error) -> Fault {
    let message = format!("segment {id} is refused: {error}");
    Fault::peer("bad-segment", message, "the running dataplane serves on; look for what wrote into its memory")
}
