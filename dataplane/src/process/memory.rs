//! How much memory this host can still give, so that a swap which needs more is refused before anything is allocated:
//! shared memory that is not to be had ends in the kernel killing processes, not in an error.

use handover::messages::Fault;
use std::fs;
use std::path::{Path, PathBuf};

/// Left to everybody else.
const RESERVE_BYTES: u64 = 32 << 20;

/// Refuses what there is no room for; `what` names what it is for.
///
/// # Errors
/// With both numbers.
pub(super) fn check(bytes: u64, what: &str) -> Result<(), Fault> {
    let Some(available) = available() else { return Ok(()) };
    judge(bytes, available, what)
}

fn judge(bytes: u64, available: u64, what: &str) -> Result<(), Fault> {
    if bytes.saturating_add(RESERVE_BYTES) <= available {
        return Ok(());
    }
    let message = format!(
        "{what} needs {} of new memory beside the old, this host can give {} and keeps {}",
        mib(bytes),
        mib(available),
        mib(RESERVE_BYTES)
    );
    let remedy = "free memory, raise the memory limit of the control group, or lower limits.flows_max first";
    Err(Fault::kernel("not-enough-memory", message, remedy))
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Bytes that can be allocated now: the host's, or what a control group leaves of them.
fn available() -> Option<u64> {
    let host = meminfo_available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| own_group(&text)).unwrap_or_default();
    let limits = groups.iter().filter_map(|group| group_available(&Path::new("/sys/fs/cgroup").join(group)));
    Some(limits.fold(host, u64::min))
}

fn meminfo_available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The unified hierarchy's group of this process and all above it.
fn own_group(text: &str) -> Option<Vec<PathBuf>> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(path).ancestors().map(Path::to_owned).collect())
}

/// What a group's limit leaves; page cache is given up when memory is asked for. `None` without a limit.
fn group_available(group: &Path) -> Option<u64> {
    let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    let (most, used) = (number("memory.max")?, number("memory.current")?);
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")).and_then(|n| n.trim().parse().ok());
    Some(most.saturating_sub(used.saturating_sub(cache.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_words_are_read() {
        let text = "MemTotal:       16384 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(meminfo_available(text), Some(8 << 20));
        assert_eq!(meminfo_available("MemTotal: 1 kB\n"), None);
        let groups = own_group("1:name=x:/y\n0::/a/b\n").expect("unified");
        assert_eq!(groups, ["a/b", "a", ""].map(PathBuf::from));
        assert!(available().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn a_group_leaves_its_limit_less_what_cannot_be_given_up() {
        let dir = tempfile::tempdir().expect("directory");
        let write = |file: &str, text: &str| fs::write(dir.path().join(file), text).expect("written");
        write("memory.current", "1000\n");
        write("memory.stat", "anon 600\ninactive_file 300\n");
        write("memory.max", "max\n");
        assert_eq!(group_available(dir.path()), None, "no limit");
        write("memory.max", "5000\n");
        assert_eq!(group_available(dir.path()), Some(4300));
    }

    #[test]
    fn the_last_byte_that_fits_and_the_first_that_does_not() {
        assert!(judge(100, RESERVE_BYTES + 100, "x").is_ok());
        let fault = judge((5 << 20) + 1, RESERVE_BYTES + (5 << 20), "table flows").expect_err("too much");
        assert_eq!(fault.code, "not-enough-memory");
        assert!(fault.message.starts_with("table flows needs 6 MiB"), "{fault}");
    }
}
