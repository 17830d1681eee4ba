//! What the host offers: which backend it allows, and limits raised as far as it lets us.

use std::io;

use glommio::Placement;

use super::core_thread::executor;
use super::ring::os::{self, Limit, kernel_release};
use super::ring::{self, Missing};
use crate::config::IoBackend;

/// Locked memory an executor and the core's own ring need: executors with 8 MiB for 32 started, for 64 did not.
const LOCKED_BYTES_PER_CORE: u64 = 256 << 10;
/// The least glommio accepts.
const LOCKED_BYTES_MIN: u64 = 512 << 10;
/// Descriptors a core needs besides its connections, and the process besides its cores.
const DESCRIPTORS_PER_CORE: u64 = 16;
const DESCRIPTORS_BESIDES: u64 = 32;

/// A backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    IoUring,
    Epoll,
}

impl Taken {
    /// Its name in `io-backend` and `INFO`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

/// Chooses the backend, and says in a line which and why.
///
/// # Errors
/// One line: `io_uring` was asked for and this host does not offer it.
pub(super) fn choose(asked: IoBackend, cores: u16) -> Result<(Taken, String), String> {
    let kernel = kernel_release();
    if asked == IoBackend::Epoll {
        return Ok((Taken::Epoll, "epoll, as asked for".to_owned()));
    }
    match (io_uring_missing(cores), asked) {
        (None, _) => {
            let why = if asked == IoBackend::Auto {
                "this kernel offers all it needs"
            } else {
                "as asked for"
            };
            Ok((Taken::IoUring, format!("io_uring, {why} (Linux {kernel})")))
        }
        (Some(missing), IoBackend::Auto) => Ok((Taken::Epoll, format!("epoll, because {missing}"))),
        (Some(missing), _) => Err(format!(
            "io-backend io_uring is not possible: {missing}. Or use io-backend epoll (or auto)"
        )),
    }
}

/// What keeps io_uring from being used here, and what to do about it.
fn io_uring_missing(cores: u16) -> Option<String> {
    let needed = LOCKED_BYTES_MIN.max(LOCKED_BYTES_PER_CORE * u64::from(cores));
    match os::raise_limit(Limit::LockedMemory, needed) {
        Ok(limit) if limit < needed => {
            return Some(format!(
                "{cores} cores need {} KiB of locked memory and the limit is {} KiB: raise it (ulimit -l, \
                 LimitMEMLOCK= of systemd, --ulimit memlock= of docker)",
                needed >> 10,
                limit >> 10
            ));
        }
        _ => {}
    }
    // On a thread of its own, which the rings' ends trouble when they are taken apart. Where glommio's rings are refused
    // it returns an error or panics.
    let probed = std::thread::spawn(|| {
        ring::probe().map_err(|missing| explain(&missing))?;
        executor(Placement::Unbound).map(drop)
    });
    let outcome = probed.join();
    outcome
        .unwrap_or_else(|_| Err("glommio cannot start on this kernel".to_owned()))
        .err()
}

fn explain(missing: &Missing) -> String {
    let kernel = kernel_release();
    match missing {
        Missing::Ring(error) => match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                "this process may not use io_uring: allow it in the container's seccomp \
                 profile, or set the sysctl kernel.io_uring_disabled to 0"
                    .to_owned()
            }
            Some(libc::ENOSYS) => format!(
                "the kernel (Linux {kernel}) has no io_uring, or a seccomp profile hides it: Linux 6.1 or later is \
                 needed"
            ),
            Some(libc::EINVAL) => format!(
                "the kernel (Linux {kernel}) is too old: Linux 6.1 or later is needed (deferred task work)"
            ),
            Some(libc::ENOMEM) => {
                "the limit of locked memory is too low: raise it (ulimit -l)".to_owned()
            }
            _ => format!("the kernel (Linux {kernel}) makes no ring: {error}"),
        },
        Missing::Buffers(error) => format!(
            "the kernel (Linux {kernel}) takes no ring of buffers: {error}; Linux 6.1 or later is needed"
        ),
        Missing::Operation(name) => format!(
            "the kernel (Linux {kernel}) lacks io_uring's {name}: Linux 6.1 or later is needed"
        ),
    }
}

/// Raises the limit of descriptors for `maxclients` connections. A line when it does not suffice.
///
/// # Errors
/// The limit cannot be read.
pub(super) fn raise_descriptors(maxclients: u64, cores: u16) -> io::Result<Option<String>> {
    let besides = DESCRIPTORS_BESIDES + DESCRIPTORS_PER_CORE * u64::from(cores);
    let wanted = maxclients + besides;
    let limit = os::raise_limit(Limit::Descriptors, wanted)?;
    Ok((limit < wanted).then(|| {
        format!(
            "maxclients {maxclients} needs {wanted} file descriptors and the limit is {limit}: about {} connections are \
             possible (raise it with ulimit -n)",
            limit.saturating_sub(besides)
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoll_is_taken_when_asked_for() {
        let (taken, line) = choose(IoBackend::Epoll, 1).unwrap();
        assert_eq!(taken, Taken::Epoll);
        assert_eq!(line, "epoll, as asked for");
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let refused = |code| explain(&Missing::Ring(io::Error::from_raw_os_error(code)));
        assert!(refused(libc::EPERM).contains("seccomp"));
        assert!(refused(libc::ENOSYS).contains("Linux 6.1"));
        assert!(refused(libc::EINVAL).contains("too old"));
        assert!(refused(libc::ENOMEM).contains("ulimit -l"));
    }
}
