//! Keys of any type: removing them, asking whether they are there and of what type.

mod copy;
mod rename;

use larder_engine::{Access, Event};

use crate::command::{
    Category, CommandSpec, Flags, Growth, KeyFlags, KeySpec, Keys, Run, ShardCall, Spread,
};
use crate::resp::errors::CommandResult;

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "del",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::WRITE,
        categories: &[Category::Keyspace],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RM.delete()).to(-1)]),
        syntax: "key [key ...]",
        summary: "Removes keys and answers how many there were.",
        complexity: "O(N) where N is the number of keys, and the number of elements for a key of another type than string.",
        run: Run::FanOut {
            together: remove,
            spread: Spread::Sum,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "unlink",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::WRITE.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RM.delete()).to(-1)]),
        since: "4.0.0",
        syntax: "key [key ...]",
        summary: "Removes keys, giving their memory back later, and answers how many there were.",
        complexity: "O(1) for each key; the memory is given back in the background.",
        run: Run::FanOut {
            together: remove,
            spread: Spread::Sum,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "exists",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::READONLY.with(Flags::FAST).with(Flags::FROM_COPY),
        categories: &[Category::Keyspace],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO).to(-1)]),
        syntax: "key [key ...]",
        summary: "Answers how many of the keys exist, a key named twice counted twice.",
        complexity: "O(N) where N is the number of keys.",
        run: Run::FanOut {
            together: exists,
            spread: Spread::Sum,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "touch",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::READONLY.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO).to(-1)]),
        since: "3.2.1",
        syntax: "key [key ...]",
        summary: "Marks keys as just used and answers how many of them exist.",
        complexity: "O(N) where N is the number of keys.",
        run: Run::FanOut {
            together: touch,
            spread: Spread::Sum,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "type",
        arity: 2,
        flags: Flags::READONLY.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO)]),
        syntax: "key",
        summary: "Answers the type of the value at a key.",
        run: Run::OnShard(kind),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "rename",
        arity: 3,
        flags: Flags::WRITE,
        categories: &[Category::Keyspace],
        keys: Keys::of(&[
            KeySpec::at(1, KeyFlags::RW.access().delete()),
            KeySpec::at(2, KeyFlags::OW.update()),
        ]),
        syntax: "key newkey",
        summary: "Renames a key, replacing what the new name held.",
        run: Run::FanOut {
            together: rename::replacing,
            spread: Spread::Rounds(rename::replacing_across),
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "renamenx",
        arity: 3,
        flags: Flags::WRITE.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: Keys::of(&[
            KeySpec::at(1, KeyFlags::RW.access().delete()),
            KeySpec::at(2, KeyFlags::OW.insert()),
        ]),
        syntax: "key newkey",
        summary: "Renames a key unless the new name is taken.",
        run: Run::FanOut {
            together: rename::if_new,
            spread: Spread::Rounds(rename::if_new_across),
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "copy",
        arity: -3,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
        categories: &[Category::Keyspace],
        keys: Keys::of(&[
            KeySpec::at(1, KeyFlags::RO.access()),
            KeySpec::at(2, KeyFlags::OW.update()),
        ]),
        growth: Some(Growth::Copy),
        since: "6.2.0",
        syntax: "source destination [DB destination-db] [REPLACE]",
        summary: "Copies the value of a key, its deadline included, to another key.",
        complexity: "O(N) where N is the number of elements of the value; O(1) for a string.",
        run: Run::FanOut {
            together: copy::copy,
            spread: Spread::Rounds(copy::copy_across),
        },
        steps: Some(copy::begin_copy),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "move",
        arity: 3,
        flags: Flags::WRITE.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())]),
        syntax: "key db",
        summary: "Moves a key to another database unless that has it already.",
        run: Run::OnShard(copy::move_to_db),
        ..CommandSpec::BASE
    },
];

/// `DEL` and `UNLINK`: the shard gives memory back in the background either way.
fn remove(call: &mut ShardCall<'_>) -> CommandResult {
    let mut removed = 0;
    for at in 1..call.args.len() {
        let key = call.key(at);
        removed += u64::from(call.shard.remove(call.db, key, Event::Del));
    }
    call.reply.count(removed);
    Ok(())
}

fn exists(call: &mut ShardCall<'_>) -> CommandResult {
    count_found(call, Access::Peek);
    Ok(())
}

/// A use even for a client that asked for `CLIENT NO-TOUCH`.
fn touch(call: &mut ShardCall<'_>) -> CommandResult {
    count_found(call, Access::Touch);
    Ok(())
}

fn count_found(call: &mut ShardCall<'_>, access: Access) {
    let mut found = 0;
    for at in 1..call.args.len() {
        let key = call.key(at);
        let there = call.shard.read(call.db, key, access).is_some();
        call.stats.count_lookup((call.db, key.bytes()), there);
        found += u64::from(there);
    }
    call.reply.count(found);
}

fn kind(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let kind = call
        .shard
        .read(call.db, key, Access::Peek)
        .map(|entry| entry.kind());
    call.stats
        .count_lookup((call.db, key.bytes()), kind.is_some());
    call.reply.status(kind.map_or("none", |kind| kind.name()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    #[test]
    fn each_change_is_told_once_and_no_change_not_at_all() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SET a 1", "OK"),
            ("DEL a a b", "1"),
            ("SET a 1", "OK"),
            ("UNLINK a", "1"),
            ("SET a 1", "OK"),
            ("RENAME a b", "OK"),
            ("RENAMENX b c", "1"),
            ("COPY c d", "1"),
            ("MOVE d 1", "1"),
        ]);
        assert_eq!(
            bench.events(),
            [
                "set a",
                "del a",
                "set a",
                "del a",
                "set a",
                "rename_from a",
                "rename_to b",
                "rename_from b",
                "rename_to c",
                "copy_to d",
                "move_from d",
                "move_to d"
            ]
        );
        let changes = bench.changes();
        bench.check(&[
            ("DEL x", "0"),
            ("TOUCH c", "1"),
            ("RENAME c c", "OK"),
            ("RENAMENX c c", "0"),
            ("COPY x y", "0"),
            ("COPY c d DB 1", "0"),
            ("MOVE x 1", "0"),
            ("TYPE c", "string"),
        ]);
        assert_eq!(bench.changes(), changes);
    }

    #[test]
    fn reading_commands_count_hits_and_misses_and_writing_ones_do_not() {
        let mut bench = Bench::new();
        bench.check(&[("SET a 1", "OK"), ("EXISTS a a b", "2"), ("TYPE b", "none")]);
        assert_eq!(
            (
                bench.stats.lookups.all().hits,
                bench.stats.lookups.all().misses
            ),
            (2, 2)
        );
        bench.check(&[("COPY a b", "1"), ("TOUCH a", "1")]);
        assert_eq!(
            (
                bench.stats.lookups.all().hits,
                bench.stats.lookups.all().misses
            ),
            (4, 2)
        );
        bench.check(&[("DEL a x", "1"), ("RENAME b c", "OK"), ("MOVE x 1", "0")]);
        assert_eq!(
            (
                bench.stats.lookups.all().hits,
                bench.stats.lookups.all().misses
            ),
            (4, 2)
        );
    }

    #[test]
    fn a_rename_keeps_the_access_history_and_a_copy_begins_its_own() {
        let mut bench = Bench::new();
        bench.run("SET a 1");
        bench.advance(10_000);
        bench.check(&[
            ("COPY a copy", "1"),
            ("OBJECT IDLETIME copy", "0"),
            ("SET b 1", "OK"),
        ]);
        bench.advance(7_000);
        bench.check(&[("MOVE b 1", "1"), ("OBJECT IDLETIME copy", "7")]);
    }

    #[test]
    fn options_of_copy_are_read_from_left_to_right() {
        check(&[
            ("SET a 1", "OK"),
            ("COPY a b DB 16 foo", "ERR DB index is out of range"),
            ("COPY a b foo DB 16", "ERR syntax error"),
            ("COPY a b DB 1 DB 0 replace REPLACE", "1"),
            ("GET b", "\"1\""),
        ]);
    }
}
