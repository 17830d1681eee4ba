//! The identity of the machine that a measurement was made on, from `/proc`.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a reader of a report needs to know of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The host's name.
    pub hostname: String,
    /// The processor's name as the kernel gives it.
    pub cpu: String,
    /// Processors that this process may run on.
    pub cpus: usize,
    /// Physical memory.
    pub memory_bytes: u64,
    /// The kernel's name and release.
    pub kernel: String,
}

impl Machine {
    /// Looks at this machine; what cannot be read is empty or zero.
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            hostname: read("/proc/sys/kernel/hostname").trim().to_owned(),
            cpu: cpu_name(&read("/proc/cpuinfo")),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        }
    }
}

fn cpu_name(cpuinfo: &str) -> String {
    let of = |key: &str| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        })
    };
    of("model name").or_else(|| of("Model")).unwrap_or_default()
}

fn memory_bytes(meminfo: &str) -> u64 {
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_and_the_memory_are_read_from_proc() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu\n";
        assert_eq!(cpu_name(cpuinfo), "AMD EPYC");
        assert_eq!(
            memory_bytes("MemTotal:       24000 kB\nMemFree: 1 kB\n"),
            24_576_000
        );
        assert_eq!((cpu_name("").as_str(), memory_bytes("")), ("", 0));
    }

    #[test]
    fn this_machine_has_a_name_and_a_kernel() {
        let machine = Machine::look();
        assert!(machine.cpus > 0 && machine.memory_bytes > 0);
        assert!(machine.kernel.starts_with("Linux ") && machine.kernel.len() > 6);
    }
}
