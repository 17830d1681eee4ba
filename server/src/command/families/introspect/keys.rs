//! `COMMAND GETKEYS` and `COMMAND GETKEYSANDFLAGS`: which arguments of a command are keys.

use super::describe::write_names;
use crate::command::{Args, Flags, KeyInArgs, SessionCall};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The arguments of the command asked about, and the keys among them.
fn keys_of<'a>(call: &SessionCall<'a>) -> Result<(Args<'a>, Vec<KeyInArgs>), ErrorReply> {
    let args = call.args.from(2);
    let container = call
        .core
        .commands
        .find(args.at(0))
        .ok_or(errors::INVALID_COMMAND)?;
    let subcommand = args.get(1).and_then(|name| container.subcommand(name));
    let command = match subcommand {
        Some(subcommand) => subcommand,
        None if container.subcommands.is_empty() => container,
        None => return Err(errors::INVALID_COMMAND),
    };
    let spec = command.spec;
    if !spec.keys.are_any() {
        return Err(errors::NO_KEY_ARGUMENTS);
    }
    if !spec.accepts(args.len()) {
        return Err(errors::KEYS_NEED_ARGUMENTS);
    }
    let keys: Vec<KeyInArgs> = spec.keys.in_args(&args).collect();
    if keys.is_empty() && !spec.flags.has(Flags::NO_MANDATORY_KEYS) {
        return Err(errors::INVALID_ARGUMENTS);
    }
    Ok((args, keys))
}

pub(super) fn get_keys(call: &mut SessionCall<'_>) -> CommandResult {
    let (args, keys) = keys_of(call)?;
    call.reply(|reply| {
        reply.array(keys.len());
        keys.iter().for_each(|key| reply.bulk(args.at(key.at)));
    });
    Ok(())
}

pub(super) fn get_keys_and_flags(call: &mut SessionCall<'_>) -> CommandResult {
    let (args, keys) = keys_of(call)?;
    call.reply(|reply| {
        reply.array(keys.len());
        for key in keys {
            reply.array(2);
            reply.bulk(args.at(key.at));
            write_names(reply, key.spec.flags_in(&args).names());
        }
    });
    Ok(())
}
