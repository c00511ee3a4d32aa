//! Looks at a table and lists what is wrong. Changes nothing, and shares no code with the scan beyond reading records:
//! each is the other's check.
//!
//! Meant for a table that nobody writes to, or an image of one. On a table at work an operation that is under way shows
//! as a problem: what is really wrong is still there when looked at again.

use super::ledger::Ledger;
use super::report::Finding;
use super::scan::Bits;
use crate::table::{Place, Shard, Slot};
use std::collections::HashMap;
use std::fmt;

/// Problems that are listed; a table that was written over has millions.
const PROBLEMS_MAX: usize = 1000;

/// One inconsistency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    pub what: Finding,
    /// Backend, where it is about an identity.
    pub backend: Option<u32>,
    /// Place in the index of a shard, position among its free slots, slot, or identity, as the kind calls for.
    pub at: u64,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            Finding::PhantomEntry | Finding::DoubleEntry => "index place",
            Finding::BadFreeSlot | Finding::LiveSlotFree => "position among the free slots",
            Finding::BrokenBinding | Finding::LostIdentity => "identity",
            Finding::BadSpareIdentity | Finding::UsedIdentitySpare => "position in pool and queue",
            _ => "slot",
        };
        write!(f, "{}: {what} {}", self.what, self.at)?;
        self.backend.map_or(Ok(()), |backend| write!(f, " of backend {backend:#010x}"))
    }
}

/// Lists what is wrong, at most the first thousand.
pub fn verify(ledger: &Ledger) -> Vec<Problem> {
    let mut found = Found { problems: Vec::new() };
    index(ledger, &mut found);
    slots(ledger, &mut found);
    (0..ledger.identities.rows()).for_each(|row| identities(ledger, row, &mut found));
    found.problems
}

struct Found {
    problems: Vec<Problem>,
}

impl Found {
    fn add(&mut self, what: Finding, at: impl TryInto<u64>) {
        self.put(what, None, at);
    }

    fn put(&mut self, what: Finding, backend: Option<u32>, at: impl TryInto<u64>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { what, backend, at: at.try_into().unwrap_or(u64::MAX) });
        }
    }
}

fn index(ledger: &Ledger, found: &mut Found) {
    let mut entered = Bits::new(ledger.capacity());
    for Shard { index, .. } in ledger.shards.list() {
        for place in (0..index.places()).map(Place).filter(|&place| !index.is_vacant(place)) {
            let slot = index.named(place).filter(|&slot| ledger.is_live(slot));
            let right = slot.filter(|&slot| index.is_place_of(place, ledger.entry(slot).hash, slot));
            match right {
                None => found.add(Finding::PhantomEntry, place.0),
                Some(slot) if !entered.insert(slot.at()) => found.add(Finding::DoubleEntry, place.0),
                Some(_) => {}
            }
        }
    }
}

fn slots(ledger: &Ledger, found: &mut Found) {
    let mut free = Bits::new(ledger.capacity());
    for Shard { free: stack, .. } in ledger.shards.list() {
        for at in 0..stack.len() {
            match stack.get(at) {
                Some(slot) if ledger.is_live(slot) => found.add(Finding::LiveSlotFree, at),
                Some(slot) if free.insert(slot.at()) => {}
                _ => found.add(Finding::BadFreeSlot, at),
            }
        }
    }
    let mut users = HashMap::new();
    for slot in (0..ledger.capacity()).map(|slot| Slot(slot as u32)) {
        if !ledger.is_live(slot) {
            if !free.has(slot.at()) {
                found.add(Finding::LeakedSlot, slot.0);
            }
            continue;
        }
        let entry = ledger.entry(slot);
        match ledger.find(&entry) {
            Some(same) if same == slot => {}
            Some(_) => found.add(Finding::DuplicateKey, slot.0),
            None => found.add(Finding::Unreachable, slot.0),
        }
        let Some(row) = entry.row else { continue };
        let identity = entry.identity;
        if identity >= ledger.identities.spec(row).identities {
            found.add(Finding::NoSuchIdentity, slot.0);
        } else if users.insert((row, identity), slot).is_some() {
            found.add(Finding::IdentityTwice, slot.0);
        } else if ledger.identities.slot(row, identity) != Some(slot) {
            found.add(Finding::MissingBinding, slot.0);
        }
    }
}

fn identities(ledger: &Ledger, row: usize, found: &mut Found) {
    let spec = ledger.identities.spec(row);
    let backend = Some(spec.backend);
    let (free, resting) = ledger.identities.spare(row);
    let mut spare = Bits::new(spec.identities as usize);
    let pool = (0..free).map(|at| ledger.identities.free_at(row, at));
    let queue = (0..resting).map(|n| ledger.identities.resting_at(row, n).0);
    for (at, identity) in pool.chain(queue).enumerate() {
        match identity {
            Some(identity) if spare.insert(identity as usize) => {
                if ledger.identities.slot(row, identity).is_some() {
                    found.put(Finding::UsedIdentitySpare, backend, at);
                }
            }
            _ => found.put(Finding::BadSpareIdentity, backend, at),
        }
    }
    for identity in 0..spec.identities {
        match ledger.identities.slot(row, identity) {
            Some(slot) if !ledger.has_identity(slot, row, identity) => {
                found.put(Finding::BrokenBinding, backend, identity);
            }
            None if !spare.has(identity as usize) => found.put(Finding::LostIdentity, backend, identity),
            _ => {}
        }
    }
}
