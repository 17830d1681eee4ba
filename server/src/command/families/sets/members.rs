//! Members by name: `SADD`, `SISMEMBER` and their kin.
//!
//! `SADD key member` and `SISMEMBER key member` are the hot path: the key is found, the member is found, and nothing is allocated.

use larder_engine::{Event, Intent, SetRef};

use super::{READING, WRITING, close_told, read};
use crate::command::families::near::begins_part;
use crate::command::{CommandSpec, FieldUse, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "sadd",
        field: Some(FieldUse::Add),
        arity: -3,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.insert())]),
        syntax: "key member [member ...]",
        summary: "Adds members to a set, and answers how many of them are new.",
        complexity: "O(1) for each member, so O(N) to add N members.",
        run: Run::OnShard(sadd),
        ..WRITING
    },
    CommandSpec {
        name: "srem",
        field: Some(FieldUse::Change),
        arity: -3,
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.delete())]),
        syntax: "key member [member ...]",
        summary: "Removes members from a set, and the set with the last of them.",
        complexity: "O(N) where N is the number of members to remove.",
        run: Run::OnShard(srem),
        ..WRITING
    },
    CommandSpec {
        name: "sismember",
        field: Some(FieldUse::Read),
        arity: 3,
        syntax: "key member",
        summary: "Answers whether a set has a member.",
        run: Run::OnShard(sismember),
        ..MEASURING
    },
    CommandSpec {
        name: "smismember",
        field: Some(FieldUse::Read),
        arity: -3,
        flags: Flags::READONLY.with(Flags::FAST),
        since: "6.2.0",
        syntax: "key member [member ...]",
        summary: "Answers of each of several members whether a set has it.",
        complexity: "O(N) where N is the number of members asked for.",
        run: Run::OnShard(smismember),
        ..READING
    },
    CommandSpec {
        name: "scard",
        arity: 2,
        syntax: "key",
        summary: "Returns the number of members of a set.",
        run: Run::OnShard(scard),
        ..MEASURING
    },
];

/// What commands that answer no member have in common.
const MEASURING: CommandSpec = CommandSpec {
    flags: Flags::READONLY.with(Flags::FAST),
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO)]),
    ..READING
};

fn sadd(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let mut set = call.shard.set_mut(call.db, key)?;
    let count = call.args.len() - 2;
    set.expect(count as u64);
    let mut added = 0;
    let mut outcome = Ok(());
    for (number, member) in call.args.iter_from(2).enumerate() {
        if begins_part(number, count) {
            let members = call.args.iter_from(2 + number);
            set.prefetch(members, Intent::Write(Some(0)));
        }
        match set.add(member) {
            Ok(is_new) => added += i64::from(is_new),
            Err(error) => {
                // What has been added stays.
                outcome = Err(error);
                break;
            }
        }
    }
    close_told(set, added > 0, Event::SAdd);
    outcome?;
    call.reply.integer(added);
    Ok(())
}

fn srem(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let mut set = call.shard.set_mut(call.db, key)?;
    let count = call.args.len() - 2;
    let mut removed = 0;
    if set.is_there() {
        for (number, member) in call.args.iter_from(2).enumerate() {
            if begins_part(number, count) {
                set.prefetch(call.args.iter_from(2 + number), Intent::Change);
            }
            removed += i64::from(set.remove(member));
        }
    }
    close_told(set, removed > 0, Event::SRem);
    call.reply.integer(removed);
    Ok(())
}

fn sismember(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let set = read(call.shard, call.stats, (call.db, key, call.access))?;
    let is_there = set.is_some_and(|set| set.contains(call.args.at(2)));
    call.reply.integer(is_there.into());
    Ok(())
}

fn smismember(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let set = read(call.shard, call.stats, (call.db, key, call.access))?;
    let count = call.args.len() - 2;
    call.reply.array(count);
    for (number, member) in call.args.iter_from(2).enumerate() {
        if begins_part(number, count)
            && let Some(set) = &set
        {
            set.prefetch(call.args.iter_from(2 + number));
        }
        let is_there = set.is_some_and(|set| set.contains(member));
        call.reply.integer(is_there.into());
    }
    Ok(())
}

fn scard(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let set = read(call.shard, call.stats, (call.db, key, call.access))?;
    call.reply.count(set.map_or(0, |set: SetRef<'_>| set.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    #[test]
    fn members_are_added_found_and_removed_one_record_each() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SADD s a b a", "2"),
            ("SADD s a", "0"),
            ("SADD s c a d", "2"),
            ("SISMEMBER s c", "1"),
            ("SISMEMBER s none", "0"),
            ("SMISMEMBER s a none d", "[1, 0, 1]"),
            ("SMISMEMBER none a b", "[0, 0]"),
            ("SCARD s", "4"),
            ("SREM s a none a d", "2"),
            ("SREM s none", "0"),
            ("SREM none a", "0"),
            ("SCARD none", "0"),
        ]);
        assert_eq!(bench.changes(), 2 + 2 + 2);
        assert_eq!(bench.events(), ["sadd s", "sadd s", "srem s"]);
    }

    #[test]
    fn a_key_comes_with_its_first_member_and_goes_with_its_last() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SADD s a b", "2"),
            ("TYPE s", "set"),
            ("SREM s a b c", "2"),
            ("EXISTS s", "0"),
        ]);
        assert_eq!(bench.events(), ["sadd s", "srem s", "del s"]);
    }

    #[test]
    fn encodings_follow_the_members() {
        let mut bench = Bench::new();
        bench.run("SADD i 3 1 2");
        assert_eq!(bench.encoding("i"), "intset");
        bench.run("SADD i a");
        assert_eq!(bench.encoding("i"), "listpack");
        bench.run(&format!("SADD i {}", "x".repeat(65)));
        assert_eq!(bench.encoding("i"), "hashtable");
        bench.run("SADD z 007");
        assert_eq!(bench.encoding("z"), "listpack");
        let many: Vec<String> = (0..129).map(|_| "same".to_owned()).collect();
        bench.run(&format!("SADD m {}", many.join(" ")));
        assert_eq!(bench.encoding("m"), "hashtable");
        let integers: Vec<String> = (0..513).map(|n| n.to_string()).collect();
        bench.run(&format!("SADD n {}", integers[..512].join(" ")));
        assert_eq!(bench.encoding("n"), "intset");
        bench.run("SADD n 512");
        assert_eq!(bench.encoding("n"), "hashtable");
        for n in 0..129 {
            bench.run(&format!("SADD p {n}"));
        }
        bench.run("SADD p text");
        assert_eq!(bench.encoding("p"), "hashtable");
    }

    #[test]
    fn other_types_are_refused() {
        check(&[
            ("SET a 1", "OK"),
            (
                "SADD a b",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            (
                "SISMEMBER a b",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            ("SADD s b", "1"),
            (
                "HGET s b",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }
}
