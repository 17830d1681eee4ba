//! What shows entries by their ids: `XLEN`, `XRANGE` and `XREVRANGE`.

use std::ops::ControlFlow;

use larder_engine::{Direction, StreamEntry, StreamId};

use super::{READING, ids, read};
use crate::command::{CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::Reply;
use crate::resp::errors::{self, CommandResult};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "xlen",
        arity: 2,
        flags: Flags::READONLY.with(Flags::FAST),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO)]),
        syntax: "key",
        summary: "Returns the number of entries of a stream.",
        run: Run::OnShard(xlen),
        ..READING
    },
    CommandSpec {
        name: "xrange",
        syntax: "key start end [COUNT count]",
        summary: "Returns the entries of a stream between two ids.",
        run: Run::OnShard(xrange),
        ..RANGE
    },
    CommandSpec {
        name: "xrevrange",
        syntax: "key end start [COUNT count]",
        summary: "Returns the entries of a stream between two ids, the last one first.",
        run: Run::OnShard(xrevrange),
        ..RANGE
    },
];

const RANGE: CommandSpec = CommandSpec {
    arity: -4,
    complexity: "O(log(N)+M) where N is the number of entries, and M the number of those returned.",
    ..READING
};

fn xlen(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let found = read(call.shard, call.stats, (call.db, key, call.access))?;
    call.reply.count(found.map_or(0, |stream| stream.len()));
    Ok(())
}

fn xrange(call: &mut ShardCall<'_>) -> CommandResult {
    show_range(call, Direction::Up)
}

fn xrevrange(call: &mut ShardCall<'_>) -> CommandResult {
    show_range(call, Direction::Down)
}

fn show_range(call: &mut ShardCall<'_>, direction: Direction) -> CommandResult {
    let (start_at, end_at) = match direction {
        Direction::Up => (2, 3),
        Direction::Down => (3, 2),
    };
    let start = ids::start(call.args.at(start_at))?;
    let end = ids::end(call.args.at(end_at))?;
    let mut count = None;
    let mut at = 4;
    while at < call.args.len() {
        if !call.args.is(at, "count") || at + 1 >= call.args.len() {
            return Err(errors::SYNTAX);
        }
        count = Some(call.args.integer(at + 1)?.max(0).unsigned_abs());
        at += 2;
    }
    let key = call.key(1);
    let found = read(call.shard, call.stats, (call.db, key, call.access))?;
    let Some(stream) = found else {
        call.reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        call.reply.null_array();
        return Ok(());
    }
    let most = count.unwrap_or(u64::MAX);
    let reply = &mut call.reply;
    let begun = reply.mark();
    let expected = most.min(stream.len()) as usize;
    let list = reply.begin_array(expected);
    let mut shown = 0;
    let from = match direction {
        Direction::Up => start,
        Direction::Down => end,
    };
    stream.walk(from, direction, &mut |entry| {
        let is_beyond = match direction {
            Direction::Up => entry.id > end,
            Direction::Down => entry.id < start,
        };
        if is_beyond || shown == most || reply.check_len(begun).is_err() {
            return ControlFlow::Break(());
        }
        show(reply, &entry);
        shown += 1;
        ControlFlow::Continue(())
    });
    reply.check_len(begun)?;
    reply.end(list, shown as usize);
    Ok(())
}

/// Writes an entry: its id, and its fields.
#[inline]
pub(super) fn show(reply: &mut Reply<'_>, entry: &StreamEntry<'_>) {
    reply.array(2);
    show_parts(reply, entry);
}

/// Writes the parts of an entry, which more may follow.
#[inline]
pub(super) fn show_parts(reply: &mut Reply<'_>, entry: &StreamEntry<'_>) {
    ids::show(reply, entry.id);
    reply.array(2 * entry.fields.len());
    for (name, value) in entry.fields.iter() {
        reply.bulk(name);
        reply.bulk(value);
    }
}

/// Writes the parts of an entry that is not there any more.
pub(super) fn show_gone(reply: &mut Reply<'_>, id: StreamId) {
    ids::show(reply, id);
    reply.null_array();
}
