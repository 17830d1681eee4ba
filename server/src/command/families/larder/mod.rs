//! `LARDER`: what concerns Larder's cores, and has no counterpart in Redis.

mod hotkeys;
mod mrc;
mod quota;
pub(crate) mod rebalance;
mod stats;

use crate::command::{CommandSpec, Flags, Group, Run, SessionCall};
use crate::resp::errors::CommandResult;

pub(super) use hotkeys::HotKeyReport;
pub use mrc::{curve_of, entries_sampled};
pub(super) use stats::HitsReport;

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "larder",
    arity: -2,
    group: Group::Server,
    since: LARDER_ITSELF,
    summary: "A container for commands of Larder's own.",
    complexity: "Depends on subcommand",
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BASE
}];

/// In place of a version of Redis.
const LARDER_ITSELF: &str = "Larder";

static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "larder|help",
        arity: 2,
        flags: Flags::ANYTIME,
        group: Group::Server,
        since: LARDER_ITSELF,
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..CommandSpec::BASE
    },
    hotkeys::SPEC,
    mrc::SPEC,
    quota::SPEC,
    rebalance::SPEC,
    stats::SPEC,
];

const HELP: &[&str] = &[
    "LARDER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "HOTKEYS [COUNT <count>] [RESET]",
    "    Return the most used keys of the last seconds, the most used first (default: 10).",
    "    RESET begins to count anew behind it.",
    "MRC [RESET]",
    "    Predict the hit ratio with 25 to 400% of the memory, by policy.",
    "    RESET begins to count anew behind it.",
    "QUOTA <prefix> <bytes> <ops>",
    "    Limit the memory of keys of a prefix, and the commands a second on them (0: no limit).",
    "QUOTA SET <prefix> [BYTES <bytes>] [OPS <ops>]",
    "    Set one limit, or both.",
    "QUOTA GET <prefix>",
    "    Return a quota, and what is used of it.",
    "QUOTA DEL <prefix> [<prefix> ...]",
    "    Take quotas away. Return how many there were.",
    "QUOTA LIST",
    "    Return all quotas.",
    "REBALANCE",
    "    Move slots from the cores that have most to do to the others.",
    "REBALANCE EVEN",
    "    Give every slot to the core that had it at start.",
    "REBALANCE MOVE <slot | first-last> [<slot | first-last> ...] <core>",
    "    Move slots to a core.",
    "REBALANCE STATUS",
    "    Tell how far the last rebalance has come.",
    "STATS",
    "    Return hit ratios, and what is evicted and expires.",
    "HELP",
    "    Prints this help.",
];

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}
