//! Comparing a string with what the client expects: `DIGEST`, `DELEX`, and the conditions of `SET`.
//!
//! The digest is XXH3-64 (seed 0) of the value, as 16 lower-case hexadecimal digits.

use larder_engine::Event;
use xxhash_rust::xxh3::xxh3_64;

use crate::command::{
    Args, Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall,
};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "digest",
        arity: 2,
        flags: Flags::READONLY.with(Flags::FAST),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
        group: Group::String,
        since: "8.4.0",
        syntax: "key",
        summary: "Returns the XXH3 hash of a string.",
        complexity: "O(N) where N is the length of the string value.",
        run: Run::OnShard(digest),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "delex",
        arity: -2,
        flags: Flags::WRITE.with(Flags::FAST),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.delete()).variable(delex_does)]),
        group: Group::String,
        since: "8.4.0",
        syntax: "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
        summary: "Removes a key if its value compares as expected.",
        complexity: "O(1) for IFEQ/IFNE, O(N) for IFDEQ/IFDNE where N is the length of the string value.",
        run: Run::OnShard(delex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "delifeq",
        arity: 3,
        flags: Flags::WRITE.with(Flags::FAST),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.delete())]),
        group: Group::String,
        since: "9.0.0",
        syntax: "key value",
        summary: "Removes a key if its value is this. Of Valkey; `DELEX` with `IFEQ` does the same.",
        run: Run::OnShard(delifeq),
        ..CommandSpec::BASE
    },
];

/// With a condition it looks at the value first.
fn delex_does(args: &Args<'_>) -> KeyFlags {
    if args.len() > 2 {
        KeyFlags::RW.delete()
    } else {
        KeyFlags::RM.delete()
    }
}

/// How a value is held against the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// `IFEQ`
    Equal,
    /// `IFNE`
    NotEqual,
    /// `IFDEQ`
    DigestEqual,
    /// `IFDNE`
    DigestNotEqual,
}

/// A test and its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparison<'a> {
    test: Test,
    operand: &'a [u8],
}

impl<'a> Comparison<'a> {
    /// The test that `word` names, against `operand`.
    pub(super) fn parse(word: &[u8], operand: &'a [u8]) -> Option<Self> {
        let tests = [
            ("IFEQ", Test::Equal),
            ("IFNE", Test::NotEqual),
            ("IFDEQ", Test::DigestEqual),
            ("IFDNE", Test::DigestNotEqual),
        ];
        tests
            .into_iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, test)| Self { test, operand })
    }

    pub(super) fn test(self) -> Test {
        self.test
    }

    /// Whether a missing key passes: nothing is unequal to everything.
    pub(super) fn holds_for_missing(self) -> bool {
        matches!(self.test, Test::NotEqual | Test::DigestNotEqual)
    }

    /// Whether `value` passes.
    ///
    /// # Errors
    /// A digest is not 16 digits long.
    pub(super) fn holds(self, value: &[u8]) -> Result<bool, ErrorReply> {
        Ok(match self.test {
            Test::Equal => value == self.operand,
            Test::NotEqual => value != self.operand,
            Test::DigestEqual => self.is_digest_of(value)?,
            Test::DigestNotEqual => !self.is_digest_of(value)?,
        })
    }

    fn is_digest_of(self, value: &[u8]) -> Result<bool, ErrorReply> {
        if self.operand.len() != 16 {
            return Err(errors::BAD_DIGEST);
        }
        Ok(digest_of(value)
            .as_bytes()
            .eq_ignore_ascii_case(self.operand))
    }
}

fn digest_of(value: &[u8]) -> String {
    format!("{:016x}", xxh3_64(value))
}

fn digest(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    match call.shard.read(call.db, key, call.access) {
        Some(entry) => {
            call.stats.count_lookup((call.db, key.bytes()), true);
            let value = entry.string().ok_or(errors::WRONG_TYPE)?;
            call.reply.text(&digest_of(value));
        }
        None => {
            call.stats.count_lookup((call.db, key.bytes()), false);
            call.reply.null();
        }
    }
    Ok(())
}

fn delex(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let comparison = match call.args.len() {
        2 => None,
        4 => Some(Comparison::parse(call.args.at(2), call.args.at(3))),
        _ => return Err(errors::wrong_arity("delex")),
    };
    let removed = match (call.shard.get(call.db, key, call.access), comparison) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(entry), Some(comparison)) => {
            let value = entry.string().ok_or(errors::NOT_A_STRING_TO_COMPARE)?;
            comparison.ok_or(errors::BAD_COMPARISON)?.holds(value)?
        }
    };
    if removed {
        call.shard.remove(call.db, key, Event::Del);
    }
    call.reply.integer(removed.into());
    Ok(())
}

fn delifeq(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let is_equal = match call.shard.get(call.db, key, call.access) {
        Some(entry) => entry.string().ok_or(errors::WRONG_TYPE)? == call.args.at(2),
        None => false,
    };
    if is_equal {
        call.shard.remove(call.db, key, Event::Del);
    }
    call.reply.integer(is_equal.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    #[test]
    fn the_digest_is_xxh3_in_sixteen_digits_with_leading_zeros() {
        check(&[
            ("DIGEST nokey", "nil"),
            (
                "SET k v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd",
                "OK",
            ),
            ("DIGEST k", "\"00006c38adf31777\""),
            ("SET k x IFDEQ 00006C38ADF31777", "OK"),
            ("SET k y IFDEQ 00006c38adf31777", "nil"),
            ("SET k y IFDNE 00006c38adf31777 GET", "\"x\""),
            (
                "SET k z IFDEQ 6c38adf31777",
                "ERR must be exactly 16 hexadecimal characters",
            ),
            ("SET nokey z IFDEQ 6c38adf31777", "nil"),
            ("SET nokey z IFDNE 6c38adf31777", "OK"),
        ]);
    }

    #[test]
    fn a_value_is_written_only_if_it_compares_as_expected() {
        check(&[
            ("SET k 1", "OK"),
            ("SET k 2 IFEQ 0", "nil"),
            ("SET k 2 ifeq 1 EX 100", "OK"),
            ("SET k 3 IFNE 2", "nil"),
            ("SET k 3 IFNE 2 GET", "\"2\""),
            ("SET k 3 IFEQ 2 NX", "ERR syntax error"),
            ("SET k 3 IFEQ 2 IFNE 3", "ERR syntax error"),
            ("SET k 3 IFEQ", "ERR syntax error"),
            ("SET nokey 3 IFEQ 3", "nil"),
            ("SET nokey 3 IFNE 3", "OK"),
        ]);
    }

    #[test]
    fn delex_removes_what_compares_as_expected() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SET k hello", "OK"),
            ("DELEX k IFEQ bye", "0"),
            (
                "DELEX k IFEQ",
                "ERR wrong number of arguments for 'delex' command",
            ),
            (
                "DELEX k FOO bye",
                "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE",
            ),
            ("DELEX k IFNE bye", "1"),
            ("DELEX k", "0"),
            ("SET k hello", "OK"),
            ("DELEX k", "1"),
        ]);
        assert_eq!(bench.events(), ["set k", "del k", "set k", "del k"]);
    }

    #[test]
    fn delifeq_removes_what_is_equal() {
        let mut bench = Bench::new();
        bench.check(&[
            ("DELIFEQ k 5", "0"),
            ("SET k 5", "OK"),
            ("DELIFEQ k 05", "0"),
            ("DELIFEQ k 5", "1"),
            ("EXISTS k", "0"),
            ("RPUSH l a", "1"),
            (
                "DELIFEQ l a",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
        assert_eq!(bench.events(), ["set k", "del k", "rpush l"]);
    }
}
