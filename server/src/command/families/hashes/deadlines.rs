//! Deadlines of fields, set and removed: `HEXPIRE` and its kin, `HPERSIST`.
//!
//! For each field a number is answered: -2 there is none, 0 the condition does not hold, 1 its deadline is set, 2 the
//! deadline has passed and the field is deleted; `HPERSIST`: -1 it has no deadline, 1 it had one.

use std::ops::Range;

use larder_engine::{Event, Fate, HashMut, StoreError, UnixMillis};

use super::WRITING;
use super::fields::close_told;
use super::options::{Setting, behind_type, deadline, only_fields};
use crate::command::families::expire::{Origin, Unit};
use crate::command::{Args, CommandSpec, Flags, Run, ShardCall};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "hexpire",
        syntax: "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Sets the time to live of fields of a hash in seconds.",
        run: Run::OnShard(hexpire),
        ..SETTING
    },
    CommandSpec {
        name: "hpexpire",
        syntax: "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Sets the time to live of fields of a hash in milliseconds.",
        run: Run::OnShard(hpexpire),
        ..SETTING
    },
    CommandSpec {
        name: "hexpireat",
        syntax: "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Sets the deadline of fields of a hash as a Unix time in seconds.",
        run: Run::OnShard(hexpireat),
        ..SETTING
    },
    CommandSpec {
        name: "hpexpireat",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Sets the deadline of fields of a hash as a Unix time in milliseconds.",
        run: Run::OnShard(hpexpireat),
        ..SETTING
    },
    CommandSpec {
        name: "hpersist",
        arity: -5,
        syntax: "key FIELDS numfields field [field ...]",
        summary: "Removes the deadlines of fields of a hash.",
        run: Run::OnShard(hpersist),
        ..SETTING
    },
];

const SETTING: CommandSpec = CommandSpec {
    arity: -6,
    flags: Flags::WRITE.with(Flags::FAST),
    since: "7.4.0",
    complexity: "O(N) where N is the number of fields named.",
    ..WRITING
};

fn hexpire(call: &mut ShardCall<'_>) -> CommandResult {
    set_deadlines(call, "hexpire", (Unit::Seconds, Origin::Now))
}

fn hpexpire(call: &mut ShardCall<'_>) -> CommandResult {
    set_deadlines(call, "hpexpire", (Unit::Millis, Origin::Now))
}

fn hexpireat(call: &mut ShardCall<'_>) -> CommandResult {
    set_deadlines(call, "hexpireat", (Unit::Seconds, Origin::Epoch))
}

fn hpexpireat(call: &mut ShardCall<'_>) -> CommandResult {
    set_deadlines(call, "hpexpireat", (Unit::Millis, Origin::Epoch))
}

fn set_deadlines(call: &mut ShardCall<'_>, command: &str, time: (Unit, Origin)) -> CommandResult {
    let (args, now) = (call.args, call.shard.now());
    let parsed = deadline(args.at(2), time, now, command)
        .and_then(|deadline| Ok((deadline, Setting::parse(&args)?)));
    let (deadline, setting) = parsed.map_err(|error| behind_type(call, error))?;
    let key = call.key(1);
    let hash = call.shard.hash_mut(call.db, key)?;
    let event = if deadline <= now {
        Event::HDel
    } else {
        Event::HExpire
    };
    let fields = setting.fields.clone();
    change_each(
        hash,
        (&args, fields),
        &mut call.reply,
        event,
        |hash, name| set_deadline(hash, name, deadline, now, &setting),
    )
}

/// Has `change` change each of the fields that these arguments name, and writes what it answers; it has changed something where that
/// is above 0. Ends the command, with this event if anything changed.
fn change_each(
    mut hash: HashMut<'_>,
    (args, fields): (&Args<'_>, Range<usize>),
    reply: &mut Reply<'_>,
    event: Event,
    mut change: impl FnMut(&mut HashMut<'_>, &[u8]) -> Result<i64, StoreError>,
) -> CommandResult {
    reply.array(fields.len());
    let mut has_changed = false;
    let mut done = Ok(());
    for at in fields {
        match change(&mut hash, args.at(at)) {
            Ok(outcome) => {
                if event == Event::HPersist && has_changed && outcome > 0 {
                    // Redis counts the command.
                    hash.count_as(1, 0);
                }
                has_changed |= outcome > 0;
                reply.integer(outcome);
            }
            Err(error) => {
                done = Err(error.into());
                break;
            }
        }
    }
    close_told(hash, has_changed, event);
    done
}

/// Sets the deadline of one field; what is answered for it.
fn set_deadline(
    hash: &mut HashMut<'_>,
    name: &[u8],
    deadline: UnixMillis,
    now: UnixMillis,
    setting: &Setting,
) -> Result<i64, StoreError> {
    let mut outcome = -2;
    hash.decide(name, |field| {
        let holds = field.map(|field| setting.condition.holds(field.expires_at, deadline));
        let fate = match holds {
            None => return Fate::Stays,
            Some(false) => (0, Fate::Stays),
            Some(true) if deadline <= now => (2, Fate::Goes),
            Some(true) => (1, Fate::Ends(Some(deadline))),
        };
        outcome = fate.0;
        fate.1
    })?;
    Ok(outcome)
}

fn hpersist(call: &mut ShardCall<'_>) -> CommandResult {
    let args = call.args;
    let fields = only_fields(&args).map_err(|error| behind_type(call, error))?;
    let key = call.key(1);
    let hash = call.shard.hash_mut(call.db, key)?;
    let event = Event::HPersist;
    change_each(hash, (&args, fields), &mut call.reply, event, persist)
}

/// Removes the deadline of one field; what is answered for it.
fn persist(hash: &mut HashMut<'_>, name: &[u8]) -> Result<i64, StoreError> {
    let mut outcome = -2;
    hash.decide(name, |field| match field {
        None => Fate::Stays,
        Some(field) if field.expires_at.is_none() => {
            outcome = -1;
            Fate::Stays
        }
        Some(_) => {
            outcome = 1;
            Fate::Ends(None)
        }
    })?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn deadlines_are_set_under_conditions_and_removed_with_one_event_a_command() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSET h a 1 b 2", "2"),
            ("HEXPIRE h 10 FIELDS 3 a b none", "[1, 1, -2]"),
            ("HPEXPIRE h 10 NX FIELDS 1 a", "[0]"),
            ("HPEXPIREAT h 1700000020000 FIELDS 1 a", "[1]"),
            ("HEXPIREAT h 1700000020 GT FIELDS 2 a b", "[0, 1]"),
            (
                "HPEXPIRETIME h FIELDS 2 a b",
                "[1700000020000, 1700000020000]",
            ),
            ("HPERSIST h FIELDS 3 a none a", "[1, -2, -1]"),
            ("HPERSIST h FIELDS 1 a", "[-1]"),
            ("HEXPIRE h 1 GT FIELDS 1 a", "[0]"),
            ("HEXPIRE h 1 LT FIELDS 1 a", "[1]"),
        ]);
        assert_eq!(bench.changes(), 2 + 2 + 1 + 1 + 1 + 1);
        let expected = [
            "hset h",
            "hexpire h",
            "hexpire h",
            "hexpire h",
            "hpersist h",
            "hexpire h",
        ];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn a_deadline_that_has_passed_deletes_the_field_and_the_last_one_the_key() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSET h a 1 b 2 c 3", "3"),
            ("HEXPIRE h 0 FIELDS 2 a a", "[2, -2]"),
            ("HEXPIREAT h 1 NX FIELDS 2 b none", "[2, -2]"),
            ("HEXPIREAT h 1 XX FIELDS 1 c", "[0]"),
            ("HPEXPIREAT h 1700000000000 FIELDS 1 c", "[2]"),
            ("EXISTS h", "0"),
        ]);
        let expected = ["hset h", "hdel h", "hdel h", "hdel h", "del h"];
        assert_eq!(bench.events(), expected);
    }
}
