//! Strings, whole: `GET`, `SET` and their kin.

use larder_engine::{Event, StringForm, TtlChange};

use crate::command::{CommandSpec, Flags, Group, Keys, Run, ShardCall};
use crate::resp::errors::{self, CommandResult};

/// The family's table.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "get",
        arity: 2,
        flags: Flags::READONLY.with(Flags::FAST),
        keys: Keys::FIRST,
        group: Group::String,
        syntax: "key",
        summary: "Returns the string value of a key.",
        run: Run::OnShard(get),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "set",
        arity: -3,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        keys: Keys::FIRST,
        group: Group::String,
        syntax: "key value",
        summary: "Sets the string value of a key.",
        run: Run::OnShard(set),
        ..CommandSpec::BASE
    },
];

fn get(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    match call.shard.get(call.db, key, call.access) {
        Some(entry) => {
            call.stats.hits += 1;
            call.reply.bulk(entry.string().ok_or(errors::WRONG_TYPE)?);
        }
        None => {
            call.stats.misses += 1;
            call.reply.null();
        }
    }
    Ok(())
}

fn set(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    call.shard.set(
        call.db,
        key,
        call.args.at(2),
        StringForm::Detect,
        TtlChange::Clear,
        Event::Set,
    )?;
    call.reply.ok();
    Ok(())
}
