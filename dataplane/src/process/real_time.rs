//! What the kernel leaves a real-time thread of its processor.

/// A warning where real-time threads are stopped before they have used a whole core: sched_rt_runtime_us,
/// Documentation/scheduler/sched-rt-group.rst of the kernel.
pub(super) fn limit() -> Option<String> {
    let read = |name: &str| -> Option<i64> {
        std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse().ok()
    };
    let (runtime, period) = (read("sched_rt_runtime_us")?, read("sched_rt_period_us")?);
    (runtime >= 0 && runtime < period).then(|| {
        format!(
            "the kernel stops real-time threads that have used {runtime} of {period} µs of their processor: near that, \
             packets are lost; a packet thread with a processor of its own needs no such limit \
             (sysctl -w kernel.sched_rt_runtime_us=-1)"
        )
    })
}
