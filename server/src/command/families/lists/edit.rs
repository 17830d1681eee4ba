//! Changes in the midst of a list: `LSET`, `LINSERT`, `LREM`, `LTRIM`.
//!
//! What looks at many elements does so in steps.

use std::ops::Range;

use larder_engine::{End, Event, ListMut};

use super::{STEP_ELEMENTS, place_of, range_of};
use crate::command::families::pieces::AtOnce;
use crate::command::{
    Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall, Step, Steps,
};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "lset",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())]),
        syntax: "key index element",
        summary: "Sets an element of a list by its index.",
        complexity: "O(log(N)) where N is the number of elements of the list.",
        run: Run::OnShard(lset),
        ..EDIT
    },
    CommandSpec {
        name: "linsert",
        arity: 5,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        keys: super::PUSH_KEY,
        since: "2.2.0",
        syntax: "key <BEFORE | AFTER> pivot element",
        summary: "Adds an element to a list before or behind another.",
        complexity: "O(N) where N is the number of elements up to the pivot.",
        run: Run::OnShard(|call| linsert(call, AtOnce::All).map(drop)),
        steps: Some(|call| linsert(call, AtOnce::Little)),
        ..EDIT
    },
    CommandSpec {
        name: "lrem",
        arity: 4,
        syntax: "key count element",
        summary: "Removes elements of a value from a list, which is deleted with its last element.",
        complexity: "O(N) where N is the number of elements of the list.",
        run: Run::OnShard(|call| lrem(call, AtOnce::All).map(drop)),
        steps: Some(|call| lrem(call, AtOnce::Little)),
        ..EDIT
    },
    CommandSpec {
        name: "ltrim",
        arity: 4,
        syntax: "key start stop",
        summary: "Removes what is outside a range from a list, which is deleted with its last element.",
        complexity: "O(N) where N is the number of elements removed.",
        run: Run::OnShard(ltrim),
        ..EDIT
    },
];

const EDIT: CommandSpec = CommandSpec {
    flags: Flags::WRITE,
    categories: &[Category::List],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.delete())]),
    group: Group::List,
    ..CommandSpec::BASE
};

fn lset(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let mut list = call.shard.list_mut(call.db, key)?;
    if !list.is_there() {
        list.close(&[]);
        return Err(errors::NO_SUCH_KEY);
    }
    let place = call.args.integer(2).and_then(|index| {
        let place = place_of(index, list.len());
        place.ok_or(errors::OUT_OF_RANGE)
    });
    let set = place.and_then(|at| Ok(list.replace(at, call.args.at(3))?));
    let events = [Event::LSet];
    list.close(if set.is_ok() { &events } else { &[] });
    set?;
    call.reply.ok();
    Ok(())
}

/// A command that takes several steps, or is done.
type Begun = Result<Option<Box<dyn Steps>>, ErrorReply>;

fn linsert(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    let behind = match () {
        () if call.args.is(2, "before") => 0,
        () if call.args.is(2, "after") => 1,
        () => return Err(errors::SYNTAX),
    };
    let key = call.key(1);
    let list = call.shard.list_mut(call.db, key)?;
    if !list.is_there() {
        list.close(&[]);
        call.reply.integer(0);
        return Ok(None);
    }
    let most = match at_once {
        AtOnce::All => u32::MAX,
        AtOnce::Little => STEP_ELEMENTS,
    };
    let mut inserting = Inserting { from: 0, behind };
    let looked_at = inserting.look(&list, call.args.at(3), most);
    let (len, step) = insert(list, looked_at, call.args.at(4))?;
    match step {
        Step::More => return Ok(Some(Box::new(inserting))),
        _ => call.reply.integer(len),
    }
    Ok(None)
}

/// An element that is inserted beside another, which is looked for in steps.
#[derive(Debug)]
struct Inserting {
    /// The elements before this one are others.
    from: u32,
    /// How far behind the other's beginning it is put.
    behind: u32,
}

/// What has been looked at of a list.
#[derive(Clone, Copy)]
enum LookedAt {
    /// The element is put there.
    Place(u32),
    /// It has none.
    All,
    Some,
}

impl Inserting {
    /// Looks at so many more elements, at most.
    fn look(&mut self, list: &ListMut<'_>, pivot: &[u8], most: u32) -> LookedAt {
        let Some(elements) = list.as_ref() else {
            return LookedAt::All;
        };
        let end = self.from.saturating_add(most).min(elements.len());
        match elements.find(self.from..end, End::Head, pivot) {
            Some(at) => return LookedAt::Place(at + self.behind),
            None => self.from = end,
        }
        match end == elements.len() {
            true => LookedAt::All,
            false => LookedAt::Some,
        }
    }
}

/// Puts an element at the place that was found, if one was; what is replied, and whether that is all.
///
/// # Errors
/// Memory is out, or the list has as many elements as it may.
fn insert(
    mut list: ListMut<'_>,
    looked_at: LookedAt,
    element: &[u8],
) -> Result<(i64, Step), ErrorReply> {
    let LookedAt::Place(at) = looked_at else {
        list.close(&[]);
        return Ok(match looked_at {
            LookedAt::Some => (-1, Step::More),
            _ => (-1, Step::Done),
        });
    };
    let inserted = list.insert(at, element);
    let (events, len) = ([Event::LInsert], list.len());
    list.close(if inserted.is_ok() { &events } else { &[] });
    inserted?;
    Ok((len.into(), Step::Done))
}

impl Steps for Inserting {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let key = call.key(1);
        let list = call.shard.list_mut(call.db, key)?;
        let looked_at = self.look(&list, call.args.at(3), STEP_ELEMENTS);
        let (len, step) = insert(list, looked_at, call.args.at(4))?;
        if matches!(step, Step::Done) {
            call.reply.integer(len);
        }
        Ok(step)
    }

    fn held_bytes(&self) -> usize {
        0
    }
}

fn lrem(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    let count = call.args.integer(2)?;
    if count == i64::MIN {
        return Err(errors::out_of_range(-i64::MAX, i64::MAX));
    }
    let from = match count {
        0.. => End::Head,
        _ => End::Tail,
    };
    let most = match count {
        0 => u32::MAX,
        _ => u32::try_from(count.unsigned_abs()).unwrap_or(u32::MAX),
    };
    let key = call.key(1);
    let list = call.shard.list_mut(call.db, key)?;
    let len = list.len();
    let mut removing = Removing {
        rest: 0..len,
        from,
        left: most,
        removed: 0,
    };
    if at_once == AtOnce::Little && len > STEP_ELEMENTS {
        list.close(&[]);
        return Ok(Some(Box::new(removing)));
    }
    removing.step(list, call.args.at(3), u32::MAX);
    call.reply.integer(removing.removed.into());
    Ok(None)
}

/// Elements that are removed in steps.
#[derive(Debug)]
struct Removing {
    /// Those that have yet to be looked at.
    rest: Range<u32>,
    from: End,
    /// How many more may be removed.
    left: u32,
    removed: u32,
}

impl Removing {
    /// Looks at so many more elements, at most; whether that was all.
    fn step(&mut self, mut list: ListMut<'_>, element: &[u8], most: u32) -> bool {
        if !list.is_there() {
            // It was not, or has reached its deadline.
            list.close(&[]);
            return true;
        }
        let Range { start, end } = self.rest;
        let piece = match self.from {
            End::Head => start..start.saturating_add(most).min(end),
            End::Tail => end.saturating_sub(most).max(start)..end,
        };
        let removed = list.remove_equal_of(piece.clone(), element, self.left, self.from);
        self.left -= removed;
        self.removed += removed;
        self.rest = match self.from {
            End::Head => piece.end - removed..end - removed,
            End::Tail => start..piece.start,
        };
        let is_all = self.rest.is_empty() || self.left == 0;
        match is_all {
            true if self.removed > 0 => list.close(&[Event::LRem]),
            false if removed > 0 => list.close(&[Event::Silent]),
            _ => list.close(&[]),
        }
        is_all
    }
}

impl Steps for Removing {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let key = call.key(1);
        let list = call.shard.list_mut(call.db, key)?;
        if !self.step(list, call.args.at(3), STEP_ELEMENTS) {
            return Ok(Step::More);
        }
        call.reply.integer(self.removed.into());
        Ok(Step::Done)
    }

    fn held_bytes(&self) -> usize {
        0
    }
}

fn ltrim(call: &mut ShardCall<'_>) -> CommandResult {
    let (start, stop) = (call.args.integer(2)?, call.args.integer(3)?);
    let key = call.key(1);
    let mut list = call.shard.list_mut(call.db, key)?;
    if !list.is_there() {
        list.close(&[]);
        call.reply.ok();
        return Ok(());
    }
    let len = list.len();
    let kept = range_of(start, stop, len);
    if kept == (0..len) {
        list.touch();
    } else if kept.is_empty() {
        list.remove(0..len);
    } else {
        list.remove(kept.end..len);
        list.remove(0..kept.start);
    }
    list.close(&[Event::LTrim]);
    call.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    /// A list of so many elements, some of them often there.
    fn bench(elements: usize) -> Bench {
        let mut bench = Bench::new();
        let numbers: Vec<usize> = (0..elements).collect();
        for some in numbers.chunks(1000) {
            let words = some.iter().map(|n| match n % 7 {
                0 => " often".to_owned(),
                _ => format!(" element:{n}"),
            });
            bench.run(&format!("RPUSH l{}", words.collect::<String>()));
        }
        bench.run("RPUSH l last");
        bench
    }

    #[test]
    fn many_elements_are_looked_at_in_steps_and_changed_as_at_once() {
        for line in [
            "LREM l 0 often",
            "LREM l 2500 often",
            "LREM l -2500 often",
            "LREM l -1 element:1",
            "LREM l 0 none",
            "LREM l 1 often",
            "LINSERT l BEFORE last new",
            "LINSERT l AFTER element:23999 new",
            "LINSERT l AFTER none new",
        ] {
            let (mut at_once, mut in_steps) = (bench(24_000), bench(24_000));
            let changes = [at_once.changes(), in_steps.changes()];
            let expected = at_once.run(line);
            let mut steps = 0;
            let reply = in_steps.run_in_steps(line, &mut |shard, _| {
                shard.check();
                steps += 1;
            });
            assert_eq!(reply, expected, "{line}");
            assert_eq!(
                at_once.changes() - changes[0],
                in_steps.changes() - changes[1],
                "{line}"
            );
            assert_eq!(at_once.events(), in_steps.events(), "{line}");
            let [left, right] =
                [&mut at_once, &mut in_steps].map(|bench| bench.run("LRANGE l 0 -1"));
            assert!(left == right, "{line}");
            let is_done_at_once = line == "LREM l 1 often";
            assert!(
                steps >= if is_done_at_once { 1 } else { 2 },
                "{line}: {steps}"
            );
        }
    }

    #[test]
    fn a_list_goes_with_the_last_of_its_elements_after_however_many_steps() {
        let mut bench = Bench::new();
        for _ in 0..20 {
            bench.run(&format!("RPUSH l{}", " same".repeat(1000)));
        }
        assert_eq!(
            bench.run_in_steps("LREM l -20000 same", &mut |_, _| ()),
            "20000"
        );
        assert_eq!(bench.run("EXISTS l"), "0");
        let events = bench.events();
        assert_eq!(events[20..], ["lrem l", "del l"]);
    }

    #[test]
    fn few_elements_take_no_steps() {
        let mut bench = bench(5000);
        for line in ["LREM l 0 none", "LINSERT l BEFORE last new"] {
            let mut steps = 0;
            bench.run_in_steps(line, &mut |_, _| steps += 1);
            assert_eq!(steps, 0, "{line}");
        }
    }
}
