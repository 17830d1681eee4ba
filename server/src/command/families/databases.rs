//! Databases as a whole: their sizes, emptying and exchanging them.

use larder_engine::{DbIndex, parse_canonical_i64};

use crate::command::{Args, Category, CommandSpec, CoreCall, Flags, Group, Run};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::CoreId;

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "dbsize",
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        flags: Flags::READONLY
            .with(Flags::FAST)
            .with(Flags::WHOLE_KEYSPACE)
            .with(Flags::BY_NODE),
        categories: &[Category::Keyspace],
        group: Group::Server,
        summary: "Answers the number of keys in the selected database.",
        run: Run::EveryCore {
            each: size,
            merge: sum_sizes,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "flushdb",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        arity: -1,
        flags: Flags::WRITE.with(Flags::WHOLE_KEYSPACE),
        categories: &[Category::Keyspace, Category::Dangerous],
        group: Group::Server,
        syntax: "[ASYNC | SYNC]",
        summary: "Removes all keys of the selected database.",
        complexity: "O(1); the memory is given back in the background.",
        run: Run::EveryCore {
            each: flush_selected,
            merge: first_failure_or_ok,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "flushall",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        arity: -1,
        flags: Flags::WRITE.with(Flags::WHOLE_KEYSPACE),
        categories: &[Category::Keyspace, Category::Dangerous],
        group: Group::Server,
        syntax: "[ASYNC | SYNC]",
        summary: "Removes all keys of all databases.",
        complexity: "O(N) where N is the number of databases; the memory is given back in the background.",
        run: Run::EveryCore {
            each: flush_all,
            merge: first_failure_or_ok,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "swapdb",
        arity: 3,
        flags: Flags::WRITE.with(Flags::FAST).with(Flags::WHOLE_KEYSPACE),
        categories: &[Category::Keyspace, Category::Dangerous],
        group: Group::Server,
        since: "4.0.0",
        syntax: "index1 index2",
        summary: "Exchanges the contents of two databases.",
        run: Run::EveryCore {
            each: swap,
            merge: first_failure_or_ok,
        },
        ..CommandSpec::BASE
    },
];

/// An argument that names one of `databases` databases.
///
/// # Errors
/// It is no integer, none of 32 bits, or there is no such database.
pub(super) fn db_argument(text: &[u8], databases: u16) -> Result<DbIndex, ErrorReply> {
    let number = parse_canonical_i64(text).ok_or(errors::NOT_AN_INTEGER)?;
    if i32::try_from(number).is_err() {
        return Err(errors::out_of_range(i32::MIN.into(), i32::MAX.into()));
    }
    db_number(number, databases)
}

fn db_number(number: i64, databases: u16) -> Result<DbIndex, ErrorReply> {
    u16::try_from(number)
        .ok()
        .filter(|&number| number < databases)
        .map(DbIndex)
        .ok_or(errors::DB_INDEX_OUT_OF_RANGE)
}

fn size(call: &mut CoreCall<'_>) {
    let len = call.core.shard.len(call.db);
    call.out.extend_from_slice(&len.to_le_bytes());
}

fn sum_sizes(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let sizes = parts
        .iter()
        .map(|part| u64::from_le_bytes((*part).try_into().expect("a size is eight bytes")));
    reply.count(sizes.sum());
    Ok(())
}

fn flush_selected(call: &mut CoreCall<'_>) {
    let databases = call.db.0..call.db.0 + 1;
    let result = flush(call, databases);
    write_failure(call, result);
}

fn flush_all(call: &mut CoreCall<'_>) {
    let databases = 0..call.core.shard.databases();
    let result = flush(call, databases);
    write_failure(call, result);
}

/// Both modes are one here: the keys are gone at once, their memory is given back in bounded steps.
fn flush(call: &mut CoreCall<'_>, databases: std::ops::Range<u16>) -> CommandResult {
    let args = call.args;
    let known = args.len() == 1 || (args.len() == 2 && (args.is(1, "sync") || args.is(1, "async")));
    if !known {
        return Err(errors::SYNTAX);
    }
    let shard = &mut call.core.shard;
    for db in databases.map(DbIndex) {
        if !shard.is_empty(db) {
            shard.flush(db);
        }
    }
    call.core.forget_everything_read(call.asking.as_deref_mut());
    Ok(())
}

fn swap(call: &mut CoreCall<'_>) {
    let result = exchange(call);
    write_failure(call, result);
}

fn exchange(call: &mut CoreCall<'_>) -> CommandResult {
    let number = |at: usize, error: ErrorReply| {
        parse_canonical_i64(call.args.at(at))
            .filter(|&number| i32::try_from(number).is_ok())
            .ok_or(error)
    };
    let first = number(1, errors::INVALID_FIRST_DB)?;
    let second = number(2, errors::INVALID_SECOND_DB)?;
    let shard = &mut call.core.shard;
    let first = db_number(first, shard.databases())?;
    let second = db_number(second, shard.databases())?;
    // One change, however many cores make it.
    let counted = u64::from(call.core.id == CoreId(0));
    if first == second {
        shard.journal().count_as(0, counted);
    } else {
        shard.swap(first, second);
        shard.journal().count_as(1, counted);
        // Redis tells nobody. What was read is out of date all the same.
        call.core.forget_everything_read(call.asking.as_deref_mut());
    }
    Ok(())
}

/// A part is empty, or the text of an error; what can fail fails on all cores alike, before anything changed.
fn write_failure(call: &mut CoreCall<'_>, result: CommandResult) {
    if let Err(error) = result {
        call.out.extend_from_slice(error.text());
    }
}

fn first_failure_or_ok(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    match parts.iter().find(|part| !part.is_empty()) {
        Some(text) => Err(ErrorReply::new(*text)),
        None => {
            reply.ok();
            Ok(())
        }
    }
}
