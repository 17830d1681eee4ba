//! `MULTI` and its companions. What they do is in `dispatch/core/exec.rs`: it concerns all cores.

use crate::command::{
    Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, TransactionStep,
};

const STEP: CommandSpec = CommandSpec {
    flags: Flags::SESSION.with(Flags::FAST).with(Flags::ALLOW_BUSY),
    categories: &[Category::Transaction],
    group: Group::Transactions,
    ..CommandSpec::BASE
};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "multi",
        since: "1.2.0",
        summary: "Begins a transaction: the commands that follow are queued.",
        run: Run::Transaction(TransactionStep::Begin),
        ..STEP
    },
    CommandSpec {
        name: "exec",
        flags: Flags::SESSION.with(Flags::SKIP_SLOWLOG),
        since: "1.2.0",
        summary: "Runs the commands queued, unless a watched key has changed.",
        complexity: "Depends on commands in the transaction",
        run: Run::Transaction(TransactionStep::Run),
        ..STEP
    },
    CommandSpec {
        name: "discard",
        since: "2.0.0",
        summary: "Drops the commands queued.",
        complexity: "O(N), when N is the number of queued commands",
        run: Run::Transaction(TransactionStep::Discard),
        ..STEP
    },
    CommandSpec {
        name: "watch",
        arity: -2,
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO).to(-1)]),
        since: "2.2.0",
        syntax: "key [key ...]",
        summary: "Makes the next transaction run only if these keys do not change until then.",
        complexity: "O(1) for every key.",
        run: Run::Transaction(TransactionStep::Watch),
        ..STEP
    },
    CommandSpec {
        name: "unwatch",
        since: "2.2.0",
        summary: "Ends the watching of all keys.",
        run: Run::Transaction(TransactionStep::Unwatch),
        ..STEP
    },
];
