//! Deadlines: setting them under conditions, reading and removing them.

use larder_engine::{Access, Event, UnixMillis, parse_canonical_i64};

use crate::command::{Args, Category, CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "expire",
        syntax: "key seconds [NX | XX | GT | LT]",
        summary: "Sets the time to live of a key in seconds.",
        run: Run::OnShard(expire),
        ..SETTING
    },
    CommandSpec {
        name: "pexpire",
        since: "2.6.0",
        syntax: "key milliseconds [NX | XX | GT | LT]",
        summary: "Sets the time to live of a key in milliseconds.",
        run: Run::OnShard(pexpire),
        ..SETTING
    },
    CommandSpec {
        name: "expireat",
        since: "1.2.0",
        syntax: "key unix-time-seconds [NX | XX | GT | LT]",
        summary: "Sets the deadline of a key as a Unix time in seconds.",
        run: Run::OnShard(expireat),
        ..SETTING
    },
    CommandSpec {
        name: "pexpireat",
        since: "2.6.0",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT]",
        summary: "Sets the deadline of a key as a Unix time in milliseconds.",
        run: Run::OnShard(pexpireat),
        ..SETTING
    },
    CommandSpec {
        name: "persist",
        arity: 2,
        since: "2.2.0",
        syntax: "key",
        summary: "Removes the deadline of a key.",
        run: Run::OnShard(persist),
        ..SETTING
    },
    CommandSpec {
        name: "ttl",
        tips: &["nondeterministic_output"],
        summary: "Answers how many seconds a key has left to live.",
        run: Run::OnShard(ttl),
        ..READING
    },
    CommandSpec {
        name: "pttl",
        tips: &["nondeterministic_output"],
        since: "2.6.0",
        summary: "Answers how many milliseconds a key has left to live.",
        run: Run::OnShard(pttl),
        ..READING
    },
    CommandSpec {
        name: "expiretime",
        since: "7.0.0",
        summary: "Answers the deadline of a key as a Unix time in seconds.",
        run: Run::OnShard(expiretime),
        ..READING
    },
    CommandSpec {
        name: "pexpiretime",
        since: "7.0.0",
        summary: "Answers the deadline of a key as a Unix time in milliseconds.",
        run: Run::OnShard(pexpiretime),
        ..READING
    },
];

const SETTING: CommandSpec = CommandSpec {
    arity: -3,
    flags: Flags::WRITE.with(Flags::FAST),
    categories: &[Category::Keyspace],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())]),
    ..CommandSpec::BASE
};

const READING: CommandSpec = CommandSpec {
    arity: 2,
    flags: Flags::READONLY.with(Flags::FAST),
    categories: &[Category::Keyspace],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
    syntax: "key",
    ..CommandSpec::BASE
};

/// What a time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
}

/// What a time counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Now,
    Epoch,
}

/// When a deadline is set. `XX` goes together with `GT` or `LT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    /// `NX`: there must be none yet.
    none_yet: bool,
    /// `XX`: there must be one.
    one_already: bool,
    /// `GT`: it must become later; a key without one lives for ever, which nothing is later than.
    later: bool,
    /// `LT`: it must become sooner.
    sooner: bool,
}

impl Condition {
    /// Adds the condition called `word`; whether there is one.
    pub(super) fn add(&mut self, word: &[u8]) -> bool {
        let chosen = [
            ("nx", &mut self.none_yet),
            ("xx", &mut self.one_already),
            ("gt", &mut self.later),
            ("lt", &mut self.sooner),
        ]
        .into_iter()
        .find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes()));
        let is_known = chosen.is_some();
        if let Some((_, option)) = chosen {
            *option = true;
        }
        is_known
    }

    /// How many conditions have to hold.
    pub(super) fn len(self) -> usize {
        [self.none_yet, self.one_already, self.later, self.sooner]
            .into_iter()
            .filter(|&option| option)
            .count()
    }

    /// Reads the options from argument 3 on.
    fn parse(args: &Args<'_>) -> Result<Self, ErrorReply> {
        let mut condition = Self::default();
        for word in args.iter_from(3) {
            if !condition.add(word) {
                return Err(errors::unsupported_option(word));
            }
        }
        if condition.none_yet && (condition.one_already || condition.later || condition.sooner) {
            return Err(errors::NX_WITH_OTHERS);
        }
        if condition.later && condition.sooner {
            return Err(errors::GT_WITH_LT);
        }
        Ok(condition)
    }

    /// Whether it holds where `present` is the deadline, and `next` is to be.
    pub(super) fn holds(self, present: Option<UnixMillis>, next: UnixMillis) -> bool {
        match present {
            None => !self.one_already && !self.later,
            Some(present) => {
                !self.none_yet
                    && (!self.later || next > present)
                    && (!self.sooner || next < present)
            }
        }
    }
}

fn expire(call: &mut ShardCall<'_>) -> CommandResult {
    set_deadline(call, "expire", Unit::Seconds, Origin::Now)
}

fn pexpire(call: &mut ShardCall<'_>) -> CommandResult {
    set_deadline(call, "pexpire", Unit::Millis, Origin::Now)
}

fn expireat(call: &mut ShardCall<'_>) -> CommandResult {
    set_deadline(call, "expireat", Unit::Seconds, Origin::Epoch)
}

fn pexpireat(call: &mut ShardCall<'_>) -> CommandResult {
    set_deadline(call, "pexpireat", Unit::Millis, Origin::Epoch)
}

fn set_deadline(
    call: &mut ShardCall<'_>,
    command: &str,
    unit: Unit,
    origin: Origin,
) -> CommandResult {
    let condition = Condition::parse(&call.args)?;
    let time = parse_canonical_i64(call.args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    let now = call.shard.now();
    let deadline =
        deadline(time, unit, origin, now).ok_or_else(|| errors::invalid_expire_time(command))?;
    let key = call.key(1);
    let entry = call.shard.get(call.db, key, call.access);
    let applies = entry.is_some_and(|entry| condition.holds(entry.expires_at(), deadline));
    if applies && deadline <= now {
        call.shard.remove(call.db, key, Event::Del);
    } else if applies {
        call.shard
            .set_deadline(call.db, key, Some(deadline), Event::Expire)?;
    }
    call.reply.integer(i64::from(applies));
    Ok(())
}

/// The deadline `time` means; `None` if it is beyond what milliseconds can say.
pub(super) fn deadline(
    time: i64,
    unit: Unit,
    origin: Origin,
    now: UnixMillis,
) -> Option<UnixMillis> {
    let millis = match unit {
        Unit::Seconds => time.checked_mul(1000)?,
        Unit::Millis => time,
    };
    match origin {
        Origin::Now => millis.checked_add(now.0),
        Origin::Epoch => Some(millis),
    }
    .map(UnixMillis)
}

fn persist(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let entry = call.shard.get(call.db, key, call.access);
    let timed = entry.is_some_and(|entry| entry.expires_at().is_some());
    if timed {
        call.shard
            .set_deadline(call.db, key, None, Event::Persist)?;
    }
    call.reply.integer(i64::from(timed));
    Ok(())
}

fn ttl(call: &mut ShardCall<'_>) -> CommandResult {
    read_deadline(call, Unit::Seconds, Origin::Now);
    Ok(())
}

fn pttl(call: &mut ShardCall<'_>) -> CommandResult {
    read_deadline(call, Unit::Millis, Origin::Now);
    Ok(())
}

fn expiretime(call: &mut ShardCall<'_>) -> CommandResult {
    read_deadline(call, Unit::Seconds, Origin::Epoch);
    Ok(())
}

fn pexpiretime(call: &mut ShardCall<'_>) -> CommandResult {
    read_deadline(call, Unit::Millis, Origin::Epoch);
    Ok(())
}

/// Answers the deadline, rounded to the nearest unit; -1 if the key has none, -2 if there is no key.
fn read_deadline(call: &mut ShardCall<'_>, unit: Unit, origin: Origin) {
    let key = call.key(1);
    let now = call.shard.now();
    let found = call
        .shard
        .read(call.db, key, Access::Peek)
        .map(|entry| entry.expires_at());
    call.stats
        .count_lookup((call.db, key.bytes()), found.is_some());
    call.reply.integer(match found {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => {
            let millis = match origin {
                Origin::Now => deadline.0.saturating_sub(now.0).max(0),
                Origin::Epoch => deadline.0,
            };
            match unit {
                Unit::Seconds => millis.saturating_add(500) / 1000,
                Unit::Millis => millis,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::testing::Bench;

    #[test]
    fn a_deadline_beyond_64_bits_of_milliseconds_is_none() {
        let now = UnixMillis(1_700_000_000_000);
        let most = i64::MAX;
        for (time, unit, origin, expected) in [
            (most, Unit::Millis, Origin::Epoch, Some(most)),
            (most, Unit::Millis, Origin::Now, None),
            (most - now.0, Unit::Millis, Origin::Now, Some(most)),
            (most - now.0 + 1, Unit::Millis, Origin::Now, None),
            (
                most / 1000,
                Unit::Seconds,
                Origin::Epoch,
                Some(most / 1000 * 1000),
            ),
            (most / 1000 + 1, Unit::Seconds, Origin::Epoch, None),
            (
                i64::MIN / 1000,
                Unit::Seconds,
                Origin::Epoch,
                Some(i64::MIN / 1000 * 1000),
            ),
            (i64::MIN / 1000 - 1, Unit::Seconds, Origin::Epoch, None),
            (i64::MIN, Unit::Millis, Origin::Now, Some(i64::MIN + now.0)),
        ] {
            assert_eq!(
                deadline(time, unit, origin, now),
                expected.map(UnixMillis),
                "{time} {unit:?} {origin:?}"
            );
        }
    }

    #[test]
    fn each_condition_holds_against_no_deadline_and_against_one_on_either_side() {
        let conditions = [
            ("", [true, true, true, true]),
            ("nx", [true, false, false, false]),
            ("xx", [false, true, true, true]),
            ("gt", [false, false, false, true]),
            ("lt", [true, true, false, false]),
            ("xx gt", [false, false, false, true]),
            ("xx lt", [false, true, false, false]),
        ];
        for (words, expected) in conditions {
            let has = |word: &str| words.split(' ').any(|given| given == word);
            let condition = Condition {
                none_yet: has("nx"),
                one_already: has("xx"),
                later: has("gt"),
                sooner: has("lt"),
            };
            let present = UnixMillis(100);
            let holds = [
                condition.holds(None, UnixMillis(100)),
                condition.holds(Some(present), UnixMillis(99)),
                condition.holds(Some(present), UnixMillis(100)),
                condition.holds(Some(present), UnixMillis(101)),
            ];
            assert_eq!(holds, expected, "{words:?}");
        }
    }

    #[test]
    fn each_change_of_a_deadline_is_told_once() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SET a 1", "OK"),
            ("EXPIRE a 10", "1"),
            ("EXPIRE a 10 NX", "0"),
            ("PERSIST a", "1"),
            ("PERSIST a", "0"),
            ("PEXPIREAT a 1", "1"),
            ("EXPIRE a 10", "0"),
        ]);
        assert_eq!(bench.events(), ["set a", "expire a", "persist a", "del a"]);
        assert_eq!(bench.changes(), 4);
    }
}
