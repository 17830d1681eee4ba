//! The few system calls the runtime needs that have no safe wrapper: CPUs, limits, signals, event descriptors.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::budget::ResidentBytes;

fn check(rc: libc::c_int) -> io::Result<libc::c_int> {
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(rc)
    }
}

fn empty_cpu_set() -> libc::cpu_set_t {
    // SAFETY: `cpu_set_t` is a plain bit mask, for which all zeroes is the empty set.
    unsafe { std::mem::zeroed() }
}

/// Restricts the calling thread to `cpu`.
///
/// # Errors
/// The kernel's refusal, for instance when the machine has no such CPU.
pub(in crate::runtime) fn pin_to_cpu(cpu: u16) -> io::Result<()> {
    if i32::from(cpu) >= libc::CPU_SETSIZE {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut set = empty_cpu_set();
    // SAFETY: `cpu` was checked to be below the number of bits in the set.
    unsafe { libc::CPU_SET(usize::from(cpu), &mut set) };
    // SAFETY: `set` is a valid mask of the size given; 0 names the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) }).map(drop)
}

/// The CPUs the process may use, in order.
///
/// # Errors
/// The kernel's refusal (more CPUs than the mask holds).
pub(in crate::runtime) fn allowed_cpus() -> io::Result<Vec<u16>> {
    let mut set = empty_cpu_set();
    // SAFETY: `set` is a mask of the size given; 0 names the calling thread.
    check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) })?;
    let all = 0..libc::CPU_SETSIZE as u16;
    Ok(all
        // SAFETY: the range ends at the number of bits in the set.
        .filter(|&cpu| unsafe { libc::CPU_ISSET(usize::from(cpu), &set) })
        .collect())
}

/// Gives memory that was freed and is kept by the allocator back to the system.
#[cold]
pub(in crate::runtime) fn give_memory_back() {
    // SAFETY: it concerns free memory only, and takes the allocator's own locks.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has the allocator give back what is freed, instead of keeping the more the larger what was freed: memory that it keeps is resident, and
/// used by nobody. To be called before there are threads.
pub(in crate::runtime) fn bound_kept_memory() {
    /// From this size on what is allocated is a mapping of its own, which goes as soon as it is freed: what clients are owed comes and goes by the
    /// megabyte, and would leave holes between what stays. Buffers that a core keeps for reuse are no matter.
    const MAPPED_FROM_BYTES: libc::c_int = 128 << 10;
    /// What may be free at the end of an arena.
    const KEPT_AT_END_BYTES: libc::c_int = 1 << 20;
    // SAFETY: these set numbers by which the allocator goes.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_AT_END_BYTES);
    }
}

/// Bytes of the process that are resident; none where the system does not tell.
#[cold]
pub(in crate::runtime) fn resident_bytes() -> ResidentBytes {
    // SAFETY: it reads a constant of the system.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let page_bytes = u64::try_from(page_bytes).unwrap_or(0);
    // The second number counts all, the third those of files and what is shared.
    let mut numbers = text.split_whitespace().skip(1);
    let mut next_bytes = || {
        let pages = numbers.next().and_then(|pages| pages.parse().ok());
        pages.unwrap_or(0) * page_bytes
    };
    let (all, in_files) = (next_bytes(), next_bytes());
    ResidentBytes {
        anonymous: all.saturating_sub(in_files),
        in_files,
    }
}

/// A limit of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum Limit {
    /// Open descriptors.
    Descriptors,
    /// Bytes of locked memory.
    LockedMemory,
}

/// Raises the soft limit to at least `wanted`, the hard one too where that is allowed. Returns the soft limit in force.
///
/// # Errors
/// The limit cannot be read.
pub(in crate::runtime) fn raise_limit(which: Limit, wanted: u64) -> io::Result<u64> {
    let resource = match which {
        Limit::Descriptors => libc::RLIMIT_NOFILE,
        Limit::LockedMemory => libc::RLIMIT_MEMLOCK,
    };
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the answer.
    check(unsafe { libc::getrlimit(resource, &mut limit) })?;
    if limit.rlim_cur >= wanted {
        return Ok(limit.rlim_cur);
    }
    let beyond = libc::rlimit {
        rlim_cur: wanted,
        rlim_max: limit.rlim_max.max(wanted),
    };
    let within = libc::rlimit {
        rlim_cur: wanted.min(limit.rlim_max),
        rlim_max: limit.rlim_max,
    };
    for change in [beyond, within] {
        // SAFETY: `change` is a valid limit; a refusal changes nothing.
        if check(unsafe { libc::setrlimit(resource, &change) }).is_ok() {
            return Ok(change.rlim_cur);
        }
    }
    Ok(limit.rlim_cur)
}

/// What a read of an eventfd does that nothing was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum WhenEmpty {
    /// It fails.
    Fail,
    /// It waits.
    Wait,
}

/// An eventfd.
///
/// # Errors
/// Too many descriptors.
pub(in crate::runtime) fn event_fd(when_empty: WhenEmpty) -> io::Result<File> {
    let flags = match when_empty {
        WhenEmpty::Fail => libc::EFD_CLOEXEC | libc::EFD_NONBLOCK,
        WhenEmpty::Wait => libc::EFD_CLOEXEC,
    };
    // SAFETY: the call has no memory arguments.
    let fd = check(unsafe { libc::eventfd(0, flags) })?;
    // SAFETY: the kernel has just opened this descriptor for us and nothing else owns it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Sends what the socket takes of `bytes` at once.
///
/// # Errors
/// As send(2), but a full socket is `Ok(0)`.
#[inline]
pub(in crate::runtime) fn send_now(socket: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    loop {
        // SAFETY: pointer and length are those of a live slice.
        let sent = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), flags) };
        if sent >= 0 {
            return Ok(sent as usize);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Ok(0),
            _ => return Err(error),
        }
    }
}

/// Signals kept from every thread started later, so that [`Signals::wait`] gets them.
pub(in crate::runtime) struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks SIGTERM and SIGINT to wait for them, and SIGHUP to ignore it, in the calling thread and those it starts.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(in crate::runtime) fn block() -> io::Result<Self> {
        let set = |signals: &[libc::c_int]| {
            // SAFETY: `sigemptyset` makes any memory of the type a valid set before it is used.
            let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
            // SAFETY: `set` is valid memory, the signals are valid numbers.
            unsafe {
                libc::sigemptyset(&mut set);
                for &signal in signals {
                    libc::sigaddset(&mut set, signal);
                }
            }
            set
        };
        let blocked = set(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP]);
        // SAFETY: `blocked` is a valid set; the old mask is not asked for.
        let rc = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &blocked, std::ptr::null_mut()) };
        if rc != 0 {
            return Err(io::Error::from_raw_os_error(rc));
        }
        Ok(Self(set(&[libc::SIGTERM, libc::SIGINT])))
    }

    /// Waits for SIGTERM or SIGINT and names it.
    pub(in crate::runtime) fn wait(&self) -> &'static str {
        loop {
            let mut signal = 0;
            // SAFETY: the set and the place for the answer are valid.
            match unsafe { libc::sigwait(&self.0, &mut signal) } {
                0 if signal == libc::SIGINT => return "SIGINT",
                0 => return "SIGTERM",
                _ => {}
            }
        }
    }
}

/// The running kernel's release, such as `6.18.1`.
pub(in crate::runtime) fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_pinned_to_a_cpu_of_the_process() {
        let cpus = allowed_cpus().unwrap();
        let last = *cpus.last().unwrap();
        let pinned = std::thread::spawn(move || {
            pin_to_cpu(last).unwrap();
            allowed_cpus().unwrap()
        });
        assert_eq!(pinned.join().unwrap(), [last]);
        assert!(pin_to_cpu(u16::MAX).is_err());
    }

    #[test]
    fn a_limit_already_high_enough_stays() {
        let now = raise_limit(Limit::Descriptors, 0).unwrap();
        assert_eq!(raise_limit(Limit::Descriptors, 1).unwrap(), now);
    }
}
