//! `SSCAN`: walking the members of a set, some at a time.

use larder_engine::Encoding;

use super::{READING, read};
use crate::command::families::scan::parse_cursor;
use crate::command::families::walk::{self, Options};
use crate::command::{CommandSpec, Run, ShardCall};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "sscan",
    arity: -3,
    tips: &["nondeterministic_output"],
    since: "2.8.0",
    syntax: "key cursor [MATCH pattern] [COUNT count]",
    summary: "Walks the members of a set, some at a time.",
    complexity: "O(1) for every call, O(N) for a whole walk, where N is the number of members of the set.",
    run: Run::OnShard(sscan),
    ..READING
}];

fn sscan(call: &mut ShardCall<'_>) -> CommandResult {
    let cursor = parse_cursor(call.args.at(2))?;
    let key = call.key(1);
    let set = read(call.shard, call.stats, (call.db, key, call.access))?;
    let Some(set) = set else {
        walk::reply_nothing(&mut call.reply);
        return Ok(());
    };
    let options = Options::parse(&call.args, |_| false)?;
    let to_visit = options.to_visit(set.encoding() != Encoding::HashTable);
    let write = |reply: &mut Reply<'_>, member: &&[u8]| reply.bulk(member);
    options.reply(
        &mut call.reply,
        |show| set.scan(cursor, to_visit, show),
        |member: &&[u8]| *member,
        (1, write),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::command::families::testing::Bench;

    #[test]
    fn all_members_are_met_and_a_small_set_at_once() {
        for (members, is_small) in [(100, true), (3000, false)] {
            let mut bench = Bench::new();
            for member in 0..members {
                bench.run(&format!("SADD s m{member}"));
            }
            let (mut met, mut cursor, mut calls) = (BTreeSet::new(), "0".to_owned(), 0);
            loop {
                let reply = bench.run(&format!("SSCAN s {cursor} COUNT 10 MATCH m*"));
                let (next, words) = reply.trim_matches(['[', ']']).split_once(", [").unwrap();
                met.extend(words.split(", ").map(str::to_owned));
                calls += 1;
                cursor = next.trim_matches('"').to_owned();
                if cursor == "0" {
                    break;
                }
            }
            assert_eq!((met.len(), calls == 1), (members, is_small));
        }
        let mut bench = Bench::new();
        bench.check(&[
            ("SSCAN none 0", "[\"0\", []]"),
            ("SADD s 3 1 2", "3"),
            ("SSCAN s 0 COUNT 1", "[\"0\", [\"1\", \"2\", \"3\"]]"),
            ("SSCAN s 0 NOVALUES", "ERR syntax error"),
            ("SSCAN s x", "ERR invalid cursor"),
        ]);
    }
}
