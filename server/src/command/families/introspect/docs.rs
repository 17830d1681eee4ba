//! `COMMAND DOCS`.

use crate::command::{Command, CommandSpec, Finer, SessionCall};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

use super::arguments::{Argument, Shape, parse};
use super::find;

pub(super) fn docs(call: &mut SessionCall<'_>) -> CommandResult {
    let table = call.core.commands;
    let documented: Vec<&Command> = if call.args.len() == 2 {
        table.iter().collect()
    } else {
        call.args
            .iter_from(2)
            .filter_map(|name| find(table, name))
            .collect()
    };
    call.reply(|reply| write_all(reply, documented.iter().copied()));
    Ok(())
}

fn write_all<'a>(
    reply: &mut Reply<'_>,
    commands: impl IntoIterator<Item = &'a Command, IntoIter: ExactSizeIterator>,
) {
    let commands = commands.into_iter();
    reply.map(commands.len());
    for command in commands {
        reply.text(command.spec.name);
        write(reply, command);
    }
}

fn write(reply: &mut Reply<'_>, command: &Command) {
    let spec = command.spec;
    let arguments = parse(spec.syntax);
    let parts = 4
        + if spec.deprecated.is_some() { 3 } else { 0 }
        + usize::from(!arguments.is_empty())
        + usize::from(!command.subcommands.is_empty());
    reply.map(parts);
    for (name, value) in [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", spec.group.name()),
        ("complexity", spec.complexity),
    ] {
        reply.text(name);
        reply.text(value);
    }
    if let Some((since, replaced_by)) = spec.deprecated {
        reply.text("doc_flags");
        reply.set(1);
        reply.status("deprecated");
        reply.text("deprecated_since");
        reply.text(since);
        reply.text("replaced_by");
        reply.text(replaced_by);
    }
    if !arguments.is_empty() {
        reply.text("arguments");
        write_arguments(reply, spec, &arguments, &mut 0);
    }
    if !command.subcommands.is_empty() {
        reply.text("subcommands");
        write_all(reply, &command.subcommands);
    }
}

/// Types that an argument's name does not tell: command, argument, type.
const OWN_TYPES: &[(&str, &str, &str)] = &[
    ("incrbyfloat", "increment", "double"),
    ("bitfield", "value", "integer"),
    ("setbit", "value", "integer"),
    ("blpop", "timeout", "double"),
    ("brpop", "timeout", "double"),
    ("blmove", "timeout", "double"),
    ("brpoplpush", "timeout", "double"),
    ("blmpop", "timeout", "double"),
];

/// Writes arguments; `keys` counts those that are keys, since each belongs to a key specification.
fn write_arguments(
    reply: &mut Reply<'_>,
    spec: &CommandSpec,
    arguments: &[Argument],
    keys: &mut usize,
) {
    let specs = spec.keys.specs().len();
    let mut each = spec.keys.specs().iter();
    let unnamed = each.position(|keys| matches!(keys.finer(), Finer::Unnamed(_)));
    reply.array(arguments.len());
    for argument in arguments {
        let names_key = argument.shape == Shape::Word("key");
        let is_key = names_key && specs > 0;
        // A pattern names keys of the specification whose keys no argument names (`SORT`).
        let spec_index = match unnamed {
            Some(unnamed) if argument.shape == Shape::Word("pattern") => Some(unnamed),
            _ if !is_key => None,
            _ => {
                let passed = unnamed.is_some_and(|unnamed| *keys >= unnamed);
                *keys += 1;
                Some((*keys - 1 + usize::from(passed)).min(specs - 1))
            }
        };
        let inner = match &argument.shape {
            Shape::OneOf(inner) | Shape::Block(inner) => Some(inner),
            Shape::Word(_) | Shape::Token => None,
        };
        let flags: Vec<&str> = argument.flags().collect();
        let parts = 2
            + usize::from(inner.is_none())
            + usize::from(spec_index.is_some())
            + usize::from(argument.token.is_some())
            + usize::from(!flags.is_empty())
            + usize::from(inner.is_some());
        reply.map(parts);
        reply.text("name");
        reply.text(&argument.name);
        reply.text("type");
        let own = OWN_TYPES
            .iter()
            .find(|(command, name, _)| *command == spec.name && *name == argument.name);
        let kind = match own {
            Some((.., own)) => own,
            // A key that the command only speaks of (`CLUSTER KEYSLOT`).
            None if names_key && !is_key => "string",
            None => argument.type_name(),
        };
        reply.text(kind);
        if inner.is_none() {
            reply.text("display_text");
            reply.text(&argument.name);
        }
        if let Some(index) = spec_index {
            reply.text("key_spec_index");
            reply.count(index as u64);
        }
        if let Some(token) = &argument.token {
            reply.text("token");
            reply.text(token);
        }
        if !flags.is_empty() {
            reply.text("flags");
            reply.array(flags.len());
            flags.iter().for_each(|flag| reply.status(flag));
        }
        if let Some(inner) = inner {
            reply.text("arguments");
            write_arguments(reply, spec, inner, keys);
        }
    }
}
