//! Computed fields: what functions of the schema put into records that lack it.

use super::kernel::{Rows, bits, exceeds};
use super::loss::RowMarks;
use super::memory::{Sink, Source};
use super::plan::Computed;
use super::step::{Move, Step, Width};
use super::store::{Stored, store};
use super::words::Bits;
use crate::descriptor::{Descriptor, Field, FieldType};
use crate::row::{RowView, Value};
use crate::schema::{ComputeFn, NumberFn};

/// Numbers that are computed together.
const COLUMN: usize = 64;

/// What computes a field.
#[derive(Debug, Clone)]
pub(super) enum Function {
    /// Any value from a whole record.
    Row(ComputeFn),
    /// A number from a number.
    Number(NumberFn),
}

/// A function with the place of what it reads.
#[derive(Debug)]
pub(super) struct Computing {
    computed: Computed,
    function: Function,
    /// For a number from a number: where that is, if the source has it.
    input: Option<Bits>,
}

impl Computing {
    /// The same as a step, where there is one that does it.
    pub(super) fn as_step(&self) -> Option<Step> {
        let (Function::Number(function), Some(input)) = (&self.function, self.input) else { return None };
        let field = &self.computed.field;
        (function.is_flag() && is_number(field) && field.range().is_none()).then(|| {
            let src = input.word as u32 * 8 + input.shift / 8;
            Step::Flag(Move {
                src,
                dst: field.offset() as u32,
                from: Width::of_bits(input.count),
                to: Width::of(field),
            })
        })
    }

    pub(super) fn new(computed: Computed, function: Function, source: &Descriptor) -> Self {
        let input = match &function {
            Function::Row(_) => None,
            Function::Number(function) => {
                let field = source.field(function.input()).filter(|field| is_number(field));
                field.map(|field| Bits::of(field.offset() as u32, field.len() as u32 * 8))
            }
        };
        Self { computed, function, input }
    }

    /// Computes the field for every row that was not rejected.
    pub(super) fn apply<S: Source, D: Sink>(&self, source: &Descriptor, rows: &mut Rows<'_, S, D>) {
        let Rows { src, dst, marks } = rows;
        match &self.function {
            Function::Row(function) => {
                for (row, marks) in marks.iter_mut().enumerate().filter(|(_, marks)| marks.is_done()) {
                    let value = src.with_record(row, |record| function(&RowView::new(source, record)));
                    self.store(dst, row, &value, marks);
                }
            }
            Function::Number(function) => {
                for (at, marks) in marks.chunks_mut(COLUMN).enumerate() {
                    let mut column = [function.without(); COLUMN];
                    let column = &mut column[..marks.len()];
                    if let Some(input) = self.input {
                        read(src, input, at * COLUMN, column);
                        function.apply(column);
                    }
                    self.numbers(dst, at * COLUMN, column, marks);
                }
            }
        }
    }

    /// Stores a column of numbers, the first of them in row `first`.
    fn numbers(&self, dst: &mut impl Sink, first: usize, column: &[u64], marks: &mut [RowMarks]) {
        let field = &self.computed.field;
        if !is_number(field) || field.range().is_some() || place(field).spans() {
            for ((row, &number), marks) in (first..).zip(column).zip(marks).filter(|(_, marks)| marks.is_done()) {
                self.store(dst, row, &Value::Unsigned(number), marks);
            }
            return;
        }
        let (max, Bits { word, shift, .. }) = (place(field).mask(), place(field));
        // The maximum is all ones, so that one look at all numbers together tells.
        if column.iter().fold(0, |all, number| all | number) > max {
            let each = column.iter().zip(marks).filter(|(number, _)| **number > max);
            each.for_each(|(_, marks)| exceeds(self.computed.excess, marks));
        }
        let mut add = dst.adder(word);
        (first..).zip(column).for_each(|(row, &number)| add(row, number.min(max) << shift));
    }

    /// Stores any value.
    fn store(&self, dst: &mut impl Sink, row: usize, value: &Value, marks: &mut RowMarks) {
        let Computed { field, excess, other_type, .. } = &self.computed;
        let mut short = [0; 16];
        let mut long = Vec::new();
        let bytes = match short.get_mut(..field.len()) {
            Some(bytes) => bytes,
            // A byte string or a list: its value was allocated too.
            None => {
                long.resize(field.len(), 0);
                &mut long[..]
            }
        };
        match store(field, value, bytes) {
            Stored::Fits => {}
            Stored::Exceeds => exceeds(*excess, marks),
            Stored::OtherType => return marks.reject(*other_type),
        }
        for (at, &byte) in (field.offset()..).zip(&*bytes) {
            dst.adder(at / 8)(row, u64::from(byte) << (at % 8 * 8));
        }
    }
}

/// Whether the field is one unsigned number.
fn is_number(field: &Field) -> bool {
    field.ty() == FieldType::Unsigned && field.elements().is_none()
}

/// Reads the numbers of rows from `first` on.
fn read(src: &impl Source, place: Bits, first: usize, column: &mut [u64]) {
    if place.spans() {
        let get = bits(src, place);
        return column.iter_mut().zip(first..).for_each(|(to, row)| *to = get(row));
    }
    let (get, shift, mask) = (src.column(place.word), place.shift, place.mask());
    for (to, row) in column.iter_mut().zip(first..) {
        let [word] = get(row);
        *to = word >> shift & mask;
    }
}

/// Where a number lies in the destination.
fn place(field: &Field) -> Bits {
    Bits::of(field.offset() as u32, field.len() as u32 * 8)
}
