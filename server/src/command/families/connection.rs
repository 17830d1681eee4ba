//! Commands of the connection itself: `AUTH`, `HELLO`, `SELECT` and their kin.

use larder_engine::{DbIndex, parse_canonical_i64};

use crate::command::families::client::valid_name;
use crate::command::{Category, CommandSpec, Flags, Group, Run, SessionCall};
use crate::config::{Config, REDIS_VERSION};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Protocol};
use crate::session::{Closing, ReplyMode, UserId, gate};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "auth",
        arity: -2,
        flags: Flags::SESSION
            .with(Flags::FAST)
            .with(Flags::NO_AUTH)
            .with(Flags::ALLOW_BUSY),
        categories: &[Category::Connection],
        group: Group::Connection,
        syntax: "[username] password",
        summary: "Authenticates the connection.",
        complexity: "O(N) where N is the number of passwords defined for the user",
        run: Run::OnSession(auth),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "echo",
        arity: 2,
        flags: Flags::ANYTIME.with(Flags::FAST),
        categories: &[Category::Connection],
        group: Group::Connection,
        syntax: "message",
        summary: "Returns its argument.",
        run: Run::OnSession(echo),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "hello",
        arity: -1,
        flags: Flags::SESSION
            .with(Flags::FAST)
            .with(Flags::NO_AUTH)
            .with(Flags::ALLOW_BUSY),
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "6.0.0",
        syntax: "[protover [AUTH username password] [SETNAME clientname]]",
        summary: "Chooses the protocol, and may authenticate and name the connection.",
        run: Run::OnSession(hello),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ping",
        arity: -1,
        flags: Flags::FAST.with(Flags::SUBSCRIBED),
        categories: &[Category::Connection],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        group: Group::Connection,
        syntax: "[message]",
        summary: "Answers PONG, or its argument.",
        run: Run::OnSession(ping),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "quit",
        arity: -1,
        flags: Flags::SESSION
            .with(Flags::FAST)
            .with(Flags::NO_AUTH)
            .with(Flags::ALLOW_BUSY)
            .with(Flags::SUBSCRIBED),
        categories: &[Category::Connection],
        group: Group::Connection,
        summary: "Closes the connection.",
        run: Run::OnSession(quit),
        deprecated: Some(("7.2.0", "just closing the connection")),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "reset",
        arity: 1,
        flags: Flags::SESSION
            .with(Flags::FAST)
            .with(Flags::NO_AUTH)
            .with(Flags::ALLOW_BUSY)
            .with(Flags::SUBSCRIBED),
        categories: &[Category::Connection],
        group: Group::Connection,
        since: "6.2.0",
        summary: "Puts the connection back to how it began.",
        run: Run::OnSession(reset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "select",
        arity: 2,
        flags: Flags::ANYTIME.with(Flags::FAST),
        categories: &[Category::Connection],
        group: Group::Connection,
        syntax: "index",
        summary: "Chooses the logical database of the connection.",
        run: Run::OnSession(select),
        ..CommandSpec::BASE
    },
];

fn auth(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let (user, password) = match args.len() {
        2 if call.core.config.requirepass.is_none() => return Err(errors::AUTH_WITHOUT_PASSWORD),
        2 => (UserId::DEFAULT.name().as_bytes(), args.at(1)),
        3 => (args.at(1), args.at(2)),
        _ => return Err(errors::SYNTAX),
    };
    authenticate(call, user, password)?;
    call.reply(|reply| reply.ok());
    Ok(())
}

fn authenticate(call: &mut SessionCall<'_>, user: &[u8], password: &[u8]) -> CommandResult {
    let user = UserId::named(user).ok_or(errors::WRONG_PASS)?;
    if !accepts_password(&call.core.config, password) {
        return Err(errors::WRONG_PASS);
    }
    call.session.user = user;
    call.session.set_gate(gate::NEEDS_AUTH, false);
    Ok(())
}

/// Whether `password` is right; any is where none is asked for. Takes the same time wherever the two differ.
fn accepts_password(config: &Config, password: &[u8]) -> bool {
    let Some(right) = &config.requirepass else {
        return true;
    };
    let right = right.as_bytes();
    let differing = password
        .iter()
        .enumerate()
        .fold(0, |differing, (at, byte)| {
            differing | (byte ^ right.get(at).copied().unwrap_or(!byte))
        });
    differing == 0 && password.len() == right.len()
}

fn echo(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    call.reply(|reply| reply.bulk(args.at(1)));
    Ok(())
}

fn hello(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let mut protocol = None;
    if let Some(version) = args.get(1) {
        protocol = Some(match parse_canonical_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(errors::UNSUPPORTED_PROTOCOL),
            None => return Err(errors::PROTOCOL_NOT_AN_INTEGER),
        });
    }
    let mut at = 2;
    while at < args.len() {
        let more = args.len() - 1 - at;
        if args.is(at, "auth") && more >= 2 {
            authenticate(call, args.at(at + 1), args.at(at + 2))?;
            at += 3;
        } else if args.is(at, "setname") && more >= 1 {
            call.session.set_name(valid_name(args.at(at + 1))?);
            at += 2;
        } else {
            return Err(errors::hello_option(args.at(at)));
        }
    }
    if !call.session.is_authenticated() {
        return Err(errors::HELLO_NEEDS_AUTH);
    }
    if let Some(protocol) = protocol {
        call.session.protocol = protocol;
    }
    let client_id = call.session.client_id;
    let mode = match call.core.shared.core_ports() {
        Some(_) => "cluster",
        None => "standalone",
    };
    call.reply(|reply| {
        reply.map(7);
        reply.text("server");
        reply.text("redis");
        reply.text("version");
        reply.text(REDIS_VERSION);
        reply.text("proto");
        reply.integer(if reply.is_resp3() { 3 } else { 2 });
        reply.text("id");
        reply.count(client_id);
        reply.text("mode");
        reply.text(mode);
        reply.text("role");
        reply.text("master");
        reply.text("modules");
        reply.array(0);
    });
    Ok(())
}

fn ping(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    // Among messages, which RESP2 does not tell from replies, the answer looks like one of them.
    let among_messages = call.session.is_subscriber() && call.session.protocol == Protocol::Resp2;
    match args.len() {
        1 | 2 if among_messages => call.reply(|reply| {
            reply.array(2);
            reply.text("pong");
            reply.bulk(args.get(1).unwrap_or_default());
        }),
        1 => call.reply(|reply| reply.status("PONG")),
        2 => call.reply(|reply| reply.bulk(args.at(1))),
        _ => return Err(errors::wrong_arity("ping")),
    }
    Ok(())
}

fn quit(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.ok());
    call.session.closing = Closing::AfterReplies;
    Ok(())
}

fn reset(call: &mut SessionCall<'_>) -> CommandResult {
    super::monitor::leave(call);
    call.core.subscribers.leave(call.session);
    call.core.end_tracking(call.session);
    let needs_auth = call.core.config.requirepass.is_some();
    let session = &mut *call.session;
    session.user = UserId::DEFAULT;
    session.db = DbIndex(0);
    session.protocol = Protocol::Resp2;
    session.set_name(Box::default());
    session.reply_mode = ReplyMode::On;
    session.multi = None;
    session.ends_watch = true;
    session.set_gate(gate::REPLY_MODE | gate::NO_TOUCH | gate::MULTI, false);
    session.set_gate(gate::NEEDS_AUTH, needs_auth);
    call.reply(|reply| reply.status("RESET"));
    Ok(())
}

fn select(call: &mut SessionCall<'_>) -> CommandResult {
    let number = parse_canonical_i64(call.args.at(1)).ok_or(errors::NOT_AN_INTEGER)?;
    call.session.db = database(&call.core.config, number)?;
    call.reply(|reply| reply.ok());
    Ok(())
}

fn database(config: &Config, number: i64) -> Result<DbIndex, ErrorReply> {
    let number = u16::try_from(number).map_err(|_| errors::DB_INDEX_OUT_OF_RANGE)?;
    if number < config.databases {
        Ok(DbIndex(number))
    } else {
        Err(errors::DB_INDEX_OUT_OF_RANGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_accepted_only_whole() {
        let open = Config::default();
        assert!(accepts_password(&open, b"anything"));
        let closed = open.with(&[(b"requirepass", b"secret")]).unwrap();
        assert!(accepts_password(&closed, b"secret"));
        for wrong in ["", "s", "secre", "secreT", "secrets", "Secret"] {
            assert!(!accepts_password(&closed, wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn databases_are_numbered_from_zero_up_to_the_configured_number() {
        let config = Config::default();
        assert_eq!(database(&config, 15), Ok(DbIndex(15)));
        for number in [-1, 16, 65536, i64::MAX] {
            assert_eq!(
                database(&config, number),
                Err(errors::DB_INDEX_OUT_OF_RANGE)
            );
        }
    }
}
