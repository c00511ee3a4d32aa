//! Bytes as the kernel hands them over: memfds, sealed as segments have to be, and plain files.

use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

const NAME: &CStr = c"untrusted";

/// A file with these bytes that lives as long as its descriptor.
///
/// # Panics
/// When there is no memory for it.
pub fn file(bytes: &[u8]) -> File {
    let fd = memfd_create(NAME, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).expect("a memfd");
    let mut file = File::from(fd);
    file.write_all(bytes).expect("memory");
    file
}

/// The same, sealed against resizing: what a reader insists on before it maps anything.
///
/// # Panics
/// When there is no memory for it.
pub fn sealed(bytes: &[u8]) -> OwnedFd {
    let file = file(bytes);
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("a new memfd can be sealed");
    file.into()
}

/// A path under which this process finds an open file, for readers that want one.
pub fn path(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
