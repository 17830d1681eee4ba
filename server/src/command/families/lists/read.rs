//! What is asked of a list: `LLEN`, `LINDEX`, `LRANGE`, `LPOS`.

use std::ops::Range;

use larder_engine::{Access, DbIndex, End, Key, ListRef, Shard, parse_canonical_i64};

use super::{READ_KEY, place_of, range_of};
use crate::command::families::counts;
use crate::command::families::pieces::{AtOnce, InSteps, More, Shown, StepOf};
use crate::command::{
    Args, Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall, Steps,
};
use crate::observe::Stats;
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "llen",
        arity: 2,
        flags: Flags::READONLY.with(Flags::FAST),
        // Its length is no data.
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO)]),
        syntax: "key",
        summary: "Returns the number of elements of a list.",
        run: Run::OnShard(llen),
        ..READ
    },
    CommandSpec {
        name: "lindex",
        arity: 3,
        syntax: "key index",
        summary: "Returns an element of a list by its index.",
        complexity: "O(log(N)) where N is the number of elements of the list.",
        run: Run::OnShard(lindex),
        ..READ
    },
    CommandSpec {
        name: "lrange",
        arity: 4,
        syntax: "key start stop",
        summary: "Returns a range of the elements of a list.",
        complexity: "O(log(N)+M) where N is the number of elements of the list, and M that of those returned.",
        run: Run::OnShard(|call| lrange(call, AtOnce::All).map(drop)),
        steps: Some(|call| lrange(call, AtOnce::Little)),
        ..READ
    },
    CommandSpec {
        name: "lpos",
        arity: -3,
        since: "6.0.6",
        syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        summary: "Returns the indexes at which a list has an element.",
        complexity: "O(N) where N is the number of elements compared. In one step.",
        run: Run::OnShard(lpos),
        ..READ
    },
];

const READ: CommandSpec = CommandSpec {
    flags: Flags::READONLY,
    categories: &[Category::List],
    keys: READ_KEY,
    group: Group::List,
    ..CommandSpec::BASE
};

/// The list at a key, to read. Counts the look-up.
fn list<'a>(
    shard: &'a mut Shard,
    stats: &mut Stats,
    (db, key, access): (DbIndex, Key<'_>, Access),
) -> Result<Option<ListRef<'a>>, ErrorReply> {
    let found = shard.list(db, key, access);
    stats.count_typed_lookup(&found);
    Ok(found?)
}

fn llen(call: &mut ShardCall<'_>) -> CommandResult {
    let place = (call.db, call.key(1), call.access);
    let list = list(call.shard, call.stats, place)?;
    call.reply.integer(list.map_or(0, |list| list.len().into()));
    Ok(())
}

fn lindex(call: &mut ShardCall<'_>) -> CommandResult {
    let place = (call.db, call.key(1), call.access);
    let Some(list) = list(call.shard, call.stats, place)? else {
        call.reply.null();
        return Ok(());
    };
    let at = place_of(call.args.integer(2)?, list.len());
    match at.and_then(|at| list.get(at)) {
        Some(element) => call.reply.bulk(element),
        None => call.reply.null(),
    }
    Ok(())
}

fn lrange(call: &mut ShardCall<'_>, at_once: AtOnce) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let (start, stop) = (call.args.integer(2)?, call.args.integer(3)?);
    let place = (call.db, call.key(1), call.access);
    let list = list(call.shard, call.stats, place)?;
    let Some(list) = list else {
        call.reply.array(0);
        return Ok(None);
    };
    let range = range_of(start, stop, list.len());
    let (mark, reply) = (call.reply.mark(), &mut call.reply);
    reply.array(range.len());
    if !at_once.takes(range.len() as u64) {
        return Ok(InSteps::begin(Elements(range)));
    }
    let (mut shown, mut goes_on) = (0, Ok(true));
    if range.is_empty() {
        return Ok(None);
    }
    list.walk(range.start, End::Head, |_, element| {
        reply.bulk(element);
        shown += 1;
        goes_on = at_once.goes_on(reply, mark, shown);
        goes_on == Ok(true) && shown < range.len()
    });
    match goes_on? {
        true => Ok(None),
        false => Ok(InSteps::begin(Elements(range))),
    }
}

/// Elements that are shown in steps: those that are left.
#[derive(Debug)]
struct Elements(Range<u32>);

impl Shown for Elements {
    fn show(
        &mut self,
        call: &mut ShardCall<'_>,
        step: &mut StepOf<'_>,
    ) -> Result<More, ErrorReply> {
        let Self(left) = self;
        let list = call.shard.list(call.db, call.key(1), Access::Peek)?;
        let Some(list) = list else {
            return Ok(More::Gone);
        };
        let mut fits = Ok(());
        list.walk(left.start, End::Head, |_, element| {
            fits = step.add(|reply| reply.bulk(element));
            left.start += 1;
            fits.is_ok() && !step.is_full() && left.start < left.end
        });
        fits?;
        Ok(match left.start < left.end {
            true => More::Yes,
            false => More::No,
        })
    }

    fn head(&self, count: usize, reply: &mut Reply<'_>) {
        reply.array(count);
    }
}

/// The options of `LPOS`.
struct Search {
    /// Where it begins.
    from: End,
    /// How many matches are passed over.
    passed: u64,
    /// How many are returned, all if zero; one that is not in an array, if it was not said.
    count: Option<u64>,
    /// How many elements are compared, all if zero.
    compared_max: u64,
}

impl Search {
    fn parse(args: &Args<'_>) -> Result<Self, ErrorReply> {
        let mut search = Self {
            from: End::Head,
            passed: 0,
            count: None,
            compared_max: 0,
        };
        let mut at = 3;
        while at < args.len() {
            let value = args.get(at + 1).ok_or(errors::SYNTAX)?;
            match () {
                () if args.is(at, "rank") => search.set_rank(value)?,
                () if args.is(at, "count") => {
                    let count = counts::not_negative(value, errors::COUNT_NEGATIVE)?;
                    search.count = Some(count);
                }
                () if args.is(at, "maxlen") => {
                    search.compared_max = counts::not_negative(value, errors::MAXLEN_NEGATIVE)?;
                }
                () => return Err(errors::SYNTAX),
            }
            at += 2;
        }
        Ok(search)
    }

    fn set_rank(&mut self, value: &[u8]) -> Result<(), ErrorReply> {
        let rank = parse_canonical_i64(value).ok_or(errors::NOT_AN_INTEGER)?;
        (self.from, self.passed) = match rank {
            i64::MIN => return Err(errors::out_of_range(-i64::MAX, i64::MAX)),
            0 => return Err(errors::RANK_ZERO),
            1.. => (End::Head, rank.unsigned_abs() - 1),
            _ => (End::Tail, rank.unsigned_abs() - 1),
        };
        Ok(())
    }

    /// Shows the indexes at which `list` has `element`, until `show` answers false.
    fn each(&self, list: ListRef<'_>, element: &[u8], show: &mut dyn FnMut(u32) -> bool) {
        let first = match self.from {
            End::Head => 0,
            End::Tail => list.len() - 1,
        };
        let (mut passed, mut compared) = (0, 0);
        list.walk(first, self.from, |at, other| {
            if self.compared_max > 0 && compared == self.compared_max {
                return false;
            }
            compared += 1;
            if other != element {
                return true;
            }
            if passed < self.passed {
                passed += 1;
                return true;
            }
            show(at)
        });
    }
}

fn lpos(call: &mut ShardCall<'_>) -> CommandResult {
    let search = Search::parse(&call.args)?;
    let place = (call.db, call.key(1), call.access);
    let list = list(call.shard, call.stats, place)?;
    let (element, reply) = (call.args.at(2), &mut call.reply);
    let Some(count) = search.count else {
        let mut found = None;
        if let Some(list) = list {
            search.each(list, element, &mut |at| {
                found = Some(at);
                false
            });
        }
        match found {
            Some(at) => reply.integer(at.into()),
            None => reply.null(),
        }
        return Ok(());
    };
    let Some(list) = list else {
        reply.array(0);
        return Ok(());
    };
    let (mark, mut found, mut fits) = (reply.mark(), 0, Ok(()));
    let array = reply.begin_array(1);
    search.each(list, element, &mut |at| {
        reply.integer(at.into());
        found += 1;
        fits = reply.check_len(mark);
        found as u64 != count && fits.is_ok()
    });
    fits?;
    reply.end(array, found);
    Ok(())
}
