//! Taking a process's descriptors instead of asking for them.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use handover::messages::{DescriptorEntry, Fault, Role};
use shm_state::directory::{self, Directory};

use super::raw;

/// Takes every descriptor that the directory names from the process.
///
/// # Errors
/// The first descriptor that cannot be taken, with the remedy.
pub fn steal(process: BorrowedFd<'_>, directory: &Directory) -> Result<Vec<(DescriptorEntry, OwnedFd)>, Fault> {
    let bad = |e: shm_state::error::RegionError| Fault::peer("bad-directory", e.to_string(), "swap without --steal");
    let segments = directory.segments().map_err(bad)?.into_iter().map(|entry| {
        let id = entry.id;
        (DescriptorEntry::segment(id.kind as u32, id.table, id.shard), entry.fd, format!("segment {id}"))
    });
    let sockets = directory.sockets().map_err(bad)?.into_iter().map(|entry| {
        let role = match entry.role {
            directory::Role::Listener => Role::Listener,
            directory::Role::Upstream => Role::Upstream,
        };
        let name = format!("{role:?} socket {}:{}", entry.owner_id, entry.ordinal);
        (DescriptorEntry::socket(role, entry.owner_id, entry.ordinal, entry.shard), entry.fd, name)
    });
    let mut taken = Vec::new();
    for (entry, number, name) in segments.chain(sockets) {
        let fd = raw::pidfd_getfd(process, number).map_err(|e| refused(&name, number, &e))?;
        taken.push((entry, fd));
    }
    // The directory is not in itself.
    let own = directory.segment().fd().try_clone_to_owned().map_err(|e| refused("the directory", -1, &e))?;
    taken.push((DescriptorEntry::segment(handover::messages::segment_kind::DIRECTORY, 0, 0), own));
    Ok(taken)
}

fn refused(name: &str, number: i32, error: &io::Error) -> Fault {
    let (code, remedy) = match error.raw_os_error() {
        Some(libc::EPERM) => (
            "steal-not-permitted",
            "run controld as the dataplane's user with the dataplane dumpable and kernel.yama.ptrace_scope=0, \
             or give controld CAP_SYS_PTRACE",
        ),
        Some(libc::EBADF) => ("steal-stale-directory", "the process has closed it since; swap without --steal"),
        Some(libc::ESRCH) => ("steal-process-gone", "the process has ended; it is restarted by controld"),
        Some(libc::EMFILE | libc::ENFILE) => ("descriptor-limit", "raise RLIMIT_NOFILE of controld"),
        Some(libc::ENOSYS) => ("steal-no-syscall", "pidfd_getfd needs Linux 5.6"),
        _ => ("steal-failed", "swap without --steal"),
    };
    Fault::kernel(code, format!("cannot take {name} (descriptor {number}) from the old process: {error}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm_state::directory::SocketEntry;
    use std::net::UdpSocket;
    use std::os::fd::{AsFd, AsRawFd};

    fn directory(fd: i32) -> Directory {
        let socket = SocketEntry { role: directory::Role::Listener, owner_id: 7, ordinal: 1, shard: 0, fd };
        Directory::create([1; 16], &[], &[socket]).expect("directory")
    }

    #[test]
    fn what_the_directory_names_is_taken() {
        let process = raw::pidfd_open(std::process::id()).expect("pidfd");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("socket");
        let taken = steal(process.as_fd(), &directory(socket.as_raw_fd())).expect("taken");
        assert_eq!(taken.len(), 2, "the socket and the directory");
        assert_eq!(taken[0].0, DescriptorEntry::socket(Role::Listener, 7, 1, 0));
        let copy = UdpSocket::from(taken.into_iter().next().expect("socket").1);
        assert_eq!(copy.local_addr().expect("address"), socket.local_addr().expect("address"));
    }

    #[test]
    fn a_stale_directory_is_refused_by_name() {
        let process = raw::pidfd_open(std::process::id()).expect("pidfd");
        let fault = steal(process.as_fd(), &directory(987_654)).expect_err("no such descriptor");
        assert_eq!(fault.code, "steal-stale-directory");
        assert!(fault.message.contains("Listener socket 7:1 (descriptor 987654)"), "{}", fault.message);
    }

    #[test]
    fn a_process_of_somebody_else_is_refused_with_the_remedy() {
        let fault = refused("x", 5, &io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(fault.code, "steal-not-permitted");
        assert!(fault.remedy.contains("CAP_SYS_PTRACE"));
    }
}
