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

use super::READING;
use super::whole::Parts;
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
    let hash = call.shard.hash(call.db, key, call.access)?;
    call.stats.count_lookup(hash.is_some());
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
