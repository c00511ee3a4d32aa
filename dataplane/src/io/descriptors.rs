//! Room for file descriptors: thousands of sockets exceed the usual soft limit of 1024.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::sockets::{SocketError, kernel};

/// Descriptors besides the sockets: segments, ring, control, standard streams, and as much again
/// while a swap hands them over.
const BESIDES: u64 = 128;

/// Raises the soft limit of open files, where the hard limit lets it, so that this process can hold
/// this many sockets.
///
/// # Errors
/// The hard limit is too low and this process may not raise it.
pub fn make_room(sockets: usize) -> Result<(), SocketError> {
    let needed = sockets as u64 + BESIDES;
    let what = format!("{needed} descriptors");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| kernel("getrlimit", &what, e.into()))?;
    if soft >= needed {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, needed, hard.max(needed)).map_err(|_| {
        let too_low = nix::errno::Errno::EMFILE.into();
        kernel("setrlimit", &format!("{what} (the hard limit is {hard})"), too_low)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_stays_enough_and_too_many_are_refused() {
        let before = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        make_room(1).unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), before);
        // More than any kernel's fs.nr_open, privileged or not.
        let e = make_room(1 << 40).unwrap_err().to_string();
        assert!(e.contains("1099511627904 descriptors") && e.contains("LimitNOFILE"), "{e}");
    }
}
