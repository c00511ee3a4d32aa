//! The one clock: CLOCK_MONOTONIC, common to all processes of the host.

/// Nanoseconds since boot.
#[inline]
pub fn now_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap_or_else(|_| unreachable_clock());
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

#[cold]
fn unreachable_clock() -> nix::sys::time::TimeSpec {
    // Every Linux has this clock; without it no promise about time can be kept.
    panic!("CLOCK_MONOTONIC is missing")
}
