//! Operations on sets of one shard, in steps if they are not [little](super::at_once).
//!
//! A part of the base is looked for in one of the others after the other. A step ends when it has looked so often, be it in the midst of
//! a part; so however many others there are, each is looked up once for a part, and not for every few members.

use larder_engine::{Access, Key, LooseId, PartOf, Shard, members_of_part, scored_of_part};

use super::gathered::{self, Gathering};
use super::part::{self, Manner, Part, Weighed};
use super::{Combining, Plan, Wanted, at_once};
use crate::command::families::pieces::Pieces;
use crate::command::{ShardCall, Step, Steps};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Protocol};

/// Bytes of members that one step of several looks at, about; of members that are put in the order of scores, which takes longer.
const STEP_BYTES: usize = 16 << 10;
const SCORED_STEP_BYTES: usize = 8 << 10;

/// Members that one step looks for, once in each of the others, about; and others that are looked up together.
const STEP_LOOKUPS: usize = 1024;
const OTHERS_AT_ONCE: usize = 128;

/// Runs a command with its first step.
pub(super) fn begin(
    call: &mut ShardCall<'_>,
    combining: Combining,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let keys: Vec<Key<'_>> = combining.operands.clone().map(|at| call.key(at)).collect();
    let destination = match combining.wanted {
        Wanted::Stored { at, event } => Some((call.db, call.key(at), event)),
        _ => None,
    };
    let (shard, stats, reply) = (&mut *call.shard, &mut *call.stats, &mut call.reply);
    let wanted = (combining.kinds(), call.access);
    let mut looked_up = keys.iter().map(|key| key.bytes());
    let sets = shard.members_at(call.db, keys.iter().copied(), wanted, |found| {
        if let Some(key) = looked_up.next() {
            stats.count_lookup((call.db, key), found != Ok(false));
        }
        found.map(drop).map_err(|_| errors::WRONG_TYPE)
    })?;
    if let Some(fault) = combining.fault {
        return Err(fault);
    }
    let plan = combining.plan_for(&sets);
    if !at_once::is_little(&combining, &plan, &sets) {
        let steps = InSteps::begin(shard, combining, plan);
        return Ok(Some(Box::new(steps)));
    }
    match destination {
        None => at_once::show(&combining, &plan, &sets, reply),
        Some(destination) => {
            let part = at_once::part(&combining, &plan, &sets);
            let count = at_once::store(shard, &combining, &part, destination)?;
            reply.count(count);
        }
    }
    Ok(None)
}

/// Adds the members of a part to those that are shown.
///
/// # Errors
/// They are more than a reply holds.
pub(super) fn show(
    combining: &Combining,
    (shown, protocol): (&mut Pieces, Protocol),
    part: &[u8],
) -> CommandResult {
    match &combining.scores {
        None => {
            let mut members = members_of_part(part);
            members.try_for_each(|name| shown.add(protocol, |reply| reply.bulk(name)))
        }
        Some(scores) => {
            let mut members = scored_of_part(part);
            members.try_for_each(|member| {
                shown.add(protocol, |reply| scores.parts.write(reply, &member))
            })
        }
    }
}

/// An operation on large sets.
#[derive(Debug)]
struct InSteps {
    combining: Combining,
    plan: Plan,
    /// Where the next part begins: of the last base, or of what was gathered.
    from: u64,
    /// The part that is being looked for in the others.
    part: Option<Unfinished>,
    found: Found,
}

/// Members of a base that were in those others in which they have been looked for, or were not, as is wanted.
#[derive(Debug)]
struct Unfinished {
    part: Part,
    /// How many others these are.
    looked_in: usize,
}

/// What was found so far.
#[derive(Debug)]
enum Found {
    Shown(Pieces),
    Counted(u64),
    /// It is to be stored, or shown once all is there.
    Gathered(LooseId),
    /// What was gathered, of which some is shown.
    Showing(LooseId, Pieces),
    /// It is stored, or dropped.
    Done,
}

impl InSteps {
    fn begin(shard: &mut Shard, combining: Combining, plan: Plan) -> Self {
        let found = match combining.wanted {
            _ if plan.is_gathered => Found::Gathered(Gathering::of(&combining).begin(shard)),
            Wanted::Count { .. } => Found::Counted(0),
            Wanted::Members | Wanted::Stored { .. } => Found::Shown(Pieces::default()),
        };
        Self {
            combining,
            plan,
            from: 0,
            part: None,
            found,
        }
    }

    /// Begins again: a key has reached its deadline.
    fn begin_again(&mut self, call: &mut ShardCall<'_>) -> CommandResult {
        self.abandon(call.shard);
        let operands = self.combining.operands.clone();
        let keys: Vec<Key<'_>> = operands.map(|at| call.key(at)).collect();
        let found = |found: Result<bool, _>| found.map(drop).map_err(|_| errors::WRONG_TYPE);
        let shard = &mut *call.shard;
        let wanted = (self.combining.kinds(), Access::Peek);
        let sets = shard.members_at(call.db, keys.into_iter(), wanted, found)?;
        let plan = self.combining.plan_for(&sets);
        *self = Self::begin(shard, self.combining.clone(), plan);
        Ok(())
    }

    /// The key and the weight of an operand.
    fn weighed<'a>(&self, call: &ShardCall<'a>, operand: usize) -> Weighed<'a> {
        let key = call.key(self.combining.operands.start + operand);
        (key, self.combining.weight(operand))
    }

    /// Goes on with the part that is unfinished, or with the next of a base. None: a key is not there any more.
    fn go_on(&mut self, call: &mut ShardCall<'_>, base: usize) -> Option<Unfinished> {
        let manner = Manner::of(&self.combining);
        let mut unfinished = match self.part.take() {
            Some(unfinished) => unfinished,
            None => {
                let bytes = match manner.of {
                    PartOf::Names => STEP_BYTES,
                    PartOf::Scored => SCORED_STEP_BYTES,
                };
                let (base, place) = (self.weighed(call, base), (self.from, bytes));
                let part = part::made(call.shard, call.db, (base, &[]), manner, place)?;
                Unfinished { part, looked_in: 0 }
            }
        };
        let (Part { members, .. }, looked_in) = (&mut unfinished.part, &mut unfinished.looked_in);
        let (others, mut lookups) = (&self.plan.others, 0);
        while *looked_in < others.len() && lookups < STEP_LOOKUPS {
            let count = part::count(members, manner.of);
            if count == 0 {
                *looked_in = others.len();
                break;
            }
            let together = ((STEP_LOOKUPS - lookups) / count).clamp(1, OTHERS_AT_ONCE);
            let others = others[*looked_in..].iter().take(together);
            let others: Vec<Weighed<'_>> = others.map(|&at| self.weighed(call, at)).collect();
            let passed = part::passed_at(call.shard, call.db, &others, manner, members)?;
            *members = passed.of(members, manner.of);
            *looked_in += others.len();
            lookups += count * others.len();
        }
        Some(unfinished)
    }

    /// Takes the members of a part; whether more are wanted.
    fn take(&mut self, call: &mut ShardCall<'_>, members: &[u8]) -> Result<bool, ErrorReply> {
        match &mut self.found {
            Found::Shown(shown) => {
                show(&self.combining, (shown, call.reply.protocol()), members)?;
            }
            Found::Counted(count) => {
                *count += members_of_part(members).count() as u64;
                if let Wanted::Count { limit } = self.combining.wanted {
                    *count = limit.min(*count);
                    return Ok(*count < limit);
                }
            }
            Found::Gathered(gathered) => {
                let gathering = Gathering::of(&self.combining);
                if let Err(error) = gathering.add(call.shard, *gathered, members) {
                    self.found = Found::Done;
                    return Err(error);
                }
            }
            Found::Showing(..) | Found::Done => unreachable!("all is found then"),
        }
        Ok(true)
    }

    /// All is found.
    fn end(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        match (
            std::mem::replace(&mut self.found, Found::Done),
            self.combining.wanted,
        ) {
            (Found::Shown(shown), _) => Ok(self.reply(call, shown)),
            (Found::Counted(count), _) => {
                call.reply.count(count);
                Ok(Step::Done)
            }
            (Found::Gathered(gathered), Wanted::Stored { at, event }) => {
                let key = call.key(at);
                let len = gathered::store(call.shard, call.db, key, gathered, event)?;
                call.reply.count(len);
                Ok(Step::Done)
            }
            (Found::Gathered(gathered), _) => {
                self.from = 0;
                self.found = Found::Showing(gathered, Pieces::default());
                Ok(Step::More)
            }
            (Found::Showing(..) | Found::Done, _) => unreachable!("it ends once"),
        }
    }

    fn reply(&self, call: &ShardCall<'_>, shown: Pieces) -> Step {
        let count = shown.count();
        Step::Reply(shown.into_reply(call.reply.protocol(), |reply| {
            self.combining.begin_reply(count, reply);
        }))
    }

    /// Shows more of what was gathered.
    fn show(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let Found::Showing(gathered, shown) = &mut self.found else {
            unreachable!("it is asked for then alone");
        };
        let (members, next) = call.shard.loose_part(*gathered, (self.from, STEP_BYTES));
        let added = show(&self.combining, (shown, call.reply.protocol()), &members);
        if let (Some(next), Ok(())) = (next, &added) {
            self.from = next;
            return Ok(Step::More);
        }
        call.shard.drop_loose(*gathered);
        let shown = std::mem::take(shown);
        self.found = Found::Done;
        added?;
        Ok(self.reply(call, shown))
    }
}

impl Steps for InSteps {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        if let Found::Showing(..) = self.found {
            return self.show(call);
        }
        let Some(&base) = self.plan.bases.last() else {
            return self.end(call);
        };
        let Some(unfinished) = self.go_on(call, base) else {
            self.begin_again(call)?;
            return Ok(Step::More);
        };
        if unfinished.looked_in < self.plan.others.len() {
            self.part = Some(unfinished);
            return Ok(Step::More);
        }
        let part = unfinished.part;
        let are_more_wanted = self.take(call, &part.members)?;
        self.from = part.next.unwrap_or(0);
        if part.next.is_none() {
            self.plan.bases.pop();
        }
        match are_more_wanted && !self.plan.bases.is_empty() {
            true => Ok(Step::More),
            false => self.end(call),
        }
    }

    fn held_bytes(&self) -> usize {
        let part = self.part.as_ref();
        let part_bytes = part.map_or(0, |unfinished| unfinished.part.members.capacity());
        part_bytes
            + match &self.found {
                Found::Shown(shown) | Found::Showing(_, shown) => shown.held_bytes(),
                Found::Counted(_) | Found::Gathered(_) | Found::Done => 0,
            }
    }

    fn abandon(&mut self, shard: &mut Shard) {
        if let Found::Gathered(gathered) | Found::Showing(gathered, _) =
            std::mem::replace(&mut self.found, Found::Done)
        {
            shard.drop_loose(gathered);
        }
    }
}

#[cfg(test)]
mod tests {
    use larder_engine::LooseId;

    use crate::command::families::testing::Bench;

    /// What is gathered in a shard in which something is.
    const GATHERED: LooseId = LooseId(0);

    /// Fills `a` with members 0 to `members`, `b` with the upper half of these.
    fn bench(members: usize) -> Bench {
        let mut bench = Bench::new();
        for (key, from) in [("a", 0), ("b", members / 2)] {
            let numbers: Vec<usize> = (from..members).collect();
            for some in numbers.chunks(1000) {
                let words: Vec<String> = some.iter().map(|n| format!("{n} m:{n:06}")).collect();
                bench.run(&format!("ZADD {key} {}", words.join(" ")));
            }
        }
        bench
    }

    /// How many steps a command takes that stores so many members, none of which adds more than a bound.
    fn steps_to_store(bench: &mut Bench, line: &str, stored: u64) -> usize {
        let (mut steps, mut gathered) = (0, 0);
        let reply = bench.run_in_steps(line, &mut |shard, _| {
            steps += 1;
            if shard.loose_count() > 0 {
                let len = shard.loose_len(GATHERED);
                assert!(len - gathered <= 700, "{line}: {}", len - gathered);
                gathered = len;
            }
        });
        assert_eq!(reply, stored.to_string(), "{line}");
        assert!(stored - gathered <= 700, "{line}: the last of {steps}");
        steps
    }

    #[test]
    fn no_step_looks_at_many_members_and_more_members_take_more_steps() {
        let mut before = [0; 3];
        for members in [6000, 12_000, 24_000] {
            let mut bench = bench(members);
            let half = members as u64 / 2;
            let lines = [
                ("ZUNIONSTORE d 2 a b", 2 * half),
                ("ZINTERSTORE d 2 a b", half),
                ("ZDIFFSTORE d 2 a b", half),
            ];
            for ((line, stored), before) in lines.into_iter().zip(&mut before) {
                let steps = steps_to_store(&mut bench, line, stored);
                assert!(steps >= *before * 3 / 2 && steps >= 8, "{line}: {steps}");
                *before = steps;
            }
        }
    }

    #[test]
    fn a_step_looks_in_few_of_many_operands() {
        let mut bench = bench(6000);
        let few = steps_to_store(&mut bench, "ZINTERSTORE d 2 a b", 3000);
        let many = format!("ZINTERSTORE d 65 a{}", " b".repeat(64));
        let steps = steps_to_store(&mut bench, &many, 3000);
        assert!(steps > 10 * few, "{steps} {few}");
        // Where no member is left, nothing is looked for.
        let none = format!("ZINTERSTORE d 66 a few{}", " b".repeat(64));
        bench.run(&format!(
            "SADD few{}",
            (0..2500).map(|n| format!(" x{n}")).collect::<String>()
        ));
        let mut steps = 0;
        bench.run_in_steps(&none, &mut |_, _| steps += 1);
        assert!(steps < 3 * few, "{steps} {few}");
    }

    #[test]
    fn what_is_shown_is_gathered_and_written_in_steps() {
        let mut bench = bench(6000);
        let (mut steps, mut held) = (0, 0);
        let reply = bench.run_in_steps("ZUNION 2 a b", &mut |_, command| {
            steps += 1;
            // A piece begins with a quarter of what it may have.
            assert!(command.held_bytes() <= held + (64 << 10), "step {steps}");
            held = command.held_bytes();
        });
        assert!(reply.starts_with("[\"m:000000\", \"m:000001\""));
        assert!(reply.ends_with("\"m:005998\", \"m:005999\"]"));
        assert!(steps > 20, "{steps}");
        assert_eq!(bench.shard.loose_count(), 0);
    }

    #[test]
    fn few_members_of_a_base_are_looked_for_in_a_large_one_at_once() {
        let mut bench = bench(6000);
        bench.check(&[
            ("ZADD few 1 m:000001 2 m:000002 3 none", "3"),
            ("SADD small m:000001", "1"),
        ]);
        let mut steps = 0;
        for (line, expected) in [
            (
                "ZINTER 2 a few WITHSCORES",
                "[\"m:000001\", \"2\", \"m:000002\", \"4\"]",
            ),
            ("ZDIFF 2 few a", "[\"none\"]"),
            ("ZINTERCARD 3 few small a", "1"),
            ("ZUNION 1 none", "[]"),
        ] {
            let reply = bench.run_in_steps(line, &mut |_, _| steps += 1);
            assert_eq!((&reply[..], steps), (expected, 0), "{line}");
        }
    }
}
