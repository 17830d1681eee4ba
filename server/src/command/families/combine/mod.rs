//! Operations on several sets, or sorted sets: what all of them have, any, or the first alone; shown, counted or stored.
//!
//! ```text
//!  a base: the smallest, each, the first ─▶ a part of its members ─▶ those that all others have, or none ─▶ shown, counted, gathered
//!          inter           union  diff      └ part.rs ──────────────────────────────────── lookup.rs ┘       └ gathered.rs
//!
//!  all keys on one core   at_once.rs   little is done at once, without parts
//!                         here.rs      else a part in each step
//!  on several             across.rs    a part in each round: it travels to the cores of the others, which say what they have
//! ```
//! A command says what it wants of its arguments ([`Combining`]), and has one of three functions: [`run`], [`begin`], [`across`]. What
//! is stored is gathered in a collection that no key has, on the destination's core, and put when all is there; so is what is shown and
//! is a union, or is to be in the order of scores. Locks of all keys are held meanwhile, but a key may reach its deadline: then all
//! begins again without it.
//!
//! Where there are [`Scores`], operands may be sorted sets, and a part has a score for each member: the base's, then what comes of that
//! and the others', in the order of their sizes, as in Redis, which shows in sums of fractions.

mod across;
mod at_once;
pub(super) mod gathered;
mod here;
mod lookup;
mod part;
mod scores;

use std::collections::HashSet;
use std::hash::Hash;

use std::ops::Range;

use larder_engine::{Event, Kind, MembersRef, PartOf};

use crate::command::{Args, Rounds, ShardCall, Steps, run_all_steps};
use crate::resp::errors::CommandResult;
use crate::resp::{ErrorReply, Reply};
use crate::routing::SlotMap;
use part::Manner;
pub(super) use scores::{Aggregate, Scores};

/// What is done with sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// What all have.
    Inter,
    /// What any has.
    Union,
    /// What the first has, and no other.
    Diff,
}

/// What becomes of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// They are shown.
    Members,
    /// Their number is, up to a limit.
    Count {
        /// It.
        limit: u64,
    },
    /// They are stored, and their number is shown.
    Stored {
        /// The argument that is the destination's key.
        at: usize,
        /// What is told of it.
        event: Event,
    },
}

/// What a command asks for.
#[derive(Clone, Debug)]
pub(super) struct Combining {
    pub(super) operation: Operation,
    /// The arguments that are keys of sets.
    pub(super) operands: Range<usize>,
    pub(super) wanted: Wanted,
    /// What is done with scores; none: operands are sets alone.
    pub(super) scores: Option<Scores>,
    /// What is wrong with what stands behind the operands, which is said once their types are right.
    pub(super) fault: Option<ErrorReply>,
}

const SETS: &[Kind] = &[Kind::Set];
const SETS_AND_SORTED_SETS: &[Kind] = &[Kind::Set, Kind::SortedSet];

/// Reads the arguments of a command.
pub(super) type ParseFn = fn(&Args<'_>) -> Result<Combining, ErrorReply>;

impl Combining {
    /// The types that operands may have.
    fn kinds(&self) -> &'static [Kind] {
        match self.scores {
            None => SETS,
            Some(_) => SETS_AND_SORTED_SETS,
        }
    }

    /// The weight of an operand.
    fn weight(&self, operand: usize) -> f64 {
        let scores = self.scores.as_ref();
        scores.map_or(1.0, |scores| scores.weights[operand])
    }

    /// What is done with operands of so many members; `identity` is alike of operands that are the same.
    fn plan<I: Eq + Hash>(&self, lens: &[Option<u64>], identity: impl Fn(usize) -> I) -> Plan {
        let mut plan = self.plan_order(lens, identity);
        plan.is_gathered = match self.wanted {
            Wanted::Stored { .. } => true,
            Wanted::Count { .. } => false,
            Wanted::Members => self.scores.is_some() || plan.bases.len() > 1,
        };
        plan
    }

    /// The operands whose members are looked at, and the others that say which of them are kept, of operands with so many members;
    /// none, if there is nothing to look at.
    fn plan_order<I: Eq + Hash>(
        &self,
        lens: &[Option<u64>],
        identity: impl Fn(usize) -> I,
    ) -> Plan {
        let is_scored = Manner::of(self).of == PartOf::Scored;
        let there = || (0..lens.len()).filter(|&at| lens[at].is_some());
        let different = |from: usize| there().filter(move |&at| at != from);
        let mut plan = Plan::default();
        match self.operation {
            Operation::Inter => {
                if lens.iter().any(Option::is_none) {
                    return plan;
                }
                let base = there().min_by_key(|&at| lens[at]);
                let base = base.expect("there is one operand at least");
                let counts = |at: &usize| is_scored || identity(*at) != identity(base);
                plan.bases = vec![base];
                plan.others = different(base).filter(counts).collect();
                plan.others.sort_by_key(|&at| lens[at]);
            }
            Operation::Union if is_scored => {
                plan.bases = there().collect();
                plan.bases.sort_by_key(|&at| lens[at]);
                plan.bases.reverse();
            }
            Operation::Union => {
                let mut seen = HashSet::with_hasher(ahash::RandomState::new());
                plan.bases = there().filter(|&at| seen.insert(identity(at))).collect();
            }
            Operation::Diff => {
                if lens[0].is_none() || different(0).any(|at| identity(at) == identity(0)) {
                    return plan;
                }
                plan.bases = vec![0];
                plan.others = different(0).collect();
                plan.others.sort_by_key(|&at| std::cmp::Reverse(lens[at]));
            }
        }
        plan
    }

    /// The plan for what is there.
    fn plan_for(&self, sets: &[Option<MembersRef<'_>>]) -> Plan {
        let lens: Vec<Option<u64>> = sets.iter().map(|set| set.map(|set| set.len())).collect();
        self.plan(&lens, |at| sets[at].map(|set| set.identity()))
    }

    /// What stands before `count` members that are shown.
    fn begin_reply(&self, count: usize, reply: &mut Reply<'_>) {
        match &self.scores {
            None => reply.set(count),
            Some(scores) => reply.array(count * scores.parts.replies_each(reply)),
        }
    }
}

/// Numbers of operands.
#[derive(Debug, Default)]
struct Plan {
    /// Those whose members are looked at, one after the other, from the last on.
    bases: Vec<usize>,
    /// Those that are asked for each.
    others: Vec<usize>,
    /// Whether what comes of it is gathered before it is shown.
    is_gathered: bool,
}

/// Which members of a base are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    IfAllHave,
    IfNoneHas,
    /// If all have them, with what comes of all scores.
    Scored(Aggregate),
}

/// Bytes of a part of which each member is looked for in so many others, out of `most` for what is looked for in one.
fn part_bytes(most: usize, others: usize) -> usize {
    (most / others.max(1)).max(PART_MIN_BYTES)
}

/// Bytes of a part that are worth the way, however many others there are.
const PART_MIN_BYTES: usize = 512;

/// Runs a command whose keys are on one shard.
pub(super) fn run(call: &mut ShardCall<'_>, parse: ParseFn) -> CommandResult {
    run_all_steps(call, |call| begin(call, parse))
}

/// Runs it with its first step, which may be all.
pub(super) fn begin(
    call: &mut ShardCall<'_>,
    parse: ParseFn,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let combining = parse(&call.args)?;
    here::begin(call, combining)
}

/// Begins it where keys are on several cores.
pub(super) fn across(
    args: &Args<'_>,
    slots: &SlotMap,
    parse: ParseFn,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    let combining = parse(args)?;
    Ok(across::begin(args, slots, combining))
}
