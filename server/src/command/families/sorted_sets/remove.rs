//! Members that go: `ZREM`, and those of a range.

use larder_engine::{Event, SortedSetRef};

use super::selection::Range;
use super::{WRITING, close_told, remove_all};
use crate::command::families::near::begins_part;
use crate::command::families::pieces::AtOnce;
use crate::command::{
    CommandSpec, FieldUse, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall, Step, Steps,
};
use crate::resp::ErrorReply;
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "zrem",
        field: Some(FieldUse::Score(1)),
        arity: -3,
        flags: Flags::WRITE.with(Flags::FAST),
        syntax: "key member [member ...]",
        summary: "Removes members of a sorted set, and the sorted set with the last of them.",
        complexity: "O(M*log(N)) where N is the number of members of the sorted set, and M the number of those removed.",
        run: Run::OnShard(zrem),
        ..REMOVING
    },
    CommandSpec {
        name: "zremrangebyrank",
        since: "2.0.0",
        syntax: "key start stop",
        summary: "Removes the members of a sorted set in a range of ranks.",
        run: Run::OnShard(|call| zremrangebyrank(call, AtOnce::All).map(drop)),
        steps: Some(|call| zremrangebyrank(call, AtOnce::Little)),
        ..REMOVING
    },
    CommandSpec {
        name: "zremrangebyscore",
        syntax: "key min max",
        summary: "Removes the members of a sorted set in a range of scores.",
        run: Run::OnShard(|call| zremrangebyscore(call, AtOnce::All).map(drop)),
        steps: Some(|call| zremrangebyscore(call, AtOnce::Little)),
        ..REMOVING
    },
    CommandSpec {
        name: "zremrangebylex",
        since: "2.8.9",
        syntax: "key min max",
        summary: "Removes the members of a sorted set in a range of names, where all scores are alike.",
        run: Run::OnShard(|call| zremrangebylex(call, AtOnce::All).map(drop)),
        steps: Some(|call| zremrangebylex(call, AtOnce::Little)),
        ..REMOVING
    },
];

const REMOVING: CommandSpec = CommandSpec {
    arity: 4,
    flags: Flags::WRITE,
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.delete())]),
    since: "1.2.0",
    complexity: "O(log(N)+M) where N is the number of members of the sorted set, and M the number of those removed.",
    ..WRITING
};

fn zrem(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let mut set = call.shard.sorted_set_mut(call.db, key)?;
    let mut removed = 0;
    if set.is_there() {
        let count = call.args.len() - 2;
        for (number, name) in call.args.iter_from(2).enumerate() {
            if begins_part(number, count) {
                set.prefetch(call.args.iter_from(2 + number));
            }
            removed += i64::from(set.remove(name).is_some());
        }
    }
    close_told(set, removed > 0, Event::ZRem);
    call.reply.integer(removed);
    Ok(())
}

/// A command that takes several steps, or is done.
type Begun = Result<Option<Box<dyn Steps>>, ErrorReply>;

fn zremrangebyrank(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    let range = Range::of_ranks(call.args.at(2), call.args.at(3))?;
    remove_range(call, &range, (at_once, Event::ZRemRangeByRank))
}

fn zremrangebyscore(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    let range = Range::of_scores(call.args.at(2), call.args.at(3))?;
    remove_range(call, &range, (at_once, Event::ZRemRangeByScore))
}

fn zremrangebylex(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    let range = Range::of_names(call.args.at(2), call.args.at(3))?;
    remove_range(call, &range, (at_once, Event::ZRemRangeByLex))
}

/// Members that are removed in one step of several.
const STEP_MEMBERS: u64 = 512;

fn remove_range(
    call: &mut ShardCall<'_>,
    range: &Range<'_>,
    (at_once, event): (AtOnce, Event),
) -> Begun {
    let key = call.key(1);
    let mut set = call.shard.sorted_set_mut(call.db, key)?;
    let ranks = set
        .as_ref()
        .map(|set: SortedSetRef<'_>| range.ranks_in(set));
    let ranks = ranks.filter(|ranks| !ranks.is_empty());
    if let Some(ranks) = &ranks
        && ranks.end - ranks.start == set.len()
        && set.len() > 1
    {
        let len = set.len();
        set.close(&[]);
        remove_all(call.shard, (call.db, key), len, event);
        call.reply.count(len);
        return Ok(None);
    }
    if let Some(ranks) = &ranks
        && at_once == AtOnce::Little
        && ranks.end - ranks.start > STEP_MEMBERS
    {
        set.close(&[]);
        let removed = ranks.end - ranks.start;
        return Ok(Some(Box::new(Removing {
            from: ranks.start,
            left: removed,
            removed,
            event,
        })));
    }
    let removed = ranks.map_or(0, |ranks| set.remove_range(ranks));
    close_told(set, removed > 0, event);
    call.reply.count(removed);
    Ok(None)
}

/// A range of members that go in steps: its key is locked.
#[derive(Debug)]
struct Removing {
    /// The rank of the next.
    from: u64,
    left: u64,
    /// How many go in all.
    removed: u64,
    event: Event,
}

impl Steps for Removing {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let key = call.key(1);
        let mut set = call.shard.sorted_set_mut(call.db, key)?;
        if !set.is_there() {
            // It has reached its deadline, and what was left of it is gone.
            self.left = 0;
            set.close(&[]);
        } else {
            let now = self.left.min(STEP_MEMBERS);
            self.left -= set.remove_range(self.from..self.from + now);
            match self.left {
                0 => set.close(&[self.event]),
                _ => set.close(&[Event::Silent]),
            }
        }
        if self.left > 0 {
            return Ok(Step::More);
        }
        call.reply.count(self.removed);
        Ok(Step::Done)
    }

    fn held_bytes(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn members_go_one_record_each_and_the_key_with_the_last() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD z 1 a 2 b 3 c 4 d 5 e", "5"),
            ("ZREM z a none a", "1"),
            ("ZREM z none", "0"),
            ("ZREMRANGEBYRANK z -1 -1", "1"),
            ("ZREMRANGEBYSCORE z (2 (3", "0"),
            ("ZREMRANGEBYSCORE z (2 3", "1"),
            ("ZRANGE z 0 -1", "[\"b\", \"d\"]"),
            ("ZREMRANGEBYSCORE z -inf +inf", "2"),
            ("EXISTS z", "0"),
            ("ZREMRANGEBYRANK z 0 -1", "0"),
            ("ZADD z 0 a 0 b 0 c", "3"),
            ("ZREMRANGEBYLEX z (a [b", "1"),
            ("ZREMRANGEBYLEX z - +", "2"),
        ]);
        assert_eq!(bench.changes(), 5 + 1 + 1 + 1 + 2 + 3 + 1 + 2);
        let expected = [
            "zadd z",
            "zrem z",
            "zremrangebyrank z",
            "zremrangebyscore z",
            "zremrangebyscore z",
            "del z",
            "zadd z",
            "zremrangebylex z",
            "zremrangebylex z",
            "del z",
        ];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn arguments_are_looked_at_before_the_key() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SET s 1", "OK"),
            (
                "ZREMRANGEBYRANK s a 1",
                "ERR value is not an integer or out of range",
            ),
            ("ZREMRANGEBYSCORE s a 1", "ERR min or max is not a float"),
            (
                "ZREMRANGEBYLEX s a b",
                "ERR min or max not valid string range item",
            ),
            (
                "ZREMRANGEBYLEX s - +",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }

    #[test]
    fn many_members_go_in_steps_and_few_in_each() {
        let commands = [
            "ZREMRANGEBYRANK z 100 -101",
            "ZREMRANGEBYSCORE z 100 9899",
            "ZREMRANGEBYLEX z [000100 (009900",
        ];
        for line in commands {
            let mut bench = Bench::new();
            for first in (0..10_000).step_by(1000) {
                let score = |n: usize| if line.contains("LEX") { 0 } else { n };
                let words = (first..first + 1000).map(|n| format!(" {} {n:06}", score(n)));
                bench.run(&format!("ZADD z{}", words.collect::<String>()));
            }
            let (mut before, mut steps) = (bench.changes(), 0);
            let changes = before + 9800;
            let reply = bench.run_in_steps(line, &mut |shard, _| {
                let now = shard.journal().changes();
                assert!(now > before && now - before <= 512, "{line}");
                (before, steps) = (now, steps + 1);
            });
            assert_eq!((&reply[..], steps), ("9800", 20));
            assert_eq!(bench.changes(), changes);
            bench.check(&[
                ("ZCARD z", "200"),
                ("ZRANGE z 99 100", "[\"000099\", \"009900\"]"),
            ]);
            let events = bench.events();
            assert_eq!(events.len(), 11, "{events:?}");
            assert!(events[10].starts_with("zremrangeby"));
            bench.shard.check();
        }
    }

    #[test]
    fn a_range_that_is_all_goes_at_once_with_its_key() {
        let words: String = (0..2000).map(|n| format!(" {n} {n}")).collect();
        let mut bench = Bench::new();
        bench.run(&format!("ZADD z{words}"));
        let mut steps = 0;
        let reply = bench.run_in_steps("ZREMRANGEBYSCORE z 0 2000", &mut |_, _| steps += 1);
        assert_eq!((&reply[..], steps), ("2000", 0));
        assert_eq!(bench.changes(), 4000);
        bench.check(&[("EXISTS z", "0")]);
        let expected = ["zadd z", "zremrangebyscore z", "del z"];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn a_key_that_ends_while_its_members_go_has_lost_them_all() {
        let words: String = (0..2000).map(|n| format!(" {n} {n}")).collect();
        let mut bench = Bench::new();
        bench.run(&format!("ZADD z{words}"));
        bench.run("PEXPIRE z 10");
        assert_eq!(bench.run_ending("ZREMRANGEBYRANK z 0 -2", 10), "1999");
        bench.check(&[("EXISTS z", "0")]);
    }
}
