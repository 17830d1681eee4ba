//! `SMEMBERS`: all members at once, of a large set in steps.
//!
//! As the intersection of one set: see [`crate::command::families::combine`].

use super::READING;
use crate::command::families::combine::{self, Combining, Operation, Wanted};
use crate::command::{Args, CommandSpec, Run};
use crate::resp::ErrorReply;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "smembers",
    arity: 2,
    tips: &["nondeterministic_output_order"],
    syntax: "key",
    summary: "Returns all members of a set.",
    complexity: "O(N) where N is the number of members of the set.",
    run: Run::OnShard(|call| combine::run(call, parse)),
    steps: Some(|call| combine::begin(call, parse)),
    ..READING
}];

fn parse(_: &Args<'_>) -> Result<Combining, ErrorReply> {
    Ok(Combining {
        operation: Operation::Inter,
        operands: 1..2,
        wanted: Wanted::Members,
        scores: None,
        fault: None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::command::families::testing::Bench;

    #[test]
    fn few_integers_are_shown_in_their_order_and_others_as_they_came() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SMEMBERS none", "[]"),
            ("SADD i 10 -3 7", "3"),
            ("SMEMBERS i", "[\"-3\", \"7\", \"10\"]"),
            ("SADD i b a", "2"),
            ("SMEMBERS i", "[\"10\", \"-3\", \"7\", \"b\", \"a\"]"),
        ]);
    }

    #[test]
    fn a_set_of_many_members_is_shown_whole() {
        let mut bench = Bench::new();
        for member in 0..10_000 {
            bench.run(&format!("SADD s member:{member}"));
        }
        let shown = bench.run("SMEMBERS s");
        let words: Vec<&str> = shown.trim_matches(['[', ']']).split(", ").collect();
        assert_eq!(words.len(), 10_000);
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), 10_000);
    }
}
