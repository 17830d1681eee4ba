//! Connections that could not be accepted, for want of descriptors or memory: said in the log, but not each.

use std::io;

/// The least time between two lines, in milliseconds.
const QUIET_MS: u64 = 10_000;

/// Failures of one core.
#[derive(Debug, Default)]
pub(super) struct AcceptFailures {
    /// Since the last line.
    untold: u64,
    /// When the next line may be written, in milliseconds of the core's monotonic clock.
    quiet_until_ms: u64,
}

impl AcceptFailures {
    /// Accepting failed at `now_ms`. The line to be written, if one is due.
    pub(super) fn note(&mut self, now_ms: u64, error: &io::Error) -> Option<String> {
        self.untold += 1;
        if now_ms < self.quiet_until_ms {
            return None;
        }
        self.quiet_until_ms = now_ms + QUIET_MS;
        let times = std::mem::take(&mut self.untold);
        let hint = match error.raw_os_error() {
            Some(libc::EMFILE) => " (raise the limit with ulimit -n, or lower maxclients)",
            _ => "",
        };
        Some(format!(
            "cannot accept connections: {error}{hint}; {times} times, trying again"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_at_once_and_those_behind_it_together() {
        let mut failures = AcceptFailures::default();
        let full = io::Error::from_raw_os_error(libc::EMFILE);
        let first = failures.note(5, &full).unwrap();
        assert!(
            first.contains("ulimit -n") && first.contains("; 1 times"),
            "{first}"
        );
        for millis in 0..QUIET_MS / 100 {
            assert_eq!(failures.note(5 + millis * 100, &full), None);
        }
        let next = failures
            .note(5 + QUIET_MS, &io::Error::from_raw_os_error(libc::ENOMEM))
            .unwrap();
        assert!(
            !next.contains("ulimit") && next.contains("; 101 times"),
            "{next}"
        );
    }
}
