//! What the machine has, as far as a config can be wrong about it.

/// Facts about the host, gathered once, so that the checks themselves are pure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Numbers of the processors that are online, ascending.
    pub cpus: Vec<u32>,
    /// Main memory in bytes; `None` if unknown.
    pub memory_bytes: Option<u64>,
}

impl Host {
    /// Asks this machine.
    pub fn detect() -> Self {
        let cpus = std::fs::read_to_string("/sys/devices/system/cpu/online")
            .ok()
            .and_then(|text| parse_cpu_list(text.trim()))
            .unwrap_or_else(|| {
                let n = std::thread::available_parallelism().map_or(1, usize::from);
                (0..n as u32).collect()
            });
        let memory_bytes = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        });
        Self { cpus, memory_bytes }
    }
}

/// The kernel's list format: `0-3,8`.
fn parse_cpu_list(text: &str) -> Option<Vec<u32>> {
    const CPUS_MAX: u32 = 65_536;
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if first > last || last >= CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        assert_eq!(parse_cpu_list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_cpu_list("0"), Some(vec![0]));
        for bad in ["", "a", "3-1", "0-4294967295", "0,,1"] {
            assert_eq!(parse_cpu_list(bad), None, "{bad}");
        }
    }

    #[test]
    fn this_machine_has_a_processor_and_memory() {
        let host = Host::detect();
        assert!(!host.cpus.is_empty());
        assert!(host.memory_bytes.is_some_and(|b| b > 16 << 20));
    }
}
