//! Clears the packet threads' processors of this process's own threads.
//!
//! A successor that is as busy as its processor allows never sleeps, and its packet thread has the class and the priority
//! of ours: ours would never run again, not to say that it stands aside, nor to take down its ring, nor even to die of a
//! SIGKILL. So the main thread, which runs elsewhere, moves them.

use crate::io::sched;
use nix::sched::{sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Puts every thread of this process into the normal class, on the processors that the calling thread may use.
pub(super) fn step_aside() {
    // What is not permitted leaves things as they are: a successor that pauses now and then is enough.
    let Ok(own) = sched_getaffinity(Pid::from_raw(0)) else { return };
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return };
    let ids = threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    for tid in ids {
        let _ = sched_setaffinity(Pid::from_raw(tid), &own);
        let _ = sched::other_for(tid);
    }
}
