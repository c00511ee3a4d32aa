//! What can be wrong with a stream of rows.

/// Why rows cannot be read. Says where: `offset` is that of the frame, in bytes from the stream's start.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The stream cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is something else.
    #[error("is no file of rows: it does not begin with HLROWS")]
    BadMagic,
    /// It ends too early.
    #[error("is truncated: it ends within the frame at byte {offset}, or lacks its end")]
    Truncated {
        /// Where the last frame starts.
        offset: u64,
    },
    /// A frame is not what was written.
    #[error("is damaged: the frame at byte {offset} has checksum {found:#010x}, computed {computed:#010x}")]
    Checksum {
        /// Where the frame starts.
        offset: u64,
        /// What the frame says.
        found: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// A frame says what cannot be.
    #[error("is damaged or of a later version: the frame at byte {offset} {wrong}")]
    Frame {
        /// Where the frame starts.
        offset: u64,
        /// What is wrong.
        wrong: Wrong,
    },
}

/// What is wrong within a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A frame that must not be skipped.
    #[error("is of kind {0}, unknown here; use a newer binary")]
    Kind(u8),
    /// A wire form of a later version.
    #[error("has wire version {0}, this binary reads up to {known}; use a newer binary", known = super::WIRE_VERSION)]
    Version(u128),
    /// Longer than any frame.
    #[error("claims {0} bytes")]
    FrameLength(u32),
    /// Something reaches beyond what holds it.
    #[error("has a {0} that reaches beyond its end")]
    Short(&'static str),
    /// A number out of its range.
    #[error("has {what} {found}, expected {expected}")]
    Number {
        /// Which number.
        what: &'static str,
        /// What was read.
        found: u128,
        /// The range.
        expected: &'static str,
    },
    /// A name with characters that names do not have.
    #[error("has a bad name of a {0}")]
    Name(&'static str),
    /// A field is described twice.
    #[error("has field {0} twice")]
    FieldTwice(u32),
    /// A field whose meaning and form contradict each other.
    #[error("has field `{0}` in another form than its meaning takes")]
    Form(String),
    /// A field whose cases are out of order, or two of which have one name.
    #[error("has contradictory cases of field `{0}`")]
    Cases(String),
    /// A value that its field cannot have.
    #[error("has an impossible value of field `{field}` in slot {slot}")]
    Value {
        /// Name of the field.
        field: String,
        /// The row's slot.
        slot: u64,
    },
    /// Rows of a table that was not announced, or that has ended.
    #[error("is about table {table} (shard {shard}), which was not announced or has ended")]
    NoTable {
        /// Its id.
        table: u32,
        /// Its shard.
        shard: u32,
    },
    /// A table is announced again.
    #[error("announces table {table} (shard {shard}) again")]
    TableTwice {
        /// Its id.
        table: u32,
        /// Its shard.
        shard: u32,
    },
    /// The rows are not all there.
    #[error("counts {said} {what}, but there were {found}")]
    Count {
        /// Of what.
        what: &'static str,
        /// What it says.
        said: u128,
        /// What was there.
        found: u64,
    },
}
