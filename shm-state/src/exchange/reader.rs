//! Reads rows. Every byte is a claim: what does not hold is refused by name and place, nothing panics, and no more is
//! allocated than the stream has bytes.

use super::error::{RowsError, Wrong};
use super::varint::Rest;
use super::{
    FLAG_LIVE, FRAME_HEAD, FRAME_LEN_MAX, KIND_END, KIND_END_OF_TABLE, KIND_ROWS, KIND_SKIPPABLE, KIND_TABLE, MAGIC,
    SlotRow, TABLES_MAX, TableHeader, checksum, value,
};
use crate::row::{Cell, Row};
use std::io::{ErrorKind, Read};

/// What a stream says next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A table begins.
    Table(TableHeader),
    /// A slot of the table with this id and shard.
    Row {
        /// Id of the table.
        table: u32,
        /// Its shard.
        shard: u32,
        /// The slot.
        slot: SlotRow,
    },
    /// All rows of a table were there.
    EndOfTable {
        /// Id of the table.
        table: u32,
        /// Its shard.
        shard: u32,
    },
}

/// A stream of rows being read.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    /// Where the frame at hand starts, and where the next one does.
    offset: u64,
    next_offset: u64,
    tables: Vec<Table>,
    /// The frame of rows at hand: its payload, what of it was read, and whose it is.
    payload: Vec<u8>,
    at: usize,
    current: usize,
    ended: bool,
}

#[derive(Debug)]
struct Table {
    header: TableHeader,
    live: u64,
    free: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// [`RowsError::BadMagic`], or what the stream says.
    pub fn new(mut from: R) -> Result<Self, RowsError> {
        let mut magic = [0; MAGIC.len()];
        from.read_exact(&mut magic).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => RowsError::BadMagic,
            _ => RowsError::Io(error),
        })?;
        if magic != MAGIC {
            return Err(RowsError::BadMagic);
        }
        let start = MAGIC.len() as u64;
        Ok(Self {
            from,
            offset: start,
            next_offset: start,
            tables: Vec::new(),
            payload: Vec::new(),
            at: 0,
            current: 0,
            ended: false,
        })
    }

    /// What comes next; nothing at the stream's end, which was announced: a stream that just stops is truncated.
    ///
    /// # Errors
    /// See [`RowsError`]; after an error nothing more can be read.
    pub fn next_item(&mut self) -> Result<Option<Item>, RowsError> {
        loop {
            if self.at < self.payload.len() {
                let item = self.row().map_err(|wrong| RowsError::Frame { offset: self.offset, wrong })?;
                return Ok(Some(item));
            }
            if self.ended {
                return Ok(None);
            }
            let kind = self.frame()?;
            let item = self.begin(kind).map_err(|wrong| RowsError::Frame { offset: self.offset, wrong })?;
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    /// The tables that were announced so far.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = &TableHeader> {
        self.tables.iter().map(|table| &table.header)
    }

    /// Reads the next frame and checks it; gives its kind.
    fn frame(&mut self) -> Result<u8, RowsError> {
        self.offset = self.next_offset;
        let truncated = RowsError::Truncated { offset: self.offset };
        let mut head = [0; FRAME_HEAD];
        match self.from.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(truncated),
            other => other?,
        }
        let [kind, l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let found = u32::from_le_bytes([c0, c1, c2, c3]);
        if len as usize > FRAME_LEN_MAX {
            return Err(RowsError::Frame { offset: self.offset, wrong: Wrong::FrameLength(len) });
        }
        self.payload.clear();
        // Grows as bytes come, so that a claimed length alone takes no memory.
        let read = self.from.by_ref().take(len.into()).read_to_end(&mut self.payload)?;
        if read < len as usize {
            return Err(truncated);
        }
        let computed = checksum(kind, &self.payload);
        if computed != found {
            return Err(RowsError::Checksum { offset: self.offset, found, computed });
        }
        self.next_offset += (FRAME_HEAD + read) as u64;
        self.at = self.payload.len();
        Ok(kind)
    }

    fn begin(&mut self, kind: u8) -> Result<Option<Item>, Wrong> {
        let mut rest = Rest(&self.payload);
        match kind {
            KIND_TABLE => {
                let header = TableHeader::read(&self.payload)?;
                let (table, shard) = (header.table, header.shard);
                if self.tables.iter().any(|known| known.is(table, shard)) {
                    return Err(Wrong::TableTwice { table, shard });
                }
                if self.tables.len() == TABLES_MAX {
                    return Err(Wrong::Number { what: "table number", found: 4097, expected: "up to 4096" });
                }
                self.tables.push(Table { header: header.clone(), live: 0, free: 0, ended: false });
                Ok(Some(Item::Table(header)))
            }
            KIND_ROWS => {
                let (table, shard) = (rest.half("table id")?, rest.half("shard")?);
                self.current = self.open(table, shard)?;
                self.at = self.payload.len() - rest.0.len();
                Ok(None)
            }
            KIND_END_OF_TABLE => {
                let (table, shard) = (rest.half("table id")?, rest.half("shard")?);
                let at = self.open(table, shard)?;
                for (what, found) in [("live rows", self.tables[at].live), ("free rows", self.tables[at].free)] {
                    let said = rest.number(what)?;
                    if said != u128::from(found) {
                        return Err(Wrong::Count { what, said, found });
                    }
                }
                self.tables[at].ended = true;
                Ok(Some(Item::EndOfTable { table, shard }))
            }
            KIND_END => {
                let said = rest.number("number of tables")?;
                let found = self.tables.iter().filter(|table| table.ended).count() as u64;
                if said != u128::from(found) || found != self.tables.len() as u64 {
                    return Err(Wrong::Count { what: "tables", said, found });
                }
                self.ended = true;
                Ok(None)
            }
            KIND_SKIPPABLE.. => Ok(None),
            other => Err(Wrong::Kind(other)),
        }
    }

    fn open(&self, table: u32, shard: u32) -> Result<usize, Wrong> {
        let open = |known: &Table| known.is(table, shard) && !known.ended;
        self.tables.iter().position(open).ok_or(Wrong::NoTable { table, shard })
    }

    fn row(&mut self) -> Result<Item, Wrong> {
        let Table { header, live, free, .. } = &mut self.tables[self.current];
        let mut rest = Rest(&self.payload[self.at..]);
        let slot = read_row(&mut rest, header)?;
        self.at = self.payload.len() - rest.0.len();
        *(if slot.row.is_some() { live } else { free }) += 1;
        Ok(Item::Row { table: header.table, shard: header.shard, slot })
    }
}

impl Table {
    fn is(&self, table: u32, shard: u32) -> bool {
        (self.header.table, self.header.shard) == (table, shard)
    }
}

fn read_row(rest: &mut Rest<'_>, header: &TableHeader) -> Result<SlotRow, Wrong> {
    let mut rest = rest.part("row")?;
    let slot = rest.word("slot")?;
    if slot >= header.capacity {
        return Err(Wrong::Number { what: "slot", found: slot.into(), expected: "one that the table has" });
    }
    let incarnation = rest.half("incarnation")?;
    if rest.byte("flags")? & FLAG_LIVE == 0 {
        return Ok(SlotRow { slot, incarnation, row: None });
    }
    let presence = rest.bytes(header.fields.len().div_ceil(8) as u128, "list of fields")?;
    let mut row = Row::new();
    for (at, field) in header.fields.iter().enumerate() {
        if presence[at / 8] & 1 << (at % 8) == 0 {
            continue;
        }
        let Some(meaning) = field.meaning else {
            field.form().skip(&mut rest)?;
            continue;
        };
        let value = value::read(&mut rest, meaning)?;
        let value = value.filter(|value| field.holds(value));
        let value = value.ok_or_else(|| Wrong::Value { field: field.name.to_string(), slot })?;
        row.insert_cell(Cell { id: field.id, name: field.name.clone(), value, cases: field.cases.clone() });
    }
    Ok(SlotRow { slot, incarnation, row: Some(row) })
}
