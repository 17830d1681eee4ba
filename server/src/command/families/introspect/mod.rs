//! `COMMAND`: what clients ask about commands, all of it derived from the specs.

mod arguments;
mod describe;
mod docs;
mod keys;

use crate::command::{
    Category, Command, CommandSpec, CommandTable, Flags, Group, Run, SessionCall,
};
use crate::glob::{self, Case};
use crate::resp::errors::{self, CommandResult};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "command",
    arity: -1,
    flags: Flags::ANYTIME,
    categories: &[Category::Connection],
    tips: &["nondeterministic_output_order"],
    group: Group::Server,
    since: "2.8.13",
    summary: "Describes all commands.",
    complexity: "O(N) where N is the total number of Redis commands",
    run: Run::OnSession(all),
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BASE
}];

static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "command|count",
        arity: 2,
        flags: Flags::ANYTIME,
        categories: &[Category::Connection],
        group: Group::Server,
        since: "2.8.13",
        summary: "Returns the number of commands.",
        run: Run::OnSession(count),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "command|docs",
        arity: -2,
        flags: Flags::ANYTIME,
        categories: &[Category::Connection],
        tips: &["nondeterministic_output_order"],
        group: Group::Server,
        since: "7.0.0",
        syntax: "[command-name [command-name ...]]",
        summary: "Documents commands.",
        complexity: "O(N) where N is the number of commands to look up",
        run: Run::OnSession(docs::docs),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "command|getkeys",
        arity: -4,
        flags: Flags::ANYTIME,
        categories: &[Category::Connection],
        group: Group::Server,
        since: "2.8.13",
        summary: "Returns the keys among the arguments of a command.",
        complexity: "O(N) where N is the number of arguments to the command",
        run: Run::OnSession(keys::get_keys),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "command|getkeysandflags",
        arity: -4,
        flags: Flags::ANYTIME,
        categories: &[Category::Connection],
        group: Group::Server,
        since: "7.0.0",
        summary: "Returns the keys among the arguments of a command, and what it does with them.",
        complexity: "O(N) where N is the number of arguments to the command",
        run: Run::OnSession(keys::get_keys_and_flags),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "command|help",
        arity: 2,
        flags: Flags::ANYTIME,
        categories: &[Category::Connection],
        group: Group::Server,
        since: "5.0.0",
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "command|info",
        arity: -2,
        flags: Flags::ANYTIME,
        categories: &[Category::Connection],
        tips: &["nondeterministic_output_order"],
        group: Group::Server,
        since: "2.8.13",
        syntax: "[command-name [command-name ...]]",
        summary: "Describes commands.",
        complexity: "O(N) where N is the number of commands to look up",
        run: Run::OnSession(info),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "command|list",
        arity: -2,
        flags: Flags::ANYTIME,
        categories: &[Category::Connection],
        tips: &["nondeterministic_output_order"],
        group: Group::Server,
        since: "7.0.0",
        syntax: "[FILTERBY <MODULE module-name|ACLCAT category|PATTERN pattern>]",
        summary: "Returns the names of commands.",
        complexity: "O(N) where N is the total number of Redis commands",
        run: Run::OnSession(list),
        ..CommandSpec::BASE
    },
];

const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
    "HELP",
    "    Prints this help.",
];

/// The command of this name; a subcommand's has its container in it: `config|get`.
fn find<'a>(table: &'a CommandTable, name: &[u8]) -> Option<&'a Command> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let command = table.find(words.next()?)?;
    match words.next() {
        Some(subcommand) => command.subcommand(subcommand),
        None => Some(command),
    }
}

/// The commands, each before its subcommands.
fn all_names(table: &CommandTable) -> impl Iterator<Item = &Command> {
    table
        .iter()
        .flat_map(|command| std::iter::once(command).chain(&command.subcommands))
}

fn all(call: &mut SessionCall<'_>) -> CommandResult {
    let table = call.core.commands;
    call.reply(|reply| {
        reply.array(table.iter().len());
        table
            .iter()
            .for_each(|command| describe::write(reply, command));
    });
    Ok(())
}

fn count(call: &mut SessionCall<'_>) -> CommandResult {
    let count = call.core.commands.iter().len();
    call.reply(|reply| reply.count(count as u64));
    Ok(())
}

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

fn info(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    if args.len() == 2 {
        return all(call);
    }
    let table = call.core.commands;
    call.reply(|reply| {
        reply.array(args.len() - 2);
        for name in args.iter_from(2) {
            match find(table, name) {
                Some(command) => describe::write(reply, command),
                None => reply.null(),
            }
        }
    });
    Ok(())
}

fn list(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let wanted = |spec: &CommandSpec| -> bool {
        match args.get(4) {
            Some(pattern) if args.is(3, "pattern") => {
                glob::matches(pattern, spec.name.as_bytes(), Case::Insensitive)
            }
            Some(category) if args.is(3, "aclcat") => describe::categories(spec)
                .any(|name| name.as_bytes().eq_ignore_ascii_case(category)),
            Some(_) => false,
            None => true,
        }
    };
    let knows = args.is(3, "pattern") || args.is(3, "aclcat") || args.is(3, "module");
    if args.len() != 2 && !(args.len() == 5 && args.is(2, "filterby") && knows) {
        return Err(errors::SYNTAX);
    }
    let table = call.core.commands;
    call.reply(|reply| {
        let names = reply.begin_array(table.count());
        let mut len = 0;
        for command in all_names(table).filter(|command| wanted(command.spec)) {
            reply.text(command.spec.name);
            len += 1;
        }
        reply.end(names, len);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subcommand_is_found_by_its_full_name() {
        let table = CommandTable::global();
        assert_eq!(find(table, b"CONFIG|get").unwrap().spec.name, "config|get");
        assert_eq!(find(table, b"config").unwrap().spec.name, "config");
        for name in [
            "config|",
            "config|nosuch",
            "config|get|x",
            "get|x",
            "|get",
            "",
        ] {
            assert!(find(table, name.as_bytes()).is_none(), "{name}");
        }
    }
}
