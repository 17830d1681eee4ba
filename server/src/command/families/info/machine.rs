//! What the operating system says about the process and the machine, read from `/proc` and asked. Where it says nothing, zeros.

use std::fs::File;
use std::io::Read;
use std::sync::LazyLock;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Bytes of the process that are in memory: all, and those that lie in no file.
pub(in crate::command::families) fn resident_bytes() -> (u64, u64) {
    let status = read("/proc/self/status");
    let bytes = |field| kib_of(&status, field) * 1024;
    (bytes("VmRSS:"), bytes("RssAnon:"))
}

/// Bytes of memory the machine has.
pub(super) fn total_bytes() -> u64 {
    static TOTAL: LazyLock<u64> =
        LazyLock::new(|| kib_of(&read("/proc/meminfo"), "MemTotal:") * 1024);
    *TOTAL
}

fn kib_of(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// What a file of the system says, which has no size beforehand: asked for at once, not in growing pieces. It is made anew for
/// each of them.
fn read(path: &str) -> String {
    const MOST_BYTES: usize = 8 * 1024;
    let mut text = Vec::with_capacity(MOST_BYTES);
    let read = File::open(path).and_then(|file| {
        let mut file = file.take(MOST_BYTES as u64);
        file.read_to_end(&mut text)
    });
    match read {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}

/// Processor time in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuTime {
    pub(super) user: f64,
    pub(super) system: f64,
}

impl CpuTime {
    /// The processor time of the process, of the children it has waited for, or of the thread that asks.
    pub(super) fn of(who: UsageWho) -> Self {
        let secs = |time: fn(&Usage) -> nix::sys::time::TimeVal, usage: &Usage| {
            time(usage).num_microseconds() as f64 / 1e6
        };
        getrusage(who).map_or_else(
            |_| Self::default(),
            |usage| Self {
                user: secs(Usage::user_time, &usage),
                system: secs(Usage::system_time, &usage),
            },
        )
    }
}

/// The processor time of the process in milliseconds: its own, and the system's for it.
pub(in crate::command::families) fn cpu_time_ms() -> (u64, u64) {
    let time = CpuTime::of(UsageWho::RUSAGE_SELF);
    let ms = |secs: f64| (secs * 1000.0) as u64;
    (ms(time.user), ms(time.system))
}

/// Name, release and architecture of the system.
pub(super) fn system() -> &'static str {
    static SYSTEM: LazyLock<String> = LazyLock::new(|| {
        let [name, release] =
            ["ostype", "osrelease"].map(|what| read(&format!("/proc/sys/kernel/{what}")));
        let (name, release) = (name.trim(), release.trim());
        format!("{name} {release} {}", std::env::consts::ARCH)
    });
    &SYSTEM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_memory_and_time() {
        let (resident, anonymous) = resident_bytes();
        assert!(anonymous > 1 << 20 && resident > anonymous);
        assert!(total_bytes() > resident);
        let time = CpuTime::of(UsageWho::RUSAGE_SELF);
        assert!(time.user + time.system > 0.0 && time.user < 1e6);
        assert!(system().contains(std::env::consts::ARCH));
        assert_eq!(read("/nosuch"), "");
    }
}
