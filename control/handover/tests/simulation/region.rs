//! What all processes share: the owner word, the words of the switch, sockets and tables.

use std::collections::{BTreeMap, BTreeSet};

use handover::switch::Nanos;
use shm_state::manifest::Request;
use shm_state::owner::{OwnerState, OwnerWord, Party};

/// A flow table, by what was written to it.
#[derive(Debug, Default, Clone)]
pub struct Table {
    pub layout: u8,
    /// Packets that were counted in it.
    pub rows: u64,
    /// Workers in the middle of an operation, by party.
    torn: BTreeSet<(u8, usize)>,
}

#[derive(Debug, Default)]
pub struct Region {
    pub word: OwnerWord,
    pub request: Option<Request>,
    /// Rung whenever the owner word changed, or somebody gave up.
    pub bell: u64,
    stops: BTreeMap<usize, u64>,
    pub tables: Vec<Table>,
    /// The holder's.
    pub current: usize,
    /// Packets in the sockets' buffers.
    pub waiting: u64,
    pub served: u64,
    /// Received by a process that died before it served them.
    pub fallen: u64,
    generation: u64,
}

impl Table {
    pub fn empty(layout: u8) -> Self {
        Self { layout, ..Self::default() }
    }
}

impl Region {
    /// With an empty table.
    pub fn new(layout: u8) -> Self {
        Self { tables: vec![Table::empty(layout)], ..Self::default() }
    }

    /// A worker has stopped; whether the first `workers` all have.
    pub fn stop(&mut self, worker: usize, workers: usize, generation: u64) -> bool {
        self.stops.insert(worker, generation);
        (0..workers).all(|worker| self.stops.get(&worker) == Some(&generation))
    }

    /// Looks at the word after a step of anybody: the generation only rises.
    pub fn check(&mut self) {
        let generation = self.word.load().generation();
        assert!(generation >= self.generation, "the generation fell from {} to {generation}", self.generation);
        self.generation = generation;
    }

    /// Whoever touches a socket or a table must hold the word.
    fn held_by(&self, party: Party, what: &str) {
        match self.word.load() {
            OwnerState::Held { party: holder, .. } if holder == party => {}
            other => panic!("party {party} {what}, and the word says {other:?}"),
        }
    }

    /// Takes packets out of the sockets.
    pub fn take(&mut self, party: Party, most: u64) -> u64 {
        self.held_by(party, "takes from a socket");
        let taken = self.waiting.min(most);
        self.waiting -= taken;
        taken
    }

    /// A packet's write to the table begins.
    pub fn write(&mut self, party: Party, worker: usize, table: usize) {
        self.held_by(party, "writes");
        let served = self.served;
        let table = &mut self.tables[table];
        assert_eq!(table.rows, served, "party {party} serves from a table that lacks what was written");
        let foreign: Vec<_> = table.torn.iter().filter(|(other, _)| *other != party.number()).collect();
        assert!(foreign.is_empty(), "party {party} serves from a table that {foreign:?} left half written");
        table.torn.insert((party.number(), worker));
    }

    /// It is done, and the packet sent.
    pub fn written(&mut self, party: Party, worker: usize, table: usize) {
        self.held_by(party, "finishes a write");
        let table = &mut self.tables[table];
        assert!(table.torn.remove(&(party.number(), worker)));
        table.rows += 1;
        self.served += 1;
    }

    /// Puts right what a dead holder left half written.
    pub fn repair(&mut self, table: usize) {
        self.tables[table].torn.clear();
    }

    /// Copies one table into another, as far as it is written. `last`: with nobody writing.
    pub fn copy(&mut self, from: usize, to: usize, last: bool) {
        if from == to {
            return;
        }
        assert!(!last || self.tables[from].torn.is_empty(), "the last copy of a table that is being written");
        self.tables[to].rows = self.tables[from].rows;
    }

    /// The holder and its generation, if the word names one.
    pub fn holder(&self) -> Option<(Party, u64)> {
        let owner = self.word.load();
        owner.holder().map(|party| (party, owner.generation()))
    }

    /// A region like this one, empty: everything that was in it is lost.
    pub fn lose(&mut self, layout: u8) {
        let Self { served, waiting, fallen, .. } = *self;
        let table = Table { layout, rows: served, torn: BTreeSet::new() };
        *self = Self { served, waiting, fallen, tables: vec![table], ..Self::default() };
    }
}

/// A time far away.
pub const NEVER: Nanos = Nanos::MAX;
