//! What a successor does about the operation that a dead holder was in the middle of.

use super::ledger::Ledger;
use super::operation::{Begin, Operation};

/// What was found and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// No operation was under way.
    Nothing,
    /// It was finished.
    Finished(Operation),
    /// It was taken back: it had not happened yet.
    TakenBack(Operation),
    /// The dead holder kept no intents, or what it left makes no sense: only a scan can tell.
    Unknown,
}

/// Finishes or takes back what the holder of `generation`, proven dead, was in the middle of, and owes a scan.
///
/// Acts on the holder's own segments, before the successor takes the owner word and before its last copy: whoever comes
/// next, if this process dies too, finds either the same intent or a table that is whole. What is touched is marked
/// dirty, as is the record that the dead one wrote last, whose mark may be missing; so a translated copy catches up.
pub fn repair(ledger: &mut Ledger, generation: u64) -> Repair {
    ledger.shards.owe_scan();
    let repairs = (0..ledger.shards.count()).map(|shard| repair_shard(ledger, shard, generation));
    // What is not known of one shard is not known of the table; and one holder is in the middle of one operation.
    repairs.fold(Repair::Nothing, |all, one| match (all, one) {
        (Repair::Unknown, _) | (_, Repair::Unknown) => Repair::Unknown,
        (Repair::Nothing, one) => one,
        (all, _) => all,
    })
}

fn repair_shard(ledger: &mut Ledger, shard: usize, generation: u64) -> Repair {
    let intent = ledger.shards.list()[shard].intent.clone();
    let writer = intent.writer();
    if !writer.is(generation) {
        return Repair::Unknown;
    }
    if let Some(slot) = writer.under_way
        && slot.at() < ledger.capacity()
    {
        ledger.records.touch(slot);
    }
    let Some((number, details)) = intent.read() else { return Repair::Nothing };
    let repair = match Operation::decode(number, details, ledger, shard) {
        Some(operation) => settle(ledger, operation),
        None => Repair::Unknown,
    };
    intent.close();
    repair
}

fn settle(ledger: &mut Ledger, operation: Operation) -> Repair {
    match operation {
        Operation::Begin(begin) => {
            let Begin { shard, taking, slot, depth, place } = begin;
            let row = taking.row as usize;
            ledger.records.touch(slot);
            // The slot was free, so nothing else names it.
            if ledger.shards.list()[shard].index.named(place) == Some(slot) {
                ledger.identities.bind(row, taking.identity, slot);
                return Repair::Finished(operation);
            }
            ledger.identities.unbind(row, taking.identity);
            ledger.records.clear(slot);
            ledger.shards.list_mut()[shard].free.set_len(depth as usize);
            ledger.identities.untake(&taking);
            Repair::TakenBack(operation)
        }
        Operation::End(end) => {
            ledger.finish_end(&end);
            Repair::Finished(operation)
        }
        Operation::Wake(waking) => {
            ledger.identities.wake(&waking);
            Repair::Finished(operation)
        }
    }
}
