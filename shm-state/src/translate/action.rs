//! What a plan does to each field, for people and reports.

use crate::descriptor::{Narrow, Unit};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What happens to one field. Types are written as `u32`, `bytes[16]`, `instant u64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// Taken over as it is.
    Copied,
    /// Stored wider; every value fits.
    Widened {
        /// Type in the source.
        from: String,
        /// Type in the destination.
        to: String,
    },
    /// Stored narrower; each value is checked.
    Narrowed {
        /// Type in the source.
        from: String,
        /// Type in the destination.
        to: String,
        /// What happens to a value that does not fit.
        policy: Narrow,
    },
    /// Stored as wide or wider, but not every value is valid there.
    Checked {
        /// What is valid: `1..=64`, or the names of the cases.
        valid: String,
        /// What happens to a value that is not.
        policy: Narrow,
    },
    /// Stored in another unit of time.
    Converted {
        /// Unit in the source.
        from: Unit,
        /// Unit in the destination.
        to: Unit,
        /// Whether the destination's unit is coarser, so that values are rounded down.
        rounded: bool,
        /// What happens to a value that does not fit; nothing if all fit.
        policy: Option<Narrow>,
    },
    /// Lacking in the source; computed from other fields.
    Computed {
        /// Name of the function.
        function: String,
        /// What happens to a value that does not fit.
        policy: Narrow,
    },
    /// Lacking in the source; every record gets the same value.
    Defaulted {
        /// The value as people write it.
        value: String,
    },
    /// Made by a migration.
    Migrated {
        /// Name of the migration.
        migration: String,
        /// There is no way back.
        one_way: bool,
        /// What happens to a value that does not fit.
        policy: Narrow,
    },
    /// Lacking in the destination; a migration makes other fields of it.
    Consumed {
        /// Name of the migration.
        migration: String,
        /// Not all of those have a place in the destination.
        spilt: bool,
    },
    /// Lacking in the destination; lost.
    Dropped,
}

impl Action {
    /// Whether information of the source may be lost.
    pub fn is_lossy(&self) -> bool {
        match self {
            Self::Copied | Self::Widened { .. } | Self::Defaulted { .. } => false,
            // A clamped result loses nothing that the source had; a dropped row does.
            Self::Computed { policy, .. } => *policy == Narrow::Drop,
            Self::Narrowed { policy, .. } | Self::Checked { policy, .. } => *policy != Narrow::Refuse,
            Self::Converted { rounded, policy, .. } => {
                *rounded || policy.is_some_and(|policy| policy != Narrow::Refuse)
            }
            Self::Migrated { one_way, policy, .. } => *one_way || *policy != Narrow::Refuse,
            Self::Consumed { spilt, .. } => *spilt,
            Self::Dropped => true,
        }
    }
}

impl Action {
    /// Whether a value can always be had back from what becomes of it.
    pub(super) fn is_exact(&self) -> bool {
        match self {
            Self::Copied | Self::Widened { .. } => true,
            Self::Converted { rounded, policy, .. } => !rounded && policy.is_none(),
            _ => false,
        }
    }

    /// Whether the source's value is kept aside: the destination lacks the field, rounds or clamps it. (A time in a finer
    /// unit that would not fit lies centuries ahead.)
    pub(super) fn keeps_aside(&self) -> bool {
        match self {
            Self::Dropped | Self::Consumed { spilt: true, .. } => true,
            Self::Narrowed { policy, .. } | Self::Checked { policy, .. } => *policy == Narrow::Clamp,
            Self::Converted { rounded, .. } => *rounded,
            _ => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copied => f.write_str("copied"),
            Self::Widened { from, to } => write!(f, "widened {from} → {to}"),
            Self::Narrowed { from, to, policy } => write!(f, "narrowed {from} → {to}, {}", excess(*policy)),
            Self::Checked { valid, policy } => write!(f, "checked to be {valid}, {}", excess(*policy)),
            Self::Converted { from, to, rounded, policy } => {
                write!(f, "converted {from} → {to}")?;
                if *rounded {
                    f.write_str(", rounded down")?;
                }
                policy.map_or(Ok(()), |policy| write!(f, ", {}", excess(policy)))
            }
            Self::Computed { function, .. } => write!(f, "computed by `{function}`"),
            Self::Defaulted { value } => write!(f, "defaulted to {value}"),
            Self::Migrated { migration, one_way, policy } => {
                let way = if *one_way { " without a way back" } else { "" };
                write!(f, "made by migration `{migration}`{way}, {}", excess(*policy))
            }
            Self::Consumed { migration, spilt } => {
                write!(f, "taken by migration `{migration}`{}", if *spilt { ", in part" } else { "" })
            }
            Self::Dropped => f.write_str("not in the new layout"),
        }
    }
}

fn excess(policy: Narrow) -> &'static str {
    match policy {
        Narrow::Refuse => "refused if a value does not fit",
        Narrow::Clamp => "clamped and counted where it does not fit",
        Narrow::Drop => "row dropped and counted where it does not fit",
    }
}

/// What a plan does to one field, as `packets_up: widened u32 → u64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldAction {
    /// Stable id of the field.
    pub id: u32,
    /// Its name in the destination; in the source, if it is dropped.
    pub field: String,
    /// Its name in the source, if that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// What happens.
    #[serde(flatten)]
    pub action: Action,
    /// Whether the new layout may hold less than the old one.
    pub lossy: bool,
    /// Whether the old value is kept beside the table, until a layout returns that has room for it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub aside: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_not(flag: &bool) -> bool {
    !flag
}

impl FieldAction {
    /// What becomes of values that the new layout cannot hold, in two words; nothing where it holds all.
    pub fn loss(&self) -> &'static str {
        match (self.aside, self.lossy) {
            (true, _) => "kept aside",
            (false, true) => "may lose information",
            (false, false) => "",
        }
    }
}

impl fmt::Display for FieldAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.action)?;
        self.was.as_ref().map_or(Ok(()), |was| write!(f, " (was {was})"))
    }
}
