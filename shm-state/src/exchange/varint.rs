//! Integers of variable length, and a reader over a payload that never goes beyond it.

use super::error::Wrong;

/// Longest varint: 128 bits.
const VARINT_LEN_MAX: usize = 19;

/// Appends a number, 7 bits a byte, the lowest first.
pub(super) fn put(to: &mut Vec<u8>, mut number: u128) {
    while number > 0x7f {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Maps signed to unsigned numbers so that small ones stay small.
pub(super) fn zigzag(number: i128) -> u128 {
    (number << 1 ^ number >> 127) as u128
}

pub(super) fn unzigzag(number: u128) -> i128 {
    (number >> 1) as i128 ^ -((number & 1) as i128)
}

/// What is left of a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    pub(super) fn bytes(&mut self, len: u128, what: &'static str) -> Result<&'a [u8], Wrong> {
        let len = usize::try_from(len).map_err(|_| Wrong::Short(what))?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Wrong::Short(what))?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number in its shortest form or not; one of more than 128 bits is refused.
    pub(super) fn number(&mut self, what: &'static str) -> Result<u128, Wrong> {
        let mut number = 0_u128;
        for (place, &byte) in self.0.iter().enumerate().take(VARINT_LEN_MAX) {
            let bits = u128::from(byte & 0x7f);
            let shift = place as u32 * 7;
            if place == VARINT_LEN_MAX - 1 && bits > 3 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                self.0 = &self.0[place + 1..];
                return Ok(number);
            }
        }
        Err(Wrong::Short(what))
    }

    /// A number of at most 64 bits.
    pub(super) fn word(&mut self, what: &'static str) -> Result<u64, Wrong> {
        let found = self.number(what)?;
        u64::try_from(found).map_err(|_| Wrong::Number { what, found, expected: "64 bits" })
    }

    /// A number of at most 32 bits.
    pub(super) fn half(&mut self, what: &'static str) -> Result<u32, Wrong> {
        let found = self.number(what)?;
        u32::try_from(found).map_err(|_| Wrong::Number { what, found, expected: "32 bits" })
    }

    /// A number of at most 8 bits.
    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, Wrong> {
        let found = self.number(what)?;
        u8::try_from(found).map_err(|_| Wrong::Number { what, found, expected: "8 bits" })
    }

    /// A part with its length in front.
    pub(super) fn part(&mut self, what: &'static str) -> Result<Rest<'a>, Wrong> {
        let len = self.number(what)?;
        Ok(Rest(self.bytes(len, what)?))
    }

    /// A name as descriptors allow it.
    pub(super) fn name(&mut self, what: &'static str) -> Result<&'a str, Wrong> {
        let bytes = self.part(what)?.0;
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let fits = (1..=crate::descriptor::NAME_LEN).contains(&bytes.len());
        match std::str::from_utf8(bytes) {
            Ok(name) if fits && bytes.iter().all(good) => Ok(name),
            _ => Err(Wrong::Name(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_numbers_take_one_byte_and_large_ones_nineteen() {
        for (number, len) in [(0, 1), (127, 1), (128, 2), (u128::from(u64::MAX), 10), (u128::MAX, 19)] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(bytes.len(), len);
            assert_eq!(Rest(&bytes).number("number"), Ok(number));
        }
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
        let mut too_large = vec![0xff; 18];
        too_large.push(4);
        assert!(Rest(&too_large).number("number").is_err());
        assert!(Rest(&[0x80; 30]).number("number").is_err());
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(number: u128, signed: i64, wide: u64) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            let mut rest = Rest(&bytes);
            prop_assert_eq!(rest.number("number"), Ok(number));
            prop_assert!(rest.0.is_empty());
            prop_assert_eq!(unzigzag(zigzag(signed.into())), i128::from(signed));
            prop_assert_eq!(unzigzag(zigzag(wide.into())), i128::from(wide));
        }
    }
}
