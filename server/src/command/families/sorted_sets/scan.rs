//! `ZSCAN`: members and their scores, some at a time. Scores are written as everywhere; Redis writes those of large sorted sets with 17
//! digits here.

use larder_engine::{DoubleText, Encoding, Member};

use super::{READING, read};
use crate::command::families::scan::parse_cursor;
use crate::command::families::walk::{self, Options};
use crate::command::{CommandSpec, Run, ShardCall};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "zscan",
    arity: -3,
    tips: &["nondeterministic_output"],
    since: "2.8.0",
    syntax: "key cursor [MATCH pattern] [COUNT count] [NOSCORES]",
    summary: "Walks the members of a sorted set, some at a time.",
    complexity: "O(1) for every call, O(N) for a whole walk, where N is the number of members of the sorted set.",
    run: Run::OnShard(zscan),
    ..READING
}];

fn zscan(call: &mut ShardCall<'_>) -> CommandResult {
    let cursor = parse_cursor(call.args.at(2))?;
    let place = (call.db, call.key(1), call.access);
    let set = read(call.shard, call.stats, place)?;
    let Some(set) = set else {
        walk::reply_nothing(&mut call.reply);
        return Ok(());
    };
    // `NOSCORES` is Valkey's.
    let mut names_only = false;
    let options = Options::parse(&call.args, |word| {
        let is_own = word.eq_ignore_ascii_case(b"noscores");
        names_only |= is_own;
        is_own
    })?;
    let to_visit = options.to_visit(set.encoding() != Encoding::SkipList);
    let write = |reply: &mut Reply<'_>, member: &Member<'_>| {
        reply.bulk(member.name);
        if !names_only {
            // A string, in RESP3 too.
            reply.bulk(DoubleText::of(member.score).as_bytes());
        }
    };
    options.reply(
        &mut call.reply,
        |show| set.scan(cursor, to_visit, show),
        |member| member.name,
        (if names_only { 1 } else { 2 }, write),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::command::families::testing::Bench;

    /// The next cursor, and the words that were shown.
    fn scan(bench: &mut Bench, cursor: &str, options: &str) -> (String, Vec<String>) {
        let reply = bench.run(&format!("ZSCAN z {cursor} {options}"));
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
    fn a_small_one_is_shown_at_once_with_its_scores_or_without() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD z 1.5 a 2 b 3 ab", "3"),
            (
                "ZSCAN z 0 COUNT 1",
                "[\"0\", [\"a\", \"1.5\", \"b\", \"2\", \"ab\", \"3\"]]",
            ),
            ("ZSCAN z 0 MATCH a* NOSCORES", "[\"0\", [\"a\", \"ab\"]]"),
            ("ZSCAN none 0", "[\"0\", []]"),
            ("ZSCAN z x", "ERR invalid cursor"),
            ("ZSCAN z 0 COUNT 0", "ERR syntax error"),
            ("ZSCAN z 0 NOVALUES", "ERR syntax error"),
        ]);
    }

    #[test]
    fn members_that_stay_are_met_while_others_come_go_and_change_their_scores() {
        let mut bench = Bench::new();
        for member in 0..2000 {
            bench.run(&format!(
                "ZADD z {member} stays:{member} {member} goes:{member}"
            ));
        }
        let mut met = BTreeSet::new();
        let (mut cursor, mut step) = ("0".to_owned(), 0);
        loop {
            let (next, names) = scan(&mut bench, &cursor, "COUNT 20 NOSCORES MATCH stays:*");
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
            for member in step * 10..(step + 1) * 10 {
                bench.run(&format!("ZREM z goes:{member}"));
                bench.run(&format!(
                    "ZADD z {member} comes:{member} {member} comes:{member}:2"
                ));
                bench.run(&format!("ZADD z XX -{member} stays:{}", member * 7 % 2000));
            }
            step += 1;
        }
        assert_eq!(met.len(), 2000);
        assert!(step > 8, "{step}");
    }
}
