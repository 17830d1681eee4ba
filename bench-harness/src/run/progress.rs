//! The line that tells how a run goes: on a terminal, rewritten every second.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::record::Second;
use super::table::{count, micros};

/// Where the line goes.
#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
    name: &'static str,
    seconds: Option<f64>,
    /// The second that was last heard of, and from how many threads.
    heard: (u64, usize),
}

impl Progress {
    /// Silent when `quiet`, or when standard error is no terminal.
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            shown: !quiet && std::io::stderr().is_terminal(),
            name: "",
            seconds: None,
            heard: (0, 0),
        }
    }

    /// A phase begins; it takes this long, when that is known.
    pub(super) fn begin(&mut self, name: &'static str, seconds: Option<f64>) {
        self.name = name;
        self.seconds = seconds;
        self.heard = (0, 0);
        self.write(&format!("{name:8} …"));
    }

    /// A second is over for one of `threads`; shows the sum when it is over for all. A thread that stood still for longer than
    /// a second skips one, which is then not shown.
    pub(super) fn show(&mut self, second: &Second, threads: usize, elapsed: Duration) {
        if self.heard.0 != second.index {
            self.heard = (second.index, 0);
        }
        self.heard.1 += 1;
        if self.heard.1 == threads {
            self.write(&line(self.name, self.seconds, elapsed, second));
        }
    }

    /// The phase is over.
    pub(super) fn end(&self) {
        self.write("");
    }

    fn write(&self, line: &str) {
        if self.shown {
            // A terminal that is gone takes no line, and the run needs none.
            let _ = write!(std::io::stderr(), "\r\x1b[2K{line}");
            let _ = std::io::stderr().flush();
        }
    }
}

fn line(name: &str, seconds: Option<f64>, elapsed: Duration, second: &Second) -> String {
    let of = seconds.map_or(String::new(), |seconds| format!("/{seconds:.0}"));
    let latency = |quantile| micros(second.latency_ns.value_at_quantile(quantile) as f64 / 1e3);
    let mut line = format!(
        "{name:8} {:.0}{of} s  {} op/s  p50 {}  p99 {}  max {}",
        elapsed.as_secs_f64(),
        count(second.latency_ns.len()),
        latency(0.5),
        latency(0.99),
        micros(second.latency_ns.max() as f64 / 1e3),
    );
    let reads = second.hits + second.misses;
    if reads > 0 {
        let ratio = second.hits as f64 / reads as f64 * 100.0;
        line.push_str(&format!("  hits {ratio:.1}%"));
    }
    if second.errors > 0 {
        line.push_str(&format!("  errors {}", count(second.errors)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::record::histogram;

    #[test]
    fn the_line_tells_rate_latency_hits_and_errors() {
        let mut second = Second {
            index: 0,
            errors: 0,
            hits: 3,
            misses: 1,
            latency_ns: histogram(),
        };
        second.latency_ns.record_n(250_000, 12_345).unwrap();
        let text = line("measure", Some(10.0), Duration::from_secs(2), &second);
        assert_eq!(
            text,
            "measure  2/10 s  12,345 op/s  p50 250 µs  p99 250 µs  max 250 µs  hits 75.0%"
        );
        second.errors = 7;
        assert!(line("measure", None, Duration::ZERO, &second).ends_with("errors 7"));
    }
}
