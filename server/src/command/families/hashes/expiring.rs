//! Fields whose deadlines, or whose ends, come with a read or a write: `HGETEX`, `HSETEX`, `HGETDEL`.

use std::ops::Range;

use larder_engine::{Event, HashMut, StoreError, TtlChange, UnixMillis};

use super::WRITING;
use super::fields::close_told;
use super::options::{Expiry, FieldCondition, Grammar, Options, behind_type, only_fields};
use crate::command::{Args, CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "hgetex",
        arity: -5,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())
            .note("RW and UPDATE because it changes the TTL")]),
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] \
                 FIELDS numfields field [field ...]",
        summary: "Returns the values of fields of a hash, and sets or removes their deadlines.",
        run: Run::OnShard(hgetex),
        ..EXPIRING
    },
    CommandSpec {
        name: "hsetex",
        arity: -6,
        syntax: "key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | \
                 KEEPTTL] FIELDS numfields field value [field value ...]",
        summary: "Sets the values of fields of a hash, optionally with a condition and one deadline for all.",
        run: Run::OnShard(hsetex),
        ..EXPIRING
    },
    CommandSpec {
        name: "hgetdel",
        arity: -5,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().delete())]),
        syntax: "key FIELDS numfields field [field ...]",
        summary: "Returns the values of fields of a hash, and deletes the fields.",
        run: Run::OnShard(hgetdel),
        ..EXPIRING
    },
];

const EXPIRING: CommandSpec = CommandSpec {
    since: "8.0.0",
    complexity: "O(N) where N is the number of fields named.",
    ..WRITING
};

fn hgetdel(call: &mut ShardCall<'_>) -> CommandResult {
    let args = call.args;
    let fields = only_fields(&args).map_err(|error| behind_type(call, error))?;
    take(call, fields)
}

/// Answers the values of fields and deletes them; one that is named again is gone.
fn take(call: &mut ShardCall<'_>, fields: Range<usize>) -> CommandResult {
    let key = call.key(1);
    let mut hash = call.shard.hash_mut(call.db, key)?;
    call.reply.array(fields.len());
    let mut has_changed = false;
    for at in fields {
        let name = call.args.at(at);
        match hash.get(name) {
            Some(field) => call.reply.bulk(field.value),
            None => call.reply.null(),
        }
        has_changed |= hash.remove(name);
    }
    close_told(hash, has_changed, Event::HDel);
    Ok(())
}

fn hgetex(call: &mut ShardCall<'_>) -> CommandResult {
    let (args, now) = (call.args, call.shard.now());
    let options = Options::parse(&args, Grammar::GetEx, now);
    let Options { expiry, fields, .. } = options.map_err(|error| behind_type(call, error))?;
    if matches!(expiry, Expiry::At(deadline) if deadline <= now) {
        return take(call, fields);
    }
    let key = call.key(1);
    let mut hash = call.shard.hash_mut(call.db, key)?;
    let began = call.reply.mark();
    let mut fits = Ok(());
    call.reply.array(fields.len());
    for at in fields.clone() {
        match hash.get(args.at(at)) {
            Some(field) => call.reply.bulk(field.value),
            None => call.reply.null(),
        }
        fits = call.reply.check_len(began);
        if fits.is_err() {
            break;
        }
    }
    let deadline = match expiry {
        Expiry::At(deadline) => Some(deadline),
        _ => None,
    };
    if fits.is_err() || matches!(expiry, Expiry::None | Expiry::Keep) {
        hash.close(&[]);
        return fits;
    }
    let mut has_changed = false;
    let mut done = Ok(());
    for at in fields {
        match change_deadline(&mut hash, args.at(at), deadline) {
            Ok(changed) => has_changed |= changed,
            Err(error) => {
                done = Err(error.into());
                break;
            }
        }
    }
    let event = match deadline {
        Some(_) => Event::HExpire,
        None => Event::HPersist,
    };
    close_told(hash, has_changed, event);
    done
}

/// Gives a field this deadline, or takes the one it has; whether anything changed.
fn change_deadline(
    hash: &mut HashMut<'_>,
    name: &[u8],
    deadline: Option<UnixMillis>,
) -> Result<bool, StoreError> {
    let applies = hash
        .get(name)
        .is_some_and(|field| deadline.is_some() || field.expires_at.is_some());
    if applies {
        hash.set_deadline(name, deadline)?;
    }
    Ok(applies)
}

fn hsetex(call: &mut ShardCall<'_>) -> CommandResult {
    let (args, now) = (call.args, call.shard.now());
    let options = Options::parse(&args, Grammar::SetEx, now)?;
    let key = call.key(1);
    let mut hash = call.shard.hash_mut(call.db, key)?;
    if !holds(&hash, &args, &options) {
        hash.close(&[]);
        call.reply.integer(0);
        return Ok(());
    }
    let (end, ttl) = match options.expiry {
        Expiry::At(deadline) if deadline <= now => (Some(Event::HDel), TtlChange::Clear),
        Expiry::At(deadline) => (Some(Event::HExpire), TtlChange::At(deadline)),
        Expiry::Keep => (None, TtlChange::Keep),
        Expiry::None | Expiry::Persist => (None, TtlChange::Clear),
    };
    let mut has_changed = false;
    let mut done = Ok(());
    for at in options.fields.step_by(2) {
        let name = args.at(at);
        done = hash.set(name, args.at(at + 1), ttl).map(|_| ());
        if done.is_err() {
            break;
        }
        has_changed = true;
        if end == Some(Event::HDel) {
            hash.remove(name);
            hash.count_as(1, 0);
        }
    }
    match end {
        Some(end) if has_changed => hash.close(&[Event::HSet, end]),
        _ => close_told(hash, has_changed, Event::HSet),
    }
    done?;
    call.reply.integer(1);
    Ok(())
}

/// Whether the conditions of an `HSETEX` hold, for the key and all its fields.
fn holds(hash: &HashMut<'_>, args: &Args<'_>, options: &Options) -> bool {
    if options
        .key_exists
        .is_some_and(|exists| exists != hash.is_there())
    {
        return false;
    }
    let mut names = options.fields.clone().step_by(2).map(|at| args.at(at));
    match options.condition {
        FieldCondition::None => true,
        FieldCondition::Missing => names.all(|name| hash.get(name).is_none()),
        FieldCondition::Present => names.all(|name| hash.get(name).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn hgetex_answers_and_sets_or_removes_deadlines() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSET h a 1 b 2", "2"),
            ("HGETEX h FIELDS 3 a none a", "[\"1\", nil, \"1\"]"),
            ("HGETEX h PX 100 FIELDS 2 a none", "[\"1\", nil]"),
            ("HGETEX h PERSIST FIELDS 2 b none", "[\"2\", nil]"),
            ("HPTTL h FIELDS 2 a b", "[100, -1]"),
            ("HGETEX h PERSIST FIELDS 2 a a", "[\"1\", \"1\"]"),
            ("HGETEX h EXAT 1 FIELDS 2 a a", "[\"1\", nil]"),
            ("HGETEX h EX 0 FIELDS 1 b", "[\"2\"]"),
            ("EXISTS h", "0"),
            ("HGETEX h EX 100 FIELDS 1 b", "[nil]"),
            ("EXISTS h", "0"),
        ]);
        let expected = [
            "hset h",
            "hexpire h",
            "hpersist h",
            "hdel h",
            "hdel h",
            "del h",
        ];
        assert_eq!(bench.events(), expected);
        assert_eq!(bench.changes(), 2 + 1 + 1 + 1 + 1);
    }

    #[test]
    fn hsetex_sets_all_fields_or_none() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSETEX h FXX FIELDS 1 a 1", "0"),
            ("EXISTS h", "0"),
            ("HSETEX h FNX PX 100 FIELDS 2 a 1 b 2", "1"),
            ("HSETEX h FNX FIELDS 2 c 1 b 2", "0"),
            ("HSETEX h FXX FIELDS 2 c 1 b 2", "0"),
            ("HSETEX h FXX KEEPTTL FIELDS 2 a 3 b 4", "1"),
            ("HPTTL h FIELDS 2 a b", "[100, 100]"),
            ("HSETEX h FIELDS 1 a 5", "1"),
            ("HPTTL h FIELDS 2 a b", "[-1, 100]"),
            ("HSETEX h EXAT 1 FIELDS 2 a 5 c 6", "1"),
            ("HGETALL h", "[\"b\", \"4\"]"),
            ("HSETEX h PXAT 1 FIELDS 1 b 6", "1"),
            ("EXISTS h", "0"),
            ("HSETEX h PXAT 1 FIELDS 1 b 6", "1"),
            ("EXISTS h", "0"),
        ]);
        let expected = [
            "hset h",
            "hexpire h",
            "hset h",
            "hset h",
            "hset h",
            "hdel h",
            "hset h",
            "hdel h",
            "del h",
            "hset h",
            "hdel h",
            "del h",
        ];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn hsetex_may_ask_for_the_key_as_well() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSETEX h XX FIELDS 1 a 1", "0"),
            ("HSETEX h NX FIELDS 1 a 1", "1"),
            ("HSETEX h nx NX FIELDS 1 b 1", "0"),
            ("HSETEX h XX FNX FIELDS 1 a 2", "0"),
            ("HSETEX h FNX XX FIELDS 1 b 2", "1"),
            ("HSETEX h NX XX FIELDS 1 a 1", "ERR syntax error"),
            ("HGETEX h NX FIELDS 1 a", "ERR unknown argument: NX"),
            ("HGETALL h", "[\"a\", \"1\", \"b\", \"2\"]"),
        ]);
    }

    #[test]
    fn hgetdel_answers_each_field_once() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSET h a 1 b 2", "2"),
            ("HGETDEL h FIELDS 3 a none a", "[\"1\", nil, nil]"),
            ("HGETDEL h FIELDS 1 a", "[nil]"),
            ("HGETDEL h FIELDS 1 b", "[\"2\"]"),
            ("EXISTS h", "0"),
            ("HGETDEL h FIELDS 1 b", "[nil]"),
        ]);
        let expected = ["hset h", "hdel h", "hdel h", "del h"];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn a_field_past_its_deadline_is_none_to_conditions_and_writes() {
        let mut bench = Bench::new();
        bench.run("HSETEX h PX 5 FIELDS 2 a 1 b 2");
        bench.run("HSET h c 3");
        bench.advance(5);
        bench.check(&[
            ("HSETEX h FXX FIELDS 1 a 1", "0"),
            ("HSETEX h FNX KEEPTTL FIELDS 1 a 1", "1"),
            ("HTTL h FIELDS 2 a b", "[-1, -2]"),
            ("HSETNX h b 3", "1"),
            ("HDEL h b", "1"),
            ("HGETALL h", "[\"a\", \"1\", \"c\", \"3\"]"),
        ]);
    }
}
