//! All fields at once: `HKEYS`, `HVALS`, `HGETALL`.
//!
//! They are written into the reply as they are found, and their number at the end: fields past their deadline are counted
//! but not shown. A hash whose reply would be larger than a reply may be is refused.

use larder_engine::Field;

use super::READING;
use crate::command::{CommandSpec, Flags, Run, ShardCall};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "hkeys",
        summary: "Returns the names of all fields of a hash.",
        run: Run::OnShard(hkeys),
        ..SHOWING
    },
    CommandSpec {
        name: "hvals",
        summary: "Returns the values of all fields of a hash.",
        run: Run::OnShard(hvals),
        ..SHOWING
    },
    CommandSpec {
        name: "hgetall",
        summary: "Returns all fields of a hash with their values.",
        run: Run::OnShard(hgetall),
        ..SHOWING
    },
];

const SHOWING: CommandSpec = CommandSpec {
    arity: 2,
    flags: Flags::READONLY,
    tips: &["nondeterministic_output_order"],
    syntax: "key",
    complexity: "O(N) where N is the number of fields of the hash.",
    ..READING
};

fn hkeys(call: &mut ShardCall<'_>) -> CommandResult {
    show(call, Parts::Names)
}

fn hvals(call: &mut ShardCall<'_>) -> CommandResult {
    show(call, Parts::Values)
}

fn hgetall(call: &mut ShardCall<'_>) -> CommandResult {
    show(call, Parts::Both)
}

/// What is shown of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    Names,
    Values,
    Both,
}

impl Parts {
    /// Writes it: one reply, or two.
    #[inline]
    pub(super) fn write(self, reply: &mut Reply<'_>, field: &Field<'_>) {
        if self != Self::Values {
            reply.bulk(field.name);
        }
        if self != Self::Names {
            reply.bulk(field.value);
        }
    }
}

fn show(call: &mut ShardCall<'_>, parts: Parts) -> CommandResult {
    let key = call.key(1);
    let hash = call.shard.hash(call.db, key, call.access)?;
    call.stats.count_lookup(hash.is_some());
    let began = call.reply.mark();
    let expected = hash.map_or(0, |hash| hash.len()) as usize;
    let all = match parts {
        Parts::Both => call.reply.begin_map(expected),
        Parts::Names | Parts::Values => call.reply.begin_array(expected),
    };
    let mut shown = 0;
    let mut fits = Ok(());
    if let Some(hash) = hash {
        hash.each(&mut |field| {
            if fits.is_ok() {
                parts.write(&mut call.reply, &field);
                shown += 1;
                fits = call.reply.check_len(began);
            }
        });
    }
    fits?;
    call.reply.end(all, shown);
    Ok(())
}
