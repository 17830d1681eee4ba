//! What is said on standard error while it takes its time: on a terminal one line that changes, else a line per result.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use super::format;

/// Whether and how progress is told.
#[derive(Debug)]
pub(crate) struct Progress {
    mode: Mode,
    began: Instant,
    expected_seconds: f64,
    done_seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Silent,
    Lines,
    OneLine,
}

impl Progress {
    /// Told as standard error allows.
    pub(crate) fn new() -> Self {
        match std::io::stderr().is_terminal() {
            true => Self::in_mode(Mode::OneLine),
            false => Self::in_mode(Mode::Lines),
        }
    }

    /// Not told.
    pub(crate) fn silent() -> Self {
        Self::in_mode(Mode::Silent)
    }

    fn in_mode(mode: Mode) -> Self {
        Self {
            mode,
            began: Instant::now(),
            expected_seconds: 0.0,
            done_seconds: 0.0,
        }
    }

    /// Says that all of it takes about `seconds`.
    pub(crate) fn expect(&mut self, seconds: f64) {
        self.began = Instant::now();
        self.expected_seconds = seconds;
        if self.mode != Mode::Silent {
            eprintln!("larder-bench: this takes about {}", format::span(seconds));
        }
    }

    /// Says what is being done now; shown on a terminal only.
    pub(crate) fn say(&self, text: &str) {
        if self.mode == Mode::OneLine {
            let line: String = format!("{} {text}", self.left())
                .chars()
                .take(MAX_COLUMNS)
                .collect();
            eprint!("\r\x1b[K{line}");
            // A terminal that takes no text is no reason to stop measuring.
            let _ = std::io::stderr().flush();
        }
    }

    /// Says what came out of a step; shown where lines are kept.
    pub(crate) fn result(&self, text: &str) {
        match self.mode {
            Mode::Lines => eprintln!("{} {text}", self.left()),
            Mode::OneLine | Mode::Silent => self.say(text),
        }
    }

    /// Counts a step that was expected to take `seconds`.
    pub(crate) fn done(&mut self, seconds: f64) {
        self.done_seconds += seconds;
    }

    /// Clears the line.
    pub(crate) fn finish(&self) {
        if self.mode == Mode::OneLine {
            eprint!("\r\x1b[K");
        }
    }

    /// The part done and the time left, from how long the part took.
    fn left(&self) -> String {
        if self.expected_seconds <= 0.0 {
            return String::new();
        }
        let part = (self.done_seconds / self.expected_seconds).min(1.0);
        let pace = if part > 0.01 {
            self.began.elapsed().as_secs_f64() / part
        } else {
            self.expected_seconds
        };
        format!(
            "[{:3.0}%, {} left]",
            part * 100.0,
            format::span(pace * (1.0 - part))
        )
    }
}

/// A line that a terminal wraps cannot be overwritten.
const MAX_COLUMNS: usize = 110;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_part_done() {
        let mut progress = Progress::silent();
        assert_eq!(progress.left(), "");
        progress.expect(600.0);
        assert_eq!(progress.left(), "[  0%, 10 min left]");
        progress.done(600.0);
        assert_eq!(progress.left(), "[100%, 0 s left]");
    }
}
