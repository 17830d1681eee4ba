//! What the host offers: which backend it allows, and limits raised as far as it lets us.

use glommio::Placement;

use super::core_thread::executor;
use super::ring::os::{self, Limit, kernel_release};
use super::ring::{self, Missing};
use crate::config::{Config, IoBackend};
use crate::shared::Descriptors;

/// Locked memory an executor and the core's own ring need: executors with 8 MiB for 32 started, for 64 did not.
const LOCKED_BYTES_PER_CORE: u64 = 256 << 10;
/// The least glommio accepts.
const LOCKED_BYTES_MIN: u64 = 512 << 10;
/// Descriptors a core needs besides its connections and listeners: its rings and their events take seven.
const DESCRIPTORS_PER_CORE: u64 = 8;
/// Descriptors the process needs besides its cores; as many as Redis sets aside. Most are spare, so that a connection too many
/// can be accepted to be refused.
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

/// How the limit of descriptors bounds connections, with `cores` cores.
pub(super) fn descriptors(config: &Config, cores: u16) -> Descriptors {
    let listeners = config.bind.len() as u64 * if config.core_endpoints { 2 } else { 1 };
    Descriptors {
        own: DESCRIPTORS_BESIDES + (DESCRIPTORS_PER_CORE + listeners) * u64::from(cores),
        raise: |wanted| os::raise_limit(Limit::Descriptors, wanted).unwrap_or(0),
    }
}

/// The line to be said when only `possible` connections of `maxclients` are possible.
///
/// # Errors
/// One line: there is no room for a single one.
pub(super) fn too_few_descriptors(
    descriptors: Descriptors,
    maxclients: u64,
    possible: u64,
) -> Result<Option<String>, String> {
    let needed = maxclients + descriptors.own;
    if possible == 0 {
        let limit = (descriptors.raise)(0);
        return Err(format!(
            "the limit of {limit} file descriptors is too low for the server to start: raise it to at least {needed} \
             (ulimit -n, LimitNOFILE= of systemd)"
        ));
    }
    Ok((possible < maxclients).then(|| {
        format!(
            "maxclients is lowered from {maxclients} to {possible}: {needed} file descriptors are needed and the limit is \
             {} (raise it: ulimit -n, LimitNOFILE= of systemd)",
            possible + descriptors.own
        )
    }))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn maxclients_is_lowered_to_what_the_limit_allows() {
        let limit = |limit: fn(u64) -> u64| Descriptors {
            own: 60,
            raise: limit,
        };
        let high = limit(|wanted| wanted.max(1024));
        assert_eq!(high.clients_possible(10_000), 10_000);
        assert_eq!(too_few_descriptors(high, 10_000, 10_000), Ok(None));
        let low = limit(|_| 100);
        assert_eq!(
            (low.clients_possible(10_000), low.clients_possible(7)),
            (40, 7)
        );
        let said = too_few_descriptors(low, 10_000, 40).unwrap().unwrap();
        assert!(
            said.starts_with("maxclients is lowered from 10000 to 40: 10060 "),
            "{said}"
        );
        assert!(said.contains("limit is 100 "), "{said}");
        let none = limit(|_| 60);
        assert_eq!(none.clients_possible(1), 0);
        assert!(
            too_few_descriptors(none, 10_000, 0)
                .unwrap_err()
                .contains("at least 10060")
        );
    }

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
