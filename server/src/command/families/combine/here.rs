//! Operations on sets of one shard: at once if they are small, else in steps.
//!
//! At once, members go from the base to the reply, or to what is stored, without a copy in between; those of the base that are looked
//! for in the others are taken [`NEAR_AT_ONCE`] at a time.

use std::collections::HashSet;
use std::ops::ControlFlow;

use larder_engine::limits::NEAR_AT_ONCE;
use larder_engine::{
    Access, DbIndex, Encoding, Event, Key, Kind, LooseId, SetRef, Shard, members_of_part,
    parse_canonical_i64, write_member,
};

use super::found::Shown;
use super::part::{self, keep_of};
use super::{Combining, Keep, Operation, Plan, Wanted};
use crate::command::{ShardCall, Step, Steps};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// Members that are looked at in one step at most, all sets together, and their bytes.
const AT_ONCE_MEMBERS: u64 = 4096;
const AT_ONCE_BYTES: u64 = 256 << 10;

/// Bytes of members that one step of several looks at, about.
const STEP_BYTES: usize = 16 << 10;

type Hashed<'a> = HashSet<&'a [u8], ahash::RandomState>;

/// Runs a command with its first step.
pub(super) fn begin(
    call: &mut ShardCall<'_>,
    combining: Combining,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let keys: Vec<Key<'_>> = combining.operands.clone().map(|at| call.key(at)).collect();
    let destination = match combining.wanted {
        Wanted::Stored { at, event } => Some((call.key(at), event)),
        _ => None,
    };
    let db = call.db;
    let (shard, stats, reply) = (&mut *call.shard, &mut *call.stats, &mut call.reply);
    let sets = shard.sets_at(db, keys.into_iter(), call.access, |found| {
        stats.count_lookup(found != Ok(false));
        found.map(drop).map_err(|_| errors::WRONG_TYPE)
    })?;
    let there = || sets.iter().flatten();
    let members: u64 = there().map(SetRef::len).sum();
    let bytes: u64 = there().map(SetRef::payload_bytes).sum();
    if members > AT_ONCE_MEMBERS || bytes > AT_ONCE_BYTES {
        let plan = plan(&combining, &sets);
        return Ok(Some(Box::new(InSteps::begin(shard, combining, plan))));
    }
    match (combining.wanted, destination) {
        (Wanted::Members, _) => {
            let array = reply.begin_set(sets.first().map_or(0, len_of) as usize);
            let mut shown = 0;
            each(&combining, &sets, &mut |member| {
                reply.bulk(member);
                shown += 1;
                ControlFlow::Continue(())
            });
            reply.end(array, shown);
        }
        (Wanted::Count { limit }, _) => {
            let mut count = 0;
            each(&combining, &sets, &mut |_| {
                count += 1;
                match count < limit {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
            reply.count(count);
        }
        (Wanted::Stored { .. }, destination) => {
            let (key, event) = destination.expect("it was named");
            let mut members = Vec::new();
            each(&combining, &sets, &mut |member| {
                write_member(member, &mut members);
                ControlFlow::Continue(())
            });
            let gathered = shard.begin_loose(Kind::Set, None);
            gather(shard, gathered, &members)?;
            reply.count(store(shard, db, key, gathered, event)?);
        }
    }
    Ok(None)
}

fn len_of(set: &Option<SetRef<'_>>) -> u64 {
    set.map_or(0, |set| set.len())
}

fn plan(combining: &Combining, sets: &[Option<SetRef<'_>>]) -> Plan {
    let lens: Vec<Option<u64>> = sets.iter().map(|set| set.map(|set| set.len())).collect();
    combining.plan(&lens, |a, b| match (&sets[a], &sets[b]) {
        (Some(a), Some(b)) => a.is(b),
        _ => false,
    })
}

/// Shows each member of what comes of the sets, until `show` breaks.
fn each(
    combining: &Combining,
    sets: &[Option<SetRef<'_>>],
    show: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) {
    if combining.operation == Operation::Union {
        return each_of_union(sets, show);
    }
    let plan = plan(combining, sets);
    let Some(base) = plan.bases.first().and_then(|&at| sets[at]) else {
        return;
    };
    let others: Vec<SetRef<'_>> = plan.others.iter().filter_map(|&at| sets[at]).collect();
    let keep = combining.keeps();
    if others.is_empty() {
        base.walk(&mut |member| show(member));
    } else if keep == Keep::IfNoneHas && is_better_merged(&base, &others) {
        let mut merged = Hashed::default();
        for other in &others {
            other.each(&mut |member| {
                merged.insert(member);
            });
        }
        base.walk(&mut |member| match merged.contains(member) {
            true => ControlFlow::Continue(()),
            false => show(member),
        });
    } else {
        each_kept(&base, (&others, keep), show);
    }
}

/// Whether it takes less to put the others together than to look for each member of the base in each of them: as Redis reckons.
fn is_better_merged(base: &SetRef<'_>, others: &[SetRef<'_>]) -> bool {
    let by_probes = base.len() * (others.len() as u64 + 1) / 2;
    let merged: u64 = others.iter().map(SetRef::len).sum();
    by_probes > base.len() + merged
}

/// Members of a packed set from which on it is worth a table of its own, if so many are looked for in it: finding one in the set is a look
/// at all tags.
const TABLE_MIN_MEMBERS: u64 = 64;

/// Shows the members of `base` that are kept for what others have.
fn each_kept<'s>(
    base: &SetRef<'s>,
    (others, keep): (&[SetRef<'_>], Keep),
    show: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) {
    let is_for_table =
        |set: &&SetRef<'_>| set.is_packed() && set.len().min(base.len()) >= TABLE_MIN_MEMBERS;
    let tables: Vec<Hashed<'_>> = others.iter().filter(is_for_table).map(table_of).collect();
    let is_kept = |member: &[u8]| {
        let mut found = tables.iter().map(|table| table.contains(member));
        found.all(|found| found == (keep == Keep::IfAllHave))
    };
    let mut together: [&'s [u8]; NEAR_AT_ONCE] = [b""; NEAR_AT_ONCE];
    let mut count = 0;
    let mut show_kept = |members: &[&[u8]]| -> ControlFlow<()> {
        let probed = others.iter().filter(|set| !is_for_table(set));
        let mut kept = keep_of(probed, keep, members);
        while kept != 0 {
            let member = members[kept.trailing_zeros() as usize];
            if is_kept(member) {
                show(member)?;
            }
            kept &= kept - 1;
        }
        ControlFlow::Continue(())
    };
    let mut is_over = false;
    base.walk(&mut |member| {
        together[count] = member;
        count += 1;
        if count < NEAR_AT_ONCE {
            return ControlFlow::Continue(());
        }
        count = 0;
        let shown = show_kept(&together);
        is_over = shown.is_break();
        shown
    });
    if !is_over {
        // Nothing is behind them.
        let _ = show_kept(&together[..count]);
    }
}

fn table_of<'s>(set: &SetRef<'s>) -> Hashed<'s> {
    let mut table = Hashed::default();
    table.reserve(set.len() as usize);
    set.each(&mut |member| {
        table.insert(member);
    });
    table
}

/// Integers alone are shown in their order, as Redis has them.
fn each_of_union(sets: &[Option<SetRef<'_>>], show: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
    let there = || sets.iter().flatten();
    if let (Some(set), 1) = (there().next(), there().count()) {
        return set.walk(&mut |member| show(member));
    }
    if there().all(|set| set.encoding() == Encoding::IntSet) {
        let mut integers = Vec::new();
        for set in there() {
            set.each(&mut |member| integers.push((parse_canonical_i64(member), member)));
        }
        integers.sort_unstable();
        integers.dedup();
        let _ = integers.iter().try_for_each(|(_, member)| show(member));
        return;
    }
    let mut seen = Hashed::default();
    for set in there() {
        let mut is_over = false;
        set.walk(&mut |member| match seen.insert(member) {
            false => ControlFlow::Continue(()),
            true => {
                let shown = show(member);
                is_over = shown.is_break();
                shown
            }
        });
        if is_over {
            return;
        }
    }
}

/// Adds the members of a part to what is gathered.
///
/// # Errors
/// Memory is out. Then what was gathered is dropped.
pub(super) fn gather(shard: &mut Shard, gathered: LooseId, part: &[u8]) -> CommandResult {
    shard.add_part(gathered, part).map_err(|error| {
        shard.drop_loose(gathered);
        error.into()
    })
}

/// Stores what is gathered in the place of what a key has, or removes that if it is nothing. How many members there are.
///
/// # Errors
/// Memory is out. Then what was gathered is dropped, and the key is as it was.
pub(super) fn store(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    gathered: LooseId,
    event: Event,
) -> Result<u64, ErrorReply> {
    let len = shard.loose_len(gathered);
    if len == 0 {
        shard.drop_loose(gathered);
        shard.remove(db, key, Event::Del);
        return Ok(0);
    }
    let attributes = (None, shard.access_of_new());
    shard.put_loose(db, key, gathered, attributes, event)?;
    Ok(len)
}

/// An operation on large sets.
#[derive(Debug)]
struct InSteps {
    combining: Combining,
    plan: Plan,
    /// Where the next part begins: of the last base, or of what was gathered.
    from: u64,
    found: Found,
}

/// What was found so far.
#[derive(Debug)]
enum Found {
    Shown(Shown),
    Counted(u64),
    /// It is to be stored, or shown once all is there.
    Gathered(LooseId),
    /// What was gathered, of which some is shown.
    Showing(LooseId, Shown),
    /// It is stored, or dropped.
    Done,
}

impl InSteps {
    fn begin(shard: &mut Shard, combining: Combining, plan: Plan) -> Self {
        let found = match (combining.wanted, combining.operation) {
            (Wanted::Members, Operation::Union) if plan.bases.len() > 1 => {
                Found::Gathered(shard.begin_loose(Kind::Set, None))
            }
            (Wanted::Stored { .. }, _) => Found::Gathered(shard.begin_loose(Kind::Set, None)),
            (Wanted::Members, _) => Found::Shown(Shown::default()),
            (Wanted::Count { .. }, _) => Found::Counted(0),
        };
        Self {
            combining,
            plan,
            from: 0,
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
        let sets = shard.sets_at(call.db, keys.into_iter(), Access::Peek, found)?;
        let plan = plan(&self.combining, &sets);
        *self = Self::begin(shard, self.combining.clone(), plan);
        Ok(())
    }

    /// Takes the members of a part; whether more are wanted.
    fn take(&mut self, shard: &mut Shard, members: &[u8]) -> Result<bool, ErrorReply> {
        match &mut self.found {
            Found::Shown(shown) => shown.add(members)?,
            Found::Counted(count) => {
                *count += members_of_part(members).count() as u64;
                if let Wanted::Count { limit } = self.combining.wanted {
                    *count = limit.min(*count);
                    return Ok(*count < limit);
                }
            }
            Found::Gathered(gathered) => {
                let gathered = *gathered;
                if let Err(error) = gather(shard, gathered, members) {
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
        let protocol = call.reply.protocol();
        match (
            std::mem::replace(&mut self.found, Found::Done),
            self.combining.wanted,
        ) {
            (Found::Shown(shown), _) => Ok(Step::Reply(shown.into_pieces(protocol))),
            (Found::Counted(count), _) => {
                call.reply.count(count);
                Ok(Step::Done)
            }
            (Found::Gathered(gathered), Wanted::Stored { at, event }) => {
                let key = call.key(at);
                let len = store(call.shard, call.db, key, gathered, event)?;
                call.reply.count(len);
                Ok(Step::Done)
            }
            (Found::Gathered(gathered), _) => {
                self.from = 0;
                self.found = Found::Showing(gathered, Shown::default());
                Ok(Step::More)
            }
            (Found::Showing(..) | Found::Done, _) => unreachable!("it ends once"),
        }
    }

    /// Shows more of what was gathered.
    fn show(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let Found::Showing(gathered, shown) = &mut self.found else {
            unreachable!("it is asked for then alone");
        };
        let (members, next) = call.shard.loose_part(*gathered, (self.from, STEP_BYTES));
        let added = shown.add(&members);
        if let (Some(next), Ok(())) = (next, &added) {
            self.from = next;
            return Ok(Step::More);
        }
        call.shard.drop_loose(*gathered);
        let shown = std::mem::take(shown);
        self.found = Found::Done;
        added?;
        Ok(Step::Reply(shown.into_pieces(call.reply.protocol())))
    }
}

impl Steps for InSteps {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        if let Found::Showing(..) = self.found {
            return self.show(call);
        }
        let first = self.combining.operands.start;
        let Some(&base) = self.plan.bases.last() else {
            return self.end(call);
        };
        let base = call.key(first + base);
        let others: Vec<Key<'_>> = self
            .plan
            .others
            .iter()
            .map(|at| call.key(first + at))
            .collect();
        let (keep, place) = (self.combining.keeps(), (self.from, STEP_BYTES));
        let keys = (base, others.into_iter());
        let Some(part) = part::kept(call.shard, call.db, keys, keep, place) else {
            self.begin_again(call)?;
            return Ok(Step::More);
        };
        let are_more_wanted = self.take(call.shard, &part.members)?;
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
        match &self.found {
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
