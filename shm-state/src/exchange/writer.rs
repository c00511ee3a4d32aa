//! Writes rows.

use super::varint::put;
use super::{
    FLAG_LIVE, FRAME_LEN_MAX, KIND_END, KIND_END_OF_TABLE, KIND_ROWS, KIND_TABLE, MAGIC, TableHeader, checksum, value,
};
use crate::row::Row;
use std::io::{self, Write};

/// A frame of rows is written when it has so many bytes.
const FRAME_LEN: usize = 64 * 1024;

/// A stream of rows in the making. Frames are whole at any time; [`Writer::end`] makes the stream so.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    table: Option<TableHeader>,
    frame: Vec<u8>,
    row: Vec<u8>,
    live: u64,
    free: u64,
    tables: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a stream.
    ///
    /// # Errors
    /// What `to` says.
    pub fn new(mut to: W) -> io::Result<Self> {
        to.write_all(&MAGIC)?;
        Ok(Self { to, table: None, frame: Vec::new(), row: Vec::new(), live: 0, free: 0, tables: 0 })
    }

    /// Begins a table, and ends the one before.
    ///
    /// # Errors
    /// What the stream says.
    pub fn table(&mut self, header: TableHeader) -> io::Result<()> {
        self.end_table()?;
        let mut payload = Vec::new();
        header.write(&mut payload);
        self.put_frame(KIND_TABLE, &payload)?;
        self.table = Some(header);
        self.tables += 1;
        Ok(())
    }

    /// Tells a slot with its record. Values of the row that the table's header does not name are left out.
    ///
    /// # Errors
    /// What the stream says; a row that is too long for a frame is [`io::ErrorKind::InvalidInput`].
    ///
    /// # Panics
    /// When no table was begun.
    pub fn row(&mut self, slot: u64, incarnation: u32, row: &Row) -> io::Result<()> {
        let header = self.table.as_ref().expect("a table was begun");
        let out = &mut self.row;
        head(out, slot, incarnation, FLAG_LIVE);
        let presence = out.len();
        out.resize(presence + header.fields.len().div_ceil(8), 0);
        for (at, field) in header.fields.iter().enumerate() {
            let known = row.get_id(field.id);
            if let Some(found) = known.filter(|found| field.meaning.is_some_and(|m| value::has_meaning(found, m))) {
                out[presence + at / 8] |= 1 << (at % 8);
                value::write(out, found);
            }
        }
        self.live += 1;
        self.put_row()
    }

    /// Tells a slot that is free, with its incarnation.
    ///
    /// # Errors
    /// What the stream says.
    ///
    /// # Panics
    /// When no table was begun.
    pub fn free(&mut self, slot: u64, incarnation: u32) -> io::Result<()> {
        assert!(self.table.is_some(), "a table was begun");
        head(&mut self.row, slot, incarnation, 0);
        self.free += 1;
        self.put_row()
    }

    /// Writes what is still kept back, so that a reader has all rows.
    ///
    /// # Errors
    /// What the stream says.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.frame.is_empty() {
            let payload = std::mem::take(&mut self.frame);
            self.put_frame(KIND_ROWS, &payload)?;
            self.frame = payload;
            self.frame.clear();
        }
        self.to.flush()
    }

    /// Ends the stream and gives back what it was written to.
    ///
    /// # Errors
    /// What the stream says.
    pub fn end(mut self) -> io::Result<W> {
        self.end_table()?;
        let mut payload = Vec::new();
        put(&mut payload, self.tables.into());
        self.put_frame(KIND_END, &payload)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn end_table(&mut self) -> io::Result<()> {
        self.flush()?;
        let Some(header) = self.table.take() else { return Ok(()) };
        let mut payload = Vec::new();
        for number in [header.table.into(), header.shard.into(), self.live, self.free] {
            put(&mut payload, number.into());
        }
        (self.live, self.free) = (0, 0);
        self.put_frame(KIND_END_OF_TABLE, &payload)
    }

    fn put_row(&mut self) -> io::Result<()> {
        if self.row.len() > FRAME_LEN_MAX / 2 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a row is too long for a frame"));
        }
        if let (Some(header), true) = (&self.table, self.frame.is_empty()) {
            put(&mut self.frame, header.table.into());
            put(&mut self.frame, header.shard.into());
        }
        put(&mut self.frame, self.row.len() as u128);
        self.frame.extend_from_slice(&self.row);
        if self.frame.len() >= FRAME_LEN { self.flush() } else { Ok(()) }
    }

    fn put_frame(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let len = u32::try_from(payload.len()).ok().filter(|&len| len as usize <= FRAME_LEN_MAX);
        let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a frame is too long"))?;
        self.to.write_all(&[kind])?;
        self.to.write_all(&len.to_le_bytes())?;
        self.to.write_all(&checksum(kind, payload).to_le_bytes())?;
        self.to.write_all(payload)
    }
}

fn head(row: &mut Vec<u8>, slot: u64, incarnation: u32, flags: u8) {
    row.clear();
    put(row, slot.into());
    put(row, incarnation.into());
    put(row, flags.into());
}
