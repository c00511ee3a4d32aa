//! The third note: which migrations a binary knows, so that a swap that takes them can be planned from files alone.
//!
//! Its type is [`NOTE_MIGRATIONS`], which readers of the other notes skip. Its contents are declarations one after the
//! other ([`MigrationDesc`]), each with its own length: later ones may be longer.

use crate::schema::{MigrationDesc, MigrationFacts};
use zerocopy::FromBytes;

/// Type of the note that holds migrations.
pub const NOTE_MIGRATIONS: u32 = 3;
/// Most migrations that are read from one note.
pub const MIGRATIONS_MAX: usize = 256;

/// Why a note's contents are no migrations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrationsError {
    /// A declaration reaches beyond the note, or is shorter than any.
    #[error("the note of migrations is damaged: the declaration at byte {offset} has {len} bytes, there are {have}")]
    Length {
        /// Where it starts.
        offset: usize,
        /// Bytes that it claims.
        len: usize,
        /// Bytes that are left.
        have: usize,
    },
    /// A declaration says what cannot be.
    #[error("the note of migrations is damaged: the declaration at byte {offset} contradicts itself")]
    Declaration {
        /// Where it starts.
        offset: usize,
    },
    /// More declarations than any binary has.
    #[error("the note of migrations has more than {MIGRATIONS_MAX} declarations")]
    TooMany,
}

/// The migrations in a note's contents.
///
/// # Errors
/// The first claim that does not hold. Never panics, whatever the bytes.
pub fn parse_migrations(contents: &[u8]) -> Result<Vec<MigrationFacts>, MigrationsError> {
    let (mut migrations, mut offset) = (Vec::new(), 0);
    while offset < contents.len() {
        let rest = &contents[offset..];
        if migrations.len() == MIGRATIONS_MAX {
            return Err(MigrationsError::TooMany);
        }
        let read = MigrationDesc::read_from_prefix(rest).ok().map(|(desc, _)| desc);
        let len = read.map_or(0, |desc| desc.len.get() as usize);
        let wrong = MigrationsError::Length { offset, len, have: rest.len() };
        let desc = read.filter(|_| (size_of::<MigrationDesc>()..=rest.len()).contains(&len)).ok_or(wrong)?;
        migrations.push(MigrationFacts::of(&desc).ok_or(MigrationsError::Declaration { offset })?);
        offset += len;
    }
    Ok(migrations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    const SPLIT: MigrationDesc = MigrationDesc::new(4, "split-stamp", 1, 2, &[2], &[3, 4]);
    const MERGE: MigrationDesc = MigrationDesc::new(4, "round", 3, 4, &[3, 4], &[6]).one_way();

    fn note() -> Vec<u8> {
        [SPLIT, MERGE].as_bytes().to_vec()
    }

    #[test]
    fn what_was_put_in_is_read_out() {
        let read = parse_migrations(&note()).expect("good");
        let first = MigrationFacts {
            table: 4,
            name: "split-stamp".into(),
            from: 1,
            to: 2,
            consumes: vec![2],
            produces: vec![3, 4],
            one_way: false,
        };
        assert_eq!(read[0], first);
        assert!(read[1].one_way && read.len() == 2);
        let mut longer = note();
        longer.splice(120..120, [0xaa; 4]);
        longer[..4].copy_from_slice(&124_u32.to_le_bytes());
        assert_eq!(parse_migrations(&longer).expect("skipped"), read);
    }

    #[test]
    fn the_bytes_are_frozen() {
        let bytes = MERGE.as_bytes();
        assert_eq!(bytes[..24], [120, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 2, 0, 1, 0, 0, 0]);
        assert_eq!((&bytes[24..30], &bytes[56..68]), (&b"round\0"[..], &[3, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0][..]));
    }

    #[test]
    fn impossible_declarations_are_refused() {
        let with = |at: usize, byte: u8| {
            let mut bytes = note();
            bytes[at] = byte;
            parse_migrations(&bytes)
        };
        assert_eq!(with(0, 119), Err(MigrationsError::Length { offset: 0, len: 119, have: 240 }));
        assert_eq!(with(120, 121), Err(MigrationsError::Length { offset: 120, len: 121, have: 120 }));
        // From version 2 to 2; no inputs; more ids than there are; the same output twice; id 0; a bad name.
        for (at, byte) in [(8, 2), (18, 0), (20, 16), (64, 3), (56, 0), (24, b' ')] {
            assert_eq!(with(at, byte), Err(MigrationsError::Declaration { offset: 0 }), "byte {at}");
        }
        let many = SPLIT.as_bytes().repeat(MIGRATIONS_MAX + 1);
        assert_eq!(parse_migrations(&many), Err(MigrationsError::TooMany));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(damage in prop::collection::vec((0usize..240, any::<u8>()), 0..6), cut in 0usize..=240) {
            let mut bytes = note();
            damage.into_iter().for_each(|(at, byte)| bytes[at] = byte);
            let _ = parse_migrations(&bytes[..cut]);
        }
    }
}
