//! What is asked of a list: `LLEN`, `LINDEX`, `LRANGE`, `LPOS`.

use std::ops::Range;

use larder_engine::{Access, DbIndex, End, Key, ListRef, Shard, parse_canonical_i64};

use super::{READ_KEY, STEP_ELEMENTS, place_of, range_of};
use crate::command::families::counts;
use crate::command::families::pieces::{AtOnce, InSteps, More, Pieces, Shown, StepOf};
use crate::command::{
    Args, Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall, Step, Steps,
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
        complexity: "O(N) where N is the number of elements compared.",
        run: Run::OnShard(|call| lpos(call, AtOnce::All).map(drop)),
        steps: Some(|call| lpos(call, AtOnce::Little)),
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
    stats.count_typed_lookup((db, key.bytes()), &found);
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
#[derive(Debug)]
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

    /// Whether so many matches are all that are wanted.
    fn is_enough(&self, found: u64) -> bool {
        match self.count {
            None => found == 1,
            Some(0) => false,
            Some(count) => found == count,
        }
    }
}

/// How far a search has come.
#[derive(Debug, Default)]
struct Progress {
    /// Elements that have been compared.
    compared: u64,
    /// Matches that have been passed over, and those that have been found.
    passed: u64,
    found: u64,
}

impl Search {
    /// Compares at most so many more elements, and shows the indexes of those that are `element`. Whether that was all.
    ///
    /// # Errors
    /// That of `show`.
    fn go_on(
        &self,
        progress: &mut Progress,
        (list, element): (ListRef<'_>, &[u8]),
        most: u64,
        show: &mut dyn FnMut(u32) -> CommandResult,
    ) -> Result<bool, ErrorReply> {
        let most = match self.compared_max {
            0 => progress.compared.saturating_add(most),
            max => progress.compared.saturating_add(most).min(max),
        };
        let done = progress.compared;
        let first = match self.from {
            End::Head => done.min(list.len().into()) as u32,
            End::Tail if done < list.len().into() => list.len() - 1 - done as u32,
            End::Tail => return Ok(true),
        };
        let mut shown = Ok(());
        list.walk(first, self.from, |at, other| {
            progress.compared += 1;
            if other == element && progress.passed < self.passed {
                progress.passed += 1;
            } else if other == element {
                progress.found += 1;
                shown = show(at);
            }
            progress.compared < most && shown.is_ok() && !self.is_enough(progress.found)
        });
        shown?;
        Ok(self.is_enough(progress.found)
            || progress.compared == self.compared_max
            || progress.compared >= list.len().into())
    }
}

fn lpos(call: &mut ShardCall<'_>, at_once: AtOnce) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let search = Search::parse(&call.args)?;
    let place = (call.db, call.key(1), call.access);
    let list = list(call.shard, call.stats, place)?;
    let (element, reply) = (call.args.at(2), &mut call.reply);
    let Some(list) = list else {
        match search.count {
            None => reply.null(),
            Some(_) => reply.array(0),
        }
        return Ok(None);
    };
    let most = match at_once {
        AtOnce::All => u64::MAX,
        AtOnce::Little => STEP_ELEMENTS.into(),
    };
    let mut progress = Progress::default();
    let mark = reply.mark();
    let array = search.count.map(|_| reply.begin_array(1));
    let is_all = search.go_on(&mut progress, (list, element), most, &mut |at| {
        reply.integer(at.into());
        reply.check_len(mark)
    })?;
    match array {
        _ if !is_all => {
            return Ok(Some(Box::new(Searching {
                search,
                progress: Progress::default(),
                found: Pieces::default(),
            })));
        }
        Some(array) => reply.end(array, progress.found as usize),
        None if progress.found == 0 => reply.null(),
        None => {}
    }
    Ok(None)
}

/// Elements that are looked for in steps.
#[derive(Debug)]
struct Searching {
    search: Search,
    progress: Progress,
    found: Pieces,
}

impl Steps for Searching {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let Self {
            search,
            progress,
            found,
        } = self;
        let protocol = call.reply.protocol();
        let list = call.shard.list(call.db, call.key(1), Access::Peek)?;
        let is_all = match list {
            // It has reached its deadline.
            None => {
                (*progress, *found) = Default::default();
                true
            }
            Some(list) => {
                let what = (list, call.args.at(2));
                search.go_on(progress, what, STEP_ELEMENTS.into(), &mut |at| {
                    found.add(protocol, |reply| reply.integer(at.into()))
                })?
            }
        };
        if !is_all {
            return Ok(Step::More);
        }
        let (found, count) = (std::mem::take(found), progress.found);
        Ok(Step::Reply(found.into_reply(
            protocol,
            |reply| match search.count {
                Some(_) => reply.array(count as usize),
                None if count == 0 => reply.null(),
                None => {}
            },
        )))
    }

    fn held_bytes(&self) -> usize {
        self.found.held_bytes()
    }
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    fn bench() -> Bench {
        let mut bench = Bench::new();
        for first in (0..30_000).step_by(1000) {
            let words = (first..first + 1000).map(|n| match n % 10 {
                3 => " often".to_owned(),
                _ => format!(" {n}"),
            });
            bench.run(&format!("RPUSH l{}", words.collect::<String>()));
        }
        bench
    }

    #[test]
    fn many_elements_are_compared_in_steps_and_found_as_at_once() {
        let mut bench = bench();
        for (line, least) in [
            ("LPOS l often COUNT 0", 4),
            ("LPOS l often COUNT 0 RANK -1", 4),
            ("LPOS l often COUNT 2000 RANK 500", 4),
            ("LPOS l often COUNT 0 MAXLEN 9000", 2),
            ("LPOS l often COUNT 2000 RANK -5 MAXLEN 16384", 2),
            ("LPOS l 29999", 4),
            ("LPOS l 0 RANK -1", 4),
            ("LPOS l none", 4),
            ("LPOS l none COUNT 1", 4),
            ("LPOS l none MAXLEN 8193", 2),
            ("LPOS l often RANK 820", 2),
            ("LPOS l none MAXLEN 8192", 0),
            ("LPOS l 8191", 0),
            ("LPOS l 30000 COUNT 1 MAXLEN 5", 0),
            ("LPOS l 22222 RANK -1", 0),
        ] {
            let (at_once, mut steps) = (bench.run(line), 0);
            let in_steps = bench.run_in_steps(line, &mut |_, _| steps += 1);
            assert!(in_steps == at_once, "{line}");
            assert_eq!(steps, least, "{line}");
        }
        assert_eq!(bench.run("LPOS l often RANK -2"), "29983");
        assert_eq!(bench.run("LPOS l often COUNT 2 RANK 2"), "[13, 23]");
    }

    #[test]
    fn in_a_list_that_ends_meanwhile_nothing_is_found() {
        for (line, reply) in [("LPOS l 29999", "nil"), ("LPOS l often COUNT 0", "[]")] {
            let mut bench = bench();
            bench.run("PEXPIRE l 10");
            assert_eq!(bench.run_ending(line, 10), reply);
        }
    }
}
