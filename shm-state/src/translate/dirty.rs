//! Copying a table into another layout while its holder writes.
//!
//! The holder writes a record and then stores its block's mark, always. A pass takes a block's mark with a swap and
//! then copies the block: a write that the copy missed, or saw half, has left its mark for the next pass. The last
//! pass runs while the holder stands still, so its copies are whole, and only they may refuse.
//!
//! Marks belong to the one successor that copies: a copy that is given up leaves unmarked blocks behind, so whoever
//! comes next begins with [`Copier::first`] again.

use super::loss::SlotLosses;
use super::transfer::{ROWS, Transfer};
use super::{Loss, Plan, Refusal};
use crate::error::RegionError;
use crate::schema::Schema;
use crate::table::{BLOCK_SLOTS, RecordsView};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Blocks that are copied together when all of them are.
const BLOCKS: usize = ROWS / BLOCK_SLOTS;

/// What one pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pass {
    /// Blocks that were copied.
    pub blocks: u64,
    /// Live records among them.
    pub records: u64,
}

/// Why a table could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The plan does not fit the records that are there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The two tables do not fit each other.
    #[error(transparent)]
    Region(#[from] RegionError),
}

/// Copies one table from its holder's segment into the successor's.
#[derive(Debug)]
pub struct Copier {
    source: RecordsView,
    destination: RecordsView,
    transfer: Transfer,
    losses: SlotLosses,
    /// Live records translated, each counted as often as it was copied.
    copied: u64,
    passes: u32,
}

impl Copier {
    /// Compiles the plan between two tables of one capacity. `destination` is the caller's own, not yet in use.
    ///
    /// # Errors
    /// [`CopyError::Refused`] when the layouts do not fit, by table and field; [`CopyError::Region`] when the
    /// capacities differ.
    pub fn new(source: RecordsView, destination: RecordsView, schema: &Schema) -> Result<Self, CopyError> {
        let plan = Plan::compile(source.descriptor(), destination.descriptor())?;
        let transfer = Transfer::new(&plan.bind(schema)?);
        if source.capacity() != destination.capacity() {
            return Err(CopyError::Region(RegionError::Claim {
                segment: source.segment().id(),
                what: "capacity",
                found: source.capacity(),
                expected: format!("{} as configured", destination.capacity()),
            }));
        }
        let losses = SlotLosses::new(&plan, source.capacity() as usize);
        Ok(Self { source, destination, transfer, losses, copied: 0, passes: 0 })
    }

    /// Copies every block, marked or not. `rest(done, total)` is called now and then, in slots; it may sleep.
    pub fn first(&mut self, mut rest: impl FnMut(u64, u64)) -> Pass {
        let mut pass = Pass::default();
        let (blocks, total) = (self.source.geometry.blocks(), self.source.capacity());
        for block in (0..blocks).step_by(BLOCKS) {
            let some = block..blocks.min(block + BLOCKS);
            pass.blocks += some.len() as u64;
            for block in some.clone() {
                // PAIR dirty: acquire here, release in Records::touch.
                self.source.mark(block).swap(0, Ordering::AcqRel);
            }
            pass.records += self.blocks(some);
            if block.is_multiple_of(512) {
                rest((block * BLOCK_SLOTS) as u64, total);
            }
        }
        self.passes += 1;
        pass
    }

    /// Copies the blocks that were marked since they were last copied.
    pub fn again(&mut self) -> Pass {
        self.passes += 1;
        self.marked()
    }

    /// The last pass, with the holder standing still: copies what is still marked.
    ///
    /// # Errors
    /// The first row that refuses, by field. The destination must not be used then.
    pub fn last(&mut self) -> Result<Pass, Refusal> {
        let pass = self.marked();
        match self.losses.total().refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(pass),
        }
    }

    /// Blocks marked now: what the next pass would copy.
    pub fn dirty(&self) -> u64 {
        (0..self.source.geometry.blocks()).filter(|&block| self.source.mark(block).load(Ordering::Relaxed) != 0).count()
            as u64
    }

    /// Passes until the marks stop getting fewer, or at most `enough` blocks are marked; at most `most` passes.
    /// Returns how many blocks are marked then.
    pub fn converge(&mut self, enough: u64, most: u32) -> u64 {
        let mut before = u64::MAX;
        for _ in 0..most {
            let dirty = self.dirty();
            if dirty <= enough || dirty >= before {
                return dirty;
            }
            before = dirty;
            self.again();
        }
        self.dirty()
    }

    /// How long the last pass would take over `blocks` blocks, by a measured guess of 100 ns a record.
    pub fn estimate(&self, blocks: u64) -> Duration {
        // The scan of the marks: a byte a block, 8 bytes at a time.
        let scan = self.source.geometry.blocks() as u64 / 8;
        Duration::from_nanos(blocks * BLOCK_SLOTS as u64 * 100 + scan)
    }

    /// What did not fit, over the last copies of all slots.
    pub fn loss(&self) -> &Loss {
        self.losses.total()
    }

    /// Records copied in all passes together.
    pub fn copied(&self) -> u64 {
        self.copied
    }

    /// Passes so far.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// The table that is copied from.
    pub fn source(&self) -> &RecordsView {
        &self.source
    }

    /// The table that is copied to.
    pub fn destination(&self) -> &RecordsView {
        &self.destination
    }

    fn marked(&mut self) -> Pass {
        let mut pass = Pass::default();
        for block in 0..self.source.geometry.blocks() {
            let mark = self.source.mark(block);
            // A plain look first: most marks are clear, and a swap of each would cost the holder its cache lines. A mark
            // that this look misses is found by the next pass; in the last one the holder stands still.
            if mark.load(Ordering::Relaxed) == 0 {
                continue;
            }
            // PAIR dirty: acquire here, release in Records::touch.
            mark.swap(0, Ordering::AcqRel);
            pass.records += self.blocks(block..block + 1);
            pass.blocks += 1;
        }
        pass
    }

    /// Copies blocks whose marks were taken; returns their live records.
    fn blocks(&mut self, blocks: Range<usize>) -> u64 {
        let Self { source, destination, transfer, losses, copied, .. } = self;
        let slots = blocks.start * BLOCK_SLOTS..(blocks.end * BLOCK_SLOTS).min(source.geometry.capacity);
        let live = transfer.slots(source, destination, slots, |slot, marks| losses.note(slot, marks));
        *copied += live;
        live
    }
}
