//! The order of marks and copies, model-checked: every interleaving, and every value that the memory model lets a load
//! return, of a holder that writes and a copier that makes passes.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use loom::thread;
use shm_state::table::marks::{AtomicByte, mark, take};

/// Stores are swaps here whose result nobody looks at: loom lets a swap read a value that a concurrent plain store has
/// replaced already, which no memory has ever done. The order of a plain release store is kept.
struct Byte(AtomicU8);

impl AtomicByte for Byte {
    fn load(&self, order: Ordering) -> u8 {
        self.0.load(order)
    }

    fn store(&self, value: u8, order: Ordering) {
        self.0.swap(value, order);
    }

    fn swap(&self, value: u8, order: Ordering) -> u8 {
        self.0.swap(value, order)
    }
}

fn byte() -> Byte {
    Byte(AtomicU8::new(0))
}

/// A table of two slots in one block: records of two words, so that a copy can be torn.
struct Table {
    records: [[AtomicU64; 2]; 2],
    mark: Byte,
    group: Byte,
}

impl Table {
    fn new() -> Self {
        Self {
            records: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
            mark: byte(),
            group: byte(),
        }
    }

    fn write(&self, slot: usize, value: u64) {
        // Words of a record are not ordered among each other: the holder writes them as plain memory.
        self.records[slot].iter().for_each(|word| word.store(value, Ordering::Relaxed));
    }

    fn read(&self, slot: usize) -> [u64; 2] {
        [0, 1].map(|word| self.records[slot][word].load(Ordering::Relaxed))
    }
}

/// One pass of the copier.
fn pass(table: &Table, copy: &mut [[u64; 2]; 2]) {
    if take(&table.group) == 0 {
        return;
    }
    let bits = take(&table.mark);
    for (slot, copied) in copy.iter_mut().enumerate().filter(|(slot, _)| bits & 1 << slot != 0) {
        *copied = table.read(slot);
    }
}

/// Runs `writes`, (slot, value) in order, beside one pass; after both a last pass has to find everything.
fn check(writes: &'static [(usize, u64)], mark_it: fn(&Table, usize)) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(move || {
        let table = Arc::new(Table::new());
        let holder = {
            let table = table.clone();
            thread::spawn(move || {
                for &(slot, value) in writes {
                    table.write(slot, value);
                    mark_it(&table, slot);
                }
            })
        };
        let mut copy = [[0; 2]; 2];
        pass(&table, &mut copy);
        // The holder stands still, and what it wrote is visible: the offer of the region sees to that.
        holder.join().expect("the holder ends");
        pass(&table, &mut copy);
        assert_eq!(copy, [table.read(0), table.read(1)]);
    });
}

fn as_written(table: &Table, slot: usize) {
    mark(&table.mark, Some(&table.group), 1 << slot);
}

#[test]
fn no_write_is_missed() {
    check(&[(0, 1)], as_written);
    check(&[(0, 1), (0, 2)], as_written);
    check(&[(0, 1), (1, 2)], as_written);
    check(&[(0, 1), (1, 2), (0, 3)], as_written);
}

/// The model can fail: a holder that tests the mark first loses a write.
#[test]
#[should_panic]
fn a_mark_that_is_tested_first_loses_a_write() {
    check(&[(0, 1), (0, 2)], |table, slot| {
        if table.mark.0.load(Ordering::Relaxed) & 1 << slot == 0 {
            mark(&table.mark, Some(&table.group), 1 << slot);
        }
    });
}

/// The model can fail: a holder that stores the group before the mark loses a write.
#[test]
#[should_panic]
fn a_group_that_is_stored_before_its_mark_loses_a_write() {
    check(&[(0, 1)], |table, slot| {
        table.group.store(1, Ordering::Release);
        mark(&table.mark, None, 1 << slot);
    });
}

/// The model can fail: a mark that is stored before the record loses a write.
#[test]
#[should_panic]
fn a_mark_without_release_loses_a_write() {
    check(&[(0, 1)], |table, slot| {
        table.mark.store(1 << slot, Ordering::Relaxed);
        table.group.store(1, Ordering::Relaxed);
    });
}
