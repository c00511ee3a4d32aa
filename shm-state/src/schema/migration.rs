//! Migrations: what changes between two versions of a layout and no field mapping can say. Split, merge, recompute,
//! re-key.
//!
//! A migration is a pure function on an intermediate row, in both directions or declared one-way. What it takes and gives
//! is declared by field id ([`MigrationDesc`], a constant), so that a plan can be made without its code.

use crate::descriptor::{NAME_LEN, name_text, padded_name};
use crate::places::{Place, places};
use crate::row::Row;
use std::fmt;
use std::sync::Arc;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Most field ids that one migration takes and gives together.
pub const MIGRATION_IDS_MAX: usize = 16;
const FLAG_ONE_WAY: u16 = 1;

/// Makes the fields that a migration gives from a row that has those that it takes; or says why not. What it finds in the
/// row beside them is as in the record that is translated.
pub type MigrateFn = fn(&Row) -> Result<Row, String>;

/// What is declared of a migration; plain old data, 120 bytes.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MigrationDesc {
    /// Bytes of this entry; longer ones are read.
    pub len: U32,
    /// Stable id of the table.
    pub table: U32,
    /// Layout version that it leads from.
    pub from: U32,
    /// Layout version that it leads to; higher.
    pub to: U32,
    /// 1: there is no way back.
    pub flags: U16,
    /// How many of `ids` it consumes, the first ones.
    pub consumes: U16,
    /// How many of `ids` it produces, those behind.
    pub produces: U16,
    /// 0.
    pub reserved: U16,
    /// Name, padded with zeros.
    pub name: [u8; NAME_LEN],
    /// Field ids; 0 where there are no more.
    pub ids: [U32; MIGRATION_IDS_MAX],
}

const _: () = assert!(size_of::<MigrationDesc>() == 120);

/// Byte map of a declaration.
pub const MIGRATION_PLACES: &[Place] = places!(MigrationDesc {
    len: "bytes of the declaration; at least 120, readers skip what they do not know",
    table: "stable id of the table",
    from: "layout version that it leads from",
    to: "layout version that it leads to; higher",
    flags: "1 one-way",
    consumes: "field ids that it takes, the first of `ids`",
    produces: "field ids that it gives, those behind",
    reserved: "0",
    name: "name, padded with zeros",
    ids: "field ids of 32 bits each; 0 where there are no more",
});

impl MigrationDesc {
    /// A migration of records of `table` from one layout version to a higher one: which fields of the lower one it
    /// consumes and which of the higher one it produces. On the way back it is the other way round.
    ///
    /// # Panics
    /// (At compile time, in a constant.) When the versions are not in order, or there are no or too many ids, or one of
    /// them is 0.
    pub const fn new(table: u32, name: &str, from: u32, to: u32, consumes: &[u32], produces: &[u32]) -> Self {
        assert!(from != 0 && from < to, "migration: from a lower layout version to a higher one");
        assert!(!consumes.is_empty() && !produces.is_empty(), "migration: nothing is consumed, or nothing produced");
        assert!(consumes.len() + produces.len() <= MIGRATION_IDS_MAX, "migration: more than 16 field ids");
        assert!(!name.is_empty(), "migration: no name");
        let mut ids = [U32::ZERO; MIGRATION_IDS_MAX];
        let mut at = 0;
        while at < consumes.len() + produces.len() {
            let id = if at < consumes.len() { consumes[at] } else { produces[at - consumes.len()] };
            assert!(id != 0, "migration: field id 0; ids start at 1");
            ids[at] = U32::new(id);
            at += 1;
        }
        Self {
            len: U32::new(size_of::<Self>() as u32),
            table: U32::new(table),
            from: U32::new(from),
            to: U32::new(to),
            flags: U16::ZERO,
            consumes: U16::new(consumes.len() as u16),
            produces: U16::new(produces.len() as u16),
            reserved: U16::ZERO,
            name: padded_name(name),
            ids,
        }
    }

    /// Without a way back: a translation to an older layout that needs it is refused by its name.
    #[must_use]
    pub const fn one_way(mut self) -> Self {
        self.flags = U16::new(FLAG_ONE_WAY);
        self
    }
}

/// What is declared of a migration, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationFacts {
    /// Stable id of the table.
    pub table: u32,
    /// Its name.
    pub name: Arc<str>,
    /// Layout version that it leads from.
    pub from: u32,
    /// Layout version that it leads to.
    pub to: u32,
    /// Fields of the lower version.
    pub consumes: Vec<u32>,
    /// Fields of the higher version.
    pub produces: Vec<u32>,
    /// There is no way back.
    pub one_way: bool,
}

impl MigrationFacts {
    /// The facts in a declaration; nothing if it says what cannot be.
    pub fn of(desc: &MigrationDesc) -> Option<Self> {
        let ids: Vec<u32> = desc.ids.iter().map(|id| id.get()).collect();
        let (consumes, produces) = (usize::from(desc.consumes.get()), usize::from(desc.produces.get()));
        let (consumes, rest) = ids.split_at_checked(consumes)?;
        let produces = rest.get(..produces)?;
        let (from, to) = (desc.from.get(), desc.to.get());
        let good = from != 0 && from < to && !consumes.is_empty() && !produces.is_empty();
        let distinct = |ids: &[u32]| ids.iter().enumerate().all(|(at, id)| *id != 0 && !ids[..at].contains(id));
        (good && distinct(consumes) && distinct(produces)).then_some(())?;
        Some(Self {
            table: desc.table.get(),
            name: name_text(&desc.name)?,
            from,
            to,
            consumes: consumes.to_vec(),
            produces: produces.to_vec(),
            one_way: desc.flags.get() & FLAG_ONE_WAY != 0,
        })
    }
}

/// A migration with its code.
#[derive(Clone)]
pub struct Migration {
    pub(crate) facts: MigrationFacts,
    pub(crate) up: MigrateFn,
    pub(crate) down: Option<MigrateFn>,
}

impl Migration {
    /// A migration that leads both ways.
    ///
    /// # Panics
    /// When it was declared one-way, or its declaration names a field twice.
    pub fn both_ways(desc: &MigrationDesc, up: MigrateFn, down: MigrateFn) -> Self {
        let facts = MigrationFacts::of(desc).expect("a migration names each of its fields once");
        assert!(!facts.one_way, "migration `{}` was declared one-way", facts.name);
        Self { facts, up, down: Some(down) }
    }

    /// A migration without a way back.
    ///
    /// # Panics
    /// When it was not declared so, or its declaration names a field twice.
    pub fn one_way(desc: &MigrationDesc, up: MigrateFn) -> Self {
        let facts = MigrationFacts::of(desc).expect("a migration names each of its fields once");
        assert!(facts.one_way, "migration `{}` was not declared one-way", facts.name);
        Self { facts, up, down: None }
    }

    /// Without its code: it refuses every row.
    pub(super) fn stand_in(facts: MigrationFacts) -> Self {
        let refuse: MigrateFn = |_| Err("its code is not at hand".to_owned());
        Self { down: (!facts.one_way).then_some(refuse), up: refuse, facts }
    }

    /// What is declared of it.
    pub fn facts(&self) -> &MigrationFacts {
        &self.facts
    }
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)
    }
}
