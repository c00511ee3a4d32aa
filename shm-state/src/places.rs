//! Byte maps: where each word of a structure lies and what it means, for docs/shared-memory.md.
//!
//! Offsets and lengths come from the compiler, not from a second list: a map that lacks a field of its structure
//! does not compile. Words that no structure holds (a table's header) are held to the segments themselves by tests.

/// One named place in a structure or a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// First byte, from the start of the structure.
    pub offset: usize,
    /// How many bytes.
    pub bytes: usize,
    /// Its name in the code.
    pub name: &'static str,
    /// What lies there.
    pub meaning: &'static str,
}

impl Place {
    /// The word (64 bits) at `index` of a header that is an array of words.
    pub const fn word(index: usize, name: &'static str, meaning: &'static str) -> Self {
        Self { offset: index * 8, bytes: 8, name, meaning }
    }

    /// First byte behind the place.
    pub const fn end(&self) -> usize {
        self.offset + self.bytes
    }
}

/// Length of the field that `_get` reads.
pub(crate) const fn len_of<T, F>(_get: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// The places of all fields of a structure, in the order given. A field that is left out stops the build.
macro_rules! places {
    ($ty:ident { $($field:ident: $meaning:literal),+ $(,)? }) => {{
        const fn all(whole: &$ty) {
            let $ty { $($field: _,)+ } = whole;
        }
        let _ = all;
        &[$($crate::places::Place {
            offset: std::mem::offset_of!($ty, $field),
            bytes: $crate::places::len_of(|whole: &$ty| &whole.$field),
            name: stringify!($field),
            meaning: $meaning,
        },)+]
    }};
}
pub(crate) use places;

#[cfg(test)]
mod tests {
    use super::Place;

    /// Places follow each other without gaps and cover the whole, but for what rounds it up to its alignment.
    #[track_caller]
    fn assert_whole(places: &[Place], len: usize) {
        let end = places.iter().fold(0, |at, place| {
            assert_eq!(place.offset, at, "{}", place.name);
            place.end()
        });
        assert!(end <= len && len - end < 64, "{end} of {len}");
    }

    #[test]
    fn maps_cover_their_structures() {
        assert_whole(crate::prelude::PLACES, crate::prelude::PRELUDE_LEN);
        for (places, len) in crate::manifest::places::structures() {
            assert_whole(places, len);
        }
    }
}
