//! Executables, as `controlctl info`, `check` and a swap read them: the ELF file around the notes, and the notes alone.

use control::verify::{LiveTable, plan, read};
use shm_state::note::{self, parse_migrations, parse_note_desc, parse_versions};
use zerocopy::IntoBytes;

use super::{Outcome, refused, rich};
use crate::layouts::RELEASED;

const HEADER_LEN: usize = 64;
const SECTION_LEN: usize = 64;
const PROGRAM_LEN: usize = 56;

/// The first byte: 0, and the rest is an ELF file; 1 to 3, and it is what a file has as the note of that type;
/// others, and it is the section of notes.
pub fn run(data: &[u8]) -> Outcome {
    let Some((&first, rest)) = data.split_first() else { return Outcome::Refused };
    let _ = (parse_note_desc(rest), parse_versions(rest), parse_migrations(rest));
    let section = match first % 5 {
        0 => return executable(rest),
        1 => [entry(note::NOTE_LAYOUTS, rest), entry(note::NOTE_VERSIONS, &[])].concat(),
        2 => [entry(note::NOTE_LAYOUTS, &layouts()), entry(note::NOTE_VERSIONS, rest)].concat(),
        3 => [entry(note::NOTE_LAYOUTS, &layouts()), entry(note::NOTE_MIGRATIONS, rest)].concat(),
        _ => rest.to_vec(),
    };
    executable(&elf(&section))
}

/// A whole executable of a few thousand bytes, and its notes.
pub fn seeds() -> Vec<Vec<u8>> {
    let versions = versions();
    let migrations = rich::SPLIT.as_bytes();
    let all = [entry(note::NOTE_LAYOUTS, &layouts()), entry(note::NOTE_VERSIONS, &versions)];
    let section = [all.concat(), entry(note::NOTE_MIGRATIONS, migrations)].concat();
    let one = RELEASED[3].descriptor().to_bytes();
    let with = |first: u8, bytes: &[u8]| [&[first][..], bytes].concat();
    vec![
        with(0, &elf(&section)),
        with(1, &layouts()),
        with(1, &one),
        with(2, &versions),
        with(3, migrations),
        with(4, &section),
        with(4, &entry(note::NOTE_LAYOUTS, &one)),
    ]
}

fn executable(bytes: &[u8]) -> Outcome {
    // Of the header of this process's own executable, what matters is for which machine it is.
    match read(bytes, &elf(&[])) {
        Err(error) => refused(format!("this file {error}")),
        Ok(elf) => {
            assert!(!elf.layouts.is_empty() && elf.layouts.len() <= note::LAYOUTS_MAX);
            for (layout, _) in rich::known() {
                let _ = plan(
                    &[LiveTable { descriptor: layout.clone(), capacity: 1, live: 1 }],
                    &elf.layouts,
                    &elf.migrations,
                );
            }
            Outcome::Worked
        }
    }
}

/// One layout of each table.
fn layouts() -> Vec<u8> {
    let last = rich::known().len() - 1;
    let one = |at: &usize| ![0, last - 1].contains(at);
    (0..=last).filter(one).flat_map(|at| rich::known()[at].0.to_bytes()).collect()
}

/// What `versions_note!` of an executable would hold: a text, a range, and something of a later version.
fn versions() -> Vec<u8> {
    let part = |subject: u16, form: u16, value: &[u8]| {
        [&subject.to_le_bytes()[..], &form.to_le_bytes(), &(value.len() as u32).to_le_bytes(), value].concat()
    };
    let mut text = [0; note::TEXT_LEN];
    text[..5].copy_from_slice(b"1.2.3");
    let range = [1_u32.to_le_bytes(), 3_u32.to_le_bytes()].concat();
    [part(1, 1, &text), part(16, 2, &range), part(32, 2, &range), part(900, 9, &[7; 4])].concat()
}

/// One note with its head.
fn entry(kind: u32, contents: &[u8]) -> Vec<u8> {
    let name = *b"HITLESS\0";
    let head = [name.len() as u32, contents.len() as u32, kind].map(u32::to_le_bytes).concat();
    let mut note = [&head[..], &name, contents].concat();
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// The least ELF executable that has this section of notes: header, an interpreter, sections (none, notes, names).
fn elf(notes: &[u8]) -> Vec<u8> {
    let names = [b"\0", note::SECTION.as_bytes(), b"\0.shstrtab\0"].concat();
    let interpreter = b"/lib/ld.so\0";
    let [notes_off, names_off] = [HEADER_LEN + PROGRAM_LEN, HEADER_LEN + PROGRAM_LEN + notes.len()];
    let interpreter_off = names_off + names.len();
    let sections_off = (interpreter_off + interpreter.len()).next_multiple_of(8);
    let len = interpreter.len() as u64;
    let head: [(u64, usize); 23] = [
        // Magic, 64 bits, little endian, version 1; padding.
        (u64::from_le_bytes(*b"\x7fELF\x02\x01\x01\0"), 8),
        (0, 8),
        // Type (an executable that is loaded anywhere), machine (x86-64), version, entry.
        (3, 2),
        (62, 2),
        (1, 4),
        (0, 8),
        // Where program headers and sections are; flags.
        (HEADER_LEN as u64, 8),
        (sections_off as u64, 8),
        (0, 4),
        // Length of this header; lengths and numbers of program headers and sections; the section of names.
        (HEADER_LEN as u64, 2),
        (PROGRAM_LEN as u64, 2),
        (1, 2),
        (SECTION_LEN as u64, 2),
        (3, 2),
        (2, 2),
        // The interpreter's program header: type, flags, offset, addresses, sizes, alignment.
        (3, 4),
        (4, 4),
        (interpreter_off as u64, 8),
        (0, 8),
        (0, 8),
        (len, 8),
        (len, 8),
        (1, 8),
    ];
    let mut elf: Vec<u8> =
        head.iter().flat_map(|(number, bytes)| number.to_le_bytes().into_iter().take(*bytes)).collect();
    for part in [notes, &names, interpreter] {
        elf.extend_from_slice(part);
    }
    elf.resize(sections_off + SECTION_LEN, 0);
    let mut section = |name: u32, kind: u32, off: usize, len: usize| {
        elf.extend([name, kind].iter().flat_map(|half| half.to_le_bytes()));
        elf.extend([0, 0, off as u64, len as u64, 0, 4, 0].iter().flat_map(|word| word.to_le_bytes()));
    };
    section(1, 7, notes_off, notes.len());
    section(2 + note::SECTION.len() as u32, 3, names_off, names.len());
    elf
}
