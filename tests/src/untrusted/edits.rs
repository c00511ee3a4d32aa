//! Changes to an image, read from a fuzzer's bytes: where, how wide, and to what.
//!
//! The values are those at which readers break: zero, one, the ends of the number ranges, small numbers, what was there
//! plus or minus one, what is elsewhere in the image. The places are drawn from the parts of a segment, so that headers,
//! which are short, are hit as often as the long arrays behind them.

use arbitrary::{Arbitrary, Result, Unstructured};
use shm_state::prelude::{PRELUDE_LEN, digest64};

/// Where the prelude says what has to be mended, in bytes (docs/shared-memory.md, "Prelude").
const SEGMENT_LEN: usize = 16;
const FINGERPRINT: usize = 56;
const DESCRIPTOR_OFF: usize = 64;
const DESCRIPTOR_LEN: usize = 72;
const BODY_OFF: usize = 80;
const BODY_LEN: usize = 88;
const CHECKSUM: usize = 120;

/// The word at `off`; 0 beyond the end.
fn word(image: &[u8], off: usize) -> u64 {
    let bytes = off.checked_add(8).and_then(|end| image.get(off..end));
    bytes.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
}

/// What an opponent makes right after changing an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum Mend {
    /// The length of the segment, the fingerprint of the descriptor, then the prelude's checksum.
    All,
    /// All but the length.
    Fingerprint,
    /// The prelude's checksum alone.
    Checksum,
    /// Nothing.
    Nothing,
}

impl Mend {
    /// Mends an image.
    pub fn apply(self, image: &mut [u8]) {
        if image.len() < PRELUDE_LEN || self == Self::Nothing {
            return;
        }
        if self == Self::All {
            let len = image.len() as u64;
            image[SEGMENT_LEN..][..8].copy_from_slice(&len.to_le_bytes());
        }
        if self != Self::Checksum {
            let part = part(image, DESCRIPTOR_OFF, DESCRIPTOR_LEN);
            let fingerprint = if part.is_empty() { 0 } else { digest64(&image[part]) };
            image[FINGERPRINT..][..8].copy_from_slice(&fingerprint.to_le_bytes());
        }
        let checksum = digest64(&image[..CHECKSUM]);
        image[CHECKSUM..][..8].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// A part of the image that the prelude tells by offset and length, as much of it as there is.
fn part(image: &[u8], off: usize, len: usize) -> std::ops::Range<usize> {
    let start = word(image, off).min(image.len() as u64) as usize;
    let end = (start as u64).saturating_add(word(image, len)).min(image.len() as u64) as usize;
    start..end
}

/// The part of the segment that is changed.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Part {
    Prelude,
    Descriptor,
    /// The first 128 bytes of the body: headers, and the intent block of an index.
    Head,
    Body,
    /// Again, because it is the longest.
    Within,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Width {
    Byte,
    Half,
    Word,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Value {
    Zero,
    One,
    Ones,
    Top,
    Small(u8),
    Pair(u8, u8),
    More(i8),
    Flip(u8),
    From(u16),
    Any(u64),
}

/// One change: to `count` numbers that follow each other.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Edit {
    part: Part,
    at: u16,
    width: Width,
    value: Value,
    /// Most edits change one number; a few fill an array.
    count: u8,
}

impl Edit {
    /// Changes an image in place.
    pub fn apply(&self, image: &mut [u8]) {
        let width = match self.width {
            Width::Byte => 1,
            Width::Half => 4,
            Width::Word => 8,
        };
        let body = part(image, BODY_OFF, BODY_LEN);
        let range = match self.part {
            Part::Prelude => 0..image.len().min(CHECKSUM),
            Part::Descriptor => part(image, DESCRIPTOR_OFF, DESCRIPTOR_LEN),
            Part::Head => body.start..body.end.min(body.start + 128),
            Part::Body | Part::Within => body,
        };
        let places = range.len() / width;
        if places == 0 {
            return;
        }
        let first = usize::from(self.at) % places;
        let count = if self.count < 200 { 1 } else { usize::from(self.count - 199) };
        for place in first..places.min(first + count) {
            let off = range.start + place * width;
            let mut old = [0; 8];
            old[..width].copy_from_slice(&image[off..off + width]);
            let new = self.new_value(u64::from_le_bytes(old), image);
            image[off..off + width].copy_from_slice(&new.to_le_bytes()[..width]);
        }
    }

    fn new_value(&self, old: u64, image: &[u8]) -> u64 {
        match self.value {
            Value::Zero => 0,
            Value::One => 1,
            Value::Ones => u64::MAX,
            Value::Top => 1 << 63,
            Value::Small(number) => number.into(),
            Value::Pair(low, high) => u64::from(high) << 32 | u64::from(low),
            Value::More(more) => old.wrapping_add_signed(more.into()),
            Value::Flip(bit) => old ^ 1 << (bit % 64),
            Value::From(at) => word(image, usize::from(at) % image.len().max(1) / 8 * 8),
            Value::Any(number) => number,
        }
    }
}

/// Most edits of one input: more only blur what an input does.
const EDITS_MAX: usize = 12;

/// As many edits as the input calls for: each with the number of the image that it is for.
///
/// # Errors
/// The input is used up.
pub fn list(input: &mut Unstructured<'_>) -> Result<Vec<(u8, Edit)>> {
    let count = input.int_in_range(0..=EDITS_MAX)?;
    (0..count).map(|_| Ok((input.arbitrary()?, input.arbitrary()?))).collect()
}
