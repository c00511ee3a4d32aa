//! A plan's steps as operations on words: what a record's every 8 bytes are made of.
//!
//! Records are whole words long, and words are what foreign memory is read and written by. A word is stored
//! once, whole or with its first part, and what further parts add to it was zero. No two steps write the same bits.

use super::step::{EventId, Excess, Scale, Step, Width};

/// Bits in a source record, which may begin anywhere and lie in two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bits {
    pub(super) word: usize,
    /// Bits of the word below them.
    pub(super) shift: u32,
    /// How many, 8 to 64.
    pub(super) count: u32,
}

impl Bits {
    pub(super) fn of(byte: u32, count: u32) -> Self {
        Self { word: byte as usize / 8, shift: byte % 8 * 8, count }
    }

    pub(super) fn mask(self) -> u64 {
        u64::MAX >> (64 - self.count)
    }

    /// Whether they lie in two words.
    pub(super) fn spans(self) -> bool {
        self.shift + self.count > 64
    }

    pub(super) fn whole(self) -> bool {
        self.count == 64
    }
}

/// Bits of a destination word, which bits of a number they get, and what the other bits of the word become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) bits: Bits,
    /// Bits of the number below those that are stored.
    pub(super) from: u32,
    /// Whether the number goes on in the next word.
    pub(super) across: bool,
    pub(super) others: Others,
}

/// The rest of a word that is stored in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// They become these: the first part stores the word.
    Are(u64),
    /// They are there already.
    Stay,
}

/// How a number becomes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// 1 where it is not 0.
    Flag,
    Unsigned {
        max: u64,
        scale: Scale,
        excess: Excess,
        rounded: EventId,
    },
    Signed {
        from: Width,
        to: Width,
        from_signed: bool,
        to_signed: bool,
        excess: Excess,
    },
    Link {
        from_none: u64,
        to_none: u64,
        excess: Excess,
    },
}

/// One operation on every row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// A word that is the same in every row, or to which only functions add.
    Constant { dst: usize, value: u64 },
    /// Whole words.
    Words { src: usize, dst: usize, count: usize },
    /// Some bits, changed or not.
    Number { src: Bits, dst: Target, change: Change },
    /// Bits that have no room in the destination, and what they are if they are not missed.
    Cut { src: Bits, blank: u64, excess: Excess },
}

/// The operations of `steps`, for records whose constant bytes are those of `template`.
pub(super) fn operations(steps: &[Step], template: &[u8]) -> Box<[Op]> {
    let mut ops = additions(steps);
    for (word, value) in template.chunks_exact(8).map(crate::row::load).enumerate() {
        let first = ops.iter_mut().find_map(|op| match op {
            Op::Words { dst, count, .. } if (*dst..*dst + *count).contains(&word) => Some(None),
            Op::Number { dst, .. } if dst.bits.word == word => Some(Some(&mut dst.others)),
            _ => None,
        });
        match first {
            Some(Some(others)) => *others = Others::Are(value),
            Some(None) => {}
            None => ops.push(Op::Constant { dst: word, value }),
        }
    }
    ops.into()
}

/// The operations of `steps` alone, for records that are zero where the steps write.
pub(super) fn additions(steps: &[Step]) -> Vec<Op> {
    let mut ops = Vec::new();
    for step in steps {
        match *step {
            Step::Fill { .. } => {}
            Step::Copy { src, dst, len } => copy(src, dst, len, &mut ops),
            Step::Cut { src, from_len, dst, to_len, blank, excess } => {
                copy(src, dst, to_len, &mut ops);
                let cut = pieces(src + to_len, 0, from_len - to_len);
                ops.extend(cut.map(|(at, cut, len)| {
                    let blank = blank.number(cut, len);
                    Op::Cut { src: Bits::of(at, len * 8), blank, excess }
                }));
            }
            Step::Widen(numbers) => number(numbers.src, numbers.from, numbers.dst, numbers.to, Change::None, &mut ops),
            Step::Flag(numbers) => number(numbers.src, numbers.from, numbers.dst, numbers.to, Change::Flag, &mut ops),
            Step::Unsigned { numbers, scale, excess, rounded } => {
                let change = Change::Unsigned { max: numbers.to.max(), scale, excess, rounded };
                number(numbers.src, numbers.from, numbers.dst, numbers.to, change, &mut ops);
            }
            Step::Signed { numbers, from_signed, to_signed, excess } => {
                let change = Change::Signed { from: numbers.from, to: numbers.to, from_signed, to_signed, excess };
                number(numbers.src, numbers.from, numbers.dst, numbers.to, change, &mut ops);
            }
            Step::Link { numbers, excess } => {
                let change = Change::Link { from_none: numbers.from.max(), to_none: numbers.to.max(), excess };
                number(numbers.src, numbers.from, numbers.dst, numbers.to, change, &mut ops);
            }
        }
    }
    ops
}

fn copy(src: u32, dst: u32, len: u32, ops: &mut Vec<Op>) {
    for (src, dst, len) in pieces(src, dst, len) {
        match ops.last_mut() {
            Some(Op::Words { src: first, dst: to, count })
                if len == 8 && src == (*first + *count) as u32 * 8 && dst == (*to + *count) as u32 * 8 =>
            {
                *count += 1;
            }
            _ if len == 8 && src % 8 == 0 => {
                ops.push(Op::Words { src: src as usize / 8, dst: dst as usize / 8, count: 1 });
            }
            _ => {
                let bits = Bits::of(src, len * 8);
                let dst = Target { bits: Bits::of(dst, len * 8), from: 0, across: false, others: Others::Stay };
                ops.push(Op::Number { src: bits, dst, change: Change::None });
            }
        }
    }
}

fn number(src: u32, from: Width, dst: u32, to: Width, change: Change, ops: &mut Vec<Op>) {
    let src = Bits::of(src, from.bits());
    // A number across two words is stored in two parts, and checked twice: its marks are set once all the same.
    let across = dst % 8 * 8 + to.bits() > 64;
    for (_, at, len) in pieces(0, dst, to.bits() / 8) {
        let dst = Target { bits: Bits::of(at, len * 8), from: (at - dst) * 8, across, others: Others::Stay };
        ops.push(Op::Number { src, dst, change });
    }
}

/// Divides a run of bytes so that each piece lies in one destination word: (source, destination, length).
fn pieces(src: u32, dst: u32, len: u32) -> impl Iterator<Item = (u32, u32, u32)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let piece = (len - done).min(8 - (dst + done) % 8);
        let at = done;
        done += piece;
        (piece > 0).then_some((src + at, dst + at, piece))
    })
}
