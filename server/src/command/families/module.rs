//! `MODULE`: there are none, and none can be loaded. Clients that ask for the list as they connect get an empty one.

use crate::command::{CommandSpec, Flags, Group, Run, SessionCall};
use crate::resp::errors::{self, CommandResult};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "module",
    arity: -2,
    group: Group::Server,
    since: "4.0.0",
    summary: "A container for commands about modules.",
    complexity: "Depends on subcommand.",
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BASE
}];

/// What changes the modules.
const CHANGING: CommandSpec = CommandSpec {
    flags: Flags::ADMIN
        .with(Flags::NOSCRIPT)
        .with(Flags::NO_ASYNC_LOADING)
        .with(Flags::PROTECTED),
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
    ..CommandSpec::BASE
};

static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "module|help",
        arity: 2,
        flags: Flags::ANYTIME,
        group: Group::Server,
        since: "5.0.0",
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "module|list",
        arity: 2,
        flags: Flags::ADMIN.with(Flags::NOSCRIPT),
        tips: &["nondeterministic_output_order"],
        group: Group::Server,
        since: "4.0.0",
        summary: "Returns all modules there are: none.",
        complexity: "O(N) where N is the number of loaded modules.",
        run: Run::OnSession(list),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "module|load",
        arity: -3,
        syntax: "path [arg [arg ...]]",
        summary: "Fails: modules cannot be loaded.",
        run: Run::OnSession(load),
        ..CHANGING
    },
    CommandSpec {
        name: "module|loadex",
        arity: -3,
        since: "7.0.0",
        syntax: "path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]",
        summary: "Fails: modules cannot be loaded.",
        run: Run::OnSession(load),
        ..CHANGING
    },
    CommandSpec {
        name: "module|unload",
        arity: 3,
        syntax: "name",
        summary: "Fails: there are no modules.",
        run: Run::OnSession(unload),
        ..CHANGING
    },
];

const HELP: &[&str] = &[
    "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST",
    "    Return a list of loaded modules.",
    "LOAD <path> [<arg> ...]",
    "    Load a module library from <path>, passing to it any optional arguments.",
    "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
    "    Load a module library from <path>, while passing it module configurations and optional arguments.",
    "UNLOAD <name>",
    "    Unload a module.",
    "HELP",
    "    Prints this help.",
];

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

fn list(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.array(0));
    Ok(())
}

fn load(_: &mut SessionCall<'_>) -> CommandResult {
    Err(errors::MODULE_NOT_LOADED)
}

fn unload(_: &mut SessionCall<'_>) -> CommandResult {
    Err(errors::NO_SUCH_MODULE)
}
