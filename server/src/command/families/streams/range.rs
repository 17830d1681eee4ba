//! What shows entries by their ids: `XLEN`, `XRANGE` and `XREVRANGE`.

use std::ops::ControlFlow;

use larder_engine::{Access, Direction, StreamEntry, StreamId};

use super::{READING, ids, read};
use crate::command::families::pieces::{AtOnce, InSteps, More, Shown, StepOf};
use crate::command::{CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall, Steps};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

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
        run: Run::OnShard(|call| show_range(call, Direction::Up, AtOnce::All).map(drop)),
        steps: Some(|call| show_range(call, Direction::Up, AtOnce::Little)),
        ..RANGE
    },
    CommandSpec {
        name: "xrevrange",
        syntax: "key end start [COUNT count]",
        summary: "Returns the entries of a stream between two ids, the last one first.",
        run: Run::OnShard(|call| show_range(call, Direction::Down, AtOnce::All).map(drop)),
        steps: Some(|call| show_range(call, Direction::Down, AtOnce::Little)),
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

fn show_range(
    call: &mut ShardCall<'_>,
    direction: Direction,
    at_once: AtOnce,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
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
        return Ok(None);
    };
    if count == Some(0) {
        call.reply.null_array();
        return Ok(None);
    }
    let most = count.unwrap_or(u64::MAX);
    let (from, to) = match direction {
        Direction::Up => (start, end),
        Direction::Down => (end, start),
    };
    let entries = Entries {
        direction,
        from,
        to,
        left: most,
    };
    let reply = &mut call.reply;
    let begun = reply.mark();
    let expected = most.min(stream.len()) as usize;
    let list = reply.begin_array(expected);
    let (mut shown, mut goes_on) = (0, Ok(true));
    stream.walk(from, direction, &mut |entry| {
        if entries.is_beyond(entry.id) || shown as u64 == most || goes_on != Ok(true) {
            return ControlFlow::Break(());
        }
        show(reply, &entry);
        shown += 1;
        goes_on = at_once.goes_on(reply, begun, shown);
        ControlFlow::Continue(())
    });
    match goes_on? {
        true => {
            reply.end(list, shown);
            Ok(None)
        }
        false => Ok(InSteps::begin(entries)),
    }
}

/// Entries that are shown in steps.
#[derive(Debug)]
struct Entries {
    direction: Direction,
    /// The first that has not been shown.
    from: StreamId,
    /// The last that may be.
    to: StreamId,
    /// How many may be shown yet.
    left: u64,
}

impl Entries {
    fn is_beyond(&self, id: StreamId) -> bool {
        match self.direction {
            Direction::Up => id > self.to,
            Direction::Down => id < self.to,
        }
    }
}

impl Shown for Entries {
    fn show(
        &mut self,
        call: &mut ShardCall<'_>,
        step: &mut StepOf<'_>,
    ) -> Result<More, ErrorReply> {
        let stream = call.shard.stream(call.db, call.key(1), Access::Peek)?;
        let Some(stream) = stream else {
            return Ok(More::Gone);
        };
        let (mut fits, mut more) = (Ok(()), More::No);
        stream.walk(self.from, self.direction, &mut |entry| {
            if self.is_beyond(entry.id) || self.left == 0 || fits.is_err() {
                return ControlFlow::Break(());
            }
            if step.is_full() {
                (self.from, more) = (entry.id, More::Yes);
                return ControlFlow::Break(());
            }
            fits = step.add(|reply| show(reply, &entry));
            self.left -= 1;
            ControlFlow::Continue(())
        });
        fits.map(|()| more)
    }

    fn head(&self, count: usize, reply: &mut Reply<'_>) {
        reply.array(count);
    }
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
