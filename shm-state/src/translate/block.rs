//! Records that are translated together.

use super::loss::RowMarks;
use super::run::{Program, RowOutcome};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// Private memory for a number of source records and what they are translated into. Steps run over all rows one
/// after the other, so that what a step costs to begin is paid once a block instead of once a record.
///
/// ```text
/// loop { block.push() … ; block.run(); block.translated(row) … ; block.clear() }
/// ```
#[derive(Debug)]
pub struct Block {
    program: Arc<Program>,
    source: Box<[u64]>,
    /// What every record has in common was stored when the block was made: runs leave it alone.
    destination: Box<[u64]>,
    marks: Box<[RowMarks]>,
    source_words: usize,
    destination_words: usize,
    len: usize,
}

impl Block {
    pub(super) fn new(program: Arc<Program>, rows: usize) -> Self {
        assert!(rows > 0, "a block of no rows");
        // Record lengths are multiples of 8.
        let (source_words, destination_words) = (program.source_len() / 8, program.destination_len() / 8);
        let mut destination = vec![0u64; rows * destination_words].into_boxed_slice();
        program.fill(destination.as_mut_bytes(), rows);
        Self {
            program,
            source: vec![0; rows * source_words].into(),
            destination,
            marks: vec![RowMarks::NONE; rows].into(),
            source_words,
            destination_words,
            len: 0,
        }
    }

    /// How many records there is room for.
    pub fn rows(&self) -> usize {
        self.marks.len()
    }

    /// Records in the block.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no record in the block.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True when there is no room for one more.
    pub fn is_full(&self) -> bool {
        self.len == self.rows()
    }

    /// Makes room for all records again.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The place of one more source record, to be written by the caller; what is in it now means nothing.
    ///
    /// # Panics
    /// When the block is full.
    #[inline]
    pub fn push(&mut self) -> &mut [u64] {
        assert!(!self.is_full(), "a block of {} rows is full", self.rows());
        let at = self.len * self.source_words;
        self.len += 1;
        &mut self.source[at..at + self.source_words]
    }

    /// Translates the records in the block.
    pub fn run(&mut self) {
        let marks = &mut self.marks[..self.len];
        marks.fill(RowMarks::DONE);
        let source = &self.source[..self.len * self.source_words];
        let destination = &mut self.destination[..self.len * self.destination_words];
        self.program.run(source.as_bytes(), destination.as_mut_bytes(), marks);
    }

    /// Puts back what every record has in common, after rows were written to by others than [`Block::run`].
    pub(super) fn refill(&mut self) {
        let rows = self.rows();
        self.program.fill(self.destination.as_mut_bytes(), rows);
    }

    /// All source records, one behind the other.
    pub(super) fn sources(&self) -> &[u8] {
        self.source[..self.len * self.source_words].as_bytes()
    }

    /// A source record and what it was translated into. Panics like [`Block::marks`].
    pub(super) fn row(&mut self, row: usize) -> (&[u8], &mut [u8]) {
        assert!(row < self.len, "row {row} of {}", self.len);
        let (from, to) = (row * self.source_words, row * self.destination_words);
        (
            self.source[from..from + self.source_words].as_bytes(),
            self.destination[to..to + self.destination_words].as_mut_bytes(),
        )
    }

    /// What the record pushed as number `row` lost, after [`Block::run`].
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    pub fn marks(&self, row: usize) -> RowMarks {
        self.marks[..self.len][row]
    }

    /// What became of it. Panics like [`Block::marks`].
    #[inline]
    pub fn outcome(&self, row: usize) -> RowOutcome {
        self.program.outcome(self.marks(row))
    }

    /// The translated record, if there is one. Panics like [`Block::marks`].
    #[inline]
    pub fn translated(&self, row: usize) -> Option<&[u64]> {
        let at = row * self.destination_words;
        self.marks(row).is_done().then(|| &self.destination[at..at + self.destination_words])
    }
}
