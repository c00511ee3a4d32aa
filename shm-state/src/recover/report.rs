//! What a scan found, counted by reason.

use std::fmt;

macro_rules! findings {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $drops:literal;)*) => {
        /// One kind of inconsistency.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Finding {
            $($(#[$doc])* $name,)*
        }

        impl Finding {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Stable name, for scripts.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Whether a flow is dropped for it; everything else is put right.
            pub fn drops_flow(self) -> bool {
                match self {
                    $(Self::$name => $drops,)*
                }
            }
        }
    };
}

findings! {
    /// An index entry that names no live record of its key. Withdrawn.
    PhantomEntry = "phantom-entry", false;
    /// A second index entry of one record. Withdrawn.
    DoubleEntry = "double-entry", false;
    /// A place among the free slots that names no slot, or one that is there already. Removed.
    BadFreeSlot = "bad-free-slot", false;
    /// A live record whose slot is among the free ones. The slot is removed there.
    LiveSlotFree = "live-slot-free", false;
    /// A slot that is neither live nor free. Given back.
    LeakedSlot = "leaked-slot", false;
    /// A live record without index entry, to which its identity leads. Entered again.
    MissingEntry = "missing-entry", false;
    /// A live record without index entry, to which nothing leads, or for which the index has no room: begun and not
    /// finished, or half ended. Dropped.
    Unreachable = "unreachable", true;
    /// A second live record of one key. The one that a look-up finds stays; this one is dropped.
    DuplicateKey = "duplicate-key", true;
    /// A live record whose identity leads to another one that has it too. Dropped.
    IdentityTwice = "identity-twice", true;
    /// A live record whose identity is no number of its backend's. Dropped.
    NoSuchIdentity = "no-such-identity", true;
    /// A live record's identity that leads nowhere, or to a record that does not have it. Bound again.
    MissingBinding = "missing-binding", false;
    /// An identity that leads to a record that does not have it. Unbound.
    BrokenBinding = "broken-binding", false;
    /// A place in the pool or in the queue that names no identity, or one that is there already. Removed.
    BadSpareIdentity = "bad-spare-identity", false;
    /// An identity in the pool or in the queue that is in use. Removed there.
    UsedIdentitySpare = "used-identity-spare", false;
    /// An identity that is neither free nor bound nor resting. Put to rest.
    LostIdentity = "lost-identity", false;
    /// An identity that is said to rest from a time on that is still to come. Its rest begins anew.
    FutureRest = "future-rest", false;
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Slots looked at.
    pub slots: u64,
    /// Live records that stayed.
    pub live: u64,
    /// From the scan's beginning to its end, the packet loop's turns between its steps included.
    pub elapsed_ns: u64,
    counts: [u64; Finding::ALL.len()],
}

impl Default for Report {
    fn default() -> Self {
        Self { slots: 0, live: 0, elapsed_ns: 0, counts: [0; Finding::ALL.len()] }
    }
}

impl Report {
    pub(super) fn note(&mut self, finding: Finding) {
        self.counts[finding as usize] += 1;
    }

    /// How often this was found.
    pub fn count(&self, finding: Finding) -> u64 {
        self.counts[finding as usize]
    }

    /// What was found at all, and how often.
    pub fn found(&self) -> impl Iterator<Item = (Finding, u64)> + '_ {
        Finding::ALL.iter().map(|&finding| (finding, self.count(finding))).filter(|(_, count)| *count > 0)
    }

    /// Flows that were dropped.
    pub fn dropped(&self) -> u64 {
        self.found().filter(|(finding, _)| finding.drops_flow()).map(|(_, count)| count).sum()
    }

    /// Nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.found().next().is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} slots, {} live, {} dropped", self.slots, self.live, self.dropped())?;
        self.found().try_for_each(|(finding, count)| write!(f, ", {finding} {count}"))
    }
}
