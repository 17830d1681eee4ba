//! What concerns the server as a whole: its role, its clock, its one user.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::{Category, CommandSpec, Flags, Group, Run, SessionCall};
use crate::resp::errors::{self, CommandResult};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "replicaof",
        arity: 3,
        flags: Flags::ADMIN
            .with(Flags::NOSCRIPT)
            .with(Flags::STALE)
            .with(Flags::NO_ASYNC_LOADING),
        group: Group::Server,
        since: "5.0.0",
        syntax: "<host port|NO ONE>",
        summary: "Makes the server a replica, or a master.",
        run: Run::OnSession(replica_of),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "role",
        arity: 1,
        flags: Flags::SESSION.with(Flags::FAST),
        categories: &[Category::Admin, Category::Dangerous],
        group: Group::Server,
        since: "2.8.12",
        summary: "Returns the role of the server in replication.",
        run: Run::OnSession(role),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "slaveof",
        arity: 3,
        flags: Flags::ADMIN
            .with(Flags::NOSCRIPT)
            .with(Flags::STALE)
            .with(Flags::NO_ASYNC_LOADING),
        group: Group::Server,
        syntax: "<host port|NO ONE>",
        summary: "Makes the server a replica, or a master.",
        run: Run::OnSession(replica_of),
        deprecated: Some(("5.0.0", "`REPLICAOF`")),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "time",
        arity: 1,
        flags: Flags::ANYTIME.with(Flags::FAST),
        tips: &["nondeterministic_output"],
        group: Group::Server,
        since: "2.6.0",
        summary: "Returns the server's time.",
        run: Run::OnSession(time),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "acl",
        arity: -2,
        group: Group::Server,
        since: "6.0.0",
        summary: "A container for commands about users.",
        complexity: "Depends on subcommand",
        subcommands: ACL,
        ..CommandSpec::BASE
    },
];

static ACL: &[CommandSpec] = &[
    CommandSpec {
        name: "acl|help",
        arity: 2,
        flags: Flags::ANYTIME,
        group: Group::Server,
        since: "6.0.0",
        summary: "Describes the subcommands.",
        run: Run::OnSession(acl_help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "acl|whoami",
        arity: 2,
        flags: Flags::SESSION,
        group: Group::Server,
        since: "6.0.0",
        summary: "Returns the connection's user.",
        run: Run::OnSession(who_am_i),
        ..CommandSpec::BASE
    },
];

const ACL_HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "WHOAMI",
    "    Return the current connection username.",
    "HELP",
    "    Prints this help.",
];

fn acl_help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(ACL_HELP));
    Ok(())
}

fn who_am_i(call: &mut SessionCall<'_>) -> CommandResult {
    let user = call.session.user;
    call.reply(|reply| reply.text(user.name()));
    Ok(())
}

fn replica_of(call: &mut SessionCall<'_>) -> CommandResult {
    if call.args.is(1, "no") && call.args.is(2, "one") {
        call.reply(|reply| reply.ok());
        return Ok(());
    }
    Err(errors::NO_REPLICATION)
}

fn role(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| {
        reply.array(3);
        reply.text("master");
        reply.integer(0);
        reply.array(0);
    });
    Ok(())
}

fn time(call: &mut SessionCall<'_>) -> CommandResult {
    // The turn's clock has milliseconds only.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    call.reply(|reply| {
        reply.array(2);
        reply.bulk_integer(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        reply.bulk_integer(now.subsec_micros().into());
    });
    Ok(())
}
