//! `LATENCY GRAPH`: an event's spikes as columns of characters, each with its age below.

use super::merged;
use crate::command::Args;
use crate::observe::Series;
use crate::resp::Reply;
use crate::resp::errors::{self, CommandResult};

/// Columns of the drawing: the newest spikes that fit.
const COLUMNS: usize = 80;

/// Lines of the drawing. Each holds three steps of height: `_`, `o`, `#`.
const LINES: usize = 4;
const STEPS: [char; 3] = ['_', 'o', '#'];

pub(super) fn merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let merged = merged(parts);
    let event = String::from_utf8_lossy(args.at(2));
    let series = merged
        .monitor
        .series(&event)
        .ok_or_else(|| errors::no_latency_samples(args.at(2)))?;
    reply.verbatim("txt", draw(&event, series, merged.now_secs).as_bytes());
    Ok(())
}

fn draw(event: &str, series: &Series, now_secs: i64) -> String {
    let low = series
        .samples
        .iter()
        .map(|sample| sample.ms)
        .min()
        .unwrap_or(0);
    let high = series
        .samples
        .iter()
        .map(|sample| sample.ms)
        .max()
        .unwrap_or(0);
    let mut text = format!(
        "{event} - high {high} ms, low {low} ms (all time high {} ms)\n",
        series.max_ms
    );
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    let newest = series.samples.len().saturating_sub(COLUMNS);
    let columns: Vec<(usize, Vec<char>)> = series
        .samples
        .iter()
        .skip(newest)
        .map(|sample| {
            (
                height(sample.ms, low, high),
                age(now_secs - sample.unix_secs).chars().collect(),
            )
        })
        .collect();
    for line in (0..LINES).rev() {
        push_line(
            &mut text,
            columns.iter().map(|(height, _)| cell(*height, line)),
        );
    }
    text.push('\n');
    let deepest = columns
        .iter()
        .map(|(_, label)| label.len())
        .max()
        .unwrap_or(0);
    for line in 0..deepest {
        push_line(
            &mut text,
            columns
                .iter()
                .map(|(_, label)| label.get(line).copied().unwrap_or(' ')),
        );
    }
    text
}

fn push_line(text: &mut String, cells: impl Iterator<Item = char>) {
    let line: String = cells.collect();
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Steps of height, from 0 for the lowest spike to the top of the drawing for the highest.
fn height(ms: u64, low: u64, high: u64) -> usize {
    let span = high - low;
    let steps = LINES * STEPS.len();
    if span == 0 {
        return 0;
    }
    ((ms - low) as usize * steps / span as usize).min(steps - 1)
}

fn cell(height: usize, line: usize) -> char {
    let base = line * STEPS.len();
    match height.checked_sub(base) {
        Some(step) if step < STEPS.len() => STEPS[step],
        Some(_) => '|',
        None => ' ',
    }
}

/// An age, as short as it gets: `5s`, `3m`, `2h`, `9d`.
fn age(secs: i64) -> String {
    match secs.max(0) {
        secs @ 0..60 => format!("{secs}s"),
        secs @ 60..3600 => format!("{}m", secs / 60),
        secs @ 3600..86400 => format!("{}h", secs / 3600),
        secs => format!("{}d", secs / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::LatencyMonitor;

    #[test]
    fn a_graph_has_a_column_and_an_age_for_every_spike() {
        let mut monitor = LatencyMonitor::default();
        for (secs, ms) in [(40, 20), (100, 500), (130, 200)] {
            monitor.record("command", secs, ms);
        }
        let text = draw("command", monitor.series("command").unwrap(), 140);
        let expected = format!(
            "command - high 500 ms, low 20 ms (all time high 500 ms)\n{}\n #\n |\n |o\n_||\n\n141\nm00\n ss\n",
            "-".repeat(COLUMNS)
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn spikes_of_one_height_are_a_flat_line() {
        let mut monitor = LatencyMonitor::default();
        monitor.record("command", 1, 7);
        monitor.record("command", 2, 7);
        let text = draw("command", monitor.series("command").unwrap(), 2);
        assert!(text.ends_with("\n__\n\n10\nss\n"), "{text}");
    }
}
