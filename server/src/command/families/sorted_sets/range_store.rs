//! `ZRANGESTORE`: members in a range, stored at another key.

use std::ops::ControlFlow;

use larder_engine::{Access, Event, LooseId, Shard, SortedSetRef};

use super::selection::{Grammar, Place, Selection};
use super::store::{self, GATHERING, Members, Plan};
use super::{READING, read};
use crate::command::families::combine::gathered;
use crate::command::families::transfer::Answer;
use crate::command::{
    Args, CommandSpec, CoreCall, Flags, KeyFlags, KeySpec, Keys, Rounds, Run, ShardCall, Spread,
    Step, Steps, run_all_steps,
};
use crate::resp::ErrorReply;
use crate::routing::SlotMap;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "zrangestore",
    arity: -5,
    flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
    keys: Keys::of(&[
        KeySpec::at(1, KeyFlags::OW.update()),
        KeySpec::at(2, KeyFlags::RO.access()),
    ]),
    since: "6.2.0",
    syntax: "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
    summary: "Stores the members of a sorted set in a range of ranks, scores or names.",
    complexity: "O(log(N)+M*log(M)) where N is the number of members of the sorted set, and M that of those stored.",
    run: Run::FanOut {
        together: |call| run_all_steps(call, zrangestore),
        spread: Spread::Rounds(zrangestore_across),
    },
    steps: Some(zrangestore),
    ..READING
}];

/// Bytes of members that are gathered in one step.
const STEP_BYTES: usize = 8 << 10;

fn zrangestore(call: &mut ShardCall<'_>) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let selection = Selection::parse(&call.args, 2, Grammar::Stored)?;
    let place = (call.db, call.key(2), call.access);
    let set = read(call.shard, call.stats, place)?;
    let mut place = Place::Start;
    let (members, are_more) = choose(&selection, set, &mut place, STEP_BYTES)?;
    if !are_more {
        let destination = (call.db, call.key(1));
        let count = store::store(call.shard, destination, &members, Event::ZRangeStore)?;
        call.reply.count(count);
        return Ok(None);
    }
    let gathered = GATHERING.begin(call.shard);
    let place = Place::Start;
    Ok(Some(Box::new(InSteps { place, gathered })))
}

/// The members that are chosen of a set, from a place on, of about so many bytes; whether there may be others.
fn choose(
    selection: &Selection<'_>,
    set: Option<SortedSetRef<'_>>,
    place: &mut Place,
    most_bytes: usize,
) -> Result<(Members, bool), ErrorReply> {
    let (mut members, mut fits) = (Members::default(), Ok(()));
    let Some(set) = set else {
        return Ok((members, false));
    };
    let are_more = selection.each_from(set, place, &mut |member| {
        fits = members.push(member);
        match fits.is_ok() && members.bytes().len() < most_bytes {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    fits.map(|()| (members, are_more))
}

/// Many members, which are gathered in steps: both keys are locked.
#[derive(Debug)]
struct InSteps {
    /// Where the next step begins.
    place: Place,
    gathered: LooseId,
}

impl Steps for InSteps {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let selection = Selection::parse(&call.args, 2, Grammar::Stored)?;
        let set = call.shard.sorted_set(call.db, call.key(2), Access::Peek)?;
        if set.is_none() {
            // It has reached its deadline.
            call.shard.drop_loose(self.gathered);
            self.gathered = GATHERING.begin(call.shard);
        } else {
            let chosen = choose(&selection, set, &mut self.place, STEP_BYTES);
            let (members, are_more) = match chosen {
                Ok(chosen) => chosen,
                Err(error) => {
                    call.shard.drop_loose(self.gathered);
                    return Err(error);
                }
            };
            GATHERING.add(call.shard, self.gathered, members.bytes())?;
            if are_more {
                return Ok(Step::More);
            }
        }
        let (db, key) = (call.db, call.key(1));
        let event = Event::ZRangeStore;
        let count = gathered::store(call.shard, db, key, self.gathered, event)?;
        call.reply.count(count);
        Ok(Step::Done)
    }

    fn held_bytes(&self) -> usize {
        0
    }

    fn abandon(&mut self, shard: &mut Shard) {
        shard.drop_loose(self.gathered);
    }
}

fn zrangestore_across(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    Selection::parse(args, 2, Grammar::Stored)?;
    let plan = Plan {
        source: 2,
        destination: 1,
        choose: choose_part,
        event: Event::ZRangeStore,
    };
    Ok(plan.begin(args, slots))
}

/// Answers members that the arguments behind the first choose, from the place on that the first is. No, if the key is not there any more.
fn choose_part(call: &mut CoreCall<'_>) {
    let (args, core) = (call.args.from(1), &mut *call.core);
    let key = core.shard.hasher().key(args.at(2));
    let mut place = Place::of_bytes(call.args.at(0));
    let set = match place {
        Place::Start => {
            if let Some(reader) = call.reader {
                core.remember_key(args.at(2), reader);
            }
            let place = (call.db, key, Access::Touch);
            read(&mut core.shard, &mut core.stats, place)
        }
        Place::At { .. } => core.shard.sorted_set(call.db, key, Access::Peek),
    };
    if let (Ok(None), Place::At { .. }) = (&set, place) {
        return Answer::no(call.out);
    }
    let chosen = set.map_err(ErrorReply::from).and_then(|set| {
        let selection = Selection::parse(&args, 2, Grammar::Stored)?;
        let (members, are_more) = choose(&selection, set, &mut place, store::ROUND_BYTES)?;
        Ok((members, are_more.then(|| place.to_bytes())))
    });
    store::answer(call.out, chosen);
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn what_is_stored_takes_the_place_of_what_was_there() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD z 1 a 2 b 3 c", "3"),
            ("SET d old EX 100", "OK"),
            ("ZRANGESTORE d z 0 -2", "2"),
            ("ZRANGE d 0 -1 WITHSCORES", "[\"a\", \"1\", \"b\", \"2\"]"),
            ("TTL d", "-1"),
            ("ZRANGESTORE z z (1 +inf BYSCORE LIMIT 1 1", "1"),
            ("ZRANGE z 0 -1", "[\"c\"]"),
            ("ZRANGESTORE d none 0 -1", "0"),
            ("EXISTS d", "0"),
            ("ZRANGESTORE d z 0 -1 WITHSCORES", "ERR syntax error"),
        ]);
        let expected = [
            "zadd z",
            "set d",
            "expire d",
            "zrangestore d",
            "zrangestore z",
            "del d",
        ];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn many_members_are_stored_in_steps_and_few_in_each() {
        for (line, stored, first) in [
            ("ZRANGESTORE d z 100 -101", 9800, "000100"),
            (
                "ZRANGESTORE d z -inf (5000 BYSCORE REV LIMIT 9 99999",
                0,
                "",
            ),
            (
                "ZRANGESTORE d z (5000 -inf BYSCORE REV LIMIT 9 99999",
                4991,
                "000000",
            ),
        ] {
            let mut bench = Bench::new();
            for first in (0..10_000).step_by(1000) {
                let words = (first..first + 1000).map(|n| format!(" {n} {n:06}"));
                bench.run(&format!("ZADD z{}", words.collect::<String>()));
            }
            let (mut steps, mut before) = (0, 0);
            let reply = bench.run_in_steps(line, &mut |shard, _| {
                steps += 1;
                if shard.loose_count() > 0 {
                    let now = shard.loose_len(larder_engine::LooseId(0));
                    assert!(now - before <= 500, "{line}: {}", now - before);
                    before = now;
                }
            });
            assert_eq!(reply, stored.to_string(), "{line}");
            assert!(steps as u64 >= stored / 500, "{line}: {steps}");
            if stored > 0 {
                assert_eq!(bench.run("ZRANGE d 0 0"), format!("[\"{first}\"]"));
            }
            assert_eq!(bench.shard.loose_count(), 0);
        }
    }

    #[test]
    fn a_source_that_ends_meanwhile_was_none() {
        let mut bench = Bench::new();
        let words: String = (0..2000).map(|n| format!(" {n} {n}")).collect();
        bench.run(&format!("ZADD z{words}"));
        bench.run("SET d old");
        bench.run("PEXPIRE z 10");
        assert_eq!(bench.run_ending("ZRANGESTORE d z 0 -1", 10), "0");
        bench.check(&[("EXISTS d", "0")]);
        assert_eq!(bench.shard.loose_count(), 0);
    }
}
