//! Operations on several sets: what all of them have, any, or the first alone; shown, counted or stored.
//!
//! ```text
//!  a base: the smallest, each, the first ─▶ a part of its members ─▶ those that all others have, or none ─▶ shown, counted, gathered
//!          inter           union  diff      └ part.rs ──────────────────────────────────────────────┘       └ found.rs
//!
//!  all keys on one core   here.rs      a part in each step; little is done at once, without parts
//!  on several             across.rs    a part in each round: it travels to the cores of the others, which say what they have
//! ```
//! A command says what it wants of its arguments ([`Combining`]), and has one of three functions: [`run`], [`begin`], [`across`]. What
//! is stored is gathered in a collection that no key has, on the destination's core, and put when all is there; so are unions
//! that are shown, on the core of their first set. Locks of all keys are held meanwhile, but a key may reach its deadline: then all
//! begins again without it.

mod across;
mod found;
mod here;
mod part;

use std::ops::Range;

use larder_engine::Event;

use crate::command::{Args, Rounds, ShardCall, Steps, run_all_steps};
use crate::resp::ErrorReply;
use crate::resp::errors::CommandResult;
use crate::routing::SlotMap;

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
}

/// Reads the arguments of a command.
pub(super) type ParseFn = fn(&Args<'_>) -> Result<Combining, ErrorReply>;

impl Combining {
    /// The operands whose members are looked at, and the others that say which of them are kept, of operands with so many members;
    /// none, if there is nothing to look at.
    fn plan(&self, lens: &[Option<u64>], is_same: impl Fn(usize, usize) -> bool) -> Plan {
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
                plan.bases = vec![base];
                plan.others = different(base).filter(|&at| !is_same(at, base)).collect();
                plan.others.sort_by_key(|&at| lens[at]);
            }
            Operation::Union => {
                let is_first = |at: &usize| !(0..*at).any(|before| is_same(before, *at));
                plan.bases = there().filter(is_first).collect();
            }
            Operation::Diff => {
                if lens[0].is_none() || different(0).any(|at| is_same(at, 0)) {
                    return plan;
                }
                plan.bases = vec![0];
                plan.others = different(0).collect();
                plan.others.sort_by_key(|&at| std::cmp::Reverse(lens[at]));
            }
        }
        plan
    }

    /// Which members of a base are kept.
    fn keeps(&self) -> Keep {
        match self.operation {
            Operation::Inter => Keep::IfAllHave,
            Operation::Union | Operation::Diff => Keep::IfNoneHas,
        }
    }
}

/// Numbers of operands.
#[derive(Debug, Default)]
struct Plan {
    /// Those whose members are looked at, one after the other.
    bases: Vec<usize>,
    /// Those that are asked for each.
    others: Vec<usize>,
}

/// Which members of a base are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    IfAllHave,
    IfNoneHas,
}

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
