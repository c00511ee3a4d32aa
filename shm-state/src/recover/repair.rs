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
    ledger.intent.owe_scan();
    let writer = ledger.intent.writer();
    if !writer.is(generation) {
        return Repair::Unknown;
    }
    if let Some(slot) = writer.under_way
        && slot.at() < ledger.capacity()
    {
        ledger.records.touch(slot);
    }
    let Some((number, details)) = ledger.intent.read() else { return Repair::Nothing };
    let repair = match Operation::decode(number, details, ledger) {
        Some(operation) => settle(ledger, operation),
        None => Repair::Unknown,
    };
    ledger.intent.close();
    repair
}

fn settle(ledger: &mut Ledger, operation: Operation) -> Repair {
    match operation {
        Operation::Begin(begin) => {
            let Begin { taking, slot, depth, place } = begin;
            let row = taking.row as usize;
            ledger.records.touch(slot);
            // The slot was free, so nothing else names it.
            if ledger.index.named(place) == Some(slot) {
                ledger.identities.bind(row, taking.identity, slot);
                return Repair::Finished(operation);
            }
            ledger.identities.unbind(row, taking.identity);
            ledger.records.clear(slot);
            ledger.free.set_len(depth as usize);
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
