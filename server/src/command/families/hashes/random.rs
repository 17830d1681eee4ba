//! `HRANDFIELD`: fields chosen at random.
//!
//! Different fields are chosen by drawing until there are enough, if they are few of many; else in one walk over the hash,
//! in which each field is taken with the probability *still wanted / still to come* (Knuth, TAOCP 2, 3.4.2, algorithm S).
//! Neither needs memory for the whole hash.
//!
//! The number of fields counts those past their deadline, which are not shown. A walk that comes short for that has seen how
//! many there are, and is done again; one who draws and finds too few of them lists those that are there.

use std::collections::HashSet;

use larder_engine::{Field, HashRef};

use super::whole::Parts;
use super::{READING, read};
use crate::command::{Args, CommandSpec, Flags, Random, Run, ShardCall};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Mark, REPLY_MAX_BYTES, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "hrandfield",
    arity: -2,
    flags: Flags::READONLY,
    tips: &["nondeterministic_output"],
    since: "6.2.0",
    syntax: "key [count [WITHVALUES]]",
    summary: "Returns fields of a hash chosen at random.",
    complexity: "O(N) where N is the number of fields returned.",
    run: Run::OnShard(hrandfield),
    ..READING
}];

/// Draws for each field wanted, before it is chosen in another way: most are past their deadline, or taken already.
const DRAWS_EACH_MAX: usize = 16;

/// Fields are drawn if at most one of so many is wanted.
const DRAWN_OF: u64 = 4;

/// Fewest bytes of a field in a reply.
const FIELD_MIN_BYTES: u64 = b"$0\r\n\r\n".len() as u64;

fn hrandfield(call: &mut ShardCall<'_>) -> CommandResult {
    let wanted = Wanted::parse(&call.args)?;
    let key = call.key(1);
    let hash = read(call.shard, call.stats, (call.db, key, call.access))?;
    let Some(wanted) = wanted else {
        match hash.and_then(|hash| Drawing::new(hash).draw(call.random)) {
            Some(field) => call.reply.bulk(field.name),
            None => call.reply.null(),
        }
        return Ok(());
    };
    let Some(hash) = hash else {
        call.reply.array(0);
        return Ok(());
    };
    let count = wanted.count.unsigned_abs();
    if wanted.count < 0 && count > REPLY_MAX_BYTES as u64 / FIELD_MIN_BYTES {
        return Err(errors::REPLY_TOO_LARGE);
    }
    let in_pairs = wanted.parts == Parts::Both && !call.reply.is_resp3();
    let replies_each = 1 + usize::from(in_pairs);
    let began = call.reply.mark();
    let expected = if wanted.count < 0 {
        count
    } else {
        count.min(hash.len())
    };
    let array = call.reply.begin_array(expected as usize * replies_each);
    let mut chosen = Chosen {
        parts: wanted.parts,
        began,
        fields: call.reply.mark(),
        reply: call.reply.reborrow(),
        written: 0,
    };
    if wanted.count < 0 {
        repeated(hash, count, call.random, &mut chosen)?;
    } else {
        different(hash, count, call.random, &mut chosen)?;
    }
    let written = chosen.written;
    call.reply.end(array, written * replies_each);
    Ok(())
}

/// What is asked for with a count.
struct Wanted {
    /// So many different ones; if negative, so many whether different or not.
    count: i64,
    parts: Parts,
}

impl Wanted {
    /// Reads the arguments; `None` without a count.
    fn parse(args: &Args<'_>) -> Result<Option<Self>, ErrorReply> {
        if args.len() == 2 {
            return Ok(None);
        }
        let count = args.integer(2)?;
        if count == i64::MIN {
            return Err(errors::out_of_range(-i64::MAX, i64::MAX));
        }
        let parts = match args.len() {
            3 => Parts::Names,
            4 if args.is(3, "withvalues") => Parts::Both,
            _ => return Err(errors::SYNTAX),
        };
        if parts == Parts::Both && count.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(errors::VALUE_OUT_OF_RANGE);
        }
        Ok(Some(Self { count, parts }))
    }
}

/// The fields chosen so far, in the reply.
struct Chosen<'a> {
    reply: Reply<'a>,
    parts: Parts,
    /// Where the reply begins.
    began: Mark,
    /// Where its fields begin.
    fields: Mark,
    written: usize,
}

impl Chosen<'_> {
    fn write(&mut self, field: &Field<'_>) -> CommandResult {
        if self.parts == Parts::Both && self.reply.is_resp3() {
            self.reply.array(2);
        }
        self.parts.write(&mut self.reply, field);
        self.written += 1;
        self.reply.check_len(self.began)
    }

    /// Takes all of them back.
    fn clear(&mut self) {
        self.reply.rewind(self.fields);
        self.written = 0;
    }
}

/// Draws fields of a hash, each time from all.
struct Drawing<'a> {
    hash: HashRef<'a>,
    /// Those that are not past their deadline, once too few of them were drawn.
    listed: Option<Vec<Field<'a>>>,
}

impl<'a> Drawing<'a> {
    fn new(hash: HashRef<'a>) -> Self {
        Self { hash, listed: None }
    }

    /// A field; `None` if there is none.
    fn draw(&mut self, random: &mut Random) -> Option<Field<'a>> {
        if self.listed.is_none() {
            for _ in 0..DRAWS_EACH_MAX {
                if let Some(field) = self.hash.random(random.draw()) {
                    return Some(field);
                }
            }
        }
        let listed = self.listed.get_or_insert_with(|| {
            let mut listed = Vec::new();
            self.hash.each(&mut |field| listed.push(field));
            listed
        });
        let at = random.draw().checked_rem(listed.len() as u64)?;
        Some(listed[at as usize])
    }
}

/// Chooses `count` fields, each from all.
fn repeated(
    hash: HashRef<'_>,
    count: u64,
    random: &mut Random,
    chosen: &mut Chosen<'_>,
) -> CommandResult {
    let mut drawing = Drawing::new(hash);
    for _ in 0..count {
        match drawing.draw(random) {
            Some(field) => chosen.write(&field)?,
            None => break,
        }
    }
    Ok(())
}

/// Chooses `count` different fields, or all.
fn different(
    hash: HashRef<'_>,
    count: u64,
    random: &mut Random,
    chosen: &mut Chosen<'_>,
) -> CommandResult {
    let len = hash.len();
    if count <= len / DRAWN_OF && draw_different(hash, count, random, chosen)? {
        return Ok(());
    }
    chosen.clear();
    let there = walk(hash, count, len, random, chosen)?;
    if (chosen.written as u64) < count.min(there) {
        chosen.clear();
        walk(hash, count, there, random, chosen)?;
    }
    Ok(())
}

/// Draws until there are `count` different fields; false if there are too few at the last.
fn draw_different(
    hash: HashRef<'_>,
    count: u64,
    random: &mut Random,
    chosen: &mut Chosen<'_>,
) -> Result<bool, ErrorReply> {
    let mut taken = HashSet::with_capacity(count as usize);
    for _ in 0..count as usize * DRAWS_EACH_MAX {
        if taken.len() as u64 == count {
            break;
        }
        if let Some(field) = hash.random(random.draw())
            && taken.insert(field.name)
        {
            chosen.write(&field)?;
        }
    }
    Ok(taken.len() as u64 == count)
}

/// Walks over a hash of `len` fields and chooses `count` of them, or all; how many there are.
fn walk(
    hash: HashRef<'_>,
    count: u64,
    len: u64,
    random: &mut Random,
    chosen: &mut Chosen<'_>,
) -> Result<u64, ErrorReply> {
    let mut wanted = count.min(len);
    let mut seen = 0;
    let mut done = Ok(());
    hash.each(&mut |field| {
        let to_come = len - seen;
        seen += 1;
        if done.is_ok() && random.draw() % to_come < wanted {
            wanted -= 1;
            done = chosen.write(&field);
        }
    });
    done?;
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::command::families::testing::Bench;
    use crate::resp::Protocol;

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
        let most = REPLY_MAX_BYTES as u64 / FIELD_MIN_BYTES;
        for count in [most + 1, i64::MAX as u64] {
            assert_eq!(
                bench.run(&format!("HRANDFIELD h -{count}")),
                "ERR the reply exceeds the maximum allowed size (1gb)"
            );
        }
    }
}
