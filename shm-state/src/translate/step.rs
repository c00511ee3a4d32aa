//! The steps into which a plan is compiled.
//!
//! Invariant: every offset and width in a step lies inside the record that it is for; it comes from a checked
//! descriptor.

use crate::descriptor::{DEFAULT_LEN, Field, FieldType, Narrow};

/// Width of a number in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Width {
    W1,
    W2,
    W4,
    W8,
}

impl Width {
    /// Width of a field that is a number.
    ///
    /// # Panics
    /// For other fields: their widths were checked with the descriptor.
    pub(super) fn of(field: &Field) -> Self {
        match field.len() {
            1 => Self::W1,
            2 => Self::W2,
            4 => Self::W4,
            8 => Self::W8,
            len => unreachable!("a number of {len} bytes passed the descriptor's check"),
        }
    }

    /// Width of a number of so many bits: 8, 16, 32 or 64.
    pub(super) const fn of_bits(bits: u32) -> Self {
        match bits {
            8 => Self::W1,
            16 => Self::W2,
            32 => Self::W4,
            _ => Self::W8,
        }
    }

    pub(super) const fn bits(self) -> u32 {
        8 << self as u32
    }

    /// Highest unsigned number.
    pub(super) const fn max(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// Lowest and highest number.
    pub(super) const fn range(self, signed: bool) -> (i128, i128) {
        let bits = self.bits();
        if signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
    }
}

/// A factor between two units of time. Named, so that divisions are by constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Factor {
    Thousand,
    Million,
    Billion,
}

impl Factor {
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::Thousand => 1_000,
            Self::Million => 1_000_000,
            Self::Billion => 1_000_000_000,
        }
    }

    pub(super) const fn from_number(number: u64) -> Option<Self> {
        match number {
            1_000 => Some(Self::Thousand),
            1_000_000 => Some(Self::Million),
            1_000_000_000 => Some(Self::Billion),
            _ => None,
        }
    }
}

/// What happens to an unsigned number before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    None,
    Multiply(Factor),
    Divide(Factor),
}

/// Number of a countable loss within its plan; also its bit in [`super::RowMarks`].
pub(super) type EventId = u8;

/// What is done with a value that does not fit, and where that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Excess {
    pub(super) policy: Narrow,
    pub(super) event: EventId,
}

/// A number from one place to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) src: u32,
    pub(super) dst: u32,
    pub(super) from: Width,
    pub(super) to: Width,
}

/// What is not missed where there is no room for it: `bytes`, again every `len` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blank {
    pub(super) bytes: [u8; DEFAULT_LEN],
    pub(super) len: u32,
}

impl Blank {
    pub(super) const ZEROS: Self = Self { bytes: [0; DEFAULT_LEN], len: 1 };

    /// `len` bytes from `start` on, at most 8, as a number.
    pub(super) fn number(&self, start: u32, len: u32) -> u64 {
        (0..len).fold(0, |number, at| {
            let byte = self.bytes.get(((start + at) % self.len) as usize).copied().unwrap_or(0);
            number | u64::from(byte) << (8 * at)
        })
    }
}

/// One step. Order does not matter: no step reads what another wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Bytes as they are.
    Copy { src: u32, dst: u32, len: u32 },
    /// Constant bytes, at the same place in the plan's template: defaults and padding.
    Fill { dst: u32, len: u32 },
    /// An unsigned number that fits.
    Widen(Move),
    /// 1 where a number is not 0.
    Flag(Move),
    /// An unsigned number that may need scaling and may not fit. `rounded` counts what a division drops.
    Unsigned { numbers: Move, scale: Scale, excess: Excess, rounded: EventId },
    /// A number whose source or destination has a sign.
    Signed { numbers: Move, from_signed: bool, to_signed: bool, excess: Excess },
    /// A slot number, whose highest value means none.
    Link { numbers: Move, excess: Excess },
    /// Bytes into a shorter place. Those that have no room there are not missed if they are blank.
    Cut { src: u32, from_len: u32, dst: u32, to_len: u32, blank: Blank, excess: Excess },
}

impl Step {
    pub(super) fn number(src: &Field, dst: &Field) -> Move {
        Move { src: src.offset() as u32, dst: dst.offset() as u32, from: Width::of(src), to: Width::of(dst) }
    }

    fn dst_range(&self) -> (u32, u32) {
        let number = |numbers: &Move| (numbers.dst, numbers.dst + numbers.to.bits() / 8);
        match self {
            Self::Copy { dst, len, .. } | Self::Fill { dst, len } => (*dst, dst + len),
            Self::Cut { dst, to_len, .. } => (*dst, dst + to_len),
            Self::Widen(numbers) | Self::Flag(numbers) => number(numbers),
            Self::Unsigned { numbers, .. } | Self::Signed { numbers, .. } | Self::Link { numbers, .. } => {
                number(numbers)
            }
        }
    }

    /// This step and `next` as one, if they are runs that adjoin.
    fn merged(&self, next: &Self) -> Option<Self> {
        match (*self, *next) {
            (Self::Copy { src, dst, len }, Self::Copy { src: next_src, dst: next_dst, len: next_len })
                if src + len == next_src && dst + len == next_dst =>
            {
                Some(Self::Copy { src, dst, len: len + next_len })
            }
            (Self::Fill { dst, len }, Self::Fill { dst: next_dst, len: next_len }) if dst + len == next_dst => {
                Some(Self::Fill { dst, len: len + next_len })
            }
            _ => None,
        }
    }
}

/// Whether a number of this type has a sign.
pub(super) fn is_signed(ty: FieldType) -> bool {
    ty == FieldType::Signed
}

/// Fills what no step writes, `computed` ranges apart, and merges runs.
pub(super) fn finish(mut steps: Vec<Step>, computed: &[(u32, u32)], record_len: u32) -> Vec<Step> {
    steps.sort_unstable_by_key(Step::dst_range);
    let mut written: Vec<(u32, u32)> = steps.iter().map(Step::dst_range).chain(computed.iter().copied()).collect();
    written.sort_unstable();
    let mut at = 0;
    for (start, end) in written.into_iter().chain([(record_len, record_len)]) {
        if start > at {
            steps.push(Step::Fill { dst: at, len: start - at });
        }
        at = end;
    }
    steps.sort_unstable_by_key(Step::dst_range);
    let mut merged: Vec<Step> = Vec::with_capacity(steps.len());
    for step in steps {
        match merged.last().and_then(|last| last.merged(&step)) {
            Some(run) => *merged.last_mut().expect("there is a last one") = run,
            None => merged.push(step),
        }
    }
    merged
}
