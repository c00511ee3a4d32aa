//! A binary: which file it is, what it is, and whether it still is what was examined.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use handover::messages::Fault;
use sha2::{Digest, Sha256};
use shm_state::descriptor::Descriptor;
use shm_state::schema::MigrationFacts;
use thiserror::Error;

use super::elf::{self, ElfError, Linked};
use super::versions::Versions;

/// No executable is larger.
const BINARY_BYTES_MAX: u64 = 1 << 30;

/// Why a file is not used.
#[derive(Debug, Error)]
pub enum BinaryError {
    /// It cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a directory or a device.
    #[error("{} is no regular file", .0.display())]
    NotRegular(PathBuf),
    /// This user may not execute it.
    #[error("{} is not executable", .0.display())]
    NotExecutable(PathBuf),
    /// It is far too large.
    #[error("{} has {bytes} bytes, at most {BINARY_BYTES_MAX} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// Its contents are wrong.
    #[error("{} {source}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ElfError>,
    },
    /// It is not the file any more that was examined.
    #[error("{} was changed after it was examined", .0.display())]
    Changed(PathBuf),
}

impl BinaryError {
    /// The fault for reports.
    pub fn fault(&self) -> Fault {
        let (code, remedy) = match self {
            Self::Unreadable { .. } => ("binary-unreadable", "check the path and its permissions"),
            Self::NotRegular(_) => ("binary-not-regular", "name the executable file itself"),
            Self::NotExecutable(_) => ("binary-not-executable", "chmod +x it, or see whether its mount is noexec"),
            Self::TooLarge { .. } => ("binary-too-large", "name a dataplane executable"),
            Self::Changed(_) => ("binary-changed", "install it under a new name and ask again"),
            Self::Elf { source, .. } => match &**source {
                ElfError::NotElf { .. } | ElfError::NotExecutable(_) => {
                    ("binary-not-elf", "name a dataplane executable")
                }
                ElfError::OtherMachine { .. } => ("binary-other-machine", "use the build for this host"),
                ElfError::Damaged(_) | ElfError::TooManyNotes => {
                    ("binary-damaged", "copy it again and compare checksums")
                }
                ElfError::NoNote => ("binary-no-note", "name a dataplane executable of hitless"),
                ElfError::BadNote(_) | ElfError::BadVersions(_) | ElfError::BadMigrations(_) => {
                    ("binary-bad-note", "use a release build of the dataplane")
                }
            },
        };
        Fault::operator(code, self.to_string(), remedy)
    }
}

/// An executable that was examined. Clones share the open file.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Where it was found, absolute.
    pub path: PathBuf,
    /// SHA-256 of its contents, hexadecimal.
    pub sha256: String,
    /// The layouts that it serves.
    pub layouts: Arc<[Descriptor]>,
    /// The migrations that it knows.
    pub migrations: Arc<[MigrationFacts]>,
    /// What it is beside.
    pub facts: Arc<Facts>,
    file: Arc<File>,
    identity: Identity,
}

/// What a file says of itself beside its layouts.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Length of the file.
    pub bytes: u64,
    /// Machine, word size and byte order in words.
    pub machine: String,
    /// How it is linked.
    pub linked: Linked,
    /// Who loads its libraries.
    pub interpreter: Option<String>,
    /// What it speaks; nothing if it does not say.
    pub versions: Option<Versions>,
}

/// Which file, and in which state: any write to it changes its ctime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Binary {
    /// Examines the file at `path`, which is to be run.
    ///
    /// # Errors
    /// [`BinaryError`], naming the file.
    pub fn examine(path: &Path) -> Result<Self, BinaryError> {
        Self::read(path, true)
    }

    /// Examines the file at `path`, which need not be executable by this user.
    ///
    /// # Errors
    /// [`BinaryError`], naming the file.
    pub fn inspect(path: &Path) -> Result<Self, BinaryError> {
        Self::read(path, false)
    }

    fn read(path: &Path, to_run: bool) -> Result<Self, BinaryError> {
        let unreadable = |source| BinaryError::Unreadable { path: path.to_owned(), source };
        let found = std::fs::metadata(path).map_err(unreadable)?;
        if !found.is_file() {
            return Err(BinaryError::NotRegular(path.to_owned()));
        }
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if to_run && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_err() {
            return Err(BinaryError::NotExecutable(path.to_owned()));
        }
        if metadata.len() > BINARY_BYTES_MAX {
            return Err(BinaryError::TooLarge { path: path.to_owned(), bytes: metadata.len() });
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        let own = own_header().map_err(unreadable)?;
        let elf::Elf { machine, linked, interpreter, layouts, versions, migrations } = elf::read(&bytes, &own)
            .map_err(|source| BinaryError::Elf { path: path.to_owned(), source: Box::new(source) })?;
        Ok(Self {
            path: path.to_owned(),
            sha256: hex(&Sha256::digest(&bytes)),
            layouts: layouts.into(),
            migrations: migrations.into(),
            facts: Arc::new(Facts { bytes: metadata.len(), machine, linked, interpreter, versions }),
            file: Arc::new(file),
            identity: Identity::of(&metadata),
        })
    }

    /// Layout version of each table.
    pub fn layout_versions(&self) -> BTreeMap<String, u32> {
        self.layouts.iter().map(|d| (d.name().to_owned(), d.layout_version())).collect()
    }

    /// A path under which exactly the examined contents can be executed now: the path itself, or the file that was
    /// kept open if another one was put there since.
    ///
    /// # Errors
    /// [`BinaryError::Changed`] if the contents are not what they were.
    pub fn executable(&self) -> Result<PathBuf, BinaryError> {
        if std::fs::metadata(&self.path).is_ok_and(|there| Identity::of(&there) == self.identity) {
            return Ok(self.path.clone());
        }
        // Moved, linked or replaced: what was kept open is still right if its contents are.
        let unreadable = |source| BinaryError::Unreadable { path: self.path.clone(), source };
        let mut hasher = Sha256::new();
        let mut file = &*self.file;
        file.rewind().map_err(unreadable)?;
        io::copy(&mut file, &mut HashWriter(&mut hasher)).map_err(unreadable)?;
        if hex(&hasher.finalize()) != self.sha256 {
            return Err(BinaryError::Changed(self.path.clone()));
        }
        Ok(format!("/proc/self/fd/{}", self.file.as_raw_fd()).into())
    }

    /// Whether the process runs the examined file. A process that has ended already runs none, and that is no reason
    /// to doubt the file: its end is judged where it is noticed.
    pub fn is_run_by(&self, pid: u32) -> bool {
        match std::fs::metadata(format!("/proc/{pid}/exe")) {
            Ok(m) => (m.dev(), m.ino()) == (self.identity.device, self.identity.inode),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn own_header() -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open("/proc/self/exe")?.take(64).read_to_end(&mut head)?;
    Ok(head)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn code(path: &Path) -> String {
        Binary::examine(path).expect_err("not a dataplane").fault().code
    }

    #[test]
    fn every_wrong_file_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("directory");
        assert_eq!(code(&dir.path().join("none")), "binary-unreadable");
        assert_eq!(code(dir.path()), "binary-not-regular");
        let file = dir.path().join("file");
        std::fs::write(&file, "text").expect("write");
        assert_eq!(code(&file), "binary-not-executable");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("chmod");
        assert_eq!(code(&file), "binary-not-elf");
        let fault = Binary::examine(Path::new("/proc/self/exe")).expect_err("no note").fault();
        assert_eq!(fault.code, "binary-no-note");
        assert!(fault.message.starts_with("/proc/self/exe has no"), "{}", fault.message);
    }

    #[test]
    fn a_replaced_file_is_run_from_what_was_kept_open_and_a_rewritten_one_not_at_all() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("dataplane");
        std::fs::write(&path, "old").expect("write");
        let file = File::open(&path).expect("open");
        let metadata = file.metadata().expect("metadata");
        let binary = Binary {
            path: path.clone(),
            sha256: hex(&Sha256::digest("old")),
            migrations: Arc::new([]),
            layouts: Arc::default(),
            facts: Arc::new(Facts {
                bytes: 3,
                machine: String::new(),
                linked: Linked::Static,
                interpreter: None,
                versions: None,
            }),
            file: Arc::new(file),
            identity: Identity::of(&metadata),
        };
        assert_eq!(binary.executable().expect("unchanged"), path);
        std::fs::rename(&path, dir.path().join("kept")).expect("rename");
        std::fs::write(&path, "new").expect("write");
        let kept = binary.executable().expect("the old contents are still there");
        assert!(kept.starts_with("/proc/self/fd") && std::fs::read(kept).expect("read") == b"old");
        std::fs::write(dir.path().join("kept"), "bad").expect("write");
        assert!(matches!(binary.executable(), Err(BinaryError::Changed(_))));
    }

    #[test]
    fn digests_are_hexadecimal() {
        assert_eq!(&hex(&Sha256::digest(b"abc"))[..16], "ba7816bf8f01cfea");
    }
}
