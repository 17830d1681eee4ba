//! `CLIENT`: what a connection says about itself, and what it can do to others.

mod kill;
mod list;
mod pause;
mod tracking;

use crate::command::{Category, CommandSpec, Flags, Group, Run, SessionCall};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};
use crate::session::{ReplyMode, Session, gate};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "client",
    arity: -2,
    group: Group::Connection,
    since: "2.4.0",
    summary: "A container for commands about connections.",
    complexity: "Depends on subcommand",
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BASE
}];

static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "client|caching",
        arity: 3,
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "6.0.0",
        syntax: "<YES|NO>",
        summary: "Says whether the keys of the next command are to be tracked.",
        run: Run::OnSession(tracking::caching),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|capa",
        arity: -3,
        flags: Flags::SESSION.with(Flags::ALLOW_BUSY),
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "8.0.0",
        syntax: "capability [capability ...]",
        summary: "Accepted, as a client says what it understands beyond the protocol: nothing here is answered by it. Of Valkey.",
        run: Run::OnSession(capabilities),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|getname",
        arity: 2,
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "2.6.9",
        summary: "Returns the connection's name.",
        run: Run::OnSession(get_name),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|getredir",
        arity: 2,
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "6.0.0",
        summary: "Returns the id of the client that tracking notifications are redirected to.",
        run: Run::OnSession(tracking::get_redirection),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|help",
        arity: 2,
        flags: Flags::ANYTIME,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "5.0.0",
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|id",
        arity: 2,
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "5.0.0",
        summary: "Returns the connection's id.",
        run: Run::OnSession(id),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|import-source",
        arity: 3,
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "8.1.0",
        syntax: "<ON|OFF>",
        summary: "Marks the connection as one that imports keys, which only a server in import mode takes: this one has none. Of Valkey.",
        run: Run::OnSession(import_source),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|info",
        arity: 2,
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        tips: &["nondeterministic_output"],
        group: Group::Connection,
        since: "6.2.0",
        summary: "Describes the connection.",
        run: Run::OnSession(list::info),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|kill",
        arity: -3,
        flags: Flags::OPERATOR,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "2.4.0",
        syntax: "<ip:port|<[ID client-id]|[TYPE <NORMAL|MASTER|REPLICA|PUBSUB>]|[USER username]|[ADDR ip:port]|[LADDR ip:port]|[SKIPME <YES|NO>]|[MAXAGE maxage]> [<[ID client-id]|[TYPE <NORMAL|MASTER|REPLICA|PUBSUB>]|[USER username]|[ADDR ip:port]|[LADDR ip:port]|[SKIPME <YES|NO>]|[MAXAGE maxage]> ...]>",
        summary: "Closes connections.",
        complexity: "O(N) where N is the number of client connections",
        run: Run::EveryCore {
            each: kill::each,
            merge: kill::merge,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|list",
        arity: -2,
        flags: Flags::OPERATOR,
        categories: &[Category::Connection],
        tips: &["nondeterministic_output"],
        group: Group::Connection,
        since: "2.4.0",
        syntax: "[TYPE <NORMAL|MASTER|REPLICA|PUBSUB>] [ID client-id [client-id ...]]",
        summary: "Describes the open connections.",
        complexity: "O(N) where N is the number of client connections",
        run: Run::EveryCore {
            each: list::each,
            merge: list::merge,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|no-evict",
        arity: 3,
        flags: Flags::OPERATOR,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "7.0.0",
        syntax: "<ON|OFF>",
        summary: "Spares the connection when clients are closed for their memory.",
        run: Run::OnSession(no_evict),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|no-touch",
        arity: 3,
        group: Group::Connection,
        since: "7.2.0",
        summary: "Says whether the connection's commands count as uses of keys.",
        run: Run::OnSession(no_touch),
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        syntax: "<ON|OFF>",
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|pause",
        arity: -3,
        flags: Flags::OPERATOR.with(Flags::IN_ORDER),
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "2.9.50",
        syntax: "timeout [WRITE|ALL]",
        summary: "Holds back the commands of all connections for a while.",
        run: Run::EveryCore {
            each: pause::pause_each,
            merge: pause::pause_merge,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|reply",
        arity: 3,
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "3.2.0",
        syntax: "<ON|OFF|SKIP>",
        summary: "Says whether the connection wants replies.",
        run: Run::OnSession(reply_mode),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|setinfo",
        arity: 4,
        group: Group::Connection,
        since: "7.2.0",
        summary: "Names the client library and its version.",
        run: Run::OnSession(set_info),
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        syntax: "<LIB-NAME libname|LIB-VER libver>",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|setname",
        arity: 3,
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "2.6.9",
        syntax: "connection-name",
        summary: "Names the connection.",
        run: Run::OnSession(set_name),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|tracking",
        arity: -3,
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "6.0.0",
        syntax: "<ON|OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        summary: "Turns tracking for client-side caching on or off.",
        complexity: "O(1). Some options may introduce additional complexity",
        run: Run::Rounds(tracking::begin),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|trackinginfo",
        arity: 2,
        flags: Flags::SESSION,
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "6.2.0",
        summary: "Describes the tracking of the connection.",
        run: Run::OnSession(tracking::info),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|unblock",
        arity: -3,
        flags: Flags::OPERATOR.with(Flags::IN_ORDER),
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "5.0.0",
        syntax: "client-id [TIMEOUT|ERROR]",
        summary: "Ends the wait of a blocked connection.",
        complexity: "O(log N) where N is the number of client connections",
        run: Run::EveryCore {
            each: pause::unblock_each,
            merge: pause::unblock_merge,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "client|unpause",
        arity: 2,
        flags: Flags::OPERATOR.with(Flags::IN_ORDER),
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "6.2.0",
        summary: "Ends a pause of all connections.",
        complexity: "O(N) Where N is the number of paused clients",
        run: Run::EveryCore {
            each: pause::unpause_each,
            merge: pause::unpause_merge,
        },
        ..CommandSpec::BASE
    },
];

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "CAPA <option> [options...]",
    "    The client claims its some capability options. Options are:",
    "    * REDIRECT",
    "      The client can handle redirection during primary and replica failover in standalone mode.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "IMPORT-SOURCE (ON|OFF)",
    "    Mark this connection as an import source if the server is in import mode.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "    * MAXAGE <seconds>",
    "      Kill connections that have lasted at least <seconds>.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Name the client library of the current connection, and its version.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Keep the access history of keys as it is when this connection uses them.",
    "HELP",
    "    Prints this help.",
];

/// `name` as the name of a connection; names appear in lists of connections, where each is one word.
pub(super) fn valid_name(name: &[u8]) -> Result<Box<[u8]>, ErrorReply> {
    if is_one_word(name) {
        Ok(name.into())
    } else {
        Err(errors::BAD_CLIENT_NAME)
    }
}

fn is_one_word(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// The argument at `at` as `ON` or `OFF`.
fn on_or_off(call: &SessionCall<'_>, at: usize) -> Result<bool, ErrorReply> {
    if call.args.is(at, "on") {
        Ok(true)
    } else if call.args.is(at, "off") {
        Ok(false)
    } else {
        Err(errors::SYNTAX)
    }
}

fn get_name(call: &mut SessionCall<'_>) -> CommandResult {
    let name = call.session.name().to_vec();
    call.reply(|reply| {
        if name.is_empty() {
            reply.null()
        } else {
            reply.bulk(&name)
        }
    });
    Ok(())
}

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

/// What a client understands matters to a replica that sends it to its primary, and to nothing else.
fn capabilities(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.ok());
    Ok(())
}

fn import_source(call: &mut SessionCall<'_>) -> CommandResult {
    if !call.args.is(2, "off") {
        return Err(errors::NOT_IN_IMPORT_MODE);
    }
    call.reply(|reply| reply.ok());
    Ok(())
}

fn id(call: &mut SessionCall<'_>) -> CommandResult {
    let id = call.session.client_id;
    call.reply(|reply| reply.count(id));
    Ok(())
}

fn no_evict(call: &mut SessionCall<'_>) -> CommandResult {
    call.session.no_evict = on_or_off(call, 2)?;
    call.core.sessions.memory_mut().count_now(call.session);
    call.reply(|reply| reply.ok());
    Ok(())
}

fn no_touch(call: &mut SessionCall<'_>) -> CommandResult {
    let on = on_or_off(call, 2)?;
    call.session.set_gate(gate::NO_TOUCH, on);
    call.reply(|reply| reply.ok());
    Ok(())
}

fn reply_mode(call: &mut SessionCall<'_>) -> CommandResult {
    let session = &mut *call.session;
    if call.args.is(2, "on") {
        session.reply_mode = ReplyMode::On;
        session.reply(|reply| reply.ok());
    } else if call.args.is(2, "off") {
        session.reply_mode = ReplyMode::Off;
    } else if call.args.is(2, "skip") {
        if session.reply_mode != ReplyMode::Off {
            session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(errors::SYNTAX);
    }
    session.set_gate(gate::REPLY_MODE, session.reply_mode != ReplyMode::On);
    Ok(())
}

fn set_info(call: &mut SessionCall<'_>) -> CommandResult {
    let (option, value) = (call.args.at(2), call.args.at(3));
    let set: fn(&mut Session, Box<[u8]>) = if option.eq_ignore_ascii_case(b"lib-name") {
        Session::set_library_name
    } else if option.eq_ignore_ascii_case(b"lib-ver") {
        Session::set_library_version
    } else {
        return Err(errors::unrecognized_option(option));
    };
    if !is_one_word(value) {
        return Err(errors::bad_client_attribute(option));
    }
    set(call.session, value.into());
    call.reply(|reply| reply.ok());
    Ok(())
}

fn set_name(call: &mut SessionCall<'_>) -> CommandResult {
    call.session.set_name(valid_name(call.args.at(2))?);
    call.reply(|reply| reply.ok());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_visible_ascii() {
        for good in ["", "a", "worker-1", "!~", "bad\\nname"] {
            assert_eq!(valid_name(good.as_bytes()).as_deref(), Ok(good.as_bytes()));
        }
        for bad in ["a b", "a\n", "\u{e9}", "\x7f"] {
            assert_eq!(
                valid_name(bad.as_bytes()),
                Err(errors::BAD_CLIENT_NAME),
                "{bad:?}"
            );
        }
    }
}
