//! `HRANDFIELD`: fields chosen at random.

use larder_engine::{Access, DbIndex, Field, HashRef, Key, Shard, WrongType};

use super::whole::Parts;
use super::{READING, read};
use crate::command::families::choose::{self, Chooses, ChosenFrom, Wanted};
use crate::command::families::pieces::AtOnce;
use crate::command::{CommandSpec, Flags, Run, ShardCall, Steps};
use crate::resp::{ErrorReply, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "hrandfield",
    arity: -2,
    flags: Flags::READONLY,
    tips: &["nondeterministic_output"],
    since: "6.2.0",
    syntax: "key [count [WITHVALUES]]",
    summary: "Returns fields of a hash chosen at random.",
    complexity: "O(N) where N is the number of fields returned, or of all if some have deadlines.",
    run: Run::OnShard(|call| hrandfield(call, AtOnce::All).map(drop)),
    steps: Some(|call| hrandfield(call, AtOnce::Little)),
    ..READING
}];

fn hrandfield(
    call: &mut ShardCall<'_>,
    at_once: AtOnce,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let wanted = Wanted::parse(&call.args, "withvalues")?;
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    let Some(wanted) = wanted else {
        match hash.and_then(|hash| choose::one(hash, call.random)) {
            Some(field) => call.reply.bulk(field.name),
            None => call.reply.null(),
        }
        return Ok(None);
    };
    let Some(hash) = hash else {
        call.reply.array(0);
        return Ok(None);
    };
    let fields = Fields(match wanted.shows_both {
        true => Parts::Both,
        false => Parts::Names,
    });
    let to = (&mut *call.random, &mut call.reply);
    choose::begin(fields, hash, wanted.count, to, at_once)
}

/// Fields are chosen, of which this is shown.
#[derive(Debug)]
struct Fields(Parts);

impl Fields {
    fn is_nested(&self, reply: &Reply<'_>) -> bool {
        self.0 == Parts::Both && reply.is_resp3()
    }
}

impl Chooses for Fields {
    type From<'a> = HashRef<'a>;

    fn at<'a>(
        shard: &'a mut Shard,
        db: DbIndex,
        key: Key<'_>,
    ) -> Result<Option<HashRef<'a>>, WrongType> {
        shard.hash(db, key, Access::Peek)
    }

    fn replies_each(&self, reply: &Reply<'_>) -> usize {
        1 + usize::from(self.0 == Parts::Both && !self.is_nested(reply))
    }

    fn write<'a>(&self, reply: &mut Reply<'_>, field: &Field<'a>) {
        if self.is_nested(reply) {
            reply.array(2);
        }
        self.0.write(reply, field);
    }
}

impl<'a> ChosenFrom<'a> for HashRef<'a> {
    type Element = Field<'a>;

    fn len(self) -> u64 {
        HashRef::len(&self)
    }

    fn random(self, random: u64) -> Option<Field<'a>> {
        HashRef::random(&self, random)
    }

    fn each(self, show: &mut dyn FnMut(Field<'a>)) {
        HashRef::each(&self, show);
    }

    fn scan(self, cursor: u64, show: &mut dyn FnMut(Field<'a>)) -> Option<u64> {
        HashRef::scan(&self, cursor, choose::SCAN_ELEMENTS, show)
    }

    fn may_hide(self) -> bool {
        self.has_deadlines()
    }

    fn name(field: &Field<'a>) -> &'a [u8] {
        field.name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use crate::command::families::choose::ELEMENT_MIN_BYTES;
    use crate::command::families::testing::Bench;
    use crate::resp::Protocol;
    use crate::resp::REPLY_MAX_BYTES;

    fn hash_of(fields: usize) -> Bench {
        let mut bench = Bench::new();
        for field in 0..fields {
            bench.run(&format!("HSET h f{field} {field}"));
        }
        bench
    }

    fn words(reply: &str) -> Vec<String> {
        let words = reply.trim_matches(['[', ']']).split(", ");
        let words = words.filter(|word| !word.is_empty());
        words
            .map(|word| word.trim_matches('"').to_owned())
            .collect()
    }

    #[test]
    fn as_many_different_fields_are_chosen_as_there_are_in_whichever_way() {
        for fields in [1, 10, 100, 3000] {
            let mut bench = hash_of(fields);
            for count in [0, 1, fields / 8, fields / 2, fields - 1, fields, fields + 5] {
                let chosen = words(&bench.run(&format!("HRANDFIELD h {count}")));
                assert_eq!(chosen.len(), count.min(fields), "{count} of {fields}");
                let different: BTreeSet<_> = chosen.iter().collect();
                assert_eq!(different.len(), chosen.len(), "{count} of {fields}");
                let pairs = words(&bench.run(&format!("HRANDFIELD h {count} WITHVALUES")));
                assert_eq!(pairs.len(), 2 * count.min(fields));
                for pair in pairs.chunks(2) {
                    assert_eq!(pair[0], format!("f{}", pair[1]));
                }
            }
        }
    }

    #[test]
    fn fields_past_their_deadline_are_never_chosen_and_those_left_all_are() {
        for fields in [10, 1000] {
            let mut bench = hash_of(fields);
            for field in 3..fields {
                bench.run(&format!("HPEXPIRE h 5 FIELDS 1 f{field}"));
            }
            bench.advance(5);
            for (count, expected) in [(1, 1), (2, 2), (3, 3), (8, 3), (5000, 3)] {
                let chosen = words(&bench.run(&format!("HRANDFIELD h {count}")));
                let different: BTreeSet<_> = chosen.iter().map(String::as_str).collect();
                assert_eq!(different.len(), expected, "{count} of {fields}");
                assert!(different.is_subset(&BTreeSet::from(["f0", "f1", "f2"])));
            }
            assert_eq!(words(&bench.run("HRANDFIELD h -50")).len(), 50);
            assert!(bench.run("HRANDFIELD h").starts_with("\"f"));
            bench.run("HDEL h f0 f1 f2");
            for line in [
                "HRANDFIELD h -5",
                "HRANDFIELD h 5",
                "HRANDFIELD h 1 WITHVALUES",
            ] {
                assert_eq!(bench.run(line), "[]", "{line}");
            }
            assert_eq!(bench.run("HRANDFIELD h"), "nil");
        }
    }

    #[test]
    fn each_field_is_as_likely_as_any_other_in_each_way_of_choosing() {
        const FIELDS: usize = 40;
        let mut bench = hash_of(FIELDS);
        // Few of many are drawn, half of them are walked to, repeated ones are drawn each.
        for count in [1, 20, -20i64] {
            let mut times = BTreeMap::new();
            let rounds = 40_000 / count.unsigned_abs() as usize;
            for _ in 0..rounds {
                for name in words(&bench.run(&format!("HRANDFIELD h {count}"))) {
                    *times.entry(name).or_insert(0u32) += 1;
                }
            }
            let expected = 40_000.0 / FIELDS as f64;
            let chi_square: f64 = times
                .values()
                .map(|&times| (f64::from(times) - expected).powi(2) / expected)
                .sum();
            // The numbers are the same in each run. Beyond 73 is one in a thousand, at 39 degrees of freedom.
            assert_eq!(times.len(), FIELDS);
            assert!(chi_square < 73.0, "{count}: {chi_square}");
        }
    }

    #[test]
    fn pairs_are_flat_in_resp2_and_nested_in_resp3() {
        let mut bench = hash_of(1);
        let command: [&[u8]; 4] = [b"HRANDFIELD", b"h", b"-2", b"WITHVALUES"];
        let pair = "$2\r\nf0\r\n$1\r\n0\r\n";
        let flat = format!("*4\r\n{pair}{pair}");
        assert_eq!(bench.run_words(&command), flat.as_bytes());
        bench.protocol = Protocol::Resp3;
        let nested = format!("*2\r\n*2\r\n{pair}*2\r\n{pair}");
        assert_eq!(bench.run_words(&command), nested.as_bytes());
    }

    #[test]
    fn more_repetitions_than_a_reply_has_room_for_are_refused_before_the_first() {
        let mut bench = hash_of(1);
        let most = REPLY_MAX_BYTES as u64 / ELEMENT_MIN_BYTES;
        for count in [most + 1, i64::MAX as u64] {
            assert_eq!(
                bench.run(&format!("HRANDFIELD h -{count}")),
                "ERR the reply exceeds the maximum allowed size (1gb)"
            );
        }
    }
}
