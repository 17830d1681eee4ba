//! Intersections, unions and differences of sorted sets, and of sets, whose members count as scored 1: `ZINTER`, `ZUNION`, `ZDIFF`, those
//! that store, and `ZINTERCARD`. How they are found is in [`crate::command::families::combine`].

use std::ops::Range;

use larder_engine::{Event, parse_double};

use super::{Parts, READING};
use crate::command::families::combine::{self, Aggregate, Combining, Operation, Scores, Wanted};
use crate::command::families::counts;
use crate::command::{Args, CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, Spread};
use crate::resp::ErrorReply;
use crate::resp::errors;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "zinter",
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        summary: "Returns the members that all of several sorted sets have, with scores made of theirs.",
        complexity: INTER_COMPLEXITY,
        run: Run::FanOut {
            together: |call| combine::run(call, zinter),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, zinter)),
        },
        steps: Some(|call| combine::begin(call, zinter)),
        ..SHOWING
    },
    CommandSpec {
        name: "zunion",
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        summary: "Returns the members that any of several sorted sets has, with scores made of theirs.",
        complexity: UNION_COMPLEXITY,
        run: Run::FanOut {
            together: |call| combine::run(call, zunion),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, zunion)),
        },
        steps: Some(|call| combine::begin(call, zunion)),
        ..SHOWING
    },
    CommandSpec {
        name: "zdiff",
        syntax: "numkeys key [key ...] [WITHSCORES]",
        summary: "Returns the members of the first of several sorted sets that no other has, with their scores.",
        complexity: DIFF_COMPLEXITY,
        run: Run::FanOut {
            together: |call| combine::run(call, zdiff),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, zdiff)),
        },
        steps: Some(|call| combine::begin(call, zdiff)),
        ..SHOWING
    },
    CommandSpec {
        name: "zintercard",
        since: "7.0.0",
        syntax: "numkeys key [key ...] [LIMIT limit]",
        summary: "Returns the number of members that all of several sorted sets have.",
        complexity: INTER_COMPLEXITY,
        run: Run::FanOut {
            together: |call| combine::run(call, zintercard),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, zintercard)),
        },
        steps: Some(|call| combine::begin(call, zintercard)),
        ..SHOWING
    },
    CommandSpec {
        name: "zinterstore",
        since: "2.0.0",
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
        summary: "Stores the members that all of several sorted sets have, with scores made of theirs.",
        complexity: INTER_COMPLEXITY,
        run: Run::FanOut {
            together: |call| combine::run(call, zinterstore),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, zinterstore)),
        },
        steps: Some(|call| combine::begin(call, zinterstore)),
        ..STORING
    },
    CommandSpec {
        name: "zunionstore",
        since: "2.0.0",
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
        summary: "Stores the members that any of several sorted sets has, with scores made of theirs.",
        complexity: UNION_COMPLEXITY,
        run: Run::FanOut {
            together: |call| combine::run(call, zunionstore),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, zunionstore)),
        },
        steps: Some(|call| combine::begin(call, zunionstore)),
        ..STORING
    },
    CommandSpec {
        name: "zdiffstore",
        syntax: "destination numkeys key [key ...]",
        summary: "Stores the members of the first of several sorted sets that no other has, with their scores.",
        complexity: DIFF_COMPLEXITY,
        run: Run::FanOut {
            together: |call| combine::run(call, zdiffstore),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, zdiffstore)),
        },
        steps: Some(|call| combine::begin(call, zdiffstore)),
        ..STORING
    },
];

const INTER_COMPLEXITY: &str = "O(N*K)+O(M*log(M)) where N is the number of members of the smallest, K that of sorted sets, and M that of the result.";
const UNION_COMPLEXITY: &str =
    "O(N)+O(M*log(M)) where N is the number of members of all, and M that of the result.";
const DIFF_COMPLEXITY: &str = "O(N*K)+O(M*log(M)) where N is the number of members of the first, K that of sorted sets, and M that of the result.";

const SHOWING: CommandSpec = CommandSpec {
    arity: -3,
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access()).counted()]),
    since: "6.2.0",
    ..READING
};

const STORING: CommandSpec = CommandSpec {
    arity: -4,
    flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
    keys: Keys::of(&[
        KeySpec::at(1, KeyFlags::OW.update()),
        KeySpec::at(2, KeyFlags::RO.access()).counted(),
    ]),
    ..SHOWING
};

/// What is asked of all arguments.
type Asked = Result<Combining, ErrorReply>;

fn zinter(args: &Args<'_>) -> Asked {
    read(args, "zinter", (Operation::Inter, Wanted::Members))
}

fn zunion(args: &Args<'_>) -> Asked {
    read(args, "zunion", (Operation::Union, Wanted::Members))
}

fn zdiff(args: &Args<'_>) -> Asked {
    read(args, "zdiff", (Operation::Diff, Wanted::Members))
}

fn zintercard(args: &Args<'_>) -> Asked {
    let wanted = Wanted::Count { limit: u64::MAX };
    read(args, "zintercard", (Operation::Inter, wanted))
}

/// At argument 1, with this event.
fn stored(event: Event) -> Wanted {
    Wanted::Stored { at: 1, event }
}

fn zinterstore(args: &Args<'_>) -> Asked {
    let wanted = stored(Event::ZInterStore);
    read(args, "zinterstore", (Operation::Inter, wanted))
}

fn zunionstore(args: &Args<'_>) -> Asked {
    let wanted = stored(Event::ZUnionStore);
    read(args, "zunionstore", (Operation::Union, wanted))
}

fn zdiffstore(args: &Args<'_>) -> Asked {
    let wanted = stored(Event::ZDiffStore);
    read(args, "zdiffstore", (Operation::Diff, wanted))
}

/// What the command of a name asks for.
fn read(args: &Args<'_>, name: &str, (operation, wanted): (Operation, Wanted)) -> Asked {
    let operands = operands(args, name, wanted)?;
    let scores = Scores::of(operands.len());
    let mut combining = Combining {
        operation,
        operands,
        wanted,
        scores: Some(scores),
        fault: None,
    };
    combining.fault = read_options(args, &mut combining).err();
    Ok(combining)
}

/// The arguments that are operands.
fn operands(args: &Args<'_>, name: &str, wanted: Wanted) -> Result<Range<usize>, ErrorReply> {
    let number_at = match wanted {
        Wanted::Stored { .. } => 2,
        Wanted::Members | Wanted::Count { .. } => 1,
    };
    let numkeys = args.integer(number_at)?;
    if numkeys < 1 {
        return Err(errors::no_input_key(name));
    }
    let first = number_at + 1;
    let numkeys = usize::try_from(numkeys).ok();
    let numkeys = numkeys.filter(|&numkeys| numkeys <= args.len() - first);
    Ok(first..first + numkeys.ok_or(errors::SYNTAX)?)
}

/// Reads what stands behind the operands.
fn read_options(args: &Args<'_>, combining: &mut Combining) -> Result<(), ErrorReply> {
    let Combining {
        operation,
        operands,
        wanted,
        scores: Some(scores),
        ..
    } = combining
    else {
        unreachable!("sorted sets have scores")
    };
    let is_counted = matches!(wanted, Wanted::Count { .. });
    let is_scored = *operation != Operation::Diff && !is_counted;
    let mut at = operands.end;
    while at < args.len() {
        let behind = args.len() - at - 1;
        match wanted {
            _ if is_scored && behind >= operands.len() && args.is(at, "weights") => {
                for weight in &mut scores.weights {
                    at += 1;
                    let parsed = parse_double(args.at(at));
                    *weight = parsed.ok_or(errors::WEIGHT_NOT_A_FLOAT)?;
                }
            }
            _ if is_scored && behind >= 1 && args.is(at, "aggregate") => {
                at += 1;
                scores.aggregate = Aggregate::parse(args, at)?;
            }
            Wanted::Members if args.is(at, "withscores") => scores.parts = Parts::Both,
            Wanted::Count { limit } if behind >= 1 && args.is(at, "limit") => {
                at += 1;
                let most = counts::not_negative(args.at(at), errors::LIMIT_NEGATIVE)?;
                *limit = if most == 0 { u64::MAX } else { most };
            }
            _ => return Err(errors::SYNTAX),
        }
        at += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    fn two() -> Bench {
        let mut bench = Bench::new();
        bench.run("ZADD a 1 x 2 y 3 z");
        bench.run("ZADD b 10 y 20 z 30 w");
        bench.run("SADD s x y");
        bench
    }

    #[test]
    fn members_are_combined_and_shown_in_the_order_of_their_scores() {
        let mut bench = two();
        bench.check(&[
            (
                "ZUNION 2 a b WITHSCORES",
                "[\"x\", \"1\", \"y\", \"12\", \"z\", \"23\", \"w\", \"30\"]",
            ),
            (
                "ZUNION 2 a s WEIGHTS 1 -5 WITHSCORES",
                "[\"x\", \"-4\", \"y\", \"-3\", \"z\", \"3\"]",
            ),
            ("ZUNION 3 none a a AGGREGATE MAX", "[\"x\", \"y\", \"z\"]"),
            (
                "ZINTER 2 a b AGGREGATE MIN WITHSCORES",
                "[\"y\", \"2\", \"z\", \"3\"]",
            ),
            ("ZINTER 3 a b s WEIGHTS 2 3 4 WITHSCORES", "[\"y\", \"38\"]"),
            ("ZINTER 2 a none", "[]"),
            (
                "ZINTER 2 a a WITHSCORES",
                "[\"x\", \"2\", \"y\", \"4\", \"z\", \"6\"]",
            ),
            ("ZDIFF 2 a s WITHSCORES", "[\"z\", \"3\"]"),
            ("ZDIFF 3 a none b", "[\"x\"]"),
            ("ZDIFF 2 a a", "[]"),
            ("ZDIFF 2 none a", "[]"),
            ("ZINTERCARD 2 a b", "2"),
            ("ZINTERCARD 2 a b LIMIT 1", "1"),
            ("ZINTERCARD 2 a b LIMIT 0", "2"),
        ]);
    }

    #[test]
    fn members_are_stored_in_the_place_of_what_was_there() {
        let mut bench = two();
        bench.check(&[
            ("ZUNIONSTORE a 2 a b", "4"),
            ("ZSCORE a y", "\"12\""),
            ("ZINTERSTORE d 2 a s AGGREGATE MAX", "2"),
            ("ZRANGE d 0 -1 WITHSCORES", "[\"x\", \"1\", \"y\", \"12\"]"),
            ("ZDIFFSTORE d 1 s", "2"),
            ("ZRANGE d 0 -1 WITHSCORES", "[\"x\", \"1\", \"y\", \"1\"]"),
            ("ZINTERSTORE d 2 a none", "0"),
            ("EXISTS d", "0"),
            ("ZUNIONSTORE d 1 none", "0"),
            ("ZUNIONSTORE d 2 b s WEIGHTS 0 -0", "4"),
            ("ZSCORE d w", "\"0\""),
        ]);
    }

    #[test]
    fn infinite_scores_that_make_no_number_make_zero() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD a inf x", "1"),
            ("ZADD b -inf x", "1"),
            ("ZUNION 2 a b WITHSCORES", "[\"x\", \"0\"]"),
            ("ZINTER 2 a b WITHSCORES", "[\"x\", \"0\"]"),
            ("ZUNION 1 a WEIGHTS 0 WITHSCORES", "[\"x\", \"0\"]"),
        ]);
    }

    #[test]
    fn faults_are_found_in_the_order_of_redis() {
        let mut bench = two();
        bench.run("SET string 1");
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        bench.check(&[
            (
                "ZUNION 0 a",
                "ERR at least 1 input key is needed for 'zunion' command",
            ),
            ("ZUNION x a", "ERR value is not an integer or out of range"),
            ("ZUNION 3 a b", "ERR syntax error"),
            ("ZUNION 2 a string WEIGHTS x y", wrong),
            (
                "ZUNION 2 a b WEIGHTS x y",
                "ERR weight value is not a float",
            ),
            ("ZUNION 2 a b WEIGHTS 1", "ERR syntax error"),
            ("ZUNION 2 a b AGGREGATE avg", "ERR syntax error"),
            ("ZUNIONSTORE d 2 a b WITHSCORES", "ERR syntax error"),
            ("ZDIFF 2 a b WEIGHTS 1 2", "ERR syntax error"),
            ("ZINTERCARD 2 a b WITHSCORES", "ERR syntax error"),
            ("ZINTERCARD 2 a b LIMIT -1", "ERR LIMIT can't be negative"),
        ]);
    }
}
