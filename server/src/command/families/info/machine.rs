//! What the operating system says about the process and the machine, read from `/proc`. Where it says nothing, zeros.

use std::fs;

/// Bytes of the process that are in memory: all, and those that lie in no file.
pub(in crate::command::families) fn resident_bytes() -> (u64, u64) {
    let kib = |field| kib_of("/proc/self/status", field) * 1024;
    (kib("VmRSS:"), kib("RssAnon:"))
}

/// Bytes of memory the machine has.
pub(super) fn total_bytes() -> u64 {
    kib_of("/proc/meminfo", "MemTotal:") * 1024
}

fn kib_of(path: &str, field: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Processor time in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuTime {
    pub(super) user: f64,
    pub(super) system: f64,
    pub(super) children_user: f64,
    pub(super) children_system: f64,
}

/// The processor time of the process, or of the thread that asks (without children).
pub(super) fn cpu_time(path: &str) -> CpuTime {
    /// Linux counts these in hundredths of a second on every architecture (`USER_HZ`).
    const TICKS_PER_SEC: f64 = 100.0;
    let text = fs::read_to_string(path).unwrap_or_default();
    // The name in parentheses may hold spaces; fields are counted from behind it, where the third one stands.
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let secs = |number: usize| {
        fields
            .get(number - 3)
            .and_then(|ticks| ticks.parse::<f64>().ok())
            .unwrap_or(0.0)
            / TICKS_PER_SEC
    };
    CpuTime {
        user: secs(14),
        system: secs(15),
        children_user: secs(16),
        children_system: secs(17),
    }
}

/// The processor time of the process in milliseconds: its own, and the system's for it.
pub(in crate::command::families) fn cpu_time_ms() -> (u64, u64) {
    let time = cpu_time("/proc/self/stat");
    let ms = |secs: f64| (secs * 1000.0) as u64;
    (ms(time.user), ms(time.system))
}

/// Name, release and architecture of the system.
pub(super) fn system() -> String {
    let read = |path: &str| {
        fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    let (name, release) = (
        read("/proc/sys/kernel/ostype"),
        read("/proc/sys/kernel/osrelease"),
    );
    format!("{name} {release} {}", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_memory_and_time() {
        let (resident, anonymous) = resident_bytes();
        assert!(anonymous > 1 << 20 && resident > anonymous);
        assert!(total_bytes() > resident);
        let time = cpu_time("/proc/self/stat");
        assert!(time.user >= 0.0 && time.user < 1e6);
        assert_eq!(cpu_time("/nosuch").user, 0.0);
    }
}
