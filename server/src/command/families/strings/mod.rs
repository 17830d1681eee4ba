//! Strings, whole: `GET`, `SET` and their kin.
//!
//! `GET key` and `SET key value` are the hot path: one lookup or one store, and the reply. Everything with options goes
//! through [`options`].

mod compare;
mod many;
mod options;
mod part;

use larder_engine::{Access, Event, StringForm, TtlChange, UnixMillis};

use crate::command::{
    Args, Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall,
};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};
use compare::Comparison;
use options::{Condition, Deadline, Expiry, Grammar, Options, Unit};

pub(super) use part::clamp_range;
/// The tables of conditions, of several keys and of parts.
pub(crate) use {compare::COMMANDS as COMPARE, many::COMMANDS as MANY, part::COMMANDS as PART};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "get",
        arity: 2,
        flags: Flags::READONLY.with(Flags::FAST).with(Flags::FROM_COPY),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
        group: Group::String,
        syntax: "key",
        summary: "Returns the string value of a key.",
        run: Run::OnShard(get),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "set",
        arity: -3,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())
            .variable(set_does)
            .note("RW and ACCESS due to the optional `GET` argument")]),
        group: Group::String,
        syntax: "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest] \
                 [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        summary: "Sets the string value of a key, whatever it held; optionally with a condition and a deadline.",
        run: Run::OnShard(set),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "setnx",
        arity: 3,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::OW.insert())]),
        deprecated: Some(("2.6.12", "`SET` with the `NX` argument")),
        group: Group::String,
        syntax: "key value",
        summary: "Sets the string value of a key that does not exist.",
        run: Run::OnShard(setnx),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "setex",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::OW.update())]),
        deprecated: Some(("2.6.12", "`SET` with the `EX` argument")),
        group: Group::String,
        since: "2.0.0",
        syntax: "key seconds value",
        summary: "Sets the string value and the time to live of a key.",
        run: Run::OnShard(setex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "psetex",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::OW.update())]),
        deprecated: Some(("2.6.12", "`SET` with the `PX` argument")),
        group: Group::String,
        since: "2.6.0",
        syntax: "key milliseconds value",
        summary: "Sets the string value and the time to live in milliseconds of a key.",
        run: Run::OnShard(psetex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "getset",
        arity: 3,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())]),
        deprecated: Some(("6.2.0", "`SET` with the `GET` argument")),
        group: Group::String,
        syntax: "key value",
        summary: "Sets the string value of a key and returns the one it had.",
        run: Run::OnShard(getset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "getdel",
        arity: 2,
        flags: Flags::WRITE.with(Flags::FAST),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().delete())]),
        group: Group::String,
        since: "6.2.0",
        syntax: "key",
        summary: "Returns the string value of a key and deletes the key.",
        run: Run::OnShard(getdel),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "getex",
        arity: -2,
        flags: Flags::WRITE.with(Flags::FAST),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())
            .note("RW and UPDATE because it changes the TTL")]),
        group: Group::String,
        since: "6.2.0",
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
        summary: "Returns the string value of a key and optionally sets or removes its deadline.",
        run: Run::OnShard(getex),
        ..CommandSpec::BASE
    },
];

fn get(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    match call.shard.read(call.db, key, call.access) {
        Some(entry) => {
            call.stats.count_lookup((call.db, key.bytes()), true);
            call.reply.bulk(entry.string().ok_or(errors::WRONG_TYPE)?);
        }
        None => {
            call.stats.count_lookup((call.db, key.bytes()), false);
            call.reply.null();
        }
    }
    Ok(())
}

fn set(call: &mut ShardCall<'_>) -> CommandResult {
    if call.args.len() > 3 {
        return set_with_options(call);
    }
    store(call, 2, TtlChange::Clear)?;
    call.reply.ok();
    Ok(())
}

/// Writes argument `value` whole.
#[inline]
fn store(call: &mut ShardCall<'_>, value: usize, ttl: TtlChange) -> CommandResult {
    let key = call.key(1);
    let value = call.args.at(value);
    call.shard
        .set(call.db, key, value, StringForm::Detect, ttl, Event::Set)?;
    Ok(())
}

/// With `GET` it answers the old value, with a comparison it looks at it.
fn set_does(args: &Args<'_>) -> KeyFlags {
    let mut options = args.iter_from(3);
    if options
        .clone()
        .any(|word| word.eq_ignore_ascii_case(b"get"))
    {
        KeyFlags::RW.access().update()
    } else if options.any(|word| Comparison::parse(word, b"").is_some()) {
        KeyFlags::RW.update()
    } else {
        KeyFlags::OW.update()
    }
}

fn set_with_options(call: &mut ShardCall<'_>) -> CommandResult {
    let options = Options::parse(&call.args, 3, Grammar::Set)?;
    let ttl = ttl_change(options.expiry, call.shard.now(), "set")?;
    if options.get {
        get(call)?;
    }
    if !holds(call, options.condition)? {
        if !options.get {
            call.reply.null();
        }
        return Ok(());
    }
    store(call, 2, ttl)?;
    expire_if_past(call, ttl);
    if !options.get {
        call.reply.ok();
    }
    Ok(())
}

/// What a `SET` is to do with the deadline.
fn ttl_change(expiry: Expiry<'_>, now: UnixMillis, command: &str) -> Result<TtlChange, ErrorReply> {
    Ok(match expiry {
        Expiry::None | Expiry::Persist => TtlChange::Clear,
        Expiry::Keep => TtlChange::Keep,
        Expiry::Deadline(deadline) => TtlChange::At(deadline.resolve(now, command)?),
    })
}

/// Removes an entry that was written with a deadline in the past: it is set, expires, and is gone.
fn expire_if_past(call: &mut ShardCall<'_>, ttl: TtlChange) {
    if let TtlChange::At(at) = ttl
        && at <= call.shard.now()
    {
        let key = call.key(1);
        let gone = call.shard.get(call.db, key, Access::Peek).is_none();
        debug_assert!(gone, "a lookup removes an entry past its deadline");
    }
}

fn holds(call: &mut ShardCall<'_>, condition: Condition<'_>) -> Result<bool, ErrorReply> {
    if condition == Condition::None {
        return Ok(true);
    }
    let key = call.key(1);
    let entry = call.shard.get(call.db, key, call.access);
    if matches!(condition, Condition::Value(_)) && entry.is_some() {
        call.stats.count_lookup((call.db, key.bytes()), true);
    }
    Ok(match (condition, entry) {
        (Condition::None, _) => true,
        (Condition::Missing, entry) => entry.is_none(),
        (Condition::Present, entry) => entry.is_some(),
        (Condition::Value(comparison), None) => comparison.holds_for_missing(),
        (Condition::Value(comparison), Some(entry)) => {
            comparison.holds(entry.string().ok_or(errors::WRONG_TYPE)?)?
        }
    })
}

fn setnx(call: &mut ShardCall<'_>) -> CommandResult {
    let missing = holds(call, Condition::Missing)?;
    if missing {
        store(call, 2, TtlChange::Clear)?;
    }
    call.reply.integer(missing.into());
    Ok(())
}

fn setex(call: &mut ShardCall<'_>) -> CommandResult {
    set_for(call, Unit::Seconds, "setex")
}

fn psetex(call: &mut ShardCall<'_>) -> CommandResult {
    set_for(call, Unit::Millis, "psetex")
}

fn set_for(call: &mut ShardCall<'_>, unit: Unit, command: &str) -> CommandResult {
    let number = call.args.at(2);
    let at = Deadline { unit, number }.resolve(call.shard.now(), command)?;
    store(call, 3, TtlChange::At(at))?;
    call.reply.ok();
    Ok(())
}

fn getset(call: &mut ShardCall<'_>) -> CommandResult {
    get(call)?;
    store(call, 2, TtlChange::Clear)
}

fn getdel(call: &mut ShardCall<'_>) -> CommandResult {
    get(call)?;
    let key = call.key(1);
    call.shard.remove(call.db, key, Event::Del);
    Ok(())
}

fn getex(call: &mut ShardCall<'_>) -> CommandResult {
    let options = Options::parse(&call.args, 2, Grammar::GetEx)?;
    let key = call.key(1);
    let Some(entry) = call.shard.read(call.db, key, call.access) else {
        call.stats.count_lookup((call.db, key.bytes()), false);
        call.reply.null();
        return Ok(());
    };
    call.stats.count_lookup((call.db, key.bytes()), true);
    call.reply.bulk(entry.string().ok_or(errors::WRONG_TYPE)?);
    let is_volatile = entry.expires_at().is_some();
    match options.expiry {
        Expiry::Deadline(deadline) => {
            let now = call.shard.now();
            let at = deadline.resolve(now, "getex")?;
            if at <= now {
                call.shard.remove(call.db, key, Event::Del);
            } else {
                call.shard
                    .set_deadline(call.db, key, Some(at), Event::Expire)?;
            }
        }
        Expiry::Persist if is_volatile => {
            call.shard
                .set_deadline(call.db, key, None, Event::Persist)?;
        }
        Expiry::None | Expiry::Keep | Expiry::Persist => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    #[test]
    fn a_string_is_set_and_read_back_with_the_encoding_redis_shows() {
        let mut bench = Bench::new();
        bench.check(&[("GET k", "nil"), ("SET k bar", "OK"), ("GET k", "\"bar\"")]);
        assert_eq!(bench.encoding("k"), "embstr");
        bench.check(&[("SET k 12", "OK")]);
        assert_eq!(bench.encoding("k"), "int");
        bench.check(&[("SET k 012", "OK")]);
        assert_eq!(bench.encoding("k"), "embstr");
        assert_eq!(bench.events(), ["set k", "set k", "set k"]);
        assert_eq!(
            (
                bench.stats.lookups.all().hits,
                bench.stats.lookups.all().misses
            ),
            (1, 1)
        );
    }

    #[test]
    fn set_takes_its_options_in_any_case_and_order() {
        check(&[
            ("SET k a NX", "OK"),
            ("SET k b nx", "nil"),
            ("SET k b XX GET", "\"a\""),
            ("SET k c gEt nX", "\"b\""),
            ("SET k c NX NX", "nil"),
            ("SET n c GET NX", "nil"),
            ("GET n", "\"c\""),
            ("SET m c XX", "nil"),
            ("GET m", "nil"),
            ("SET k d EX 10 EX 20", "OK"),
            ("SET k d KEEPTTL XX", "OK"),
        ]);
    }

    #[test]
    fn set_refuses_options_that_exclude_each_other() {
        for options in [
            "NX XX",
            "XX NX",
            "EX 1 PX 1",
            "PX 1 EX 1",
            "EX 1 EXAT 1",
            "PXAT 1 PX 1",
            "EX 1 KEEPTTL",
            "KEEPTTL PX 1",
            "EX",
            "PXAT",
            "FOO",
            "PERSIST",
            "NX FOO",
            "EX 1 PERSIST",
        ] {
            check(&[
                (&format!("SET k v {options}"), "ERR syntax error"),
                ("GET k", "nil"),
            ]);
        }
    }

    #[test]
    fn deadlines_that_cannot_be_are_refused_under_the_commands_own_name() {
        let invalid = |name: &str| format!("ERR invalid expire time in '{name}' command");
        for number in ["0", "-1", "9223372036854775807", "9223372036854775"] {
            check(&[
                (&format!("SET k v EX {number}"), &invalid("set")),
                (&format!("SETEX k {number} v"), &invalid("setex")),
            ]);
        }
        check(&[
            ("SET k v PX 9223372036854775807", &invalid("set")),
            ("PSETEX k 9223372036854775807 v", &invalid("psetex")),
            ("PSETEX k 0 v", &invalid("psetex")),
            (
                "SET k v EX x",
                "ERR value is not an integer or out of range",
            ),
            (
                "SETEX k 1.5 v",
                "ERR value is not an integer or out of range",
            ),
            ("SET k v", "OK"),
            ("GETEX k EX 0", &invalid("getex")),
            ("GETEX k PXAT -5", &invalid("getex")),
            ("GETEX none EX 0", "nil"),
            ("GETEX k KEEPTTL", "ERR syntax error"),
            ("GETEX k EX 5 PERSIST", "ERR syntax error"),
            ("GETEX k NX", "ERR syntax error"),
        ]);
    }

    #[test]
    fn deadlines_are_set_kept_and_cleared() {
        let mut bench = Bench::new();
        let now = bench.now();
        bench.check(&[("SET k v EX 10", "OK")]);
        assert_eq!(bench.deadline("k"), Some(now + 10_000));
        bench.check(&[("SET k w KEEPTTL", "OK")]);
        assert_eq!(bench.deadline("k"), Some(now + 10_000));
        bench.check(&[("SET k w", "OK")]);
        assert_eq!(bench.deadline("k"), None);
        bench.check(&[("PSETEX k 15 w", "OK")]);
        assert_eq!(bench.deadline("k"), Some(now + 15));
        bench.check(&[("GETEX k PERSIST", "\"w\""), ("GETEX k persist", "\"w\"")]);
        assert_eq!(bench.deadline("k"), None);
        bench.check(&[("GETEX k EX 3", "\"w\"")]);
        assert_eq!(bench.deadline("k"), Some(now + 3000));
        bench.check(&[("GETSET k x", "\"w\"")]);
        assert_eq!(bench.deadline("k"), None);
        assert_eq!(
            bench.events(),
            [
                "set k",
                "expire k",
                "set k",
                "set k",
                "set k",
                "expire k",
                "persist k",
                "expire k",
                "set k"
            ]
        );
    }

    #[test]
    fn a_deadline_in_the_past_leaves_no_entry() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SET k v", "OK"),
            ("SET k w PXAT 5 GET", "\"v\""),
            ("GET k", "nil"),
            ("SET k w EXAT 1", "OK"),
            ("SETNX k v", "1"),
            ("GETEX k EXAT 5", "\"v\""),
            ("GETEX k", "nil"),
        ]);
        assert_eq!(
            bench.events(),
            [
                "set k",
                "set k",
                "expire k",
                "expired k",
                "set k",
                "expire k",
                "expired k",
                "set k",
                "del k"
            ]
        );
    }

    #[test]
    fn old_values_are_returned_by_those_that_replace_them() {
        let mut bench = Bench::new();
        bench.check(&[
            ("GETSET k 1", "nil"),
            ("GETSET k 2", "\"1\""),
            ("GETDEL k", "\"2\""),
            ("GETDEL k", "nil"),
            ("SETNX k 5", "1"),
            ("SETNX k 6", "0"),
            ("GET k", "\"5\""),
            ("SET k", "ERR wrong number of arguments for 'set' command"),
        ]);
        assert_eq!(bench.events(), ["set k", "set k", "del k", "set k"]);
    }
}
