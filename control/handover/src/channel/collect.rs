//! Long lists of descriptors, cut into batches and put together again.

use std::ops::Range;
use std::os::fd::OwnedFd;

use crate::messages::{DescriptorEntry, Descriptors, Fault, Message, Reason};

/// Most descriptors in one packet; the kernel's limit is 253.
pub const FDS_PER_PACKET_MAX: usize = 200;

/// Most descriptors in one list. Above the hard limit of open files of any host this runs on.
const LIST_MAX: usize = 1 << 20;

/// The messages of a list and which part of the list travels beside each.
pub fn batches<'a>(
    reason: Reason,
    list: impl IntoIterator<Item = &'a DescriptorEntry>,
) -> Vec<(Message, Range<usize>)> {
    let entries: Vec<&DescriptorEntry> = list.into_iter().collect();
    let message = |range: Range<usize>, last| {
        let batch = entries[range.clone()].iter().map(|&e| e.clone()).collect();
        (Message::Descriptors(Descriptors { batch, last, reason }), range)
    };
    let count = entries.len().div_ceil(FDS_PER_PACKET_MAX).max(1);
    (0..count)
        .map(|n| {
            let start = n * FDS_PER_PACKET_MAX;
            message(start..entries.len().min(start + FDS_PER_PACKET_MAX), n + 1 == count)
        })
        .collect()
}

/// Puts the batches of one list together.
#[derive(Debug, Default)]
pub struct Collector {
    list: Vec<(DescriptorEntry, OwnedFd)>,
    reason: Option<Reason>,
}

impl Collector {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a batch; gives the whole list with its last one, and is empty again.
    ///
    /// # Errors
    /// `mixed-descriptors` if the reason changes within a list, `too-many-descriptors` if it does not end. What was
    /// collected is closed.
    pub fn add(
        &mut self,
        message: Descriptors,
        fds: Vec<OwnedFd>,
    ) -> Result<Option<Vec<(DescriptorEntry, OwnedFd)>>, Fault> {
        let Descriptors { batch, last, reason } = message;
        let began_as = *self.reason.get_or_insert(reason);
        if began_as != reason {
            *self = Self::default();
            return Err(Fault::peer(
                "mixed-descriptors",
                format!("a list of descriptors began as {began_as:?} and goes on as {reason:?}"),
                "",
            ));
        }
        if self.list.len() + batch.len() > LIST_MAX {
            *self = Self::default();
            return Err(Fault::peer(
                "too-many-descriptors",
                format!("more than {LIST_MAX} descriptors in one list"),
                "",
            ));
        }
        self.list.extend(batch.into_iter().zip(fds));
        if !last {
            return Ok(None);
        }
        self.reason = None;
        Ok(Some(std::mem::take(&mut self.list)))
    }

    /// How many descriptors came so far.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True if none came so far.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
