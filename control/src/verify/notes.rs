//! The notes of this product in an executable: layouts, the versions of what it speaks, and migrations.

use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader, SectionHeader};
use shm_state::note::{NOTE_LAYOUTS, NOTE_MIGRATIONS, NOTE_NAME, NOTE_VERSIONS, SECTION};

use super::elf::ElfError;

/// Notes of any kind that are looked at in one file: thousands of program headers may all name the same bytes, and a
/// file of a few megabytes would be hours of work.
pub(super) const NOTES_MAX: usize = 1 << 16;

/// Contents of the notes, as they lie in the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notes<'a> {
    pub(super) layouts: Option<&'a [u8]>,
    pub(super) versions: Option<&'a [u8]>,
    pub(super) migrations: Option<&'a [u8]>,
}

impl<'a> Notes<'a> {
    /// Looks through all notes of the file. Notes of other types are of later versions and skipped.
    pub(super) fn find(
        header: &FileHeader64<Endianness>,
        endian: Endianness,
        bytes: &'a [u8],
    ) -> Result<Self, ElfError> {
        let mut found = Self::default();
        let mut left = NOTES_MAX;
        // Program headers survive every strip; section headers may be all there is in an odd link.
        for segment in header.program_headers(endian, bytes)? {
            if let Some(notes) = segment.notes(endian, bytes)? {
                found.look(notes, endian, &mut left)?;
            }
        }
        if found.layouts.is_none() {
            let sections = header.sections(endian, bytes)?;
            if let Some((_, section)) = sections.section_by_name(endian, SECTION.as_bytes())
                && let Some(notes) = section.notes(endian, bytes)?
            {
                found.look(notes, endian, &mut left)?;
            }
        }
        Ok(found)
    }

    fn look(
        &mut self,
        mut notes: NoteIterator<'a, FileHeader64<Endianness>>,
        endian: Endianness,
        left: &mut usize,
    ) -> Result<(), ElfError> {
        while let Some(note) = notes.next()? {
            *left = left.checked_sub(1).ok_or(ElfError::TooManyNotes)?;
            if note.name() != NOTE_NAME.as_bytes() {
                continue;
            }
            let place = match note.n_type(endian).0 {
                NOTE_LAYOUTS => &mut self.layouts,
                NOTE_VERSIONS => &mut self.versions,
                NOTE_MIGRATIONS => &mut self.migrations,
                _ => continue,
            };
            place.get_or_insert(note.desc());
        }
        Ok(())
    }
}
