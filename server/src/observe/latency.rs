//! The latency monitor of a core: the last 160 spikes of each event, as `LATENCY HISTORY` shows them.
//!
//! Two spikes of one event in one second are one sample, the longer of them (Redis `latencyAddSample`).

use std::collections::{BTreeMap, VecDeque};

use super::parts::{PartReader, PartWriter};

/// Samples kept of an event.
pub const SAMPLES_MAX: usize = 160;

/// A spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub unix_secs: i64,
    /// How long, in milliseconds.
    pub ms: u64,
}

/// The spikes of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// Oldest first.
    pub samples: VecDeque<Sample>,
    /// The longest ever, in milliseconds.
    pub max_ms: u64,
}

impl Series {
    fn add(&mut self, sample: Sample) {
        self.max_ms = self.max_ms.max(sample.ms);
        if let Some(last) = self.samples.back_mut()
            && last.unix_secs == sample.unix_secs
        {
            last.ms = last.ms.max(sample.ms);
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

/// The latency monitor: of one core, or merged over all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyMonitor {
    events: BTreeMap<Box<str>, Series>,
}

impl LatencyMonitor {
    /// Takes in a spike of `event`. The caller has compared it with `latency-monitor-threshold`.
    pub fn record(&mut self, event: &str, unix_secs: i64, ms: u64) {
        let sample = Sample { unix_secs, ms };
        match self.events.get_mut(event) {
            Some(series) => series.add(sample),
            None => {
                let mut series = Series::default();
                series.add(sample);
                self.events.insert(event.into(), series);
            }
        }
    }

    /// The spikes of `event`.
    pub fn series(&self, event: &str) -> Option<&Series> {
        self.events.get(event)
    }

    /// Every event.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Series)> {
        self.events.iter().map(|(event, series)| (&**event, series))
    }

    /// Whether there was no spike.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Forgets the spikes of `event`; whether there were any.
    pub fn forget(&mut self, event: &str) -> bool {
        self.events.remove(event).is_some()
    }

    /// Forgets all spikes.
    pub fn reset(&mut self) {
        self.events.clear();
    }

    /// Appends all events to a part.
    pub fn write(&self, part: &mut PartWriter<'_>) {
        part.number(self.events.len() as u64);
        for (event, series) in &self.events {
            part.bytes(event.as_bytes());
            part.number(series.max_ms);
            part.number(series.samples.len() as u64);
            for sample in &series.samples {
                part.signed(sample.unix_secs);
                part.number(sample.ms);
            }
        }
    }

    /// Reads events that [`Self::write`] wrote.
    pub fn read(part: &mut PartReader<'_>) -> Self {
        let mut events = BTreeMap::new();
        for _ in 0..part.number() {
            let event = part.text().into();
            let max_ms = part.number();
            let samples = (0..part.number()).map(|_| Sample {
                unix_secs: part.signed(),
                ms: part.number(),
            });
            let samples = samples.collect();
            events.insert(event, Series { samples, max_ms });
        }
        Self { events }
    }

    /// Takes in the spikes of another core: one sample a second, the newest [`SAMPLES_MAX`] of them.
    pub fn merge(&mut self, other: Self) {
        for (event, theirs) in other.events {
            let ours = self.events.entry(event).or_default();
            let mut by_second: BTreeMap<i64, u64> = BTreeMap::new();
            for sample in ours.samples.iter().chain(&theirs.samples) {
                let ms = by_second.entry(sample.unix_secs).or_default();
                *ms = (*ms).max(sample.ms);
            }
            let extra = by_second.len().saturating_sub(SAMPLES_MAX);
            let newest = by_second.into_iter().skip(extra);
            ours.samples = newest
                .map(|(unix_secs, ms)| Sample { unix_secs, ms })
                .collect();
            ours.max_ms = ours.max_ms.max(theirs.max_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_of_one_second_are_one_sample() {
        let mut monitor = LatencyMonitor::default();
        monitor.record("command", 1, 5);
        monitor.record("command", 1, 9);
        monitor.record("command", 1, 7);
        monitor.record("command", 2, 1);
        let series = monitor.series("command").unwrap();
        assert_eq!(
            series.samples,
            [
                Sample {
                    unix_secs: 1,
                    ms: 9
                },
                Sample {
                    unix_secs: 2,
                    ms: 1
                }
            ]
        );
        assert_eq!(series.max_ms, 9);
    }

    #[test]
    fn a_series_keeps_the_newest_samples_and_the_longest_ever() {
        let mut monitor = LatencyMonitor::default();
        for second in 0..500 {
            monitor.record("fork", second, 500 - second as u64);
        }
        let series = monitor.series("fork").unwrap();
        assert_eq!(series.samples.len(), SAMPLES_MAX);
        assert_eq!(series.samples.back().unwrap().unix_secs, 499);
        assert_eq!(series.max_ms, 500);
    }

    #[test]
    fn the_monitors_of_several_cores_merge_second_by_second() {
        let mut left = LatencyMonitor::default();
        left.record("command", 1, 5);
        left.record("command", 3, 5);
        let mut right = LatencyMonitor::default();
        right.record("command", 2, 50);
        right.record("command", 3, 2);
        right.record("fork", 1, 1);
        let mut part = Vec::new();
        right.write(&mut PartWriter(&mut part));
        left.merge(LatencyMonitor::read(&mut PartReader::new(&part)));
        let merged: Vec<_> = left
            .series("command")
            .unwrap()
            .samples
            .iter()
            .map(|s| (s.unix_secs, s.ms))
            .collect();
        assert_eq!(merged, [(1, 5), (2, 50), (3, 5)]);
        assert_eq!(left.series("command").unwrap().max_ms, 50);
        assert!(left.series("fork").is_some());
    }
}
