//! Intersections, unions and differences of sorted sets, and of sets, whose members count as scored 1: `ZINTER`, `ZUNION`, `ZDIFF`, those
//! that store, and `ZINTERCARD`.
//!
//! ```text
//!  look      how many members each operand has
//!  fetch     the members of the bases: of the smallest (inter), of all (union), of the first (diff)
//!  probe     the scores that the others give the members of the base (inter, diff)
//!  combine   weights, sums, order          (combination.rs)
//! ```
//! On one core that is one step, on several a round of questions each (`across.rs`). What is fetched is bounded, as what `SORT` sorts is.

mod across;
mod combination;

use std::ops::{ControlFlow, Range};

use larder_engine::{
    Access, Bound, DbIndex, Direction, Event, Key, Kind, Member, SetRef, Shard, SortedSetRef,
    WrongType, parse_double,
};

use super::store::{self, Members};
use super::{Parts, READING, kept};
use crate::command::families::combine::Operation;
use crate::command::families::counts;
use crate::command::{Args, CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall, Spread};
use crate::observe::Stats;
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use combination::{Aggregate, Combination, Plan};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "zinter",
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        summary: "Returns the members that all of several sorted sets have, with scores made of theirs.",
        complexity: INTER_COMPLEXITY,
        run: Run::FanOut {
            together: |call| run(call, &INTER),
            spread: Spread::Rounds(|args, slots| across::begin(args, slots, &INTER)),
        },
        ..SHOWING
    },
    CommandSpec {
        name: "zunion",
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        summary: "Returns the members that any of several sorted sets has, with scores made of theirs.",
        complexity: UNION_COMPLEXITY,
        run: Run::FanOut {
            together: |call| run(call, &UNION),
            spread: Spread::Rounds(|args, slots| across::begin(args, slots, &UNION)),
        },
        ..SHOWING
    },
    CommandSpec {
        name: "zdiff",
        syntax: "numkeys key [key ...] [WITHSCORES]",
        summary: "Returns the members of the first of several sorted sets that no other has, with their scores.",
        complexity: DIFF_COMPLEXITY,
        run: Run::FanOut {
            together: |call| run(call, &DIFF),
            spread: Spread::Rounds(|args, slots| across::begin(args, slots, &DIFF)),
        },
        ..SHOWING
    },
    CommandSpec {
        name: "zintercard",
        since: "7.0.0",
        syntax: "numkeys key [key ...] [LIMIT limit]",
        summary: "Returns the number of members that all of several sorted sets have.",
        complexity: INTER_COMPLEXITY,
        run: Run::FanOut {
            together: |call| run(call, &INTER_CARD),
            spread: Spread::Rounds(|args, slots| across::begin(args, slots, &INTER_CARD)),
        },
        ..SHOWING
    },
    CommandSpec {
        name: "zinterstore",
        since: "2.0.0",
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
        summary: "Stores the members that all of several sorted sets have, with scores made of theirs.",
        complexity: INTER_COMPLEXITY,
        run: Run::FanOut {
            together: |call| run(call, &INTER_STORE),
            spread: Spread::Rounds(|args, slots| across::begin(args, slots, &INTER_STORE)),
        },
        ..STORING
    },
    CommandSpec {
        name: "zunionstore",
        since: "2.0.0",
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
        summary: "Stores the members that any of several sorted sets has, with scores made of theirs.",
        complexity: UNION_COMPLEXITY,
        run: Run::FanOut {
            together: |call| run(call, &UNION_STORE),
            spread: Spread::Rounds(|args, slots| across::begin(args, slots, &UNION_STORE)),
        },
        ..STORING
    },
    CommandSpec {
        name: "zdiffstore",
        syntax: "destination numkeys key [key ...]",
        summary: "Stores the members of the first of several sorted sets that no other has, with their scores.",
        complexity: DIFF_COMPLEXITY,
        run: Run::FanOut {
            together: |call| run(call, &DIFF_STORE),
            spread: Spread::Rounds(|args, slots| across::begin(args, slots, &DIFF_STORE)),
        },
        ..STORING
    },
];

const INTER_COMPLEXITY: &str = "O(N*K)+O(M*log(M)) where N is the number of members of the smallest, K that of sorted sets, and M that of the result. In one step.";
const UNION_COMPLEXITY: &str = "O(N)+O(M*log(M)) where N is the number of members of all, and M that of the result. In one step.";
const DIFF_COMPLEXITY: &str = "O(N*K)+O(M*log(M)) where N is the number of members of the first, K that of sorted sets, and M that of the result. In one step.";

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

/// One of the commands.
#[derive(Debug)]
struct Command {
    name: &'static str,
    operation: Operation,
    wanted: Wanted,
}

/// What becomes of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Shown,
    Counted,
    /// At argument 1, with this event.
    Stored(Event),
}

const INTER: Command = Command::new("zinter", Operation::Inter, Wanted::Shown);
const UNION: Command = Command::new("zunion", Operation::Union, Wanted::Shown);
const DIFF: Command = Command::new("zdiff", Operation::Diff, Wanted::Shown);
const INTER_CARD: Command = Command::new("zintercard", Operation::Inter, Wanted::Counted);
const INTER_STORE: Command = Command::new(
    "zinterstore",
    Operation::Inter,
    Wanted::Stored(Event::ZInterStore),
);
const UNION_STORE: Command = Command::new(
    "zunionstore",
    Operation::Union,
    Wanted::Stored(Event::ZUnionStore),
);
const DIFF_STORE: Command = Command::new(
    "zdiffstore",
    Operation::Diff,
    Wanted::Stored(Event::ZDiffStore),
);

impl Command {
    const fn new(name: &'static str, operation: Operation, wanted: Wanted) -> Self {
        Self {
            name,
            operation,
            wanted,
        }
    }

    /// The arguments that are operands.
    fn operands(&self, args: &Args<'_>) -> Result<Range<usize>, ErrorReply> {
        let number_at = match self.wanted {
            Wanted::Stored(_) => 2,
            Wanted::Shown | Wanted::Counted => 1,
        };
        let numkeys = args.integer(number_at)?;
        if numkeys < 1 {
            return Err(errors::no_input_key(self.name));
        }
        let first = number_at + 1;
        let numkeys = usize::try_from(numkeys).ok();
        let numkeys = numkeys.filter(|&numkeys| numkeys <= args.len() - first);
        Ok(first..first + numkeys.ok_or(errors::SYNTAX)?)
    }

    /// Reads what stands behind the operands, which are so many.
    fn options(&self, args: &Args<'_>, operands: &Range<usize>) -> Result<Options, ErrorReply> {
        let mut options = Options {
            combination: Combination {
                operation: self.operation,
                weights: vec![1.0; operands.len()],
                aggregate: Aggregate::Sum,
            },
            parts: Parts::Names,
            limit: u64::MAX,
        };
        let is_scored = self.operation != Operation::Diff && self.wanted != Wanted::Counted;
        let mut at = operands.end;
        while at < args.len() {
            let behind = args.len() - at - 1;
            match () {
                () if is_scored && behind >= operands.len() && args.is(at, "weights") => {
                    for weight in &mut options.combination.weights {
                        at += 1;
                        let parsed = parse_double(args.at(at));
                        *weight = parsed.ok_or(errors::WEIGHT_NOT_A_FLOAT)?;
                    }
                }
                () if is_scored && behind >= 1 && args.is(at, "aggregate") => {
                    at += 1;
                    options.combination.aggregate = Aggregate::parse(args, at)?;
                }
                () if self.wanted == Wanted::Shown && args.is(at, "withscores") => {
                    options.parts = Parts::Both;
                }
                () if self.wanted == Wanted::Counted && behind >= 1 && args.is(at, "limit") => {
                    at += 1;
                    let limit = counts::not_negative(args.at(at), errors::LIMIT_NEGATIVE)?;
                    options.limit = if limit == 0 { u64::MAX } else { limit };
                }
                () => return Err(errors::SYNTAX),
            }
            at += 1;
        }
        Ok(options)
    }
}

/// What is said behind the operands.
#[derive(Debug)]
struct Options {
    combination: Combination,
    parts: Parts,
    limit: u64,
}

/// A set or a sorted set.
enum Operand<'a> {
    Set(SetRef<'a>),
    SortedSet(SortedSetRef<'a>),
}

/// The operand at a key.
///
/// # Errors
/// What is there is neither.
fn operand<'a>(
    shard: &'a mut Shard,
    (db, key, access): (DbIndex, Key<'_>, Access),
) -> Result<Option<Operand<'a>>, WrongType> {
    let kind = shard.get(db, key, Access::Peek).map(|entry| entry.kind());
    if kind == Some(Kind::Set) {
        let set = shard.set_at(db, key, access)?;
        return Ok(set.map(Operand::Set));
    }
    let set = shard.sorted_set(db, key, access)?;
    Ok(set.map(Operand::SortedSet))
}

/// How many members the operand at a key has, if there is one. Counts the look-up.
fn look(
    shard: &mut Shard,
    stats: &mut Stats,
    place: (DbIndex, Key<'_>, Access),
) -> Result<Option<u64>, WrongType> {
    let found = operand(shard, place);
    stats.count_typed_lookup(&found);
    Ok(found?.map(|operand| operand.len()))
}

impl Operand<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Set(set) => set.len(),
            Self::SortedSet(set) => set.len(),
        }
    }

    /// All its members.
    ///
    /// # Errors
    /// They are too many.
    fn members(&self) -> Result<Members, ErrorReply> {
        let (mut members, mut fits) = (Members::default(), Ok(()));
        let mut add = |member: &Member<'_>| {
            fits = members.push(member);
            match fits {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        match self {
            Self::Set(set) => set.walk(&mut |name| add(&Member { name, score: 1.0 })),
            Self::SortedSet(set) => {
                set.walk(&Bound::Start, Direction::Up, &mut |member| add(&member));
            }
        }
        fits.map(|()| members)
    }

    /// The score that it gives a member, if it has it.
    fn score(&self, name: &[u8]) -> Option<f64> {
        match self {
            Self::Set(set) => set.contains(name).then_some(1.0),
            Self::SortedSet(set) => set.score(name),
        }
    }
}

/// The members of the operand at a key, none if there is no such.
fn fetch(shard: &mut Shard, db: DbIndex, key: Key<'_>) -> Result<Members, ErrorReply> {
    match operand(shard, (db, key, Access::Peek))? {
        Some(operand) => operand.members(),
        None => Ok(Members::default()),
    }
}

/// The score that the operand at a key gives each of these members; no number where it gives none.
fn probe<'m>(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    members: impl Iterator<Item = Member<'m>>,
) -> Result<Vec<f64>, WrongType> {
    let operand = operand(shard, (db, key, Access::Peek))?;
    let score = |member: Member<'_>| {
        let score = operand.as_ref().and_then(|set| set.score(member.name));
        score.unwrap_or(f64::NAN)
    };
    Ok(members.map(score).collect())
}

/// Runs a command whose keys are on one core.
fn run(call: &mut ShardCall<'_>, command: &Command) -> CommandResult {
    let operands = command.operands(&call.args)?;
    let mut lens = Vec::with_capacity(operands.len());
    for at in operands.clone() {
        let place = (call.db, call.key(at), call.access);
        lens.push(look(call.shard, call.stats, place)?);
    }
    let options = command.options(&call.args, &operands)?;
    let plan = Plan::of(command.operation, &lens);
    let mut bases = Vec::with_capacity(plan.bases.len());
    for &number in &plan.bases {
        let key = call.key(operands.start + number);
        bases.push(fetch(call.shard, call.db, key)?);
    }
    let mut probes = Vec::with_capacity(plan.others.len());
    if let Some(base) = bases.first() {
        for &number in &plan.others {
            let key = call.key(operands.start + number);
            probes.push(probe(call.shard, call.db, key, base.iter())?);
        }
    }
    let members = options.combination.of(&plan, &bases, &probes);
    let Wanted::Stored(event) = command.wanted else {
        return reply_with(&mut call.reply, command, &options, &members);
    };
    let destination = (call.db, call.key(1));
    let stored = members.iter().map(|&Member { name, score }| Member {
        name,
        score: kept(score),
    });
    let count = store::store(call.shard, destination, stored, event)?;
    call.reply.count(count);
    Ok(())
}

/// Shows or counts the members that came of it.
fn reply_with(
    reply: &mut Reply<'_>,
    command: &Command,
    options: &Options,
    members: &[Member<'_>],
) -> CommandResult {
    if command.wanted == Wanted::Counted {
        reply.count(options.limit.min(members.len() as u64));
        return Ok(());
    }
    let began = reply.mark();
    reply.array(members.len() * options.parts.replies_each(reply));
    for member in members {
        options.parts.write(reply, member);
        reply.check_len(began)?;
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
