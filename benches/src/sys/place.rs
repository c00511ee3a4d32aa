//! Which core runs what, and in which scheduling class. What the host does not permit is said, not assumed.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::raw;

/// Cores of the device under test, of the generator, of the backends and of the successor's preparation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    pub dut: usize,
    pub generator: usize,
    pub backends: usize,
    pub background: usize,
    /// How many different cores that makes.
    pub cores: usize,
}

impl Placement {
    /// Spreads over the cores this process may use: the device under test is alone on the first.
    pub fn over(allowed: &[usize]) -> Self {
        let cores = allowed.len().clamp(1, 4);
        let nth = |wanted: usize| allowed.get(wanted.min(cores - 1)).copied().unwrap_or(0);
        Self { dut: nth(0), generator: nth(1), backends: nth(2), background: nth(3), cores }
    }

    pub fn here() -> Self {
        Self::over(&allowed())
    }
}

/// The cores that the calling thread may run on.
pub fn allowed() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else {
        return vec![0];
    };
    (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect()
}

/// Binds the calling thread to `cpus`; packets that one thread sends from two cores can overtake each other.
pub fn pin(cpus: &[usize]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Pins the calling thread and, where permitted, makes it SCHED_FIFO. Returns the class in effect.
pub fn settle(cpu: usize, realtime: bool) -> &'static str {
    // A cpuset may forbid it; the figures then show the noise, and the class is reported.
    let _ = pin(&[cpu]);
    let _ = nix::sys::prctl::set_timerslack(1);
    if realtime && raw::fifo(LOAD_PRIORITY).is_ok() { "fifo" } else { "other" }
}

/// Above nothing but the normal class: the load must be punctual, never starve a packet thread.
const LOAD_PRIORITY: i32 = 1;

/// Whether this host lets us have SCHED_FIFO; tried on a thread that ends at once.
pub fn realtime_permitted() -> bool {
    std::thread::spawn(|| raw::fifo(LOAD_PRIORITY).is_ok()).join().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placement_shares_what_there_is() {
        let one = Placement::over(&[3]);
        assert_eq!((one.dut, one.generator, one.backends, one.background), (3, 3, 3, 3));
        let two = Placement::over(&[0, 1]);
        assert_eq!((two.dut, two.generator, two.backends, two.background), (0, 1, 1, 1));
        let many = Placement::over(&[0, 1, 2, 3, 4, 5]);
        assert_eq!((many.dut, many.generator, many.backends, many.background), (0, 1, 2, 3));
    }
}
