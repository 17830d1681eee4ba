//! `COMMANDLOG`, of Valkey: the commands of all cores that took long, were large, or had a large reply, newest first. `SLOWLOG`, of
//! Redis, is the first of these logs.

use larder_engine::parse_canonical_i64;

use crate::command::{Args, CommandSpec, CoreCall, Flags, Group, Run, SessionCall};
use crate::config::{CommandLogLimits, Config};
use crate::observe::{LogEntry, LogKind, PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "commandlog",
        arity: -2,
        group: Group::Server,
        since: "8.1.0",
        summary: "A container for commands about the logs of commands. Of Valkey.",
        complexity: "Depends on subcommand.",
        subcommands: OF_ALL_LOGS,
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "slowlog",
        arity: -2,
        group: Group::Server,
        since: "2.2.12",
        summary: "A container for commands about the slow log.",
        complexity: "Depends on subcommand",
        subcommands: OF_THE_SLOW_LOG,
        ..CommandSpec::BASE
    },
];

const OF_A_LOG: CommandSpec = CommandSpec {
    arity: 3,
    flags: Flags::ANYTIME.with(Flags::ADMIN),
    group: Group::Server,
    since: "8.1.0",
    syntax: "<SLOW | LARGE-REQUEST | LARGE-REPLY>",
    ..CommandSpec::BASE
};

static OF_ALL_LOGS: &[CommandSpec] = &[
    CommandSpec {
        name: "commandlog|get",
        arity: 4,
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        syntax: "count <SLOW | LARGE-REQUEST | LARGE-REPLY>",
        summary: "Returns entries of a log of commands, newest first.",
        complexity: "O(N) where N is the number of entries returned",
        run: Run::EveryCore {
            each: |call| get_part(call, Asked::of_get(&call.args).ok()),
            merge: |args, parts, reply| get_reply(Asked::of_get(args)?, parts, reply),
        },
        ..OF_A_LOG
    },
    CommandSpec {
        name: "commandlog|help",
        arity: 2,
        flags: Flags::ANYTIME,
        syntax: "",
        summary: "Describes the subcommands.",
        run: Run::OnSession(|call| help(call, HELP)),
        ..OF_A_LOG
    },
    CommandSpec {
        name: "commandlog|len",
        tips: &[
            "request_policy:all_nodes",
            "response_policy:agg_sum",
            "nondeterministic_output",
        ],
        summary: "Returns the number of entries of a log of commands.",
        run: Run::EveryCore {
            each: |call| len_part(call, parse_kind(call.args.at(2)).ok()),
            merge: |args, parts, reply| parse_kind(args.at(2)).map(|_| len_reply(parts, reply)),
        },
        ..OF_A_LOG
    },
    CommandSpec {
        name: "commandlog|reset",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        summary: "Forgets all entries of a log of commands.",
        complexity: "O(N) where N is the number of entries in the commandlog",
        run: Run::EveryCore {
            each: |call| reset_part(call, parse_kind(call.args.at(2)).ok()),
            merge: |args, _, reply| parse_kind(args.at(2)).map(|_| reply.ok()),
        },
        ..OF_A_LOG
    },
];

static OF_THE_SLOW_LOG: &[CommandSpec] = &[
    CommandSpec {
        name: "slowlog|get",
        arity: -2,
        flags: Flags::ANYTIME.with(Flags::ADMIN),
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        group: Group::Server,
        since: "2.2.12",
        syntax: "[count]",
        summary: "Returns entries of the slow log, newest first.",
        complexity: "O(N) where N is the number of entries returned",
        run: Run::EveryCore {
            each: |call| get_part(call, Asked::of_slow(&call.args).ok()),
            merge: |args, parts, reply| get_reply(Asked::of_slow(args)?, parts, reply),
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "slowlog|help",
        arity: 2,
        flags: Flags::ANYTIME,
        group: Group::Server,
        since: "6.2.0",
        summary: "Describes the subcommands.",
        run: Run::OnSession(|call| help(call, HELP_ON_SLOW)),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "slowlog|len",
        arity: 2,
        flags: Flags::ANYTIME.with(Flags::ADMIN),
        tips: &[
            "request_policy:all_nodes",
            "response_policy:agg_sum",
            "nondeterministic_output",
        ],
        group: Group::Server,
        since: "2.2.12",
        summary: "Returns the number of entries of the slow log.",
        run: Run::EveryCore {
            each: |call| len_part(call, Some(LogKind::Slow)),
            merge: |_, parts, reply| {
                len_reply(parts, reply);
                Ok(())
            },
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "slowlog|reset",
        arity: 2,
        flags: Flags::ANYTIME.with(Flags::ADMIN),
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        group: Group::Server,
        since: "2.2.12",
        summary: "Forgets all entries of the slow log.",
        complexity: "O(N) where N is the number of entries in the slowlog",
        run: Run::EveryCore {
            each: |call| reset_part(call, Some(LogKind::Slow)),
            merge: |_, _, reply| {
                reply.ok();
                Ok(())
            },
        },
        ..CommandSpec::BASE
    },
];

const HELP: &[&str] = &[
    "COMMANDLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <count> <type>",
    "    Return top <count> entries of the specified <type> from the commandlog (-1 mean all).",
    "    Entries are made of:",
    "    id, timestamp,",
    "        time in microseconds for type of slow,",
    "        or size in bytes for type of large-request,",
    "        or size in bytes for type of large-reply",
    "    arguments array, client IP and port,",
    "    client name",
    "LEN <type>",
    "    Return the length of the specified type of commandlog.",
    "RESET <type>",
    "    Reset the specified type of commandlog.",
    "HELP",
    "    Print this help.",
];

const HELP_ON_SLOW: &[&str] = &[
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
    "HELP",
    "    Prints this help.",
];

/// What a log takes in.
pub(crate) fn limits(config: &Config, kind: LogKind) -> CommandLogLimits {
    match kind {
        LogKind::Slow => config.slowlog,
        LogKind::LargeRequest => config.large_request_log,
        LogKind::LargeReply => config.large_reply_log,
    }
}

/// From how much on a command is logged, if any is.
pub(crate) fn threshold(config: &Config, kind: LogKind) -> Option<u64> {
    let limits = limits(config, kind);
    let least = u64::try_from(limits.least).ok();
    least.filter(|_| limits.max_len > 0)
}

fn help(call: &mut SessionCall<'_>, lines: &[&str]) -> CommandResult {
    call.reply(|reply| reply.help(lines));
    Ok(())
}

fn parse_kind(name: &[u8]) -> Result<LogKind, ErrorReply> {
    let kinds = LogKind::ALL.into_iter();
    let mut named = kinds.filter(|kind| name.eq_ignore_ascii_case(kind.name().as_bytes()));
    named.next().ok_or(errors::COMMANDLOG_TYPE)
}

/// Most entries to answer.
fn parse_count(count: &[u8]) -> Result<usize, ErrorReply> {
    match parse_canonical_i64(count) {
        Some(-1) => Ok(usize::MAX),
        Some(count) => usize::try_from(count).map_err(|_| errors::SLOWLOG_COUNT),
        None => Err(errors::SLOWLOG_COUNT),
    }
}

/// Which entries are asked for.
#[derive(Clone, Copy)]
struct Asked {
    kind: LogKind,
    count: usize,
}

impl Asked {
    /// By `COMMANDLOG GET`.
    fn of_get(args: &Args<'_>) -> Result<Self, ErrorReply> {
        let count = parse_count(args.at(2))?;
        let kind = parse_kind(args.at(3))?;
        Ok(Self { kind, count })
    }

    /// By `SLOWLOG GET`.
    fn of_slow(args: &Args<'_>) -> Result<Self, ErrorReply> {
        const DEFAULT_COUNT: usize = 10;
        if args.len() > 3 {
            return Err(errors::subcommand_syntax(args.at(0), args.at(1)));
        }
        let count = args.get(2).map(parse_count).transpose()?;
        Ok(Self {
            kind: LogKind::Slow,
            count: count.unwrap_or(DEFAULT_COUNT),
        })
    }
}

/// How many entries the log may hold, then a core's, newest first. Nothing, if nothing can be asked for so.
fn get_part(call: &mut CoreCall<'_>, asked: Option<Asked>) {
    let Some(Asked { kind, count }) = asked else {
        return;
    };
    let max = limits(&call.core.config, kind).max_len;
    let mut part = PartWriter(call.out);
    part.number(max as u64);
    let entries = call.core.observed.command_logs.of(kind).iter();
    entries
        .take(count.min(max))
        .for_each(|entry| entry.write(&mut part));
}

fn get_reply(asked: Asked, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut wanted = asked.count;
    let mut entries = Vec::new();
    for part in parts {
        let mut part = PartReader::new(part);
        wanted = wanted.min(usize::try_from(part.number()).unwrap_or(usize::MAX));
        while !part.is_at_end() {
            entries.push(LogEntry::read(&mut part));
        }
    }
    entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
    entries.truncate(wanted);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.count(entry.id);
        reply.integer(entry.unix_secs);
        reply.count(entry.value);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.text(&entry.addr);
        reply.bulk(&entry.name);
    }
    Ok(())
}

fn len_part(call: &mut CoreCall<'_>, kind: Option<LogKind>) {
    let Some(kind) = kind else {
        return;
    };
    let mut part = PartWriter(call.out);
    part.number(limits(&call.core.config, kind).max_len as u64);
    part.number(call.core.observed.command_logs.of(kind).len() as u64);
}

fn len_reply(parts: &[&[u8]], reply: &mut Reply<'_>) {
    let mut max = u64::MAX;
    let mut len = 0;
    for part in parts {
        let mut part = PartReader::new(part);
        max = max.min(part.number());
        len += part.number();
    }
    reply.count(len.min(max));
}

fn reset_part(call: &mut CoreCall<'_>, kind: Option<LogKind>) {
    if let Some(kind) = kind {
        call.core.observed.command_logs.of_mut(kind).reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::wire::words;
    use crate::resp::Protocol;

    fn part(max: u64, ids: &[u64]) -> Vec<u8> {
        let mut part = Vec::new();
        PartWriter(&mut part).number(max);
        for id in ids {
            let args = vec![b"get".to_vec().into()];
            let entry = LogEntry {
                id: *id,
                unix_secs: 1,
                value: 2,
                args,
                addr: "a:1".into(),
                name: Box::default(),
            };
            entry.write(&mut PartWriter(&mut part));
        }
        part
    }

    fn got(command: &[&str], max: u64) -> Result<String, ErrorReply> {
        let (bytes, ranges) = words(command);
        let (left, right) = (part(max, &[7, 2]), part(max, &[9, 8]));
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        let args = Args::new(&bytes, &ranges);
        let asked = match args.is(0, "slowlog") {
            true => Asked::of_slow(&args)?,
            false => Asked::of_get(&args)?,
        };
        get_reply(asked, &[&left, &right], &mut reply)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn entries_of_all_cores_come_newest_first_and_no_more_than_the_log_may_hold() {
        let tail = ":1\r\n:2\r\n*1\r\n$3\r\nget\r\n$3\r\na:1\r\n$0\r\n\r\n";
        let entry = |id: u64| format!("*6\r\n:{id}\r\n{tail}");
        assert_eq!(
            got(&["slowlog", "get", "3"], 128).unwrap(),
            format!("*3\r\n{}{}{}", entry(9), entry(8), entry(7))
        );
        assert_eq!(
            got(&["slowlog", "get", "-1"], 1).unwrap(),
            format!("*1\r\n{}", entry(9))
        );
        assert_eq!(got(&["slowlog", "get", "0"], 1).unwrap(), "*0\r\n");
        assert_eq!(
            got(&["slowlog", "get", "-2"], 1),
            Err(errors::SLOWLOG_COUNT)
        );
        assert_eq!(
            got(&["commandlog", "get", "1", "LARGE-reply"], 128).unwrap(),
            format!("*1\r\n{}", entry(9))
        );
        assert_eq!(
            got(&["commandlog", "get", "-2", "fast"], 1),
            Err(errors::SLOWLOG_COUNT)
        );
        assert_eq!(
            got(&["commandlog", "get", "1", "fast"], 1),
            Err(errors::COMMANDLOG_TYPE)
        );
    }
}
