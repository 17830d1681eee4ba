//! What the kernel knows of processes and of the machine: CPU time, resident memory, who else is busy.
//!
//! A process's CPU time is its CPU clock (`clock_getcpuclockid`): nanoseconds, user and system, of all its threads, those
//! included that have ended meanwhile, such as the kernel's workers of an io_uring. Adding up `/proc/PID/task/*/schedstat`
//! would miss those, and `/proc/PID/stat` counts in hundredths of a second.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;

use super::scenario::CpuList;

/// CPU time that process `pid` has used since it began.
///
/// # Errors
/// There is no such process.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let pid = i32::try_from(pid).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
    let clock = nix::time::clock_getcpuclockid(Pid::from_raw(pid))?;
    Ok(Duration::from(nix::time::clock_gettime(clock)?))
}

/// CPU time of this process and of its children that have ended.
///
/// # Errors
/// The kernel does not tell.
pub(crate) fn own_cpu_time() -> Result<Duration> {
    let mut total = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            total += time.tv_sec() * 1_000_000 + time.tv_usec();
        }
    }
    Ok(Duration::from_micros(u64::try_from(total).unwrap_or(0)))
}

/// Resident bytes of process `pid`: from `smaps_rollup`, which walks the page tables, else from `status`, whose counters
/// the kernel keeps by thread and adds up late.
///
/// # Errors
/// There is no such process.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    if let Some(bytes) = kib_field(&rollup, "Rss:") {
        return Ok(bytes);
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    kib_field(&status, "VmRSS:").ok_or_else(|| Error::new(ErrorKind::InvalidData, "no VmRSS"))
}

/// Whether process `pid` is stopped by a signal.
pub(crate) fn is_stopped(pid: u32) -> bool {
    // The name, in parentheses, may hold anything; the state stands behind it.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('T'))
}

fn kib_field(text: &str, field: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// CPU time the whole machine has not been idle, time stolen by the hypervisor included.
///
/// # Errors
/// `/proc/stat` cannot be read.
pub(crate) fn machine_busy() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    // user nice system idle iowait irq softirq steal, in ticks: a hundredth of a second on every Linux of today.
    let ticks =
        busy_ticks(&text).ok_or_else(|| Error::new(ErrorKind::InvalidData, "/proc/stat"))?;
    Ok(Duration::from_millis(ticks * 10))
}

fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    let busy = [0, 1, 2, 5, 6, 7].map(|index| fields.get(index).copied());
    busy.into_iter().sum()
}

/// The CPUs this process may use.
///
/// # Errors
/// The kernel does not tell.
pub(crate) fn allowed_cpus() -> Result<CpuList> {
    let set = rustix::thread::sched_getaffinity(None)?;
    let cpus = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
    CpuList::of(cpus).ok_or_else(|| Error::new(ErrorKind::InvalidData, "no CPU is allowed"))
}

/// Runs `work` on a thread of its own that keeps to `cpus`. A process that it starts inherits them, so that it has them from
/// its first instruction on.
///
/// # Errors
/// The kernel refuses the CPUs.
pub(crate) fn pinned<T: Send>(
    cpus: &CpuList,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            rustix::thread::sched_setaffinity(None, &cpus.to_set())?;
            work()
        });
        thread.join().expect("the work does not panic")
    })
}

/// Pairs of a server's and a load's CPU that are two threads of one core.
pub(crate) fn shared_cores(servers: &CpuList, load: &CpuList) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for cpu in servers.iter() {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        let Ok(siblings) = CpuList::parse(fs::read_to_string(path).unwrap_or_default().trim())
        else {
            continue;
        };
        let twins = load
            .iter()
            .filter(|twin| *twin != cpu && siblings.contains(*twin));
        pairs.extend(twins.map(|twin| (cpu, twin)));
    }
    pairs
}

/// How the clock of `cpu` is governed, such as `performance`; `None` where the kernel does not govern it.
pub(crate) fn governor(cpu: usize) -> Option<String> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// Whether this is a virtual machine, as the processor tells it.
pub(crate) fn is_virtual() -> bool {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    flags.any(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_a_process_grows_as_it_works() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let own = own_cpu_time().unwrap();
        // A thread that has ended must still count.
        let worker = std::thread::spawn(|| {
            let start = std::time::Instant::now();
            while start.elapsed() < Duration::from_millis(30) {
                std::hint::spin_loop();
            }
        });
        worker.join().unwrap();
        assert!(cpu_time(pid).unwrap() > before);
        assert!(own_cpu_time().unwrap() >= own);
        assert!(machine_busy().unwrap() > Duration::ZERO);
        assert!(cpu_time(u32::MAX).is_err());
    }

    #[test]
    fn resident_memory_grows_with_what_is_touched() {
        let pid = std::process::id();
        let before = resident_bytes(pid).unwrap();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident_bytes(pid).unwrap();
        assert!(after >= before + (48 << 20), "{before} {after}");
        drop(block);
        assert!(resident_bytes(u32::MAX).is_err());
    }

    #[test]
    fn fields_of_proc_are_read() {
        assert_eq!(
            kib_field("Pss: 1 kB\nRss:      20 kB\n", "Rss:"),
            Some(20_480)
        );
        assert_eq!(kib_field("Pss: 1 kB\n", "Rss:"), None);
        assert_eq!(
            busy_ticks("cpu  1 2 4 100 200 8 16 32 0 0\ncpu0 1\n"),
            Some(63)
        );
        assert_eq!(busy_ticks("cpu 1 2\n"), None);
    }

    #[test]
    fn a_pinned_thread_keeps_to_its_cpus_and_leaves_the_others_alone() {
        let allowed = allowed_cpus().unwrap();
        let last = CpuList::of(allowed.iter().last()).unwrap();
        let seen = pinned(&last, allowed_cpus).unwrap();
        assert_eq!(seen, last);
        assert_eq!(allowed_cpus().unwrap(), allowed);
        let far = CpuList::parse("1000").unwrap();
        assert!(pinned(&far, allowed_cpus).is_err());
    }
}
