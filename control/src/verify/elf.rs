//! An executable's bytes: for this machine, how it is linked, and with the layouts in its note.

use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, read};
use serde::Serialize;
use shm_state::descriptor::Descriptor;
use shm_state::note::{MigrationsError, NoteError, SECTION, VersionsError, parse_migrations, parse_note_desc};
use shm_state::schema::MigrationFacts;
use thiserror::Error;

use super::notes::{NOTES_MAX, Notes};
use super::versions::Versions;

/// Bytes of an ELF header up to and with `e_machine`.
const IDENT_LEN: usize = 20;

/// Why the bytes are no dataplane for this host.
#[derive(Debug, Error)]
pub enum ElfError {
    /// No ELF magic.
    #[error("is no ELF executable ({bytes} bytes, begins with {begin:02x?})")]
    NotElf {
        /// Length of the file.
        bytes: usize,
        /// Its first bytes.
        begin: Vec<u8>,
    },
    /// Built for another machine, word size or byte order.
    #[error("is for {found}, this host is {host}")]
    OtherMachine {
        /// What the file is for.
        found: String,
        /// What the host is.
        host: String,
    },
    /// An object file, a library or a core dump.
    #[error("is an ELF file, but no executable (type {0})")]
    NotExecutable(u16),
    /// The headers contradict the file.
    #[error("is a damaged ELF file: {0}")]
    Damaged(#[from] read::Error),
    /// More notes than any executable has.
    #[error("is a damaged ELF file: it claims more than {NOTES_MAX} notes")]
    TooManyNotes,
    /// No note of this product.
    #[error("has no {SECTION} note: it is no dataplane, or not one of hitless")]
    NoNote,
    /// The note's contents cannot be trusted.
    #[error("has a bad {SECTION} note: {0}")]
    BadNote(#[from] NoteError),
    /// The contents of its second note cannot be trusted.
    #[error("has a bad {SECTION} note: {0}")]
    BadVersions(#[from] VersionsError),
    /// The contents of its third note cannot be trusted.
    #[error("has a bad {SECTION} note: {0}")]
    BadMigrations(#[from] MigrationsError),
}

/// How an executable finds its libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Linked {
    /// An interpreter loads them.
    Dynamic,
    /// They are in it; loaded at a fixed address.
    Static,
    /// They are in it; loaded anywhere.
    StaticPie,
}

/// What an executable is, and what its notes say.
#[derive(Clone, Debug)]
pub struct Elf {
    /// Machine, word size and byte order in words.
    pub machine: String,
    /// How it is linked.
    pub linked: Linked,
    /// Who loads its libraries.
    pub interpreter: Option<String>,
    /// The layouts that it serves.
    pub layouts: Vec<Descriptor>,
    /// What it speaks; binaries before that note do not say.
    pub versions: Option<Versions>,
    /// The migrations that it knows.
    pub migrations: Vec<MigrationFacts>,
}

/// Word size, byte order and machine number from the first bytes of an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Machine {
    class: u8,
    order: u8,
    machine: u16,
}

impl Machine {
    fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..IDENT_LEN)?;
        if head[..4] != elf::ELFMAG {
            return None;
        }
        let number = [head[18], head[19]];
        let (class, order) = (head[4], head[5]);
        let machine = if order == 2 { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
        Some(Self { class, order, machine })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.machine {
            3 => "x86",
            8 => "mips",
            20 | 21 => "powerpc",
            22 => "s390",
            40 => "arm",
            62 => "x86-64",
            183 => "aarch64",
            243 => "riscv",
            258 => "loongarch",
            other => return write!(f, "machine {other}"),
        };
        let bits = if self.class == 1 { 32 } else { 64 };
        write!(f, "{name}, {bits} bits{}", if self.order == 2 { ", big-endian" } else { "" })
    }
}

/// Reads an executable.
///
/// # Errors
/// [`ElfError`]; never panics, whatever the bytes. `own` is the executable of this process: whatever it is for is
/// what the host runs.
pub fn read(bytes: &[u8], own: &[u8]) -> Result<Elf, ElfError> {
    let Some(found) = Machine::read(bytes) else {
        return Err(ElfError::NotElf { bytes: bytes.len(), begin: bytes[..bytes.len().min(4)].to_vec() });
    };
    if let Some(host) = Machine::read(own)
        && host != found
    {
        return Err(ElfError::OtherMachine { found: found.to_string(), host: host.to_string() });
    }
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let kind = header.e_type(endian);
    if kind != elf::ET_EXEC && kind != elf::ET_DYN {
        return Err(ElfError::NotExecutable(kind.0));
    }
    let notes = Notes::find(header, endian, bytes)?;
    let layouts = parse_note_desc(notes.layouts.ok_or(ElfError::NoNote)?)?;
    let versions = notes.versions.map(Versions::parse).transpose()?;
    let (linked, interpreter) = linked(header, endian, bytes)?;
    let migrations = parse_migrations(notes.migrations.unwrap_or_default())?;
    Ok(Elf { machine: found.to_string(), linked, interpreter, layouts, versions, migrations })
}

/// How it is linked, by its program headers.
fn linked(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    bytes: &[u8],
) -> Result<(Linked, Option<String>), read::Error> {
    for segment in header.program_headers(endian, bytes)? {
        if let Some(interpreter) = segment.interpreter(endian, bytes)? {
            return Ok((Linked::Dynamic, Some(String::from_utf8_lossy(interpreter).into_owned())));
        }
    }
    let position_independent = header.e_type(endian) == elf::ET_DYN;
    Ok((if position_independent { Linked::StaticPie } else { Linked::Static }, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn own() -> Vec<u8> {
        std::fs::read("/proc/self/exe").expect("own executable")
    }

    fn error(bytes: &[u8]) -> String {
        read(bytes, &own()).expect_err("no dataplane").to_string()
    }

    #[test]
    fn what_is_no_dataplane_is_refused_by_name() {
        assert!(error(b"").contains("no ELF executable (0 bytes"));
        assert!(error(b"#!/bin/sh\nexec true\n").contains("no ELF executable"));
        assert!(error(&own()).contains("has no .note.hitless note"), "this test program has no layouts");
        let mut other = own();
        other[18] = 183;
        assert!(error(&other).contains("is for aarch64, 64 bits, this host is"));
        other[18] = 40;
        other[4] = 1;
        assert!(error(&other).contains("is for arm, 32 bits"));
        let mut object = own();
        object[16] = 1;
        assert!(error(&object).contains("no executable (type 1)"));
    }

    #[test]
    fn program_headers_that_all_name_the_same_notes_are_not_followed_for_ever() {
        const HEADERS: usize = 256;
        let notes_off = 64 + HEADERS * 56;
        let notes = vec![0; 12 * 1024];
        let mut bytes = own()[..64].to_vec();
        let put = |bytes: &mut Vec<u8>, at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(&mut bytes, 32, &64_u64.to_le_bytes());
        put(&mut bytes, 54, &[56_u16, HEADERS as u16].map(u16::to_le_bytes).concat());
        for _ in 0..HEADERS {
            bytes.extend_from_slice(&[4_u32, 4].map(u32::to_le_bytes).concat());
            let len = notes.len() as u64;
            bytes.extend_from_slice(&[notes_off as u64, 0, 0, len, len, 4].map(u64::to_le_bytes).concat());
        }
        bytes.extend_from_slice(&notes);
        assert!(error(&bytes).contains("more than 65536 notes"), "{}", error(&bytes));
    }

    proptest! {
        #[test]
        fn damaged_executables_are_refused_without_a_panic(
            changes in prop::collection::vec((0..4096_usize, any::<u8>()), 0..20), cut in 20..20_000_usize
        ) {
            static OWN: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let own = OWN.get_or_init(own);
            let mut bytes = own[..cut.min(own.len())].to_vec();
            for (at, value) in changes {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            prop_assert!(read(&bytes, own).is_err());
        }
    }
}
