//! `LPOP` and `RPOP`; how elements are popped, by them and by others.

use std::ops::Range;

use larder_engine::{DbIndex, End, Key, ListMut, Shard};

use super::{POP_KEY, popped};
use crate::command::families::counts;
use crate::command::{Category, CommandSpec, Flags, Group, Run, ShardCall};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "lpop",
        summary: "Takes the first elements of a list, and returns them.",
        run: Run::OnShard(lpop),
        ..POP
    },
    CommandSpec {
        name: "rpop",
        summary: "Takes the last elements of a list, and returns them.",
        run: Run::OnShard(rpop),
        ..POP
    },
];

const POP: CommandSpec = CommandSpec {
    arity: -2,
    flags: Flags::WRITE.with(Flags::FAST),
    categories: &[Category::List],
    keys: POP_KEY,
    group: Group::List,
    syntax: "key [count]",
    complexity: "O(N) where N is the number of elements returned.",
    ..CommandSpec::BASE
};

fn lpop(call: &mut ShardCall<'_>) -> CommandResult {
    pop(call, End::Head, "lpop")
}

fn rpop(call: &mut ShardCall<'_>) -> CommandResult {
    pop(call, End::Tail, "rpop")
}

#[inline]
fn pop(call: &mut ShardCall<'_>, end: End, name: &str) -> CommandResult {
    let key = call.key(1);
    match call.args.len() {
        2 => {
            if !pop_one(call.shard, call.db, key, end, &mut call.reply)? {
                call.reply.null();
            }
            Ok(())
        }
        3 => {
            let count = counts::count(call.args.at(2))?;
            if !pop_many(call.shard, call.db, key, (end, count), &mut call.reply)? {
                call.reply.null_array();
            }
            Ok(())
        }
        _ => Err(errors::wrong_arity(name)),
    }
}

/// Pops one element and writes it. Whether there was one.
///
/// # Errors
/// The key is of another type.
#[inline]
pub(super) fn pop_one(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    end: End,
    reply: &mut Reply<'_>,
) -> Result<bool, ErrorReply> {
    let mut list = shard.list_mut(db, key)?;
    let is_popped = list.pop(end, |element| reply.bulk(element)).is_some();
    let events = [popped(end)];
    list.close(if is_popped { &events } else { &[] });
    Ok(is_popped)
}

/// Pops at most `count` elements and writes them, as an array. Whether there is a list.
///
/// # Errors
/// The key is of another type, or its elements are more than a reply holds. Then it is as it was.
pub(super) fn pop_many(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    (end, count): (End, u64),
    reply: &mut Reply<'_>,
) -> Result<bool, ErrorReply> {
    let mut list = shard.list_mut(db, key)?;
    let len = list.len();
    if len == 0 {
        list.close(&[]);
        return Ok(false);
    }
    let count = u32::try_from(count).map_or(len, |count| count.min(len));
    let range = match end {
        End::Head => 0..count,
        End::Tail => len - count..len,
    };
    let shown = show(&list, range.clone(), end, reply);
    if shown.is_err() || count == 0 {
        list.close(&[]);
        return shown.map(|()| true);
    }
    list.remove(range);
    list.close(&[popped(end)]);
    Ok(true)
}

/// Writes the elements `range` as an array, as they are met from this end.
fn show(
    list: &ListMut<'_>,
    range: Range<u32>,
    from: End,
    reply: &mut Reply<'_>,
) -> Result<(), ErrorReply> {
    let (mark, mut rest, mut fits) = (reply.mark(), range.len(), Ok(()));
    reply.array(rest);
    let first = match from {
        End::Head => range.start,
        End::Tail => range.end.saturating_sub(1),
    };
    if let Some(list) = list.as_ref().filter(|_| rest > 0) {
        list.walk(first, from, |_, element| {
            reply.bulk(element);
            fits = reply.check_len(mark);
            rest -= 1;
            rest > 0 && fits.is_ok()
        });
    }
    fits
}
