//! What is asked of a sorted set and its members: how many, which score, which rank.

use super::selection::Range;
use super::{READING, read, write_score};
use crate::command::families::near::begins_part;
use crate::command::{CommandSpec, FieldUse, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::errors::{self, CommandResult};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "zcard",
        arity: 2,
        // Its length is no data.
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO)]),
        since: "1.2.0",
        syntax: "key",
        summary: "Returns the number of members of a sorted set.",
        run: Run::OnShard(zcard),
        ..ASKING
    },
    CommandSpec {
        name: "zscore",
        arity: 3,
        field: Some(FieldUse::Score(1)),
        since: "1.2.0",
        syntax: "key member",
        summary: "Returns the score of a member of a sorted set.",
        run: Run::OnShard(zscore),
        ..ASKING
    },
    CommandSpec {
        name: "zmscore",
        arity: -3,
        field: Some(FieldUse::Score(1)),
        since: "6.2.0",
        syntax: "key member [member ...]",
        summary: "Returns the scores of members of a sorted set.",
        complexity: "O(N) where N is the number of members asked for.",
        run: Run::OnShard(zmscore),
        ..ASKING
    },
    CommandSpec {
        name: "zrank",
        summary: "Returns the rank of a member of a sorted set, that of the lowest score being 0.",
        run: Run::OnShard(zrank),
        ..RANKING
    },
    CommandSpec {
        name: "zrevrank",
        summary: "Returns the rank of a member of a sorted set, that of the highest score being 0.",
        run: Run::OnShard(zrevrank),
        ..RANKING
    },
    CommandSpec {
        name: "zcount",
        summary: "Returns the number of members of a sorted set in a range of scores.",
        run: Run::OnShard(zcount),
        ..COUNTING
    },
    CommandSpec {
        name: "zlexcount",
        since: "2.8.9",
        summary: "Returns the number of members of a sorted set in a range of names, where all scores are alike.",
        run: Run::OnShard(zlexcount),
        ..COUNTING
    },
];

const ASKING: CommandSpec = CommandSpec {
    flags: Flags::READONLY.with(Flags::FAST),
    ..READING
};

const RANKING: CommandSpec = CommandSpec {
    arity: -3,
    field: Some(FieldUse::Score(1)),
    since: "2.0.0",
    syntax: "key member [WITHSCORE]",
    complexity: "O(log(N)) where N is the number of members of the sorted set.",
    ..ASKING
};

const COUNTING: CommandSpec = CommandSpec {
    arity: 4,
    since: "2.0.0",
    syntax: "key min max",
    complexity: "O(log(N)) where N is the number of members of the sorted set.",
    ..ASKING
};

fn zcard(call: &mut ShardCall<'_>) -> CommandResult {
    let place = (call.db, call.key(1), call.access);
    let set = read(call.shard, call.stats, place)?;
    call.reply.count(set.map_or(0, |set| set.len()));
    Ok(())
}

fn zscore(call: &mut ShardCall<'_>) -> CommandResult {
    let place = (call.db, call.key(1), call.access);
    let set = read(call.shard, call.stats, place)?;
    match set.and_then(|set| set.score(call.args.at(2))) {
        Some(score) => write_score(&mut call.reply, score),
        None => call.reply.null(),
    }
    Ok(())
}

fn zmscore(call: &mut ShardCall<'_>) -> CommandResult {
    let place = (call.db, call.key(1), call.access);
    let set = read(call.shard, call.stats, place)?;
    let count = call.args.len() - 2;
    call.reply.array(count);
    for (number, name) in call.args.iter_from(2).enumerate() {
        if begins_part(number, count)
            && let Some(set) = &set
        {
            set.prefetch(call.args.iter_from(2 + number));
        }
        match set.and_then(|set| set.score(name)) {
            Some(score) => write_score(&mut call.reply, score),
            None => call.reply.null(),
        }
    }
    Ok(())
}

fn zrank(call: &mut ShardCall<'_>) -> CommandResult {
    rank(call, "zrank", |rank, _| rank)
}

fn zrevrank(call: &mut ShardCall<'_>) -> CommandResult {
    rank(call, "zrevrank", |rank, len| len - 1 - rank)
}

/// Answers what `shown` makes of a member's rank from the lowest score on, and of the number of members.
fn rank(
    call: &mut ShardCall<'_>,
    command: &str,
    shown: impl FnOnce(u64, u64) -> u64,
) -> CommandResult {
    let with_score = match call.args.len() {
        3 => false,
        4 if call.args.is(3, "withscore") => true,
        4 => return Err(errors::SYNTAX),
        _ => return Err(errors::wrong_arity(command)),
    };
    let place = (call.db, call.key(1), call.access);
    let set = read(call.shard, call.stats, place)?;
    let found = set.and_then(|set| Some((set.rank(call.args.at(2))?, set.len())));
    let reply = &mut call.reply;
    match (found, with_score) {
        (Some(((rank, _), len)), false) => reply.count(shown(rank, len)),
        (Some(((rank, score), len)), true) => {
            reply.array(2);
            reply.count(shown(rank, len));
            write_score(reply, score);
        }
        (None, false) => reply.null(),
        (None, true) => reply.null_array(),
    }
    Ok(())
}

fn zcount(call: &mut ShardCall<'_>) -> CommandResult {
    let range = Range::of_scores(call.args.at(2), call.args.at(3))?;
    count(call, &range)
}

fn zlexcount(call: &mut ShardCall<'_>) -> CommandResult {
    let range = Range::of_names(call.args.at(2), call.args.at(3))?;
    count(call, &range)
}

fn count(call: &mut ShardCall<'_>, range: &Range<'_>) -> CommandResult {
    let place = (call.db, call.key(1), call.access);
    let set = read(call.shard, call.stats, place)?;
    let ranks = set.map_or(0..0, |set| range.ranks_in(set));
    call.reply.count(ranks.end.saturating_sub(ranks.start));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;
    use crate::resp::Protocol;

    #[test]
    fn scores_and_ranks_are_answered() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD z 1 a 2.5 b 2.5 c inf d", "4"),
            ("ZCARD z", "4"),
            ("ZCARD none", "0"),
            ("ZSCORE z b", "\"2.5\""),
            ("ZSCORE z none", "nil"),
            ("ZMSCORE z d none a", "[\"inf\", nil, \"1\"]"),
            ("ZMSCORE none a", "[nil]"),
            ("ZRANK z c", "2"),
            ("ZREVRANK z c", "1"),
            ("ZRANK z none", "nil"),
            ("ZRANK z b WITHSCORE", "[1, \"2.5\"]"),
            ("ZREVRANK none b WITHSCORE", "nil"),
            ("ZRANK z b x", "ERR syntax error"),
            (
                "ZREVRANK z b WITHSCORE x",
                "ERR wrong number of arguments for 'zrevrank' command",
            ),
            ("ZCOUNT z 2.5 2.5", "2"),
            ("ZCOUNT z (1 +inf", "3"),
            ("ZCOUNT z 3 2", "0"),
            ("ZCOUNT none - +", "ERR min or max is not a float"),
            ("ZADD n 0 a 0 b 0 c", "3"),
            ("ZLEXCOUNT n - +", "3"),
            ("ZLEXCOUNT n (a [b", "1"),
            ("ZLEXCOUNT n + -", "0"),
            (
                "ZLEXCOUNT none a b",
                "ERR min or max not valid string range item",
            ),
        ]);
        bench.protocol = Protocol::Resp3;
        assert_eq!(bench.run_words(&[b"ZSCORE", b"z", b"d"]), b",inf\r\n");
    }

    #[test]
    fn lookups_of_keys_are_counted_by_commands_that_read() {
        let mut bench = Bench::new();
        bench.run("ZADD z 1 a");
        for line in [
            "ZCARD z",
            "ZSCORE z a",
            "ZMSCORE z a b",
            "ZRANK z a",
            "ZREVRANK z a WITHSCORE",
            "ZCOUNT z 1 2",
            "ZLEXCOUNT z - +",
            "ZRANGE z 0 -1",
            "ZRANGEBYSCORE z 0 1",
            "ZRANDMEMBER z",
            "ZRANDMEMBER z 2",
            "ZSCAN z 0",
        ] {
            let (hits, misses) = (
                bench.stats.lookups.all().hits,
                bench.stats.lookups.all().misses,
            );
            bench.run(line);
            bench.run(&line.replacen(" z", " none", 1));
            let counted = (
                bench.stats.lookups.all().hits - hits,
                bench.stats.lookups.all().misses - misses,
            );
            assert_eq!(counted, (1, 1), "{line}");
        }
        for line in ["ZREM none a", "ZADD none XX 1 a", "ZPOPMIN none"] {
            let (hits, misses) = (
                bench.stats.lookups.all().hits,
                bench.stats.lookups.all().misses,
            );
            bench.run(line);
            let counted = (
                bench.stats.lookups.all().hits,
                bench.stats.lookups.all().misses,
            );
            assert_eq!(counted, (hits, misses), "{line}");
        }
    }
}
