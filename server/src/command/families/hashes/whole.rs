//! All fields at once: `HKEYS`, `HVALS`, `HGETALL`.
//!
//! They are written into the reply as they are found, and their number at the end: fields past their deadline are counted
//! but not shown. A hash whose reply would be larger than a reply may be is refused.

use larder_engine::Field;

use super::{READING, read};
use crate::command::{CommandSpec, Flags, Run, ShardCall};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "hkeys",
        summary: "Returns the names of all fields of a hash.",
        run: Run::OnShard(hkeys),
        ..SHOWING
    },
    CommandSpec {
        name: "hvals",
        summary: "Returns the values of all fields of a hash.",
        run: Run::OnShard(hvals),
        ..SHOWING
    },
    CommandSpec {
        name: "hgetall",
        summary: "Returns all fields of a hash with their values.",
        run: Run::OnShard(hgetall),
        ..SHOWING
    },
];

const SHOWING: CommandSpec = CommandSpec {
    arity: 2,
    flags: Flags::READONLY,
    tips: &["nondeterministic_output_order"],
    syntax: "key",
    complexity: "O(N) where N is the number of fields of the hash.",
    ..READING
};

fn hkeys(call: &mut ShardCall<'_>) -> CommandResult {
    show(call, Parts::Names)
}

fn hvals(call: &mut ShardCall<'_>) -> CommandResult {
    show(call, Parts::Values)
}

fn hgetall(call: &mut ShardCall<'_>) -> CommandResult {
    show(call, Parts::Both)
}

/// What is shown of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    Names,
    Values,
    Both,
}

impl Parts {
    /// Writes it: one reply, or two.
    #[inline]
    pub(super) fn write(self, reply: &mut Reply<'_>, field: &Field<'_>) {
        if self != Self::Values {
            reply.bulk(field.name);
        }
        if self != Self::Names {
            reply.bulk(field.value);
        }
    }
}

fn show(call: &mut ShardCall<'_>, parts: Parts) -> CommandResult {
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    let began = call.reply.mark();
    let expected = hash.map_or(0, |hash| hash.len()) as usize;
    let all = match parts {
        Parts::Both => call.reply.begin_map(expected),
        Parts::Names | Parts::Values => call.reply.begin_array(expected),
    };
    let mut shown = 0;
    let mut fits = Ok(());
    if let Some(hash) = hash {
        hash.each(&mut |field| {
            if fits.is_ok() {
                parts.write(&mut call.reply, &field);
                shown += 1;
                fits = call.reply.check_len(began);
            }
        });
    }
    fits?;
    call.reply.end(all, shown);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;
    use crate::resp::Protocol;

    #[test]
    fn all_fields_are_shown_as_an_array_or_a_map() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HGETALL h", "[]"),
            ("HSET h a 1 b 2", "2"),
            ("HKEYS h", "[\"a\", \"b\"]"),
            ("HVALS h", "[\"1\", \"2\"]"),
            ("HGETALL h", "[\"a\", \"1\", \"b\", \"2\"]"),
        ]);
        bench.protocol = Protocol::Resp3;
        let reply = bench.run_words(&[b"HGETALL", b"h"]);
        assert_eq!(reply, b"%2\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n");
        assert_eq!(bench.run_words(&[b"HGETALL", b"none"]), b"%0\r\n");
        assert_eq!(bench.run_words(&[b"HKEYS", b"none"]), b"*0\r\n");
    }

    #[test]
    fn a_field_past_its_deadline_is_counted_but_not_shown() {
        let mut bench = Bench::new();
        for field in 0..12 {
            bench.run(&format!("HSET h f{field} {field}"));
        }
        bench.run("HPEXPIRE h 5 FIELDS 3 f0 f1 f11");
        bench.advance(5);
        let shown = bench.run("HKEYS h");
        assert_eq!(shown.matches('f').count(), 9, "{shown}");
        bench.protocol = Protocol::Resp3;
        let reply = bench.run_words(&[b"HGETALL", b"h"]);
        assert!(reply.starts_with(b"%9\r\n$2\r\nf2\r\n"));
    }

    #[test]
    fn a_hash_of_many_fields_is_shown_whole() {
        let mut bench = Bench::new();
        for field in 0..10_000 {
            bench.run(&format!("HSET h field:{field} {field}"));
        }
        let shown = bench.run("HGETALL h");
        let mut words: Vec<&str> = shown.trim_matches(['[', ']']).split(", ").collect();
        assert_eq!(words.len(), 20_000);
        for pair in words.chunks(2) {
            let number = pair[1].trim_matches('"');
            assert_eq!(pair[0], format!("\"field:{number}\""));
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 20_000);
    }
}
