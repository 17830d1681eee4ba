//! Commands of the connection.

use crate::command::{CommandSpec, Flags, Group, Run, SessionCall};
use crate::resp::errors::{self, CommandResult};

/// The family's table.
pub static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "ping",
    arity: -1,
    flags: Flags::FAST,
    group: Group::Connection,
    syntax: "[message]",
    summary: "Returns the server's liveliness response.",
    run: Run::OnSession(ping),
    ..CommandSpec::BASE
}];

fn ping(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    match args.len() {
        1 => call.reply(|reply| reply.status("PONG")),
        2 => call.reply(|reply| reply.bulk(args.at(1))),
        _ => return Err(errors::wrong_arity("ping")),
    }
    Ok(())
}
