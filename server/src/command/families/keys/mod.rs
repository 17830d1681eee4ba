//! Keys of any type: removing them, asking whether they are there and of what type.

mod copy;
mod rename;

use larder_engine::{Access, Event};

use crate::command::{Category, CommandSpec, Flags, Keys, Run, ShardCall, Spread};
use crate::resp::errors::CommandResult;

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "del",
        key_flags: &["RM delete"],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::WRITE,
        categories: &[Category::Keyspace],
        keys: Keys::ALL,
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
        key_flags: &["RM delete"],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::WRITE.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: Keys::ALL,
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
        key_flags: &["RO"],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::READONLY.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: Keys::ALL,
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
        key_flags: &["RO"],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::READONLY.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: Keys::ALL,
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
        key_flags: &["RO"],
        arity: 2,
        flags: Flags::READONLY.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: Keys::FIRST,
        syntax: "key",
        summary: "Answers the type of the value at a key.",
        run: Run::OnShard(kind),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "rename",
        key_flags: &["RW access delete", "OW update"],
        arity: 3,
        flags: Flags::WRITE,
        categories: &[Category::Keyspace],
        keys: PAIR,
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
        key_flags: &["RW access delete", "OW insert"],
        arity: 3,
        flags: Flags::WRITE.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: PAIR,
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
        key_flags: &["RO access", "OW update"],
        arity: -3,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        categories: &[Category::Keyspace],
        keys: PAIR,
        since: "6.2.0",
        syntax: "source destination [DB destination-db] [REPLACE]",
        summary: "Copies the value of a key, its deadline included, to another key.",
        complexity: "O(N) where N is the number of elements of the value; O(1) for a string.",
        run: Run::FanOut {
            together: copy::copy,
            spread: Spread::Rounds(copy::copy_across),
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "move",
        key_flags: &["RW access update"],
        arity: 3,
        flags: Flags::WRITE.with(Flags::FAST),
        categories: &[Category::Keyspace],
        keys: Keys::FIRST,
        syntax: "key db",
        summary: "Moves a key to another database unless that has it already.",
        run: Run::OnShard(copy::move_to_db),
        ..CommandSpec::BASE
    },
];

/// Two keys, the first two arguments.
const PAIR: Keys = Keys::Range {
    first: 1,
    last: 2,
    step: 1,
};

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
        let there = call.shard.get(call.db, key, access).is_some();
        call.stats.count_lookup(there);
        found += u64::from(there);
    }
    call.reply.count(found);
}

fn kind(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let kind = call
        .shard
        .get(call.db, key, Access::Peek)
        .map(|entry| entry.kind());
    call.stats.count_lookup(kind.is_some());
    call.reply.status(kind.map_or("none", |kind| kind.name()));
    Ok(())
}
