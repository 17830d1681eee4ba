//! Operations on sets of one shard that have so few members that all is done in one step.
//!
//! Members go from the base to the reply, or to what is stored, without a copy in between; those of the base that are looked for in the
//! others are taken some at a time. What has scores is put in their order first.

use std::collections::HashSet;
use std::ops::ControlFlow;

use larder_engine::{
    DbIndex, Encoding, Event, Key, Member, MembersRef, PartOf, Shard, parse_canonical_i64,
};

use super::gathered::{self, Gathering};
use super::lookup::{Other, Table, Together, is_without_tables};
use super::part::Manner;
use super::scores::{self, Scores};
use super::{Combining, Keep, Operation, Plan, Wanted};
use crate::resp::{ErrorReply, Reply};

/// Members that are looked at in one step at most, all sets together, and their bytes; fewer, if what comes of them is put in order.
const MEMBERS: u64 = 4096;
const SCORED_MEMBERS: u64 = 2048;
const BYTES: u64 = 256 << 10;

/// Operands, of which some are not there.
type Sets<'a> = [Option<MembersRef<'a>>];

/// Shows a member; whether others are wanted.
type Show<'a, 's> = &'a mut dyn FnMut(Member<'s>) -> ControlFlow<()>;

/// Whether all is done at once.
pub(super) fn is_little(combining: &Combining, plan: &Plan, sets: &Sets<'_>) -> bool {
    let most = match Manner::of(combining).of {
        PartOf::Names => MEMBERS,
        PartOf::Scored => SCORED_MEMBERS,
    };
    let fits = |members, bytes| members <= most && bytes <= BYTES;
    let there = || sets.iter().flatten();
    let members: u64 = there().map(MembersRef::len).sum();
    let bytes: u64 = there().map(MembersRef::payload_bytes).sum();
    if fits(members, bytes) {
        return true;
    }
    let base = match (combining.operation, &plan.bases[..]) {
        (Operation::Inter | Operation::Diff, [base]) => sets[*base],
        _ => return plan.bases.is_empty(),
    };
    // Few members, looked for in sets of any size.
    base.is_some_and(|base| {
        let lookups = base.len() * (1 + plan.others.len() as u64);
        is_without_tables(base.len()) && fits(lookups, base.payload_bytes())
    })
}

/// Shows or counts what comes of the sets.
pub(super) fn show(combining: &Combining, plan: &Plan, sets: &Sets<'_>, reply: &mut Reply<'_>) {
    if let Wanted::Count { limit } = combining.wanted {
        let mut count = 0;
        each(combining, plan, sets, &mut |_| {
            count += 1;
            match count < limit {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        reply.count(count);
    } else if let Some(scores) = &combining.scores {
        let members = in_order(combining, scores, plan, sets);
        combining.begin_reply(members.len(), reply);
        for member in &members {
            scores.parts.write(reply, member);
        }
    } else {
        let array = reply.begin_set(plan.bases.first().map_or(0, |&at| len_of(&sets[at])));
        let mut shown = 0;
        each(combining, plan, sets, &mut |member| {
            reply.bulk(member.name);
            shown += 1;
            ControlFlow::Continue(())
        });
        reply.end(array, shown);
    }
}

fn len_of(set: &Option<MembersRef<'_>>) -> usize {
    set.map_or(0, |set| set.len() as usize)
}

/// What comes of the sets, in the form of a part.
pub(super) fn part(combining: &Combining, plan: &Plan, sets: &Sets<'_>) -> Vec<u8> {
    let mut part = Vec::new();
    if let Some(scores) = &combining.scores {
        for member in in_order(combining, scores, plan, sets) {
            PartOf::Scored.write(&member, &mut part);
        }
    } else {
        each(combining, plan, sets, &mut |member| {
            PartOf::Names.write(&member, &mut part);
            ControlFlow::Continue(())
        });
    }
    part
}

/// Stores a part. How many members it has.
///
/// # Errors
/// Memory is out; then nothing changed.
pub(super) fn store(
    shard: &mut Shard,
    combining: &Combining,
    part: &[u8],
    (db, key, event): (DbIndex, Key<'_>, Event),
) -> Result<u64, ErrorReply> {
    let gathering = Gathering::of(combining);
    let gathered = gathering.begin(shard);
    gathering.add(shard, gathered, part)?;
    gathered::store(shard, db, key, gathered, event)
}

/// All with scores, in their order.
fn in_order<'s>(
    combining: &Combining,
    scores: &Scores,
    plan: &Plan,
    sets: &Sets<'s>,
) -> Vec<Member<'s>> {
    let mut members = Vec::new();
    match combining.operation {
        Operation::Union => members = scored_union(scores, plan, sets),
        Operation::Inter | Operation::Diff => each(combining, plan, sets, &mut |member| {
            members.push(member);
            ControlFlow::Continue(())
        }),
    }
    members.sort_unstable_by(scores::in_order);
    members
}

fn scored_union<'s>(scores: &Scores, plan: &Plan, sets: &Sets<'s>) -> Vec<Member<'s>> {
    let mut found: Table<'s> = Table::default();
    for &at in plan.bases.iter().rev() {
        let base = sets[at].expect("a base is there");
        base.walk(&mut |member| {
            let score = scores::weighed(scores.weights[at], member.score);
            let sum = found.entry(member.name);
            sum.and_modify(|sum| *sum = scores.aggregate.of(*sum, score))
                .or_insert(score);
            ControlFlow::Continue(())
        });
    }
    let members = found.into_iter();
    members
        .map(|(name, score)| Member { name, score })
        .collect()
}

/// Shows each member of what comes of the sets, until `show` breaks.
fn each<'s>(combining: &Combining, plan: &Plan, sets: &Sets<'s>, show: Show<'_, 's>) {
    if combining.operation == Operation::Union {
        return each_of_union(plan, sets, show);
    }
    let Some(&base_at) = plan.bases.first() else {
        return;
    };
    let base = sets[base_at].expect("a base is there");
    let others = plan.others.iter();
    let others = others.filter_map(|&at| Some((sets[at]?, combining.weight(at))));
    let others: Vec<(MembersRef<'s>, f64)> = others.collect();
    let weight = combining.weight(base_at);
    let weighed = |member: Member<'s>| Member {
        score: scores::weighed(weight, member.score),
        ..member
    };
    let keep = Manner::of(combining).keep;
    if others.is_empty() {
        base.walk(&mut |member| show(weighed(member)));
    } else if keep == Keep::IfNoneHas && is_better_merged(&base, &others) {
        let mut merged = Names::default();
        for (other, _) in &others {
            other.walk(&mut |member| {
                merged.insert(member.name);
                ControlFlow::Continue(())
            });
        }
        base.walk(&mut |member| match merged.contains(member.name) {
            true => ControlFlow::Continue(()),
            false => show(weighed(member)),
        });
    } else {
        let others = others.into_iter();
        let others = others.map(|(set, weight)| Other::new(set, weight, base.len()));
        let others: Vec<Other<'_>> = others.collect();
        let mut together = Together::default();
        let mut show_kept = |together: &mut Together<'s>| {
            let kept = together.keep(&others, keep);
            let shown = together.of(kept).try_for_each(&mut *show);
            together.clear();
            shown
        };
        let mut is_over = false;
        base.walk(&mut |member| {
            if !together.push(weighed(member)) {
                return ControlFlow::Continue(());
            }
            let shown = show_kept(&mut together);
            is_over = shown.is_break();
            shown
        });
        if !is_over {
            // Nothing is behind them.
            let _ = show_kept(&mut together);
        }
    }
}

type Names<'a> = HashSet<&'a [u8], ahash::RandomState>;

/// Whether it takes less to put the others together than to look for each member of the base in each of them: as Redis reckons.
fn is_better_merged(base: &MembersRef<'_>, others: &[(MembersRef<'_>, f64)]) -> bool {
    let by_probes = base.len() * (others.len() as u64 + 1) / 2;
    let merged: u64 = others.iter().map(|(other, _)| other.len()).sum();
    by_probes > base.len() + merged
}

/// Integers alone are shown in their order, as Redis has them.
fn each_of_union<'s>(plan: &Plan, sets: &Sets<'s>, show: Show<'_, 's>) {
    let bases = || plan.bases.iter().filter_map(|&at| sets[at]);
    if let [base] = plan.bases[..] {
        return sets[base].expect("a base is there").walk(show);
    }
    if bases().all(|set| set.encoding() == Encoding::IntSet) {
        let mut integers = Vec::new();
        for set in bases() {
            set.walk(&mut |member| {
                integers.push((parse_canonical_i64(member.name), member.name));
                ControlFlow::Continue(())
            });
        }
        integers.sort_unstable();
        integers.dedup();
        let mut integers = integers.into_iter();
        let _ = integers.try_for_each(|(_, name)| show(Member { name, score: 0.0 }));
        return;
    }
    let mut seen = Names::default();
    for set in bases() {
        let mut is_over = false;
        set.walk(&mut |member| match seen.insert(member.name) {
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
