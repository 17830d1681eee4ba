//! Members that go: `ZREM`, and those of a range.

use larder_engine::{Event, SortedSetRef};

use super::selection::Range;
use super::{WRITING, close_told};
use crate::command::{CommandSpec, FieldUse, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
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
        run: Run::OnShard(zremrangebyrank),
        ..REMOVING
    },
    CommandSpec {
        name: "zremrangebyscore",
        syntax: "key min max",
        summary: "Removes the members of a sorted set in a range of scores.",
        run: Run::OnShard(zremrangebyscore),
        ..REMOVING
    },
    CommandSpec {
        name: "zremrangebylex",
        since: "2.8.9",
        syntax: "key min max",
        summary: "Removes the members of a sorted set in a range of names, where all scores are alike.",
        run: Run::OnShard(zremrangebylex),
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
        for name in call.args.iter_from(2) {
            removed += i64::from(set.remove(name).is_some());
        }
    }
    close_told(set, removed > 0, Event::ZRem);
    call.reply.integer(removed);
    Ok(())
}

fn zremrangebyrank(call: &mut ShardCall<'_>) -> CommandResult {
    let range = Range::of_ranks(call.args.at(2), call.args.at(3))?;
    remove_range(call, &range, Event::ZRemRangeByRank)
}

fn zremrangebyscore(call: &mut ShardCall<'_>) -> CommandResult {
    let range = Range::of_scores(call.args.at(2), call.args.at(3))?;
    remove_range(call, &range, Event::ZRemRangeByScore)
}

fn zremrangebylex(call: &mut ShardCall<'_>) -> CommandResult {
    let range = Range::of_names(call.args.at(2), call.args.at(3))?;
    remove_range(call, &range, Event::ZRemRangeByLex)
}

fn remove_range(
    call: &mut ShardCall<'_>,
    range: &Range<'_>,
    event: Event,
) -> Result<(), ErrorReply> {
    let key = call.key(1);
    let mut set = call.shard.sorted_set_mut(call.db, key)?;
    let ranks = set
        .as_ref()
        .map(|set: SortedSetRef<'_>| range.ranks_in(set));
    let removed = match ranks {
        Some(ranks) if !ranks.is_empty() => set.remove_range(ranks),
        _ => 0,
    };
    close_told(set, removed > 0, event);
    call.reply.count(removed);
    Ok(())
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
}
