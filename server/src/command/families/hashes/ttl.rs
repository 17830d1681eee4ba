//! Deadlines of fields, read: `HTTL`, `HPTTL`, `HEXPIRETIME`, `HPEXPIRETIME`.
//!
//! For each field a number is answered: -2 there is none, -1 it has no deadline, else how long it has, or its deadline.
//! Seconds are rounded up, other than those of keys, which are rounded to the nearest.

use super::options::{behind_type, only_fields};
use super::{READING, read};
use crate::command::families::expire::{Origin, Unit};
use crate::command::{CommandSpec, Run, ShardCall};
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "httl",
        tips: &["nondeterministic_output"],
        summary: "Answers how many seconds fields of a hash have left to live.",
        run: Run::OnShard(httl),
        ..ASKING
    },
    CommandSpec {
        name: "hpttl",
        tips: &["nondeterministic_output"],
        summary: "Answers how many milliseconds fields of a hash have left to live.",
        run: Run::OnShard(hpttl),
        ..ASKING
    },
    CommandSpec {
        name: "hexpiretime",
        summary: "Answers the deadlines of fields of a hash as Unix times in seconds.",
        run: Run::OnShard(hexpiretime),
        ..ASKING
    },
    CommandSpec {
        name: "hpexpiretime",
        summary: "Answers the deadlines of fields of a hash as Unix times in milliseconds.",
        run: Run::OnShard(hpexpiretime),
        ..ASKING
    },
];

const ASKING: CommandSpec = CommandSpec {
    arity: -5,
    since: "7.4.0",
    syntax: "key FIELDS numfields field [field ...]",
    complexity: "O(N) where N is the number of fields named.",
    ..READING
};

fn httl(call: &mut ShardCall<'_>) -> CommandResult {
    read_deadlines(call, Unit::Seconds, Origin::Now)
}

fn hpttl(call: &mut ShardCall<'_>) -> CommandResult {
    read_deadlines(call, Unit::Millis, Origin::Now)
}

fn hexpiretime(call: &mut ShardCall<'_>) -> CommandResult {
    read_deadlines(call, Unit::Seconds, Origin::Epoch)
}

fn hpexpiretime(call: &mut ShardCall<'_>) -> CommandResult {
    read_deadlines(call, Unit::Millis, Origin::Epoch)
}

fn read_deadlines(call: &mut ShardCall<'_>, unit: Unit, origin: Origin) -> CommandResult {
    let args = call.args;
    let fields = only_fields(&args).map_err(|error| behind_type(call, error))?;
    let (key, now) = (call.key(1), call.shard.now());
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    call.reply.array(fields.len());
    for at in fields {
        let field = hash.and_then(|hash| hash.get(args.at(at)));
        call.reply
            .integer(match field.map(|field| field.expires_at) {
                None => -2,
                Some(None) => -1,
                Some(Some(deadline)) => {
                    let millis = match origin {
                        Origin::Now => deadline.0 - now.0,
                        Origin::Epoch => deadline.0,
                    };
                    match unit {
                        Unit::Seconds => millis.saturating_add(999) / 1000,
                        Unit::Millis => millis,
                    }
                }
            });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn seconds_are_rounded_up() {
        let mut bench = Bench::new();
        let now = bench.now();
        bench.run("HSET h a 1 b 2 c 3");
        bench.run(&format!("HPEXPIREAT h {} FIELDS 1 a", now + 1001));
        bench.run(&format!("HPEXPIREAT h {} FIELDS 1 b", now + 2000));
        bench.check(&[
            ("HPTTL h FIELDS 4 a b c none", "[1001, 2000, -1, -2]"),
            ("HTTL h FIELDS 2 a b", "[2, 2]"),
            ("HEXPIRETIME h FIELDS 2 a b", "[1700000002, 1700000002]"),
            (
                "HPEXPIRETIME h FIELDS 2 a b",
                "[1700000001001, 1700000002000]",
            ),
            ("HTTL none FIELDS 2 a b", "[-2, -2]"),
        ]);
        bench.advance(1001);
        bench.check(&[
            ("HTTL h FIELDS 2 a b", "[-2, 1]"),
            ("HEXPIRETIME h FIELDS 2 a b", "[-2, 1700000002]"),
        ]);
    }
}
