//! Which command is meant by what a client or a script has sent: its subcommand, and whether it takes so many arguments.

use crate::command::{Args, Command, Run};
use crate::resp::{ErrorReply, errors};

/// Why what was sent is no command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unresolved {
    /// There is none of this name.
    Command,
    /// It has no such subcommand.
    Subcommand,
    /// This command, or subcommand, takes another number of arguments.
    Arity(&'static Command),
}

impl Unresolved {
    /// What a client is told.
    #[cold]
    pub(super) fn error(self, args: Args<'_>) -> ErrorReply {
        match self {
            Self::Command => errors::unknown_command(args.at(0), args.iter_from(1)),
            Self::Subcommand => errors::unknown_subcommand(args.at(0), args.at(1)),
            Self::Arity(command) => errors::wrong_arity(command.spec.name),
        }
    }

    /// The command that this counts as a refusal of. As in Redis, it is none where there is no such subcommand.
    pub(super) fn refused(self) -> Option<&'static Command> {
        match self {
            Self::Command | Self::Subcommand => None,
            Self::Arity(command) => Some(command),
        }
    }
}

/// The command to run, subcommand and arity settled. `command`: the one of the first word's name.
#[inline]
pub(super) fn resolve(
    command: Option<&'static Command>,
    args: Args<'_>,
) -> Result<&'static Command, Unresolved> {
    let command = command.ok_or(Unresolved::Command)?;
    if !command.subcommands.is_empty() {
        return resolve_subcommand(command, args);
    }
    check_arity(command, args)
}

#[cold]
fn resolve_subcommand(
    container: &'static Command,
    args: Args<'_>,
) -> Result<&'static Command, Unresolved> {
    let Some(name) = args.get(1) else {
        // A container may run by itself (`COMMAND`); most want a subcommand.
        return match container.spec.run {
            Run::Container => Err(Unresolved::Arity(container)),
            _ => Ok(container),
        };
    };
    let command = container.subcommand(name).ok_or(Unresolved::Subcommand)?;
    check_arity(command, args)
}

#[inline]
fn check_arity(command: &'static Command, args: Args<'_>) -> Result<&'static Command, Unresolved> {
    match command.spec.accepts(args.len()) {
        true => Ok(command),
        false => Err(Unresolved::Arity(command)),
    }
}
