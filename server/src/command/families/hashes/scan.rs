//! `HSCAN`: walking the fields of a hash, some at a time.
//!
//! The cursor is the engine's. As in Redis it is read first, then the key is looked up, and only for a hash that is there
//! are the options read. A hash that clients are told is small is shown whole, whatever `COUNT` says: some rely on it.

use larder_engine::{Encoding, parse_canonical_i64};

use super::whole::Parts;
use super::{READING, read};
use crate::command::families::scan::{DEFAULT_COUNT, matches, parse_cursor};
use crate::command::{Args, CommandSpec, Flags, Run, ShardCall};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

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

/// What is to be shown.
struct Options<'a> {
    /// Fields to visit.
    count: usize,
    pattern: &'a [u8],
    parts: Parts,
}

impl<'a> Options<'a> {
    /// Reads the arguments from 3 on.
    fn parse(args: &Args<'a>) -> Result<Self, ErrorReply> {
        let mut options = Self {
            count: DEFAULT_COUNT as usize,
            pattern: b"*",
            parts: Parts::Both,
        };
        let mut words = args.iter_from(3);
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"novalues") {
                options.parts = Parts::Names;
                continue;
            }
            let value = words.next().ok_or(errors::SYNTAX)?;
            if word.eq_ignore_ascii_case(b"count") {
                let count = parse_canonical_i64(value).ok_or(errors::NOT_AN_INTEGER)?;
                options.count = usize::try_from(count)
                    .ok()
                    .filter(|&count| count > 0)
                    .ok_or(errors::SYNTAX)?;
            } else if word.eq_ignore_ascii_case(b"match") {
                options.pattern = value;
            } else {
                return Err(errors::SYNTAX);
            }
        }
        Ok(options)
    }
}

fn hscan(call: &mut ShardCall<'_>) -> CommandResult {
    let cursor = parse_cursor(call.args.at(2))?;
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    call.reply.array(2);
    let Some(hash) = hash else {
        call.reply.text("0");
        call.reply.array(0);
        return Ok(());
    };
    let options = Options::parse(&call.args)?;
    let to_visit = match hash.encoding() {
        Encoding::HashTable => options.count,
        _ => usize::MAX,
    };
    // The fields come first: where to go on is known behind them.
    let mut found = Vec::new();
    let mut shown = 0;
    let mut fits = Ok(());
    let mut items = Reply::new(&mut found, call.reply.protocol());
    let began = items.mark();
    let next = hash.scan(cursor, to_visit, &mut |field| {
        if fits.is_ok() && matches(options.pattern, field.name) {
            options.parts.write(&mut items, &field);
            shown += 1;
            fits = items.check_len(began);
        }
    });
    fits?;
    call.reply.text(&next.unwrap_or(0).to_string());
    call.reply.array(if options.parts == Parts::Both {
        2 * shown
    } else {
        shown
    });
    call.reply.raw(&found);
    Ok(())
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
