//! Members that get scores: `ZADD`, `ZINCRBY`.

use larder_engine::{Event, Scored, SortedSetMut, parse_double};

use super::{WRITING, close_told, write_score};
use crate::command::families::near::begins_part;
use crate::command::{Args, CommandSpec, FieldUse, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "zadd",
        field: Some(FieldUse::Score(2)),
        arity: -4,
        since: "1.2.0",
        syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
        summary: "Gives members of a sorted set their scores, and answers how many of the members are new.",
        complexity: "O(log(N)) for each member, where N is the number of members of the sorted set.",
        run: Run::OnShard(zadd),
        ..WRITING
    },
    CommandSpec {
        name: "zincrby",
        field: Some(FieldUse::Score(2)),
        arity: 4,
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())]),
        since: "1.2.0",
        syntax: "key increment member",
        summary: "Adds to the score of a member of a sorted set, which counts as 0 if there is none.",
        complexity: "O(log(N)) where N is the number of members of the sorted set.",
        run: Run::OnShard(zincrby),
        ..WRITING
    },
];

/// Which members get a score, and what is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::command::families) struct Options {
    /// Only members that are not there.
    pub(in crate::command::families) is_new: bool,
    /// Only members that are there.
    pub(in crate::command::families) is_there: bool,
    /// Only a member whose score becomes greater.
    is_greater: bool,
    /// Only a member whose score becomes less.
    is_less: bool,
    /// Changed members count, too.
    pub(in crate::command::families) counts_changed: bool,
    /// The score is added to the one that there is.
    adds: bool,
}

impl Options {
    /// Reads the options from argument 2 on; where the first score stands.
    fn parse(args: &Args<'_>) -> Result<(Self, usize), ErrorReply> {
        let mut options = Self::default();
        let mut at = 2;
        while options.add(args, at) {
            at += 1;
        }
        let rest = args.len() - at;
        if rest == 0 || !rest.is_multiple_of(2) {
            return Err(errors::SYNTAX);
        }
        if options.is_new && options.is_there {
            return Err(errors::NX_WITH_XX);
        }
        let conditions = [options.is_greater, options.is_less, options.is_new];
        if conditions.iter().filter(|&&is_given| is_given).count() > 1 {
            return Err(errors::GT_LT_NX);
        }
        if options.adds && rest > 2 {
            return Err(errors::INCR_OF_SEVERAL);
        }
        Ok((options, at))
    }

    /// Adds the option at argument `at`, if one stands there.
    fn add(&mut self, args: &Args<'_>, at: usize) -> bool {
        let option = match () {
            () if args.is(at, "nx") => &mut self.is_new,
            () if args.is(at, "xx") => &mut self.is_there,
            () if args.is(at, "gt") => &mut self.is_greater,
            () if args.is(at, "lt") => &mut self.is_less,
            () if args.is(at, "ch") => &mut self.counts_changed,
            () if args.is(at, "incr") => &mut self.adds,
            () => return false,
        };
        *option = true;
        true
    }

    /// The score that a member gets which has this one, if it gets one.
    ///
    /// # Errors
    /// It would be none.
    fn score_of(self, there: Option<f64>, given: f64) -> Result<Option<f64>, ErrorReply> {
        let Some(there) = there else {
            return Ok((!self.is_there).then_some(given));
        };
        if self.is_new {
            return Ok(None);
        }
        let score = if self.adds { there + given } else { given };
        if score.is_nan() {
            return Err(errors::SCORE_NOT_A_NUMBER);
        }
        let is_refused = self.is_less && score >= there || self.is_greater && score <= there;
        Ok((!is_refused).then_some(score))
    }
}

/// What giving scores has come to.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    added: i64,
    changed: i64,
    /// The last member's score; none if its condition did not hold.
    score: Option<f64>,
}

fn zadd(call: &mut ShardCall<'_>) -> CommandResult {
    let (options, first) = Options::parse(&call.args)?;
    let args = call.args;
    if args.len() == first + 2 {
        let score = parse_double(args.at(first)).ok_or(errors::NOT_A_FLOAT)?;
        let given = std::iter::once((score, args.at(first + 1)));
        return give(call, options, given, |_| std::iter::empty());
    }
    // All scores are looked at before the first member gets one.
    for at in (first..args.len()).step_by(2) {
        parse_double(args.at(at)).ok_or(errors::NOT_A_FLOAT)?;
    }
    let given = (first..args.len()).step_by(2).map(|at| {
        let score = parse_double(args.at(at)).expect("it was looked at");
        (score, args.at(at + 1))
    });
    let names = |number| args.iter_from(first + 1 + 2 * number).step_by(2);
    give(call, options, given, names)
}

fn zincrby(call: &mut ShardCall<'_>) -> CommandResult {
    let options = Options {
        adds: true,
        ..Options::default()
    };
    // As of `ZADD`: behind an option stand pairs of a score and a member.
    if Options::default().add(&call.args, 2) {
        return Err(errors::SYNTAX);
    }
    let increment = parse_double(call.args.at(2)).ok_or(errors::NOT_A_FLOAT)?;
    let member = call.args.at(3);
    let given = std::iter::once((increment, member));
    give(call, options, given, |_| std::iter::empty())
}

/// Gives members of the sorted set at argument 1 these scores, and replies as `ZADD` does. Their names are known before: all from one
/// on.
pub(in crate::command::families) fn give<'a, N: Iterator<Item = &'a [u8]>>(
    call: &mut ShardCall<'_>,
    options: Options,
    given: impl ExactSizeIterator<Item = (f64, &'a [u8])>,
    names_from: impl Fn(usize) -> N,
) -> CommandResult {
    let key = call.key(1);
    let mut set = call.shard.sorted_set_mut(call.db, key)?;
    let mut outcome = Outcome::default();
    let mut done = Ok(());
    let count = given.len();
    set.expect(count as u64);
    for (number, (score, name)) in given.enumerate() {
        if begins_part(number, count) {
            set.prefetch(names_from(number));
        }
        done = give_one(&mut set, options, (score, name), &mut outcome);
        if done.is_err() {
            break;
        }
    }
    let event = if options.adds {
        Event::ZIncr
    } else {
        Event::ZAdd
    };
    let Outcome {
        added,
        changed,
        score,
    } = outcome;
    close_told(set, added + changed > 0, event);
    done?;
    match (options.adds, score) {
        (true, Some(score)) => write_score(&mut call.reply, score),
        (true, None) => call.reply.null(),
        (false, _) if options.counts_changed => call.reply.integer(added + changed),
        (false, _) => call.reply.integer(added),
    }
    Ok(())
}

fn give_one(
    set: &mut SortedSetMut<'_>,
    options: Options,
    (given, name): (f64, &[u8]),
    outcome: &mut Outcome,
) -> CommandResult {
    outcome.score = None;
    let answered = &mut outcome.score;
    let scored = set.update(name, |there| {
        *answered = options.score_of(there, given)?;
        Ok::<_, ErrorReply>(*answered)
    })?;
    match scored {
        Some(Scored::Added) => outcome.added += 1,
        Some(Scored::Changed) => outcome.changed += 1,
        Some(Scored::Same) | None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn members_get_scores_one_record_each() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD z 1 a 2 b", "2"),
            ("ZADD z 1 a 3 b 4 c", "1"),
            ("ZADD z CH 1 a 5 b 4 c 6 d", "2"),
            ("ZINCRBY z 1.5 a", "\"2.5\""),
            ("ZINCRBY z 0 a", "\"2.5\""),
            ("ZINCRBY z -2 e", "\"-2\""),
            (
                "ZRANGE z 0 -1 WITHSCORES",
                "[\"e\", \"-2\", \"a\", \"2.5\", \"c\", \"4\", \"b\", \"5\", \"d\", \"6\"]",
            ),
        ]);
        assert_eq!(bench.changes(), 2 + 2 + 2 + 1 + 1);
        let expected = ["zadd z", "zadd z", "zadd z", "zincr z", "zincr z"];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn conditions_decide_which_members_get_one() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD z XX 1 a", "0"),
            ("EXISTS z", "0"),
            ("ZADD z NX 1 a 2 a", "1"),
            ("ZADD z XX CH 3 a 1 b", "1"),
            ("ZADD z GT CH 2 a 5 b", "1"),
            ("ZADD z GT CH 4 a", "1"),
            ("ZADD z LT CH 5 a 3 a", "1"),
            ("ZADD z GT INCR -1 a", "nil"),
            ("ZADD z LT INCR -1 a", "\"2\""),
            ("ZADD z NX INCR 1 a", "nil"),
            ("ZADD z XX INCR 1 none", "nil"),
            ("ZADD z INCR 1 none", "\"1\""),
            ("ZSCORE z a", "\"2\""),
        ]);
    }

    #[test]
    fn what_cannot_be_a_score_changes_nothing_from_there_on() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD z 1 a x b", "ERR value is not a valid float"),
            ("ZADD z nan a", "ERR value is not a valid float"),
            ("EXISTS z", "0"),
            ("ZADD z inf a", "1"),
            (
                "ZINCRBY z -inf a",
                "ERR resulting score is not a number (NaN)",
            ),
            ("ZSCORE z a", "\"inf\""),
            ("SET s 1", "OK"),
            (
                "ZADD s 1 a",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            (
                "ZADD s 1",
                "ERR wrong number of arguments for 'zadd' command",
            ),
            ("ZADD s 1 a 2", "ERR syntax error"),
            (
                "ZADD s NX XX 1 a",
                "ERR XX and NX options at the same time are not compatible",
            ),
            (
                "ZADD s GT LT 1 a",
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ),
            (
                "ZADD s INCR 1 a 2 b",
                "ERR INCR option supports a single increment-element pair",
            ),
        ]);
    }
}
