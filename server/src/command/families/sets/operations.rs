//! Intersections, unions and differences of sets: shown, counted or stored. How they are found is in
//! [`crate::command::families::combine`].

use larder_engine::Event;

use super::READING;
use crate::command::families::combine::{self, Combining, Operation, Wanted};
use crate::command::families::counts;
use crate::command::{Args, CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, Spread};
use crate::resp::ErrorReply;
use crate::resp::errors;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "sinter",
        summary: "Returns the members that all of several sets have.",
        complexity: INTER_COMPLEXITY,
        run: Run::FanOut {
            together: |call| combine::run(call, sinter),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, sinter)),
        },
        steps: Some(|call| combine::begin(call, sinter)),
        ..SHOWING
    },
    CommandSpec {
        name: "sunion",
        summary: "Returns the members that any of several sets has.",
        run: Run::FanOut {
            together: |call| combine::run(call, sunion),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, sunion)),
        },
        steps: Some(|call| combine::begin(call, sunion)),
        ..SHOWING
    },
    CommandSpec {
        name: "sdiff",
        summary: "Returns the members of the first of several sets that no other has.",
        run: Run::FanOut {
            together: |call| combine::run(call, sdiff),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, sdiff)),
        },
        steps: Some(|call| combine::begin(call, sdiff)),
        ..SHOWING
    },
    CommandSpec {
        name: "sintercard",
        arity: -3,
        flags: Flags::READONLY,
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access()).counted()]),
        tips: &[],
        since: "7.0.0",
        syntax: "numkeys key [key ...] [LIMIT limit]",
        summary: "Returns the number of members that all of several sets have.",
        complexity: INTER_COMPLEXITY,
        run: Run::FanOut {
            together: |call| combine::run(call, sintercard),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, sintercard)),
        },
        steps: Some(|call| combine::begin(call, sintercard)),
        ..SHOWING
    },
    CommandSpec {
        name: "sinterstore",
        summary: "Stores the members that all of several sets have, and returns their number.",
        complexity: INTER_COMPLEXITY,
        run: Run::FanOut {
            together: |call| combine::run(call, sinterstore),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, sinterstore)),
        },
        steps: Some(|call| combine::begin(call, sinterstore)),
        ..STORING
    },
    CommandSpec {
        name: "sunionstore",
        summary: "Stores the members that any of several sets has, and returns their number.",
        run: Run::FanOut {
            together: |call| combine::run(call, sunionstore),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, sunionstore)),
        },
        steps: Some(|call| combine::begin(call, sunionstore)),
        ..STORING
    },
    CommandSpec {
        name: "sdiffstore",
        summary: "Stores the members of the first of several sets that no other has, and returns their number.",
        run: Run::FanOut {
            together: |call| combine::run(call, sdiffstore),
            spread: Spread::Rounds(|args, slots| combine::across(args, slots, sdiffstore)),
        },
        steps: Some(|call| combine::begin(call, sdiffstore)),
        ..STORING
    },
];

const INTER_COMPLEXITY: &str =
    "O(N*M) where N is the number of members of the smallest set, and M the number of sets.";

const SHOWING: CommandSpec = CommandSpec {
    arity: -2,
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access()).to(-1)]),
    tips: &["nondeterministic_output_order"],
    syntax: "key [key ...]",
    complexity: "O(N) where N is the number of members of all sets.",
    ..READING
};

const STORING: CommandSpec = CommandSpec {
    arity: -3,
    flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
    keys: Keys::of(&[
        KeySpec::at(1, KeyFlags::OW.update()),
        KeySpec::at(2, KeyFlags::RO.access()).to(-1),
    ]),
    tips: &[],
    syntax: "destination key [key ...]",
    ..SHOWING
};

/// What is asked of all arguments.
type Asked = Result<Combining, ErrorReply>;

fn shown(args: &Args<'_>, operation: Operation) -> Asked {
    Ok(Combining {
        operation,
        operands: 1..args.len(),
        wanted: Wanted::Members,
        scores: None,
        fault: None,
    })
}

fn stored(args: &Args<'_>, operation: Operation, event: Event) -> Asked {
    Ok(Combining {
        operation,
        operands: 2..args.len(),
        wanted: Wanted::Stored { at: 1, event },
        scores: None,
        fault: None,
    })
}

fn sinter(args: &Args<'_>) -> Asked {
    shown(args, Operation::Inter)
}

fn sunion(args: &Args<'_>) -> Asked {
    shown(args, Operation::Union)
}

fn sdiff(args: &Args<'_>) -> Asked {
    shown(args, Operation::Diff)
}

fn sinterstore(args: &Args<'_>) -> Asked {
    stored(args, Operation::Inter, Event::SInterStore)
}

fn sunionstore(args: &Args<'_>) -> Asked {
    stored(args, Operation::Union, Event::SUnionStore)
}

fn sdiffstore(args: &Args<'_>) -> Asked {
    stored(args, Operation::Diff, Event::SDiffStore)
}

/// `numkeys key [key ...] [LIMIT limit]`.
fn sintercard(args: &Args<'_>) -> Asked {
    let numkeys = counts::positive(args.at(1), errors::NUMKEYS_NOT_POSITIVE)?;
    let most = args.len() as u64 - 2;
    if numkeys > most {
        return Err(errors::NUMKEYS_ABOVE_ARGS);
    }
    let operands = 2..2 + numkeys as usize;
    let mut limit = 0;
    let mut at = operands.end;
    while at < args.len() {
        if !args.is(at, "limit") || at + 1 == args.len() {
            return Err(errors::SYNTAX);
        }
        limit = counts::not_negative(args.at(at + 1), errors::LIMIT_NEGATIVE)?;
        at += 2;
    }
    Ok(Combining {
        operation: Operation::Inter,
        operands,
        wanted: Wanted::Count {
            limit: if limit == 0 { u64::MAX } else { limit },
        },
        scores: None,
        fault: None,
    })
}
