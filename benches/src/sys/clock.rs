//! Clocks. All times in this crate are CLOCK_MONOTONIC nanoseconds, the clock that the swap's own stamps use.

use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_getcpuclockid, clock_gettime, clock_nanosleep};
use nix::unistd::Pid;

pub const MILLI: u64 = 1_000_000;
pub const SECOND: u64 = 1_000_000_000;

fn nanos(spec: TimeSpec) -> u64 {
    Duration::from(spec).as_nanos() as u64
}

fn read(clock: ClockId) -> u64 {
    // These two clocks exist on every kernel that can run the dataplane.
    nanos(clock_gettime(clock).expect("CLOCK_MONOTONIC and CLOCK_REALTIME exist"))
}

/// CLOCK_MONOTONIC, ns.
pub fn now() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Sleeps until the absolute CLOCK_MONOTONIC time `at`; a signal may end the sleep early.
pub fn sleep_until(at: u64) {
    let spec = TimeSpec::from(Duration::from_nanos(at));
    // EINTR only: every caller looks at the clock again in a loop.
    let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &spec);
}

/// CPU time used so far by all threads of process `pid`, ns.
pub fn process_cpu(pid: u32) -> nix::Result<u64> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid as i32))?;
    Ok(nanos(clock_gettime(clock)?))
}

/// Turns the kernel's receive stamps (CLOCK_REALTIME) into CLOCK_MONOTONIC.
///
/// Both clocks are slewed alike, so their distance changes only when the wall clock is set; it is measured
/// again every [`StampClock::REFRESH`].
#[derive(Debug)]
pub struct StampClock {
    offset: i64,
    measured_at: u64,
}

impl StampClock {
    const REFRESH: u64 = 50 * MILLI;

    pub fn new() -> Self {
        Self { offset: Self::measure(), measured_at: now() }
    }

    /// Distance realtime − monotonic. The tightest of a few bracketed readings, so that a preemption between
    /// two readings does not end up in the figure.
    fn measure() -> i64 {
        (0..5)
            .map(|_| {
                let before = now();
                let real = read(ClockId::CLOCK_REALTIME);
                let after = now();
                (after - before, real as i64 - (before + (after - before) / 2) as i64)
            })
            .min()
            .map_or(0, |(_, offset)| offset)
    }

    pub fn refresh(&mut self, now: u64) {
        if now.saturating_sub(self.measured_at) >= Self::REFRESH {
            self.offset = Self::measure();
            self.measured_at = now;
        }
    }

    pub fn monotonic(&self, realtime: u64) -> u64 {
        (realtime as i64 - self.offset).max(0) as u64
    }
}

impl Default for StampClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_become_monotonic() {
        let mut clock = StampClock::new();
        let before = now();
        clock.refresh(before + StampClock::REFRESH);
        let real = read(ClockId::CLOCK_REALTIME);
        let after = now();
        let slack = 20 * SECOND;
        let stamp = clock.monotonic(real);
        assert!(stamp + slack >= before && stamp <= after + slack);
    }

    #[test]
    fn own_cpu_clock_is_readable() {
        assert!(process_cpu(std::process::id()).expect("own process") > 0);
        assert!(process_cpu(5_000_000).is_err(), "no process has such an id");
    }
}
