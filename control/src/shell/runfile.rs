//! The well-known note of which dataplane runs, so that a second one is not started beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What the note says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Process id of the dataplane.
    pub pid: u32,
    /// When the process was started, in clock ticks since boot: tells it from a later process of the same number.
    pub start_ticks: u64,
    /// Its binary.
    pub binary: String,
    /// Its number in the owner word.
    pub party: u8,
}

/// The note's file.
#[derive(Clone, Debug)]
pub struct RunFile(PathBuf);

impl RunFile {
    /// The note in this state directory.
    pub fn new(state_dir: &Path) -> Self {
        Self(state_dir.join("running.json"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Notes the process.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn write(&self, pid: u32, party: u8, binary: &Path) -> io::Result<()> {
        let start_ticks = start_ticks(pid).ok_or_else(|| io::Error::other(format!("process {pid} is gone")))?;
        let running = Running { pid, start_ticks, binary: binary.display().to_string(), party };
        write_atomic(&self.0, &serde_json::to_vec_pretty(&running).map_err(io::Error::other)?)
    }

    /// Forgets the process.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.0);
    }

    /// The noted process, if it still runs.
    pub fn alive(&self) -> Option<Running> {
        let running: Running = serde_json::from_slice(&fs::read(&self.0).ok()?).ok()?;
        (start_ticks(running.pid) == Some(running.start_ticks)).then_some(running)
    }
}

/// Writes a file so that a reader sees it whole or not at all.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)?;
    fs::rename(&new, path)
}

/// Field 22 of /proc/PID/stat; `None` if the process is gone or a zombie.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in brackets, which may hold anything.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    rest.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_is_told_from_a_later_one_of_the_same_number() {
        let dir = tempfile::tempdir().expect("directory");
        let file = RunFile::new(dir.path());
        assert_eq!(file.alive(), None);
        let me = std::process::id();
        file.write(me, 3, Path::new("/bin/x")).expect("written");
        assert_eq!(file.alive().map(|r| (r.pid, r.party)), Some((me, 3)));
        let text = fs::read_to_string(file.path()).expect("read").replace("\"start_ticks\": ", "\"start_ticks\": 9");
        fs::write(file.path(), text).expect("write");
        assert_eq!(file.alive(), None, "another start time is another process");
        fs::write(file.path(), "garbage").expect("write");
        assert_eq!(file.alive(), None);
    }
}
