//! Fields that hold numbers: `HINCRBY`, `HINCRBYFLOAT`.

use larder_engine::{Event, HashMut, TtlChange, parse_canonical_i64};

use super::WRITING;
use super::fields::close_told;
use crate::command::families::numbers::Extended;
use crate::command::{CommandSpec, FieldUse, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{Digits, ErrorReply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "hincrby",
        field: Some(FieldUse::Change),
        summary: "Adds a number to the integer value of a field of a hash, which counts as 0 if there is none.",
        run: Run::OnShard(hincrby),
        ..COUNTING
    },
    CommandSpec {
        name: "hincrbyfloat",
        field: Some(FieldUse::Change),
        since: "2.6.0",
        summary: "Adds a floating-point number to the value of a field of a hash, which counts as 0 if there is none.",
        run: Run::OnShard(hincrbyfloat),
        ..COUNTING
    },
];

const COUNTING: CommandSpec = CommandSpec {
    arity: 4,
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())]),
    syntax: "key field increment",
    ..WRITING
};

fn hincrby(call: &mut ShardCall<'_>) -> CommandResult {
    let increment = call.args.integer(3)?;
    let key = call.key(1);
    let mut hash = call.shard.hash_mut(call.db, key)?;
    let sum = add(&mut hash, call.args.at(2), increment);
    close_told(hash, sum.is_ok(), Event::HIncrBy);
    call.reply.integer(sum?);
    Ok(())
}

/// Adds to an integer; the sum. A deadline stays.
fn add(hash: &mut HashMut<'_>, name: &[u8], increment: i64) -> Result<i64, ErrorReply> {
    let mut sum = 0;
    let mut digits = Digits::new();
    let (total, text) = (&mut sum, &mut digits);
    hash.update(name, move |field| {
        let old = match field {
            Some(field) => parse_canonical_i64(field.value).ok_or(errors::FIELD_NOT_AN_INTEGER)?,
            None => 0,
        };
        *total = old
            .checked_add(increment)
            .ok_or(errors::INCREMENT_OVERFLOW)?;
        Ok::<_, ErrorReply>(Some((text.signed(*total), TtlChange::Keep)))
    })?;
    Ok(sum)
}

fn hincrbyfloat(call: &mut ShardCall<'_>) -> CommandResult {
    let increment = Extended::parse(call.args.at(3)).ok_or(errors::NOT_A_FLOAT)?;
    if increment.is_infinite() {
        return Err(errors::INCREMENT_INFINITE);
    }
    let key = call.key(1);
    let mut hash = call.shard.hash_mut(call.db, key)?;
    let sum = add_float(&mut hash, call.args.at(2), increment);
    close_told(hash, sum.is_ok(), Event::HIncrByFloat);
    call.reply.text(&sum?);
    Ok(())
}

/// Adds to a number; the sum as it is kept. A deadline stays.
fn add_float(
    hash: &mut HashMut<'_>,
    name: &[u8],
    increment: Extended,
) -> Result<String, ErrorReply> {
    let mut text = String::new();
    let written = &mut text;
    hash.update(name, move |field| {
        let old = match field {
            Some(field) => Extended::parse(field.value).ok_or(errors::FIELD_NOT_A_FLOAT)?,
            None => Extended::ZERO,
        };
        let sum = old.plus(increment).ok_or(errors::INCREMENT_NOT_FINITE)?;
        *written = sum.to_decimal();
        Ok::<_, ErrorReply>(Some((&*written, TtlChange::Keep)))
    })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn sums_keep_the_deadline_of_their_field() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSET h n 5 f 1.5", "2"),
            ("HPEXPIREAT h 1700000100000 FIELDS 2 n f", "[1, 1]"),
            ("HINCRBY h n -7", "-2"),
            ("HINCRBYFLOAT h f 0.1", "\"1.6\""),
            (
                "HPEXPIRETIME h FIELDS 2 n f",
                "[1700000100000, 1700000100000]",
            ),
            ("HGET h n", "\"-2\""),
            ("HGET h f", "\"1.6\""),
        ]);
        bench.advance(100_000);
        bench.check(&[
            ("HINCRBY h n 3", "3"),
            ("HPEXPIRETIME h FIELDS 1 n", "[-1]"),
            ("HINCRBYFLOAT h f 3", "\"3\""),
        ]);
        let expected = [
            "hset h",
            "hexpire h",
            "hincrby h",
            "hincrbyfloat h",
            "hincrby h",
            "hincrbyfloat h",
        ];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn a_sum_that_cannot_be_changes_nothing() {
        let mut bench = Bench::new();
        bench.run("HSET h n 9223372036854775807 t text i inf");
        let changes = bench.changes();
        bench.check(&[
            ("HINCRBY h n 1", "ERR increment or decrement would overflow"),
            ("HINCRBY h t 1", "ERR hash value is not an integer"),
            ("HINCRBYFLOAT h t 1", "ERR hash value is not a float"),
            (
                "HINCRBYFLOAT h i 1",
                "ERR increment would produce NaN or Infinity",
            ),
            ("HINCRBYFLOAT h n inf", "ERR value is NaN or Infinity"),
            (
                "HINCRBY none n x",
                "ERR value is not an integer or out of range",
            ),
            ("HINCRBYFLOAT none n -inf", "ERR value is NaN or Infinity"),
            ("EXISTS none", "0"),
        ]);
        assert_eq!(bench.changes(), changes);
    }
}
