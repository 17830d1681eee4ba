//! `COMMAND GETKEYS` and `COMMAND GETKEYSANDFLAGS`: which arguments of a command are keys.

use crate::command::{Args, Command, SessionCall};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

use super::describe;

/// The command's arguments and the positions of the keys among them.
fn keys_of<'a>(
    call: &SessionCall<'a>,
) -> Result<(&'static Command, Args<'a>, Vec<usize>), ErrorReply> {
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
    let specs = describe::key_specs(command.spec);
    // Shard channels stand where keys would, for clients to find their core by.
    if specs.iter().all(|spec| spec.words().eq(["not_key"])) {
        return Err(errors::NO_KEY_ARGUMENTS);
    }
    if !command.spec.accepts(args.len()) {
        return Err(errors::KEYS_NEED_ARGUMENTS);
    }
    let keys: Vec<usize> = command.spec.keys.positions(&args).collect();
    if keys.is_empty() {
        return Err(errors::INVALID_ARGUMENTS);
    }
    Ok((command, args, keys))
}

pub(super) fn get_keys(call: &mut SessionCall<'_>) -> CommandResult {
    let (_, args, keys) = keys_of(call)?;
    call.reply(|reply| {
        reply.array(keys.len());
        keys.iter().for_each(|at| reply.bulk(args.at(*at)));
    });
    Ok(())
}

pub(super) fn get_keys_and_flags(call: &mut SessionCall<'_>) -> CommandResult {
    let (command, args, keys) = keys_of(call)?;
    let specs = describe::key_specs(command.spec);
    call.reply(|reply| {
        reply.array(keys.len());
        for at in keys {
            // The last specification that begins at or before the key is the key's.
            let spec = specs.iter().rev().find(|spec| spec.index <= at as i64);
            let words = spec.map(|spec| spec.words());
            let words: Vec<&str> = match chosen(command.spec.name, &args) {
                Some(chosen) => chosen.to_vec(),
                None => words.into_iter().flatten().collect(),
            };
            reply.array(2);
            reply.bulk(args.at(at));
            reply.set(words.len());
            words.iter().for_each(|word| reply.status(word));
        }
    });
    Ok(())
}

/// What the command does with its key where that depends on other arguments.
fn chosen(name: &str, args: &Args<'_>) -> Option<&'static [&'static str]> {
    let any = |word: &[u8]| args.iter_from(2).any(|arg| arg.eq_ignore_ascii_case(word));
    match name {
        "set" if (3..args.len()).any(|at| args.is(at, "get")) => Some(&["RW", "access", "update"]),
        "set" => Some(&["OW", "update"]),
        "bitfield" if any(b"set") || any(b"incrby") => Some(&["RW", "access", "update"]),
        "bitfield" => Some(&["RO", "access"]),
        _ => None,
    }
}
