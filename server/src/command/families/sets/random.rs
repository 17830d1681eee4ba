//! Members at random: `SPOP` takes them, `SRANDMEMBER` shows them.
//!
//! A member that is popped is drawn from all that are left, however many are wanted. What is done is recorded as the removals it was, or
//! as that of the key.

use std::collections::HashSet;

use larder_engine::{Access, DbIndex, Event, Key, SetMut, SetRef, Shard, WrongType};

use super::{READING, WRITING, close_told, read};
use crate::command::families::choose::{self, Chooses, ChosenFrom};
use crate::command::families::counts;
use crate::command::families::pieces::{AtOnce, InSteps, More, Shown, StepOf};
use crate::command::{CommandSpec, KeyFlags, KeySpec, Keys, Random, Run, ShardCall, Steps};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, REPLY_MAX_BYTES, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "spop",
        arity: -2,
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().delete())]),
        tips: &["nondeterministic_output"],
        syntax: "key [count]",
        summary: "Takes members of a set chosen at random, and returns them.",
        complexity: "O(N) where N is the number of members returned.",
        run: Run::OnShard(|call| spop(call, AtOnce::All).map(drop)),
        steps: Some(|call| spop(call, AtOnce::Little)),
        ..WRITING
    },
    CommandSpec {
        name: "srandmember",
        arity: -2,
        tips: &["nondeterministic_output"],
        syntax: "key [count]",
        summary: "Returns members of a set chosen at random.",
        complexity: "O(N) where N is the number of members returned.",
        run: Run::OnShard(|call| srandmember(call, AtOnce::All).map(drop)),
        steps: Some(|call| srandmember(call, AtOnce::Little)),
        ..READING
    },
];

/// A command that takes several steps, or is done.
type Begun = Result<Option<Box<dyn Steps>>, ErrorReply>;

fn spop(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    match call.args.len() {
        2 => pop_one(call).map(|()| None),
        3 => pop_many(call, at_once),
        _ => Err(errors::SYNTAX),
    }
}

fn pop_one(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let mut set = call.shard.set_mut(call.db, key)?;
    let popped = pop(&mut set, call.random, &mut call.reply);
    close_told(set, popped, Event::SPop);
    if !popped {
        call.reply.null();
    }
    Ok(())
}

/// Takes a member out and writes it; whether there was one.
#[inline]
fn pop(set: &mut SetMut<'_>, random: &mut Random, reply: &mut Reply<'_>) -> bool {
    let Some(member) = set.random(random.draw()) else {
        return false;
    };
    let len = member.len();
    reply.bulk(member);
    // From the reply it goes out of the set.
    set.remove(reply.last_bulk(len))
}

fn pop_many(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    let count = counts::not_negative(call.args.at(2), errors::NOT_POSITIVE)?;
    let key = call.key(1);
    let mut set = call.shard.set_mut(call.db, key)?;
    let len = set.len();
    if count == 0 || len == 0 {
        set.close(&[]);
        call.reply.set(0);
        return Ok(None);
    }
    let began = call.reply.mark();
    if count < len {
        if at_once == AtOnce::Little && count > STEP_MEMBERS && is_within_a_reply(&set, count) {
            set.close(&[]);
            return Ok(InSteps::begin(PoppedSome { left: count }));
        }
        let popped = pop_some(&mut set, count, call.random, &mut call.reply);
        close_told(set, popped.is_ok(), Event::SPop);
        return popped.map(|()| None);
    }
    // As in Redis, which reads the set then as others do.
    call.stats.count_lookup((call.db, call.args.at(1)), true);
    if !at_once.takes(len) {
        set.close(&[]);
        return Ok(InSteps::begin(PoppedAll { from: 0, len }));
    }
    call.reply.set(len as usize);
    let mut fits = Ok(());
    set.each(&mut |member| {
        if fits.is_ok() {
            call.reply.bulk(member);
            fits = call.reply.check_len(began);
        }
    });
    set.close(&[]);
    fits?;
    remove_all(call, len);
    Ok(None)
}

/// Removes a set whose members have all been popped.
fn remove_all(call: &mut ShardCall<'_>, len: u64) {
    let key = call.key(1);
    call.shard
        .remove_told(call.db, key, &[Event::SPop, Event::Del]);
    call.shard.journal().count_as(1, len);
}

/// Members that are popped in one step of several.
const STEP_MEMBERS: u64 = 512;

/// All members, shown in steps and then removed as one.
#[derive(Debug)]
struct PoppedAll {
    /// Where the next step begins.
    from: u64,
    len: u64,
}

impl Shown for PoppedAll {
    fn show(
        &mut self,
        call: &mut ShardCall<'_>,
        step: &mut StepOf<'_>,
    ) -> Result<More, ErrorReply> {
        let set = call.shard.set_at(call.db, call.key(1), Access::Peek)?;
        let Some(set) = set else {
            return Ok(More::Gone);
        };
        let mut fits = Ok(());
        while !step.is_full() {
            let next = set.scan(self.from, &mut |member| {
                if fits.is_ok() {
                    fits = step.add(|reply| reply.bulk(member));
                }
            });
            fits.clone()?;
            match next {
                Some(next) => self.from = next,
                None => {
                    remove_all(call, self.len);
                    return Ok(More::No);
                }
            }
        }
        Ok(More::Yes)
    }

    fn head(&self, count: usize, reply: &mut Reply<'_>) {
        reply.set(count);
    }
}

/// Members that are popped one by one, in steps.
#[derive(Debug)]
struct PoppedSome {
    left: u64,
}

impl Shown for PoppedSome {
    fn show(
        &mut self,
        call: &mut ShardCall<'_>,
        step: &mut StepOf<'_>,
    ) -> Result<More, ErrorReply> {
        let key = call.key(1);
        let mut set = call.shard.set_mut(call.db, key)?;
        if !set.is_there() {
            // It has reached its deadline: those that were popped before were.
            set.close(&[]);
            return Ok(More::No);
        }
        let mut now = self.left.min(STEP_MEMBERS);
        while now > 0 && !step.is_full() {
            let member = set.random(call.random.draw());
            let member = member.expect("there are more").to_vec();
            set.remove(&member);
            step.add(|reply| reply.bulk(&member))?;
            self.left -= 1;
            now -= 1;
        }
        match self.left {
            0 => {
                set.close(&[Event::SPop]);
                Ok(More::No)
            }
            _ => {
                set.close(&[Event::Silent]);
                Ok(More::Yes)
            }
        }
    }

    fn head(&self, count: usize, reply: &mut Reply<'_>) {
        reply.set(count);
    }
}

/// Whether so many members of a set, whichever they are, are no more than a reply holds.
fn is_within_a_reply(set: &SetMut<'_>, count: u64) -> bool {
    /// Bytes of a member in a reply beside its own, at most.
    const BESIDE_BYTES: u64 = 16;
    set.payload_bytes() + BESIDE_BYTES * count <= REPLY_MAX_BYTES as u64
}

/// Takes out so many members, fewer than there are, and writes them.
///
/// # Errors
/// They are more than a reply holds. Then nothing has changed.
fn pop_some(
    set: &mut SetMut<'_>,
    count: u64,
    random: &mut Random,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let began = reply.mark();
    reply.set(count as usize);
    if is_within_a_reply(set, count) {
        for _ in 0..count {
            pop(set, random, reply);
        }
        return Ok(());
    }
    // They may be too many: none goes before it is known that they are not.
    let mut chosen: HashSet<Vec<u8>, ahash::RandomState> = HashSet::default();
    while (chosen.len() as u64) < count {
        let member = set.random(random.draw()).expect("there are more");
        if !chosen.contains(member) {
            reply.bulk(member);
            reply.check_len(began)?;
            chosen.insert(member.to_vec());
        }
    }
    for member in &chosen {
        set.remove(member);
    }
    Ok(())
}

fn srandmember(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    let count = wanted(call)?;
    let key = call.key(1);
    let set = read(call.shard, call.stats, (call.db, key, call.access))?;
    match (set, count) {
        (Some(set), None) => call.reply.bulk(SetRef::random(&set, call.random.draw())),
        (None, None) => call.reply.null(),
        (None, Some(_)) => call.reply.array(0),
        (Some(set), Some(count)) => {
            let to = (&mut *call.random, &mut call.reply);
            return choose::begin(Members, set, count, to, at_once);
        }
    }
    Ok(None)
}

/// Members are chosen, and shown by their names.
#[derive(Debug)]
struct Members;

impl Chooses for Members {
    type From<'a> = SetRef<'a>;

    fn at<'a>(
        shard: &'a mut Shard,
        db: DbIndex,
        key: Key<'_>,
    ) -> Result<Option<SetRef<'a>>, WrongType> {
        shard.set_at(db, key, Access::Peek)
    }

    fn replies_each(&self, _: &Reply<'_>) -> usize {
        1
    }

    fn write(&self, reply: &mut Reply<'_>, member: &&[u8]) {
        reply.bulk(member);
    }
}

/// How many members are asked for; none: one by itself.
fn wanted(call: &ShardCall<'_>) -> Result<Option<i64>, ErrorReply> {
    match call.args.len() {
        2 => Ok(None),
        3 => counts::to_choose(&call.args, 2).map(Some),
        _ => Err(errors::SYNTAX),
    }
}

impl<'a> ChosenFrom<'a> for SetRef<'a> {
    type Element = &'a [u8];

    fn len(self) -> u64 {
        SetRef::len(&self)
    }

    fn random(self, random: u64) -> Option<&'a [u8]> {
        Some(SetRef::random(&self, random))
    }

    fn each(self, show: &mut dyn FnMut(&'a [u8])) {
        SetRef::each(&self, show);
    }

    fn scan(self, cursor: u64, show: &mut dyn FnMut(&'a [u8])) -> Option<u64> {
        SetRef::scan(&self, cursor, choose::SCAN_ELEMENTS, show)
    }

    fn name(member: &&'a [u8]) -> &'a [u8] {
        member
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use crate::command::families::testing::Bench;
    use crate::resp::Protocol;

    fn set_of(members: usize) -> Bench {
        let mut bench = Bench::new();
        for member in 0..members {
            bench.run(&format!("SADD s m{member}"));
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
    fn what_is_popped_was_there_and_is_gone() {
        for members in [1, 10, 100, 3000] {
            let mut bench = set_of(members);
            let mut left: BTreeSet<String> = (0..members).map(|n| format!("m{n}")).collect();
            while !left.is_empty() {
                let popped = words(&bench.run("SPOP s"));
                assert!(left.remove(&popped[0]));
                let popped = words(&bench.run("SPOP s 7"));
                assert_eq!(popped.len(), left.len().min(7));
                popped
                    .iter()
                    .for_each(|member| assert!(left.remove(member)));
                assert_eq!(bench.run("SCARD s"), left.len().to_string());
            }
            bench.check(&[("EXISTS s", "0"), ("SPOP s", "nil"), ("SPOP s 2", "[]")]);
        }
    }

    #[test]
    fn all_are_popped_as_the_removal_of_the_key() {
        let mut bench = set_of(3);
        let changes = bench.changes();
        assert_eq!(words(&bench.run("SPOP s 5")).len(), 3);
        assert_eq!(bench.changes(), changes + 3);
        assert_eq!(bench.events()[3..], ["spop s", "del s"]);
        let mut bench = set_of(3);
        bench.run("SPOP s 2");
        bench.run("SPOP s");
        assert_eq!(bench.events()[3..], ["spop s", "spop s", "del s"]);
    }

    #[test]
    fn many_are_popped_in_steps_and_few_in_each() {
        for (line, popped, events) in [
            ("SPOP s 9000", 9000, ["spop s"].as_slice()),
            ("SPOP s 10000", 10_000, &["spop s", "del s"]),
        ] {
            let mut bench = Bench::new();
            for first in (0..10_000).step_by(1000) {
                let words = (first..first + 1000).map(|n| format!(" m{n}"));
                bench.run(&format!("SADD s{}", words.collect::<String>()));
            }
            let (mut before, mut steps) = (bench.changes(), 0);
            let changes = before + popped;
            let reply = bench.run_in_steps(line, &mut |shard, _| {
                let now = shard.journal().changes();
                assert!(now - before <= 512 || popped == 10_000, "{line}");
                (before, steps) = (now, steps + 1);
            });
            assert!(steps >= 2, "{line}: {steps}");
            let different: BTreeSet<String> = words(&reply).into_iter().collect();
            assert_eq!(different.len() as u64, popped);
            assert_eq!(bench.run("SCARD s"), (10_000 - popped).to_string());
            assert_eq!(bench.changes(), changes);
            assert_eq!(bench.events()[10..], *events);
            bench.shard.check();
        }
    }

    #[test]
    fn counts_are_checked_as_in_redis() {
        let mut bench = set_of(3);
        bench.check(&[
            ("SPOP s -1", "ERR value is out of range, must be positive"),
            ("SPOP s x", "ERR value is out of range, must be positive"),
            ("SPOP s 1 2", "ERR syntax error"),
            ("SPOP s 0", "[]"),
            ("SRANDMEMBER s 1 2", "ERR syntax error"),
            ("SRANDMEMBER s 0", "[]"),
            ("SRANDMEMBER none 1", "[]"),
            ("SRANDMEMBER none", "nil"),
            (
                "SRANDMEMBER s x",
                "ERR value is not an integer or out of range",
            ),
            ("SCARD s", "3"),
        ]);
    }

    #[test]
    fn each_member_is_as_likely_as_any_other_in_each_way_of_choosing() {
        const MEMBERS: usize = 40;
        let mut bench = set_of(MEMBERS);
        for command in [
            "SRANDMEMBER s",
            "SRANDMEMBER s 20",
            "SRANDMEMBER s -20",
            "SPOP s 4",
        ] {
            let mut times = BTreeMap::new();
            let mut drawn = 0;
            while drawn < 40_000 {
                for member in words(&bench.run(command)) {
                    if command.starts_with("SPOP") {
                        bench.run(&format!("SADD s {member}"));
                    }
                    *times.entry(member).or_insert(0u32) += 1;
                    drawn += 1;
                }
            }
            let expected = 40_000.0 / MEMBERS as f64;
            let square = |&times: &u32| (f64::from(times) - expected).powi(2) / expected;
            let chi_square: f64 = times.values().map(square).sum();
            // The numbers are the same in each run. Beyond 73 is one in a thousand, at 39 degrees of freedom.
            assert_eq!(times.len(), MEMBERS);
            assert!(chi_square < 73.0, "{command}: {chi_square}");
        }
    }

    #[test]
    fn what_is_popped_is_a_set_and_what_is_chosen_an_array() {
        let mut bench = set_of(1);
        bench.protocol = Protocol::Resp3;
        let member = b"$2\r\nm0\r\n";
        let shown = bench.run_words(&[b"SRANDMEMBER", b"s", b"1"]);
        assert_eq!(shown, [&b"*1\r\n"[..], member].concat());
        let popped = bench.run_words(&[b"SPOP", b"s", b"1"]);
        assert_eq!(popped, [&b"~1\r\n"[..], member].concat());
    }
}
