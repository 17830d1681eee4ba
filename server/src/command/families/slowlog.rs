//! `SLOWLOG`: the slow commands of all cores, newest first.

use larder_engine::parse_canonical_i64;

use crate::command::{Args, CommandSpec, CoreCall, Flags, Group, Run, SessionCall};
use crate::observe::{PartReader, PartWriter, SlowEntry};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "slowlog",
    arity: -2,
    group: Group::Server,
    since: "2.2.12",
    summary: "A container for commands about the slow log.",
    complexity: "Depends on subcommand",
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BASE
}];

static SUBCOMMANDS: &[CommandSpec] = &[
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
            each: get_each,
            merge: get_merge,
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
        run: Run::OnSession(help),
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
            each: len_each,
            merge: len_merge,
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
            each: reset_each,
            merge: reset_merge,
        },
        ..CommandSpec::BASE
    },
];

const HELP: &[&str] = &[
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

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

/// Most entries to answer.
fn parse_get(args: &Args<'_>) -> Result<usize, ErrorReply> {
    const DEFAULT_COUNT: usize = 10;
    let Some(count) = args.get(2) else {
        return Ok(DEFAULT_COUNT);
    };
    if args.len() > 3 {
        return Err(errors::subcommand_syntax(args.at(0), args.at(1)));
    }
    match parse_canonical_i64(count) {
        Some(-1) => Ok(usize::MAX),
        Some(count) => usize::try_from(count).map_err(|_| errors::SLOWLOG_COUNT),
        None => Err(errors::SLOWLOG_COUNT),
    }
}

/// How many entries the log may hold, then a core's, newest first.
fn get_each(call: &mut CoreCall<'_>) {
    let max = call.core.config.slowlog_max_len;
    let wanted = parse_get(&call.args).unwrap_or(0).min(max);
    let mut part = PartWriter(call.out);
    part.number(max as u64);
    for entry in call.core.observed.slowlog.iter().take(wanted) {
        entry.write(&mut part);
    }
}

fn get_merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut wanted = parse_get(args)?;
    let mut entries = Vec::new();
    for part in parts {
        let mut part = PartReader::new(part);
        wanted = wanted.min(usize::try_from(part.number()).unwrap_or(usize::MAX));
        while !part.is_at_end() {
            entries.push(SlowEntry::read(&mut part));
        }
    }
    entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
    entries.truncate(wanted);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.count(entry.id);
        reply.integer(entry.unix_secs);
        reply.count(entry.micros);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.text(&entry.addr);
        reply.bulk(&entry.name);
    }
    Ok(())
}

fn len_each(call: &mut CoreCall<'_>) {
    let mut part = PartWriter(call.out);
    part.number(call.core.config.slowlog_max_len as u64);
    part.number(call.core.observed.slowlog.len() as u64);
}

fn len_merge(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut max = u64::MAX;
    let mut len = 0;
    for part in parts {
        let mut part = PartReader::new(part);
        max = max.min(part.number());
        len += part.number();
    }
    reply.count(len.min(max));
    Ok(())
}

fn reset_each(call: &mut CoreCall<'_>) {
    call.core.observed.slowlog.reset();
}

fn reset_merge(_: &Args<'_>, _: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply.ok();
    Ok(())
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
            let entry = SlowEntry {
                id: *id,
                unix_secs: 1,
                micros: 2,
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
        get_merge(&Args::new(&bytes, &ranges), &[&left, &right], &mut reply)?;
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
    }
}
