//! The commands. A command is one [`CommandSpec`] literal, its function and its tests, together in its family's file.
//!
//! To add a command: write its spec and its function in the family's file. To add a family: one line in [`FAMILIES`].
//! Lookup, arity errors, routing, `COMMAND`, `COMMAND DOCS` and `docs/COMMANDS.md` all derive from the specs.

mod args;
mod check;
pub mod closing;
mod commands_md;
mod context;
pub mod events;
mod families;
mod going_on;
mod handing;
pub mod invalidate;
mod keys;
mod named_flags;
pub mod pausing;
pub mod pushes;
mod shown;
mod spec;
mod table;
mod topology;

pub use crate::observe::CommandId;
pub use args::Args;
pub use context::{Clock, CoreCall, CoreState, FirstKey, Random, SessionCall, ShardCall};
pub(crate) use families::commandlog;
pub use families::larder::rebalance::{ahead, moving};
pub use families::larder::{curve_of, entries_sampled};
pub use families::monitor;
pub use families::object::{eviction_of, kept_history, thresholds_of};
pub use families::persistence;
pub(crate) use families::script::{busy, load_library, no_script};
pub use going_on::{
    CoreRequest, MergePieces, Round, Rounds, Step, Steps, Walk, Walking, merge_joined,
    run_all_steps, walk_at_once,
};
pub use handing::{Extent, Handed, PART_BYTES};
pub use keys::{
    BeginSearch, FindKeys, Finer, Found, KEY_SPECS_MAX, KeyAccess, KeyFlags, KeyInArgs, KeySpec,
    Keys, KeysInArgs, PlainRange, Span,
};
pub use shown::name_declared_keys_only;
pub use spec::{
    AttemptFn, AttemptRoundsFn, Attempted, Blocking, Category, CommandSpec, CoreFn, FieldUse,
    Flags, Group, Growth, Invoke, Merge, Resolved, RoundsFn, Run, SessionFn, ShardFn, Spread,
    StepsFn, TimeoutFn, TransactionStep, Turn, WaitLimit,
};
pub use table::{Command, CommandTable};
pub use topology::{Question, Topology};

/// The tables of all families. A command that contradicts itself does not compile.
pub static FAMILIES: &[&[CommandSpec]] = check::checked(&[
    families::strings::COMMANDS,
    families::keys::COMMANDS,
    families::expire::COMMANDS,
    families::matching::COMMANDS,
    families::scan::COMMANDS,
    families::object::COMMANDS,
    families::databases::COMMANDS,
    families::transactions::COMMANDS,
    families::wait::COMMANDS,
    families::dump::COMMANDS,
    families::strings::COMPARE,
    families::strings::MANY,
    families::strings::PART,
    families::numbers::COMMANDS,
    families::hashes::FIELDS,
    families::hashes::WHOLE,
    families::hashes::NUMBERS,
    families::hashes::RANDOM,
    families::hashes::SCAN,
    families::hashes::DEADLINES,
    families::hashes::TTL,
    families::hashes::EXPIRING,
    families::sets::MEMBERS,
    families::sets::WHOLE,
    families::sets::RANDOM,
    families::sets::SCAN,
    families::sets::CARRY,
    families::sets::OPERATIONS,
    families::client::COMMANDS,
    families::cluster::COMMANDS,
    families::config::COMMANDS,
    families::connection::COMMANDS,
    families::debug::COMMANDS,
    families::hotkeys::COMMANDS,
    families::info::COMMANDS,
    families::introspect::COMMANDS,
    families::larder::COMMANDS,
    families::latency::COMMANDS,
    families::lifecycle::COMMANDS,
    persistence::COMMANDS,
    families::lolwut::COMMANDS,
    families::memory::COMMANDS,
    families::module::COMMANDS,
    monitor::COMMANDS,
    families::pubsub::COMMANDS,
    commandlog::COMMANDS,
    families::bits::COMMANDS,
    families::bits::OP,
    families::bits::FIELD,
    families::hyperloglog::COMMANDS,
    families::hyperloglog::DEBUG,
    families::lcs::COMMANDS,
    families::sort::COMMANDS,
    families::lists::PUSH,
    families::lists::POP,
    families::lists::READ,
    families::lists::EDIT,
    families::lists::CARRY,
    families::lists::FIRST,
    families::sorted_sets::ADD,
    families::sorted_sets::REMOVE,
    families::sorted_sets::READ,
    families::sorted_sets::RANGE,
    families::sorted_sets::RANGE_STORE,
    families::sorted_sets::POP,
    families::sorted_sets::FIRST,
    families::sorted_sets::OPERATIONS,
    families::sorted_sets::RANDOM,
    families::sorted_sets::SCAN,
    families::geo::POSITIONS,
    families::geo::SEARCH,
    families::geo::RADIUS,
    families::streams::WRITE,
    families::streams::RANGE,
    families::streams::READ,
    families::streams::GROUPS,
    families::streams::PENDING,
    families::streams::INFO,
    families::script::COMMANDS,
    families::script::FUNCTIONS,
    #[cfg(test)]
    families::testing_reader::COMMANDS,
]);
