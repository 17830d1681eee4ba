//! `LATENCY DOCTOR`: what the spikes say, in words.

use std::fmt::Write;

use super::merged;
use crate::command::Args;
use crate::observe::Series;
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

pub(super) fn merge(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let merged = merged(parts);
    let report = if !merged.monitor.is_empty() {
        report(merged.monitor.iter())
    } else if merged.threshold_ms == 0 {
        "The latency monitor is off, so there is nothing to report. \
         You may use \"CONFIG SET latency-monitor-threshold <milliseconds>\" to turn it on.\n"
            .to_owned()
    } else {
        format!(
            "No latency spike of {} ms or more has been seen. All is well.\n",
            merged.threshold_ms
        )
    };
    reply.verbatim("txt", report.as_bytes());
    Ok(())
}

fn report<'a>(events: impl Iterator<Item = (&'a str, &'a Series)>) -> String {
    let mut report = "Latency spikes have been seen:\n\n".to_owned();
    let (mut of_commands, mut of_house_keeping) = (false, false);
    for (number, (event, series)) in events.enumerate() {
        let count = series.samples.len() as u64;
        let total: u64 = series.samples.iter().map(|sample| sample.ms).sum();
        let average = total / count.max(1);
        let deviation: u64 = series
            .samples
            .iter()
            .map(|sample| sample.ms.abs_diff(average))
            .sum::<u64>()
            / count.max(1);
        let span = match (series.samples.front(), series.samples.back()) {
            (Some(first), Some(last)) => last.unix_secs - first.unix_secs,
            _ => 0,
        };
        writeln!(
            report,
            "{}. {event}: {count} latency spikes (average {average}ms, mean deviation {deviation}ms, period {:.2} sec). \
             Worst all time event {}ms.",
            number + 1,
            span as f64 / count.max(1) as f64,
            series.max_ms,
        )
        .expect("writing to memory");
        of_commands |= event.ends_with("command");
        of_house_keeping |= !event.ends_with("command");
    }
    report.push_str("\nAdvice:\n\n");
    if of_commands {
        report.push_str(
            "- SLOWLOG GET shows which commands take long. Those that work on many keys or long values do.\n\
             - Another process may be taking the processors the server runs on: compare their load with its own.\n",
        );
    }
    if of_house_keeping {
        report.push_str("- The server was late with work of its own: see the machine's load, disks and memory.\n");
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::LatencyMonitor;

    #[test]
    fn the_report_names_every_event_with_its_figures() {
        let mut monitor = LatencyMonitor::default();
        monitor.record("command", 10, 100);
        monitor.record("command", 20, 300);
        let report = report(monitor.iter());
        let line = "1. command: 2 latency spikes (average 200ms, mean deviation 100ms, period 5.00 sec). \
                    Worst all time event 300ms.";
        assert!(report.contains(line), "{report}");
        assert!(report.contains("SLOWLOG GET"));
    }
}
