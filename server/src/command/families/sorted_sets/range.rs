//! Members in their order: `ZRANGE`, and the older commands that it can stand for.

use std::ops::ControlFlow;

use larder_engine::{Access, Direction};

use super::selection::{Grammar, Place, Selection};
use super::{Parts, READING, read};
use crate::command::families::pieces::{AtOnce, InSteps, More, Shown, StepOf};
use crate::command::{CommandSpec, Run, ShardCall, Steps};
use crate::resp::{ErrorReply, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "zrange",
        since: "1.2.0",
        syntax: "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
        summary: "Returns the members of a sorted set in a range of ranks, scores or names.",
        run: Run::OnShard(|call| show(call, Grammar::Any, AtOnce::All).map(drop)),
        steps: Some(|call| show(call, Grammar::Any, AtOnce::Little)),
        ..SHOWING
    },
    CommandSpec {
        name: "zrevrange",
        since: "1.2.0",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` argument")),
        syntax: "key start stop [WITHSCORES]",
        summary: "Returns the members of a sorted set in a range of ranks, from the highest score on.",
        run: Run::OnShard(|call| show(call, Grammar::RanksDown, AtOnce::All).map(drop)),
        steps: Some(|call| show(call, Grammar::RanksDown, AtOnce::Little)),
        ..SHOWING
    },
    CommandSpec {
        name: "zrangebyscore",
        since: "1.0.5",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYSCORE` argument")),
        syntax: "key min max [WITHSCORES] [LIMIT offset count]",
        summary: "Returns the members of a sorted set in a range of scores.",
        run: Run::OnShard(|call| show(call, Grammar::Scores(Direction::Up), AtOnce::All).map(drop)),
        steps: Some(|call| show(call, Grammar::Scores(Direction::Up), AtOnce::Little)),
        ..SHOWING
    },
    CommandSpec {
        name: "zrevrangebyscore",
        since: "2.2.0",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")),
        syntax: "key max min [WITHSCORES] [LIMIT offset count]",
        summary: "Returns the members of a sorted set in a range of scores, from the highest on.",
        run: Run::OnShard(|call| {
            show(call, Grammar::Scores(Direction::Down), AtOnce::All).map(drop)
        }),
        steps: Some(|call| show(call, Grammar::Scores(Direction::Down), AtOnce::Little)),
        ..SHOWING
    },
    CommandSpec {
        name: "zrangebylex",
        since: "2.8.9",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYLEX` argument")),
        syntax: "key min max [LIMIT offset count]",
        summary: "Returns the members of a sorted set in a range of names, where all scores are alike.",
        run: Run::OnShard(|call| show(call, Grammar::Names(Direction::Up), AtOnce::All).map(drop)),
        steps: Some(|call| show(call, Grammar::Names(Direction::Up), AtOnce::Little)),
        ..SHOWING
    },
    CommandSpec {
        name: "zrevrangebylex",
        since: "2.8.9",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")),
        syntax: "key max min [LIMIT offset count]",
        summary: "Returns the members of a sorted set in a range of names, where all scores are alike, from the last on.",
        run: Run::OnShard(|call| {
            show(call, Grammar::Names(Direction::Down), AtOnce::All).map(drop)
        }),
        steps: Some(|call| show(call, Grammar::Names(Direction::Down), AtOnce::Little)),
        ..SHOWING
    },
];

const SHOWING: CommandSpec = CommandSpec {
    arity: -4,
    complexity: "O(log(N)+M) where N is the number of members of the sorted set, and M that of those returned.",
    ..READING
};

fn show(
    call: &mut ShardCall<'_>,
    grammar: Grammar,
    at_once: AtOnce,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let selection = Selection::parse(&call.args, 1, grammar)?;
    let place = (call.db, call.key(1), call.access);
    let set = read(call.shard, call.stats, place)?;
    let reply = &mut call.reply;
    let Some(set) = set else {
        reply.array(0);
        return Ok(None);
    };
    let (parts, began) = (selection.parts, reply.mark());
    let each = parts.replies_each(reply);
    let array = reply.begin_array(selection.expected(set) * each);
    let (mut shown, mut goes_on) = (0, Ok(true));
    selection.each(set, &mut |member| {
        parts.write(reply, member);
        shown += 1;
        goes_on = at_once.goes_on(reply, began, shown);
        match goes_on {
            Ok(true) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    });
    if !goes_on? {
        let place = Place::Start;
        return Ok(InSteps::begin(Chosen {
            grammar,
            place,
            parts,
        }));
    }
    reply.end(array, shown * each);
    Ok(None)
}

/// Members that are shown in steps.
#[derive(Debug)]
struct Chosen {
    grammar: Grammar,
    /// Where the next step begins.
    place: Place,
    parts: Parts,
}

impl Shown for Chosen {
    fn show(
        &mut self,
        call: &mut ShardCall<'_>,
        step: &mut StepOf<'_>,
    ) -> Result<More, ErrorReply> {
        let selection = Selection::parse(&call.args, 1, self.grammar)?;
        let set = call.shard.sorted_set(call.db, call.key(1), Access::Peek)?;
        let Some(set) = set else {
            return Ok(More::Gone);
        };
        let mut fits = Ok(());
        let are_more = selection.each_from(set, &mut self.place, &mut |member| {
            fits = step.add(|reply| self.parts.write(reply, member));
            match fits.is_ok() && !step.is_full() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        fits?;
        Ok(if are_more { More::Yes } else { More::No })
    }

    fn head(&self, count: usize, reply: &mut Reply<'_>) {
        reply.array(count * self.parts.replies_each(reply));
    }
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;
    use crate::resp::Protocol;

    fn five() -> Bench {
        let mut bench = Bench::new();
        bench.run("ZADD z 1 a 2 b 2 c 3 d 4 e");
        bench
    }

    #[test]
    fn members_are_shown_by_rank() {
        let mut bench = five();
        bench.check(&[
            ("ZRANGE z 0 1", "[\"a\", \"b\"]"),
            ("ZRANGE z -2 -1", "[\"d\", \"e\"]"),
            ("ZRANGE z 0 0 REV WITHSCORES", "[\"e\", \"4\"]"),
            ("ZREVRANGE z 1 2", "[\"d\", \"c\"]"),
            ("ZREVRANGE z -1 100", "[\"a\"]"),
            ("ZRANGE z 3 1", "[]"),
            ("ZRANGE z 5 10", "[]"),
            ("ZRANGE none 0 -1 WITHSCORES", "[]"),
        ]);
    }

    #[test]
    fn members_are_shown_by_score_and_by_name() {
        let mut bench = five();
        bench.check(&[
            ("ZRANGEBYSCORE z 2 3", "[\"b\", \"c\", \"d\"]"),
            ("ZRANGEBYSCORE z (2 +inf", "[\"d\", \"e\"]"),
            ("ZRANGEBYSCORE z -inf (2 WITHSCORES", "[\"a\", \"1\"]"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT 1 2", "[\"b\", \"c\"]"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT 3 -1", "[\"d\", \"e\"]"),
            ("ZRANGEBYSCORE z 2 2 LIMIT 2 5", "[]"),
            ("ZRANGEBYSCORE z 2 2 LIMIT -1 5", "[]"),
            ("ZRANGEBYSCORE z 2 2 LIMIT 0 0", "[]"),
            ("ZRANGEBYSCORE z 3 2", "[]"),
            ("ZRANGEBYSCORE z (2 (2", "[]"),
            ("ZREVRANGEBYSCORE z 3 2", "[\"d\", \"c\", \"b\"]"),
            ("ZREVRANGEBYSCORE z +inf -inf LIMIT 1 2", "[\"d\", \"c\"]"),
            ("ZREVRANGEBYSCORE z (3 1 LIMIT 2 9", "[\"a\"]"),
            ("ZREVRANGEBYSCORE z 2 1 LIMIT 3 9", "[]"),
            ("ZRANGE z 3 (1 BYSCORE REV", "[\"d\", \"c\", \"b\"]"),
            ("ZADD n 0 a 0 b 0 c 0 d", "4"),
            ("ZRANGEBYLEX n - +", "[\"a\", \"b\", \"c\", \"d\"]"),
            ("ZRANGEBYLEX n (a [c", "[\"b\", \"c\"]"),
            ("ZRANGEBYLEX n + -", "[]"),
            ("ZRANGEBYLEX n - - ", "[]"),
            ("ZREVRANGEBYLEX n [c - LIMIT 1 1", "[\"b\"]"),
            ("ZRANGE n [b + BYLEX LIMIT 0 2", "[\"b\", \"c\"]"),
        ]);
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        let mut bench = five();
        let limit =
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
        let scores = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
        bench.check(&[
            ("ZRANGE z 0 1 LIMIT 0 1", limit),
            ("ZRANGE z 0 1 LIMIT 0 -1", "[\"a\", \"b\"]"),
            ("ZREVRANGE z 0 1 REV", "ERR syntax error"),
            ("ZRANGE z - + BYLEX WITHSCORES", scores),
            ("ZRANGEBYLEX z - + WITHSCORES", scores),
            ("ZRANGE z 0 1 BYLEX BYSCORE", "ERR syntax error"),
            ("ZRANGE z 0 1 REV REV", "ERR syntax error"),
            ("ZRANGE z 0 1 LIMIT 0", "ERR syntax error"),
            (
                "ZRANGE z a 1",
                "ERR value is not an integer or out of range",
            ),
            ("ZRANGE z a 1 BYSCORE", "ERR min or max is not a float"),
            (
                "ZRANGE z a 1 BYLEX",
                "ERR min or max not valid string range item",
            ),
        ]);
    }

    #[test]
    fn pairs_are_flat_in_resp2_and_nested_in_resp3() {
        let mut bench = five();
        let command: [&[u8]; 5] = [b"ZRANGE", b"z", b"0", b"0", b"WITHSCORES"];
        assert_eq!(bench.run_words(&command), b"*2\r\n$1\r\na\r\n$1\r\n1\r\n");
        bench.protocol = Protocol::Resp3;
        let nested = b"*1\r\n*2\r\n$1\r\na\r\n,1\r\n";
        assert_eq!(bench.run_words(&command), nested);
    }
}
