//! `LATENCY`: spikes and durations, of all cores together.

mod doctor;
mod graph;
mod histogram;

use crate::command::{Args, CommandSpec, CoreCall, Flags, Group, Run, SessionCall};
use crate::observe::{LatencyMonitor, PartReader, PartWriter};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "latency",
    arity: -2,
    group: Group::Server,
    since: "2.8.13",
    summary: "A container for commands about latency.",
    complexity: "Depends on subcommand",
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BASE
}];

static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "latency|doctor",
        arity: 2,
        flags: Flags::OPERATOR,
        tips: &[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ],
        group: Group::Server,
        since: "2.8.13",
        summary: "Reports on latency in words.",
        run: Run::EveryCore {
            each,
            merge: doctor::merge,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "latency|graph",
        arity: 3,
        flags: Flags::OPERATOR,
        tips: &[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ],
        group: Group::Server,
        since: "2.8.13",
        syntax: "event",
        summary: "Draws an event's latency.",
        run: Run::EveryCore {
            each,
            merge: graph::merge,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "latency|help",
        arity: 2,
        flags: Flags::ANYTIME,
        group: Group::Server,
        since: "2.8.13",
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "latency|histogram",
        arity: -2,
        flags: Flags::OPERATOR,
        tips: &[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ],
        group: Group::Server,
        since: "7.0.0",
        syntax: "[command [command ...]]",
        summary: "Returns how the durations of commands are distributed.",
        complexity: "O(N) where N is the number of commands with latency information being retrieved",
        run: Run::EveryCore {
            each: histogram::each,
            merge: histogram::merge,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "latency|history",
        arity: 3,
        flags: Flags::OPERATOR,
        tips: &[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ],
        group: Group::Server,
        since: "2.8.13",
        syntax: "event",
        summary: "Returns an event's latency spikes.",
        run: Run::EveryCore {
            each,
            merge: history,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "latency|latest",
        arity: 2,
        flags: Flags::OPERATOR,
        tips: &[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ],
        group: Group::Server,
        since: "2.8.13",
        summary: "Returns the latest latency spike of every event.",
        run: Run::EveryCore {
            each,
            merge: latest,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "latency|reset",
        arity: -2,
        flags: Flags::OPERATOR,
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        group: Group::Server,
        since: "2.8.13",
        syntax: "[event [event ...]]",
        summary: "Forgets latency spikes.",
        run: Run::EveryCore {
            each: reset_each,
            merge: reset_merge,
        },
        ..CommandSpec::BASE
    },
];

const HELP: &[&str] = &[
    "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
    "    If no commands are specified then all histograms are replied.",
    "HELP",
    "    Prints this help.",
];

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

/// A core's time, threshold and spikes.
fn each(call: &mut CoreCall<'_>) {
    let mut part = PartWriter(call.out);
    part.signed(call.core.clock.unix.as_secs());
    part.number(call.core.config.latency_monitor_threshold_ms);
    call.core.observed.latency.write(&mut part);
}

/// The spikes of all cores.
struct Merged {
    now_secs: i64,
    threshold_ms: u64,
    monitor: LatencyMonitor,
}

fn merged(parts: &[&[u8]]) -> Merged {
    let mut merged = Merged {
        now_secs: 0,
        threshold_ms: 0,
        monitor: LatencyMonitor::default(),
    };
    for part in parts {
        let mut part = PartReader::new(part);
        merged.now_secs = merged.now_secs.max(part.signed());
        merged.threshold_ms = merged.threshold_ms.max(part.number());
        merged.monitor.merge(LatencyMonitor::read(&mut part));
    }
    merged
}

fn latest(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let monitor = merged(parts).monitor;
    reply.array(monitor.iter().len());
    for (event, series) in monitor.iter() {
        let latest = series.samples.back();
        reply.array(4);
        reply.text(event);
        reply.integer(latest.map_or(0, |sample| sample.unix_secs));
        reply.count(latest.map_or(0, |sample| sample.ms));
        reply.count(series.max_ms);
    }
    Ok(())
}

fn history(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let monitor = merged(parts).monitor;
    let series = std::str::from_utf8(args.at(2))
        .ok()
        .and_then(|event| monitor.series(event));
    let samples = series.into_iter().flat_map(|series| &series.samples);
    reply.array(samples.clone().count());
    for sample in samples {
        reply.array(2);
        reply.integer(sample.unix_secs);
        reply.count(sample.ms);
    }
    Ok(())
}

/// Forgets the named events, or all, and answers which there were.
fn reset_each(call: &mut CoreCall<'_>) {
    let monitor = &mut call.core.observed.latency;
    let wanted = |event: &str| {
        call.args.len() == 2 || call.args.iter_from(2).any(|name| name == event.as_bytes())
    };
    let events: Vec<Box<str>> = monitor
        .iter()
        .map(|(event, _)| event)
        .filter(|event| wanted(event))
        .map(Box::from)
        .collect();
    let mut part = PartWriter(call.out);
    for event in events {
        monitor.forget(&event);
        part.bytes(event.as_bytes());
    }
}

fn reset_merge(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut events = Vec::new();
    for part in parts {
        let mut part = PartReader::new(part);
        while !part.is_at_end() {
            events.push(part.text());
        }
    }
    events.sort_unstable();
    events.dedup();
    reply.count(events.len() as u64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::wire::words;
    use crate::resp::Protocol;

    fn part(spikes: &[(&str, i64, u64)]) -> Vec<u8> {
        let mut monitor = LatencyMonitor::default();
        for (event, unix_secs, ms) in spikes {
            monitor.record(event, *unix_secs, *ms);
        }
        let mut part = Vec::new();
        let mut writer = PartWriter(&mut part);
        writer.signed(1000);
        writer.number(10);
        monitor.write(&mut writer);
        part
    }

    fn answer(merge: crate::command::Merge, command: &[&str], parts: &[&[u8]]) -> String {
        let (bytes, ranges) = words(command);
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        merge(&Args::new(&bytes, &ranges), parts, &mut reply).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_of_all_cores_are_one_series() {
        let (left, right) = (
            part(&[("command", 5, 10), ("fork", 1, 1)]),
            part(&[("command", 4, 30)]),
        );
        let parts: &[&[u8]] = &[&left, &right];
        assert_eq!(
            answer(latest, &["latency", "latest"], parts),
            "*2\r\n*4\r\n$7\r\ncommand\r\n:5\r\n:10\r\n:30\r\n*4\r\n$4\r\nfork\r\n:1\r\n:1\r\n:1\r\n"
        );
        assert_eq!(
            answer(history, &["latency", "history", "command"], parts),
            "*2\r\n*2\r\n:4\r\n:30\r\n*2\r\n:5\r\n:10\r\n"
        );
        assert_eq!(
            answer(history, &["latency", "history", "nosuch"], parts),
            "*0\r\n"
        );
    }
}
