//! Duplicates of a dataplane's descriptors, and the region seen through them.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use handover::messages::{DescriptorEntry, Fault, What, segment_kind};
use handover::rights;
use shm_state::directory::Directory;
use shm_state::error::RegionError;
use shm_state::manifest::Manifest;
use shm_state::owner::OwnerState;
use shm_state::row::{Cell, Row};
use shm_state::segment::Segment;
use shm_state::table::RecordsView;

use super::raw;
use crate::verify::LiveTable;

/// Stable ids of the tables that status and listings show.
pub mod table {
    /// Flows.
    pub const FLOWS: u32 = 1;
    /// Counters, one record per worker.
    pub const COUNTERS: u32 = 4;
}

/// Kinds of segment that are passed on to be looked at.
const SHOWN: [u32; 5] = [
    segment_kind::MANIFEST,
    segment_kind::TABLE,
    segment_kind::INDEX,
    segment_kind::DIRECTORY,
    segment_kind::IDENTITIES,
];

/// Descriptors of one process, kept open here. Clones share them and the mappings.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    list: Vec<(DescriptorEntry, Arc<OwnedFd>)>,
    manifest: OnceCell<Manifest>,
    tables: OnceCell<Vec<RecordsView>>,
}

fn fault(error: &RegionError) -> Fault {
    Fault::peer("bad-segment", error.to_string(), "the segment is left alone; restart the dataplane if it persists")
}

impl Holdings {
    /// What a process sent, or what was taken from it.
    pub fn new(list: Vec<(DescriptorEntry, OwnedFd)>) -> Self {
        let list = list.into_iter().map(|(entry, fd)| (entry, Arc::new(fd))).collect();
        Self { list, ..Self::default() }
    }

    /// What the same process sends or is taken from it again. Segments of kinds that it may not know, and so may have
    /// left out, stay held.
    pub fn renewed(&self, list: Vec<(DescriptorEntry, OwnedFd)>) -> Self {
        let mut new = Self::new(list);
        let left_out = |entry: &DescriptorEntry| {
            entry.what == What::Segment && entry.kind >= segment_kind::SIDE && new.list.iter().all(|(e, _)| e != entry)
        };
        let carried: Vec<_> = self.list.iter().filter(|(entry, _)| left_out(entry)).cloned().collect();
        new.list.extend(carried);
        new
    }

    /// Without segments that nobody needs any more.
    pub fn without(&self, released: &[DescriptorEntry]) -> Self {
        let list = self.list.iter().filter(|(entry, _)| !released.contains(entry)).cloned().collect();
        Self { list, ..Self::default() }
    }

    /// What a successor holds: the predecessor's segments and sockets without what belongs to the predecessor alone,
    /// and in place of or beside them what the successor made.
    pub fn succeeded_by(&self, own: Vec<(DescriptorEntry, OwnedFd)>) -> Self {
        let own = Self::new(own).list;
        let stays = |entry: &DescriptorEntry| {
            let personal = matches!(entry.kind, segment_kind::DIRECTORY | segment_kind::IO);
            let is_segment = entry.what == What::Segment;
            !(is_segment && personal) && own.iter().all(|(new, _)| new != entry)
        };
        let mut list: Vec<_> = self.list.iter().filter(|(entry, _)| stays(entry)).cloned().collect();
        list.extend(own);
        Self { list, ..Self::default() }
    }

    /// All descriptors, to be sent on.
    pub fn list(&self) -> &[(DescriptorEntry, Arc<OwnedFd>)] {
        &self.list
    }

    /// True if there is nothing.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn segments(&self, kind: u32) -> impl Iterator<Item = (&DescriptorEntry, &OwnedFd)> {
        self.list
            .iter()
            .filter(move |(entry, _)| entry.what == What::Segment && entry.kind == kind)
            .map(|(entry, fd)| (entry, &**fd))
    }

    fn attach(fd: &OwnedFd) -> Result<Segment, Fault> {
        let copy = fd.try_clone().map_err(|e| {
            Fault::kernel("descriptor-limit", format!("cannot duplicate a descriptor: {e}"), "raise RLIMIT_NOFILE")
        })?;
        Segment::attach(copy).map_err(|e| fault(&e))
    }

    /// The manifest.
    ///
    /// # Errors
    /// `no-manifest`, or what is wrong with it.
    pub fn manifest(&self) -> Result<&Manifest, Fault> {
        if self.manifest.get().is_none() {
            let (_, fd) = self
                .segments(segment_kind::MANIFEST)
                .next()
                .ok_or_else(|| Fault::peer("no-manifest", "the dataplane has not handed over its manifest", ""))?;
            let manifest = Manifest::attach(Self::attach(fd)?).map_err(|e| fault(&e))?;
            let _ = self.manifest.set(manifest);
        }
        Ok(self.manifest.get().expect("was set above"))
    }

    /// What the owner word says.
    ///
    /// # Errors
    /// See [`Holdings::manifest`].
    pub fn owner(&self) -> Result<OwnerState, Fault> {
        Ok(self.manifest()?.owner())
    }

    /// The directory.
    ///
    /// # Errors
    /// `no-directory`, or what is wrong with it.
    pub fn directory(&self) -> Result<Directory, Fault> {
        let (_, fd) = self.segments(segment_kind::DIRECTORY).next().ok_or_else(|| {
            Fault::peer("no-directory", "the dataplane has not handed over its directory", "swap without --steal")
        })?;
        Directory::attach(Self::attach(fd)?).map_err(|e| fault(&e))
    }

    /// All self-describing tables.
    ///
    /// # Errors
    /// What is wrong with the first bad one.
    pub fn tables(&self) -> Result<&[RecordsView], Fault> {
        if self.tables.get().is_none() {
            let views = self
                .segments(segment_kind::TABLE)
                .map(|(_, fd)| RecordsView::attach(Self::attach(fd)?).map_err(|e| fault(&e)))
                .collect::<Result<Vec<_>, Fault>>()?;
            let _ = self.tables.set(views);
        }
        Ok(self.tables.get().expect("was set above"))
    }

    fn table(&self, id: u32) -> Result<impl Iterator<Item = &RecordsView>, Fault> {
        Ok(self.tables()?.iter().filter(move |view| view.descriptor().table_id() == id))
    }

    /// All tables as a swap finds them; several segments of one table count as one.
    ///
    /// # Errors
    /// See [`Holdings::tables`].
    pub fn live_tables(&self) -> Result<Vec<LiveTable>, Fault> {
        let mut tables: Vec<LiveTable> = Vec::new();
        for view in self.tables()? {
            let (capacity, live) = (view.capacity(), view.live());
            match tables.iter_mut().find(|t| t.descriptor.fingerprint() == view.descriptor().fingerprint()) {
                Some(table) => {
                    table.capacity += capacity;
                    table.live += live;
                }
                None => tables.push(LiveTable { descriptor: view.descriptor().clone(), capacity, live }),
            }
        }
        Ok(tables)
    }

    /// Live flows and the room for them.
    ///
    /// # Errors
    /// See [`Holdings::tables`].
    pub fn flow_counts(&self) -> Result<(u64, u64), Fault> {
        Ok(self.table(table::FLOWS)?.fold((0, 0), |(live, max), view| (live + view.live(), max + view.capacity())))
    }

    /// The first `limit` live flows.
    ///
    /// # Errors
    /// See [`Holdings::tables`].
    pub fn flows(&self, limit: u64) -> Result<Vec<Row>, Fault> {
        let mut rows = Vec::new();
        for view in self.table(table::FLOWS)? {
            view.for_each_live(|_, _, record| {
                if rows.len() as u64 >= limit {
                    return ControlFlow::Break(());
                }
                rows.push(view.descriptor().decode(record));
                ControlFlow::Continue(())
            });
        }
        Ok(rows)
    }

    /// Names of the fields of a flow, in the order of its layout.
    ///
    /// # Errors
    /// See [`Holdings::tables`].
    pub fn flow_columns(&self) -> Result<Vec<String>, Fault> {
        let view = self.table(table::FLOWS)?.next();
        Ok(view.into_iter().flat_map(|v| v.descriptor().fields()).map(|field| field.name().to_string()).collect())
    }

    /// Counters, summed over the workers.
    ///
    /// # Errors
    /// See [`Holdings::tables`].
    pub fn counters(&self) -> Result<BTreeMap<String, u64>, Fault> {
        let mut sums = BTreeMap::new();
        for view in self.table(table::COUNTERS)? {
            for field in view.descriptor().fields() {
                sums.entry(field.name().to_string()).or_insert(0);
            }
            view.for_each_live(|_, _, record| {
                for cell in view.descriptor().decode(record).iter() {
                    let value = cell.value.as_integer().and_then(|n| u64::try_from(n).ok());
                    if let Some(sum) = sums.get_mut(&*cell.name) {
                        *sum = u64::wrapping_add(*sum, value.unwrap_or(0));
                    }
                }
                ControlFlow::Continue(())
            });
        }
        Ok(sums)
    }

    /// Layout version of each table.
    ///
    /// # Errors
    /// See [`Holdings::tables`].
    pub fn layout_versions(&self) -> Result<BTreeMap<String, u32>, Fault> {
        let named = |view: &RecordsView| (view.descriptor().name().to_owned(), view.descriptor().layout_version());
        Ok(self.tables()?.iter().map(named).collect())
    }

    /// Packets that the kernel dropped at all sockets.
    pub fn kernel_drops(&self) -> u64 {
        self.list
            .iter()
            .filter(|(entry, _)| entry.what == What::Socket)
            .filter_map(|(_, fd)| raw::socket_drops(fd.as_fd()).ok())
            .sum()
    }

    /// The segments that may be looked at from outside, opened again for reading only: not the rings and buffers, and
    /// nothing of a kind that is not known here, which may hold secrets.
    ///
    /// # Errors
    /// When a descriptor cannot be opened, or there are more than go beside one answer.
    pub fn read_only(&self) -> Result<(Vec<DescriptorEntry>, Vec<OwnedFd>), Fault> {
        let mut list = Vec::new();
        let mut fds = Vec::new();
        for (entry, fd) in &self.list {
            if entry.what != What::Segment || !SHOWN.contains(&entry.kind) {
                continue;
            }
            let file = std::fs::File::open(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(|e| {
                Fault::kernel(
                    "no-descriptor",
                    format!("a segment cannot be opened for reading: {e}"),
                    "is /proc mounted?",
                )
            })?;
            list.push(entry.clone());
            fds.push(file.into());
        }
        if fds.len() > rights::FDS_MAX {
            let message =
                format!("the region has {} segments, at most {} can be passed on", fds.len(), rights::FDS_MAX);
            return Err(Fault::bug("too-many-segments", message, ""));
        }
        Ok((list, fds))
    }

    /// Descriptors to be sent beside their entries.
    pub fn borrowed(&self) -> impl Iterator<Item = (&DescriptorEntry, BorrowedFd<'_>)> {
        self.list.iter().map(|(entry, fd)| (entry, fd.as_fd()))
    }
}

/// A row as a JSON object.
pub fn row_json(row: &Row) -> serde_json::Value {
    let shown = |cell: &Cell| serde_json::to_value(cell.shown()).unwrap_or(serde_json::Value::Null);
    row.iter().map(|cell| (cell.name.to_string(), shown(cell))).collect::<serde_json::Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_passed_on_cannot_be_written_to_and_unknown_kinds_are_not() {
        let manifest = Manifest::create([1; 16]).expect("a manifest");
        let fd = || manifest.segment().fd().try_clone_to_owned().expect("a duplicate");
        let kinds = [segment_kind::MANIFEST, segment_kind::IO, 99];
        let list = kinds.map(|kind| (DescriptorEntry::segment(kind, 0, 0), fd()));
        let (list, fds) = Holdings::new(list.into()).read_only().expect("opened");
        assert_eq!(list, [DescriptorEntry::segment(segment_kind::MANIFEST, 0, 0)]);
        let mut file = std::fs::File::from(fds.into_iter().next().expect("one"));
        assert!(shm_state::image::load(&file).is_ok());
        assert_eq!(file.write(b"x").expect_err("read-only").raw_os_error(), Some(libc::EBADF));
    }
}
