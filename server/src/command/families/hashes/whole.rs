//! All fields at once: `HKEYS`, `HVALS`, `HGETALL`.
//!
//! They are written into the reply as they are found, and their number at the end: fields past their deadline are counted
//! but not shown. A hash whose reply would be larger than a reply may be is refused. Many fields are shown in steps: time stands still for
//! who has a key locked, and what has ended in it stays, so all are judged by one moment.

use larder_engine::{Access, Field};

use super::{READING, read};
use crate::command::families::pieces::{AtOnce, InSteps, More, Shown, StepOf};
use crate::command::{CommandSpec, Flags, Run, ShardCall, Steps};
use crate::resp::{DeferredLen, ErrorReply, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "hkeys",
        summary: "Returns the names of all fields of a hash.",
        run: Run::OnShard(|call| show(call, Parts::Names, AtOnce::All).map(drop)),
        steps: Some(|call| show(call, Parts::Names, AtOnce::Little)),
        ..SHOWING
    },
    CommandSpec {
        name: "hvals",
        summary: "Returns the values of all fields of a hash.",
        run: Run::OnShard(|call| show(call, Parts::Values, AtOnce::All).map(drop)),
        steps: Some(|call| show(call, Parts::Values, AtOnce::Little)),
        ..SHOWING
    },
    CommandSpec {
        name: "hgetall",
        summary: "Returns all fields of a hash with their values.",
        run: Run::OnShard(|call| show(call, Parts::Both, AtOnce::All).map(drop)),
        steps: Some(|call| show(call, Parts::Both, AtOnce::Little)),
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

impl Parts {
    /// Begins a reply that shows about so many fields.
    fn begin(self, expected: usize, reply: &mut Reply<'_>) -> DeferredLen {
        match self {
            Self::Both => reply.begin_map(expected),
            Self::Names | Self::Values => reply.begin_array(expected),
        }
    }
}

fn show(
    call: &mut ShardCall<'_>,
    parts: Parts,
    at_once: AtOnce,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    let Some(hash) = hash else {
        let all = parts.begin(0, &mut call.reply);
        call.reply.end(all, 0);
        return Ok(None);
    };
    if !at_once.takes(hash.len()) {
        return Ok(InSteps::begin(Fields { parts, from: 0 }));
    }
    let began = call.reply.mark();
    let all = parts.begin(hash.len() as usize, &mut call.reply);
    let mut shown = 0;
    let mut fits = Ok(());
    let mut show = |field: Field<'_>| {
        if fits.is_ok() {
            parts.write(&mut call.reply, &field);
            shown += 1;
            fits = call.reply.check_len(began);
        }
    };
    if AtOnce::Little.takes(hash.len()) {
        hash.each(&mut show);
    } else {
        // In the order in which steps show them: names and values of a hash come in one order.
        let mut from = Some(0);
        while let Some(cursor) = from {
            from = hash.scan(cursor, SCAN_FIELDS, &mut show);
        }
    }
    fits?;
    call.reply.end(all, shown);
    Ok(None)
}

/// Fields that one look at a hash shows, about.
const SCAN_FIELDS: usize = 16;

/// Fields that are shown in steps.
#[derive(Debug)]
struct Fields {
    parts: Parts,
    /// Where the next step begins.
    from: u64,
}

impl Shown for Fields {
    fn show(
        &mut self,
        call: &mut ShardCall<'_>,
        step: &mut StepOf<'_>,
    ) -> Result<More, ErrorReply> {
        let hash = call.shard.hash(call.db, call.key(1), Access::Peek)?;
        let Some(hash) = hash else {
            return Ok(More::Gone);
        };
        let mut fits = Ok(());
        while fits.is_ok() && !step.is_full() {
            let next = hash.scan(self.from, SCAN_FIELDS, &mut |field| {
                if fits.is_ok() {
                    fits = step.add(|reply| self.parts.write(reply, &field));
                }
            });
            match next {
                Some(next) => self.from = next,
                None => return fits.map(|()| More::No),
            }
        }
        fits.map(|()| More::Yes)
    }

    fn head(&self, count: usize, reply: &mut Reply<'_>) {
        match self.parts {
            Parts::Both => reply.map(count),
            Parts::Names | Parts::Values => reply.array(count),
        }
    }
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
