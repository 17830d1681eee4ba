//! Strings, in part: `APPEND`, `STRLEN`, `SETRANGE`, `GETRANGE`.

use larder_engine::{Event, StringForm, TtlChange};

use crate::command::{
    Args, Category, CommandSpec, Flags, Group, Growth, KeyFlags, KeySpec, Keys, Run, ShardCall,
};
use crate::config::Config;
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "append",
        arity: 3,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.insert())]),
        group: Group::String,
        since: "2.0.0",
        syntax: "key value",
        summary: "Appends a string to the value of a key, which is created if it does not exist.",
        complexity: "O(M) where M is the length of the appended string, amortised.",
        run: Run::OnShard(append),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "strlen",
        arity: 2,
        flags: Flags::READONLY.with(Flags::FAST).with(Flags::FROM_COPY),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO)]),
        group: Group::String,
        since: "2.2.0",
        syntax: "key",
        summary: "Returns the length of a string value.",
        run: Run::OnShard(strlen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "setrange",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())]),
        growth: Some(Growth::ToBytes(range_end)),
        group: Group::String,
        since: "2.2.0",
        syntax: "key offset value",
        summary: "Overwrites a part of a string value with another, from an offset on.",
        complexity: "O(M) where M is the length of the value argument, and of the gap before it if there is one.",
        run: Run::OnShard(setrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "getrange",
        since: "2.4.0",
        ..GETRANGE
    },
    CommandSpec {
        name: "substr",
        deprecated: Some(("2.0.0", "`GETRANGE`")),
        ..GETRANGE
    },
];

const GETRANGE: CommandSpec = CommandSpec {
    arity: 4,
    flags: Flags::READONLY.with(Flags::FROM_COPY),
    categories: &[Category::String],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
    group: Group::String,
    syntax: "key start end",
    summary: "Returns a part of a string value.",
    complexity: "O(N) where N is the length of the returned string.",
    run: Run::OnShard(getrange),
    ..CommandSpec::BASE
};

/// Fails if a string of `len` bytes and `more` would be longer than strings may be.
fn check_length(config: &Config, len: u64, more: usize) -> Result<(), ErrorReply> {
    if len.saturating_add(more as u64) > config.proto_max_bulk_bytes as u64 {
        return Err(errors::STRING_TOO_LONG);
    }
    Ok(())
}

fn append(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let more = call.args.at(2);
    let len = match call.shard.get(call.db, key, call.access) {
        None => {
            call.shard.set(
                call.db,
                key,
                more,
                StringForm::Detect,
                TtlChange::Clear,
                Event::Append,
            )?;
            more.len()
        }
        Some(entry) => {
            let len = entry.string().ok_or(errors::WRONG_TYPE)?.len();
            check_length(call.config, len as u64, more.len())?;
            call.shard
                .write_range(call.db, key, len, more, Event::Append)?
        }
    };
    call.reply.count(len as u64);
    Ok(())
}

fn strlen(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let len = match call.shard.read(call.db, key, call.access) {
        Some(entry) => {
            call.stats.count_lookup((call.db, key.bytes()), true);
            entry.string().ok_or(errors::WRONG_TYPE)?.len()
        }
        None => {
            call.stats.count_lookup((call.db, key.bytes()), false);
            0
        }
    };
    call.reply.count(len as u64);
    Ok(())
}

/// Where the bytes end that `SETRANGE` writes.
fn range_end(args: &Args<'_>, _: &Config) -> u64 {
    let offset = args.integer(2).ok().and_then(|it| u64::try_from(it).ok());
    match (offset, args.at(3).len()) {
        (None, _) | (_, 0) => 0,
        (Some(offset), len) => offset.saturating_add(len as u64),
    }
}

fn setrange(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let offset = u64::try_from(call.args.integer(2)?).map_err(|_| errors::OFFSET_OUT_OF_RANGE)?;
    let value = call.args.at(3);
    let old_len = match call.shard.get(call.db, key, call.access) {
        Some(entry) => entry.string().ok_or(errors::WRONG_TYPE)?.len(),
        None => 0,
    };
    let len = if value.is_empty() {
        old_len
    } else {
        check_length(call.config, offset, value.len())?;
        call.shard
            .write_range(call.db, key, offset as usize, value, Event::SetRange)?
    };
    call.reply.count(len as u64);
    Ok(())
}

fn getrange(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let (start, end) = (call.args.integer(2)?, call.args.integer(3)?);
    let Some(entry) = call.shard.read(call.db, key, call.access) else {
        call.stats.count_lookup((call.db, key.bytes()), false);
        call.reply.bulk(b"");
        return Ok(());
    };
    call.stats.count_lookup((call.db, key.bytes()), true);
    let value = entry.string().ok_or(errors::WRONG_TYPE)?;
    let reversed = start < 0 && end < 0 && start > end;
    let range = clamp_range(start, end, value.len()).filter(|_| !reversed);
    call.reply.bulk(match range {
        Some((first, last)) => &value[first..=last],
        None => b"",
    });
    Ok(())
}

/// The positions of the first and the last of `len` elements that Redis's `start` and `end` mean (both inclusive,
/// negative ones counted from the end and then at least 0); `None` if they enclose nothing.
pub(in crate::command::families) fn clamp_range(
    start: i64,
    end: i64,
    len: usize,
) -> Option<(usize, usize)> {
    let len = i64::try_from(len).expect("a string's length fits 63 bits");
    let from_end = |at: i64| {
        if at < 0 {
            at.saturating_add(len).max(0)
        } else {
            at
        }
    };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    (start <= end).then_some((start as usize, end as usize))
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    #[test]
    fn append_makes_a_string_raw_unless_it_creates_it() {
        let mut bench = Bench::new();
        bench.check(&[("APPEND k 12", "2")]);
        assert_eq!(bench.encoding("k"), "int");
        bench.check(&[("APPEND k 3", "3"), ("GET k", "\"123\"")]);
        assert_eq!(bench.encoding("k"), "raw");
        bench.check(&[("STRLEN k", "3"), ("STRLEN none", "0")]);
        assert_eq!(bench.events(), ["append k", "append k"]);
    }

    #[test]
    fn a_range_is_written_with_zeros_before_it_where_the_string_is_shorter() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SETRANGE k 0 \"\"", "0"),
            ("GET k", "nil"),
            ("SETRANGE k 2 ab", "4"),
            ("GET k", r#""\x00\x00ab""#),
            ("SET k 1234", "OK"),
            ("SETRANGE k 7 \"\"", "4"),
        ]);
        assert_eq!(bench.encoding("k"), "int");
        bench.check(&[
            ("SETRANGE k 1 x", "4"),
            ("GET k", "\"1x34\""),
            ("SETRANGE k -1 x", "ERR offset is out of range"),
            (
                "SETRANGE k y x",
                "ERR value is not an integer or out of range",
            ),
        ]);
        assert_eq!(bench.encoding("k"), "raw");
        assert_eq!(bench.events(), ["setrange k", "set k", "setrange k"]);
    }

    #[test]
    fn no_string_grows_beyond_the_longest_argument() {
        const TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        let mut bench = Bench::new();
        bench.configure("proto-max-bulk-len", "1mb");
        bench.check(&[
            ("SETRANGE k 1048575 xx", TOO_LONG),
            ("SETRANGE k 9223372036854775807 x", TOO_LONG),
            ("SETRANGE k 1048575 x", "1048576"),
            ("APPEND k x", TOO_LONG),
            ("STRLEN k", "1048576"),
        ]);
    }

    #[test]
    fn ranges_are_cut_to_the_string_as_redis_cuts_them() {
        let mut bench = Bench::new();
        bench.check(&[("SET k \"Hello World\"", "OK")]);
        for (start, end, expected) in [
            (0, 3, "Hell"),
            (0, -1, "Hello World"),
            (-4, -1, "orld"),
            (5, 3, ""),
            (5, 5000, " World"),
            (-5000, 10000, "Hello World"),
            (0, -100, "H"),
            (1, -100, ""),
            (-1, -100, ""),
            (-100, -99, "H"),
            (-100, -100, "H"),
            (-100, -101, ""),
            (11, 11, ""),
            (i64::MIN, i64::MAX, "Hello World"),
            (i64::MAX, i64::MAX, ""),
        ] {
            let line = format!("GETRANGE k {start} {end}");
            bench.check(&[(&line, &format!("\"{expected}\""))]);
        }
        check(&[
            ("SET k Hello", "OK"),
            ("GETRANGE k 1 2", "\"el\""),
            ("SUBSTR k -2 -1", "\"lo\""),
            ("GETRANGE none 0 -1", "\"\""),
            (
                "GETRANGE k a 1",
                "ERR value is not an integer or out of range",
            ),
        ]);
    }
}
