//! Strings that hold numbers: `INCR`, `DECR`, `INCRBY`, `DECRBY`, `INCRBYFLOAT`.

mod extended;
mod wide;

use larder_engine::{Event, StringForm, TtlChange, parse_canonical_i64};

use crate::command::{
    Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall,
};
use crate::resp::Digits;
use crate::resp::errors::{self, CommandResult};

pub(super) use extended::Extended;

/// What all commands of this file have in common.
const COUNTER: CommandSpec = CommandSpec {
    flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
    categories: &[Category::String],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())]),
    group: Group::String,
    ..CommandSpec::BASE
};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "incr",
        arity: 2,
        syntax: "key",
        summary: "Adds one to the integer value of a key, which counts as 0 if it does not exist.",
        run: Run::OnShard(incr),
        ..COUNTER
    },
    CommandSpec {
        name: "decr",
        arity: 2,
        syntax: "key",
        summary: "Takes one from the integer value of a key, which counts as 0 if it does not exist.",
        run: Run::OnShard(decr),
        ..COUNTER
    },
    CommandSpec {
        name: "incrby",
        arity: 3,
        syntax: "key increment",
        summary: "Adds a number to the integer value of a key, which counts as 0 if it does not exist.",
        run: Run::OnShard(incrby),
        ..COUNTER
    },
    CommandSpec {
        name: "decrby",
        arity: 3,
        syntax: "key decrement",
        summary: "Takes a number from the integer value of a key, which counts as 0 if it does not exist.",
        run: Run::OnShard(decrby),
        ..COUNTER
    },
    CommandSpec {
        name: "incrbyfloat",
        arity: 3,
        since: "2.6.0",
        syntax: "key increment",
        summary: "Adds a floating-point number to the value of a key, which counts as 0 if it does not exist.",
        run: Run::OnShard(incrbyfloat),
        ..COUNTER
    },
];

fn incr(call: &mut ShardCall<'_>) -> CommandResult {
    add(call, 1)
}

fn decr(call: &mut ShardCall<'_>) -> CommandResult {
    add(call, -1)
}

fn incrby(call: &mut ShardCall<'_>) -> CommandResult {
    let increment = call.args.integer(2)?;
    add(call, increment)
}

fn decrby(call: &mut ShardCall<'_>) -> CommandResult {
    let decrement = call.args.integer(2)?;
    add(
        call,
        decrement.checked_neg().ok_or(errors::DECREMENT_OVERFLOW)?,
    )
}

fn add(call: &mut ShardCall<'_>, increment: i64) -> CommandResult {
    let key = call.key(1);
    let old = match call.shard.get(call.db, key, call.access) {
        Some(entry) => {
            let text = entry.string().ok_or(errors::WRONG_TYPE)?;
            parse_canonical_i64(text).ok_or(errors::NOT_AN_INTEGER)?
        }
        None => 0,
    };
    let sum = old
        .checked_add(increment)
        .ok_or(errors::INCREMENT_OVERFLOW)?;
    let mut digits = Digits::new();
    call.shard.set(
        call.db,
        key,
        digits.signed(sum),
        StringForm::Detect,
        TtlChange::Keep,
        Event::IncrBy,
    )?;
    call.reply.integer(sum);
    Ok(())
}

fn incrbyfloat(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let old = match call.shard.get(call.db, key, call.access) {
        Some(entry) => {
            let text = entry.string().ok_or(errors::WRONG_TYPE)?;
            Extended::parse(text).ok_or(errors::NOT_A_FLOAT)?
        }
        None => Extended::ZERO,
    };
    let increment = Extended::parse(call.args.at(2)).ok_or(errors::NOT_A_FLOAT)?;
    let sum = old.plus(increment).ok_or(errors::INCREMENT_NOT_FINITE)?;
    let text = sum.to_decimal();
    call.shard.set(
        call.db,
        key,
        text.as_bytes(),
        StringForm::Text,
        TtlChange::Keep,
        Event::IncrByFloat,
    )?;
    call.reply.text(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    #[test]
    fn counters_count_and_keep_their_deadline() {
        let mut bench = Bench::new();
        bench.check(&[
            ("INCR k", "1"),
            ("DECR k", "0"),
            ("SET k 10 EX 5", "OK"),
            ("INCRBY k -25", "-15"),
            ("DECRBY k 5", "-20"),
        ]);
        assert_eq!(bench.deadline("k"), Some(bench.now() + 5000));
        assert_eq!(bench.encoding("k"), "int");
        let expected = [
            "incrby k", "incrby k", "set k", "expire k", "incrby k", "incrby k",
        ];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn counters_stop_at_the_ends_of_64_bits() {
        const OVERFLOW: &str = "ERR increment or decrement would overflow";
        const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
        check(&[
            ("SET k 9223372036854775807", "OK"),
            ("INCR k", OVERFLOW),
            ("DECRBY k -1", OVERFLOW),
            ("SET k -9223372036854775808", "OK"),
            ("DECR k", OVERFLOW),
            (
                "DECRBY k -9223372036854775808",
                "ERR decrement would overflow",
            ),
            ("INCRBY k 9223372036854775808", NOT_AN_INTEGER),
            ("INCRBY k 1.0", NOT_AN_INTEGER),
            ("SET k \" 1\"", "OK"),
            ("INCR k", NOT_AN_INTEGER),
            ("SET k 01", "OK"),
            ("INCR k", NOT_AN_INTEGER),
            ("SET k 1", "OK"),
            ("APPEND k 1", "2"),
            ("INCR k", "12"),
        ]);
    }

    #[test]
    fn floats_add_up_as_in_redis() {
        let mut bench = Bench::new();
        bench.check(&[
            ("INCRBYFLOAT k 1", "\"1\""),
            ("INCRBYFLOAT k 0.5", "\"1.5\""),
            ("INCRBYFLOAT k 1.23", "\"2.73\""),
            ("INCRBYFLOAT k -2.73", "\"0\""),
            ("INCRBYFLOAT k 5.0e3", "\"5000\""),
            ("INCRBYFLOAT k 0x10", "\"5016\""),
            ("INCRBYFLOAT k x", "ERR value is not a valid float"),
            ("INCRBYFLOAT k \" 1\"", "ERR value is not a valid float"),
            ("INCRBYFLOAT k nan", "ERR value is not a valid float"),
            (
                "INCRBYFLOAT k -inf",
                "ERR increment would produce NaN or Infinity",
            ),
            ("SET t 3 EX 5", "OK"),
            ("INCRBYFLOAT t 1", "\"4\""),
        ]);
        assert_eq!(bench.encoding("t"), "embstr");
        assert_eq!(bench.deadline("t"), Some(bench.now() + 5000));
    }
}
