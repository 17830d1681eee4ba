//! `HSCAN`: walking the fields of a hash, some at a time.

use larder_engine::{Encoding, Field};

use super::whole::Parts;
use super::{READING, read};
use crate::command::families::scan::parse_cursor;
use crate::command::families::walk::{self, Options};
use crate::command::{CommandSpec, Flags, Run, ShardCall};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "hscan",
    arity: -3,
    flags: Flags::READONLY,
    tips: &["nondeterministic_output"],
    since: "2.8.0",
    syntax: "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
    summary: "Walks the fields of a hash, some at a time.",
    complexity: "O(1) for every call, O(N) for a whole walk, where N is the number of fields of the hash.",
    run: Run::OnShard(hscan),
    ..READING
}];

fn hscan(call: &mut ShardCall<'_>) -> CommandResult {
    let cursor = parse_cursor(call.args.at(2))?;
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    let Some(hash) = hash else {
        walk::reply_nothing(&mut call.reply);
        return Ok(());
    };
    let mut parts = Parts::Both;
    let options = Options::parse(&call.args, |word| {
        let is_own = word.eq_ignore_ascii_case(b"novalues");
        if is_own {
            parts = Parts::Names;
        }
        is_own
    })?;
    let to_visit = options.to_visit(hash.encoding() != Encoding::HashTable);
    let replies_each = 1 + usize::from(parts == Parts::Both);
    let write = |reply: &mut Reply<'_>, field: &Field<'_>| parts.write(reply, field);
    options.reply(
        &mut call.reply,
        |show| hash.scan(cursor, to_visit, show),
        |field| field.name,
        (replies_each, write),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::command::families::testing::Bench;

    /// The next cursor, and the words that were shown.
    fn scan(bench: &mut Bench, cursor: &str, options: &str) -> (String, Vec<String>) {
        let reply = bench.run(&format!("HSCAN h {cursor} {options}"));
        let reply = reply
            .strip_prefix('[')
            .and_then(|reply| reply.strip_suffix(']'));
        let (cursor, words) = reply.unwrap().split_once(", ").unwrap();
        let words = words.trim_matches(['[', ']']).split(", ");
        let words = words.filter(|word| !word.is_empty());
        let unquoted = |word: &str| word.trim_matches('"').to_owned();
        (unquoted(cursor), words.map(unquoted).collect())
    }

    #[test]
    fn fields_that_stay_are_met_however_the_hash_grows_and_shrinks() {
        let mut bench = Bench::new();
        for field in 0..2000 {
            bench.run(&format!("HSET h stays:{field} x"));
            bench.run(&format!("HSET h goes:{field} x"));
        }
        let mut met = BTreeSet::new();
        let mut cursor = "0".to_owned();
        let mut step = 0;
        loop {
            let (next, names) = scan(&mut bench, &cursor, "COUNT 20 NOVALUES MATCH stays:*");
            assert!(
                names.len() < 400,
                "about as many as asked for: {}",
                names.len()
            );
            met.extend(names);
            if next == "0" {
                break;
            }
            cursor = next;
            for field in step * 10..(step + 1) * 10 {
                bench.run(&format!("HDEL h goes:{field}"));
                bench.run(&format!(
                    "HSET h comes:{field}:1 x comes:{field}:2 x comes:{field}:3 x"
                ));
            }
            step += 1;
        }
        assert_eq!(met.len(), 2000);
        assert!(step > 20, "{step}");
    }

    #[test]
    fn a_hash_shown_as_small_is_shown_whole_and_any_cursor_is_taken() {
        let mut bench = Bench::new();
        for field in 0..512 {
            bench.run(&format!("HSET h field:{field} {}", "x".repeat(64)));
        }
        assert_eq!(bench.encoding("h"), "listpack");
        let (cursor, words) = scan(&mut bench, "0", "COUNT 1");
        assert_eq!((cursor.as_str(), words.len()), ("0", 1024));
        bench.run("HSET h more 1");
        assert_eq!(bench.encoding("h"), "hashtable");
        let (cursor, words) = scan(&mut bench, "0", "COUNT 1");
        assert!(cursor != "0" && words.len() < 1026);
        for cursor in [1, 7, 1 << 31, 1 << 47, 1 << 48, 1 << 63, u64::MAX] {
            let (next, _) = scan(&mut bench, &cursor.to_string(), "COUNT 1");
            assert!(next.parse::<u64>().is_ok());
        }
    }
}
