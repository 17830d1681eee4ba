//! Fields by name: `HSET`, `HGET` and their kin.
//!
//! `HGET key field` and `HSET key field value` are the hot path: the key is found, the field is found, and nothing is
//! allocated.

use larder_engine::{Event, HashMut, HashRef, Intent, StoreError, Stored, TtlChange};

use super::{MEASURING, READING, WRITING, read};
use crate::command::families::near::begins_part;
use crate::command::{Args, CommandSpec, FieldUse, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "hset",
        field: Some(FieldUse::Set),
        arity: -4,
        syntax: "key field value [field value ...]",
        summary: "Sets the values of fields of a hash, and answers how many of the fields are new.",
        complexity: "O(1) for each field, so O(N) to set N fields.",
        run: Run::OnShard(hset),
        ..WRITING
    },
    CommandSpec {
        name: "hmset",
        field: Some(FieldUse::Set),
        arity: -4,
        deprecated: Some(("4.0.0", "`HSET` with multiple field-value pairs")),
        syntax: "key field value [field value ...]",
        summary: "Sets the values of fields of a hash.",
        complexity: "O(N) where N is the number of fields to set.",
        run: Run::OnShard(hmset),
        ..WRITING
    },
    CommandSpec {
        name: "hsetnx",
        field: Some(FieldUse::Set),
        arity: 4,
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.insert())]),
        syntax: "key field value",
        summary: "Sets the value of a field of a hash, if there is no such field.",
        run: Run::OnShard(hsetnx),
        ..WRITING
    },
    CommandSpec {
        name: "hget",
        field: Some(FieldUse::Read),
        arity: 3,
        syntax: "key field",
        summary: "Returns the value of a field of a hash.",
        run: Run::OnShard(hget),
        ..READING
    },
    CommandSpec {
        name: "hmget",
        field: Some(FieldUse::Read),
        arity: -3,
        syntax: "key field [field ...]",
        summary: "Returns the values of fields of a hash.",
        complexity: "O(N) where N is the number of fields asked for.",
        run: Run::OnShard(hmget),
        ..READING
    },
    CommandSpec {
        name: "hdel",
        field: Some(FieldUse::Change),
        arity: -3,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.delete())]),
        syntax: "key field [field ...]",
        summary: "Deletes fields of a hash, and the hash with the last of them.",
        complexity: "O(N) where N is the number of fields to delete.",
        run: Run::OnShard(hdel),
        ..WRITING
    },
    CommandSpec {
        name: "hlen",
        arity: 2,
        syntax: "key",
        summary: "Returns the number of fields of a hash.",
        run: Run::OnShard(hlen),
        ..MEASURING
    },
    CommandSpec {
        name: "hexists",
        field: Some(FieldUse::Read),
        arity: 3,
        syntax: "key field",
        summary: "Answers whether a hash has a field.",
        run: Run::OnShard(hexists),
        ..MEASURING
    },
    CommandSpec {
        name: "hstrlen",
        field: Some(FieldUse::Read),
        arity: 3,
        since: "3.2.0",
        syntax: "key field",
        summary: "Returns the length of the value of a field of a hash.",
        run: Run::OnShard(hstrlen),
        ..MEASURING
    },
];

fn hset(call: &mut ShardCall<'_>) -> CommandResult {
    let added = set_pairs(call, "hset")?;
    call.reply.integer(added);
    Ok(())
}

fn hmset(call: &mut ShardCall<'_>) -> CommandResult {
    set_pairs(call, "hmset")?;
    call.reply.ok();
    Ok(())
}

/// Sets the pairs from argument 2 on; the number of fields that were added.
#[inline]
fn set_pairs(call: &mut ShardCall<'_>, command: &str) -> Result<i64, ErrorReply> {
    if !call.args.len().is_multiple_of(2) {
        return Err(errors::wrong_arity(command));
    }
    let key = call.key(1);
    let mut hash = call.shard.hash_mut(call.db, key)?;
    let mut added = 0;
    for at in (2..call.args.len()).step_by(2) {
        if begins_part(at / 2 - 1, call.args.len() / 2 - 1) {
            hash.prefetch(call.args.iter_from(at).step_by(2), Intent::Write(None));
        }
        match hash.set(call.args.at(at), call.args.at(at + 1), TtlChange::Clear) {
            Ok(Stored::Added) => added += 1,
            Ok(Stored::Replaced) => {}
            Err(error) => {
                // What has been set stays.
                close_told(hash, at > 2, Event::HSet);
                return Err(error.into());
            }
        }
    }
    hash.close(&[Event::HSet]);
    Ok(added)
}

/// Ends a command that has changed something or not, and tells `event` if it has.
pub(super) fn close_told(hash: HashMut<'_>, has_changed: bool, event: Event) {
    if has_changed {
        hash.close(&[event]);
    } else {
        hash.close(&[]);
    }
}

fn hsetnx(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let (field, value) = (call.args.at(2), call.args.at(3));
    let mut hash = call.shard.hash_mut(call.db, key)?;
    let stored = hash.update(field, |there| {
        Ok::<_, StoreError>(there.is_none().then_some((value, TtlChange::Clear)))
    });
    let is_set = matches!(stored, Ok(Some(_)));
    close_told(hash, is_set, Event::HSet);
    stored?;
    call.reply.integer(is_set.into());
    Ok(())
}

fn hget(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    match hash.and_then(|hash| hash.get(call.args.at(2))) {
        Some(field) => call.reply.bulk(field.value),
        None => call.reply.null(),
    }
    Ok(())
}

fn hmget(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    let began = call.reply.mark();
    let count = call.args.len() - 2;
    call.reply.array(count);
    for (number, name) in call.args.iter_from(2).enumerate() {
        if begins_part(number, count)
            && let Some(hash) = &hash
        {
            hash.prefetch(call.args.iter_from(2 + number));
        }
        match hash.and_then(|hash| hash.get(name)) {
            Some(field) => call.reply.bulk(field.value),
            None => call.reply.null(),
        }
        call.reply.check_len(began)?;
    }
    Ok(())
}

fn hdel(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let mut hash = call.shard.hash_mut(call.db, key)?;
    let removed = remove_all(&mut hash, &call.args);
    close_told(hash, removed > 0, Event::HDel);
    call.reply.integer(removed);
    Ok(())
}

/// Removes the fields from argument 2 on; how many there were.
fn remove_all(hash: &mut HashMut<'_>, args: &Args<'_>) -> i64 {
    let mut removed = 0;
    if hash.is_there() {
        let names = args.iter_from(2);
        for (number, name) in names.clone().enumerate() {
            if begins_part(number, names.len()) {
                hash.prefetch(args.iter_from(2 + number), Intent::Change);
            }
            removed += i64::from(hash.remove(name));
        }
    }
    removed
}

fn hlen(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    call.reply
        .count(hash.map_or(0, |hash: HashRef<'_>| hash.len()));
    Ok(())
}

fn hexists(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    let field = hash.and_then(|hash| hash.get(call.args.at(2)));
    call.reply.integer(field.is_some().into());
    Ok(())
}

fn hstrlen(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    let field = hash.and_then(|hash| hash.get(call.args.at(2)));
    let len = field.map_or(0, |field| field.value.len());
    call.reply.count(len as u64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    #[test]
    fn fields_are_set_read_and_deleted_one_record_each() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSET h a 1 b 2", "2"),
            ("HSET h a 3 c 4 a 5", "1"),
            ("HMGET h a b c none", "[\"5\", \"2\", \"4\", nil]"),
            ("HLEN h", "3"),
            ("HSETNX h a 6", "0"),
            ("HSETNX h d 6", "1"),
            ("HEXISTS h d", "1"),
            ("HSTRLEN h none", "0"),
            ("HDEL h a none a d", "2"),
            ("HDEL h none", "0"),
            ("HGET h a", "nil"),
        ]);
        assert_eq!(bench.changes(), 2 + 3 + 1 + 2);
        assert_eq!(bench.events(), ["hset h", "hset h", "hset h", "hdel h"]);
    }

    #[test]
    fn a_key_comes_with_its_first_field_and_goes_with_its_last() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSET h a 1 b 2", "2"),
            ("TYPE h", "hash"),
            ("HDEL h a b c", "2"),
            ("EXISTS h", "0"),
            ("HSETNX h a 1", "1"),
            ("HDEL h a", "1"),
            ("HDEL h a", "0"),
            ("HLEN h", "0"),
        ]);
        let expected = ["hset h", "hdel h", "del h", "hset h", "hdel h", "del h"];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn a_write_ends_the_deadline_of_the_key_no_sooner() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSET h a 1", "1"),
            ("EXPIRE h 10", "1"),
            ("HSET h a 2 b 3", "1"),
        ]);
        assert_eq!(bench.deadline("h"), Some(bench.now() + 10_000));
        bench.advance(10_000);
        bench.check(&[("HGET h a", "nil"), ("HSET h a 1", "1"), ("HLEN h", "1")]);
        assert_eq!(bench.deadline("h"), None);
    }

    #[test]
    fn lookups_of_keys_are_counted_by_commands_that_read() {
        let mut bench = Bench::new();
        bench.run("HSET h a 1");
        for line in [
            "HGET h none",
            "HMGET h a b",
            "HLEN h",
            "HEXISTS h a",
            "HSTRLEN h a",
            "HKEYS h",
            "HVALS h",
            "HGETALL h",
            "HRANDFIELD h",
            "HRANDFIELD h 0",
            "HSCAN h 0",
            "HTTL h FIELDS 1 a",
        ] {
            let (hits, misses) = (
                bench.stats.lookups.all().hits,
                bench.stats.lookups.all().misses,
            );
            bench.run(line);
            bench.run(&line.replacen(" h", " none", 1));
            let counted = (
                bench.stats.lookups.all().hits - hits,
                bench.stats.lookups.all().misses - misses,
            );
            assert_eq!(counted, (1, 1), "{line}");
        }
        for line in ["HDEL h none", "HSETNX h a 1", "HGETDEL none FIELDS 1 a"] {
            let (hits, misses) = (
                bench.stats.lookups.all().hits,
                bench.stats.lookups.all().misses,
            );
            bench.run(line);
            assert_eq!(
                (
                    bench.stats.lookups.all().hits,
                    bench.stats.lookups.all().misses
                ),
                (hits, misses),
                "{line}"
            );
        }
    }

    #[test]
    fn pairs_that_do_not_come_in_pairs_change_nothing() {
        check(&[
            (
                "HSET h a 1 b",
                "ERR wrong number of arguments for 'hset' command",
            ),
            (
                "HMSET h a 1 b",
                "ERR wrong number of arguments for 'hmset' command",
            ),
            ("EXISTS h", "0"),
        ]);
    }

    #[test]
    fn a_reply_that_names_a_large_field_too_often_is_refused() {
        let mut bench = Bench::new();
        let value = vec![b'x'; 64 << 20];
        bench.run_words(&[b"HSET", b"h", b"a", &value]);
        let line = format!("HMGET h{}", " a".repeat(17));
        assert_eq!(
            bench.run(&line),
            "ERR the reply exceeds the maximum allowed size (1gb)"
        );
        let line = format!("HGETEX h EX 100 FIELDS 17{}", " a".repeat(17));
        assert_eq!(
            bench.run(&line),
            "ERR the reply exceeds the maximum allowed size (1gb)"
        );
        bench.check(&[("HTTL h FIELDS 1 a", "[-1]")]);
    }
}
