//! `MONITOR`: every command of the server, shown as it runs.
//!
//! A line is `+1700000000.123456 [0 127.0.0.1:1234] "set" "a" "b"`, quoted as `redis-cli` quotes. Secrets are not shown,
//! and neither are commands for operators.
//!
//! Redis shows a command once it has run, but a script before the commands it calls. What only another core runs is shown as it
//! leaves; where running changes what the line says (`SELECT`, `RESET`) or what monitors see before it (`EXEC`), behind it.

use std::io::Write;
use std::sync::atomic::Ordering;

use crate::command::{Args, CommandSpec, Flags, Group, Run, SessionCall, TransactionStep};
use crate::config::is_sensitive;
use crate::resp::errors::CommandResult;
use crate::session::{Session, gate};

/// The family's table.
pub static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "monitor",
    arity: 1,
    flags: Flags::OPERATOR,
    group: Group::Server,
    summary: "Shows every command the server runs, as it runs.",
    run: Run::OnSession(monitor),
    ..CommandSpec::BASE
}];

fn monitor(call: &mut SessionCall<'_>) -> CommandResult {
    // As in Redis, one that is a monitor already gets no reply.
    if call.session.gates & gate::MONITOR == 0 {
        call.session.set_gate(gate::MONITOR, true);
        call.core.monitors.push(call.session.id);
        call.core.shared.monitors.fetch_add(1, Ordering::Relaxed);
        call.core.gates |= gate::WATCHED_BY_MONITOR;
        call.reply(|reply| reply.ok());
    }
    Ok(())
}

/// Ends the session's being a monitor, if it is one.
pub(super) fn leave(call: &mut SessionCall<'_>) {
    if call.session.gates & gate::MONITOR != 0 {
        call.session.set_gate(gate::MONITOR, false);
        let id = call.session.id;
        call.core.monitors.retain(|monitor| *monitor != id);
        call.core.shared.monitors.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When monitors are shown a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Never, or by itself.
    Apart,
    /// Before it runs.
    Before,
    /// When it has run.
    Behind,
}

/// When monitors are shown this command.
pub fn shown(spec: &CommandSpec) -> Shown {
    match spec.run {
        _ if spec.flags.has_any(Flags::SKIP_MONITOR.with(Flags::ADMIN)) => Shown::Apart,
        // Behind the commands it runs.
        Run::Transaction(TransactionStep::Run) => Shown::Apart,
        Run::OnSession(_) => Shown::Behind,
        _ => Shown::Before,
    }
}

/// Appends the line monitors get of a command of `session`.
pub fn write_line(
    out: &mut Vec<u8>,
    unix_micros: u64,
    session: &Session,
    spec: &CommandSpec,
    args: &Args<'_>,
) {
    let (secs, micros) = (unix_micros / 1_000_000, unix_micros % 1_000_000);
    let db = session.db.0;
    let source = if session.peer.unix { "unix:" } else { "" };
    // A unix socket's address is its path and a zero where a port would be.
    let addr = if session.gates & gate::SCRIPT != 0 {
        "lua"
    } else if session.peer.unix {
        session
            .peer
            .addr
            .strip_suffix(":0")
            .unwrap_or(&session.peer.addr)
    } else {
        &session.peer.addr
    };
    write!(out, "+{secs}.{micros:06} [{db} {source}{addr}]").expect("writing to memory");
    for (at, arg) in args.iter_from(0).enumerate() {
        out.push(b' ');
        quote(
            out,
            if is_secret(spec, args, at) {
                REDACTED
            } else {
                arg
            },
        );
    }
    out.extend_from_slice(b"\r\n");
}

/// What stands in for a secret in monitors and in the slow log.
pub const REDACTED: &[u8] = b"(redacted)";

/// Whether argument `at` of a command is a secret.
pub fn is_secret(spec: &CommandSpec, args: &Args<'_>, at: usize) -> bool {
    match spec.name {
        "auth" => at > 0,
        // HELLO version AUTH user password
        "hello" => {
            at >= 3
                && (args.is(at - 1, "auth") && args.len() > at + 1
                    || at >= 4 && args.is(at - 2, "auth"))
        }
        "config|set" => at >= 3 && at % 2 == 1 && is_sensitive(args.at(at - 1)),
        _ => false,
    }
}

/// Appends `text` in double quotes, what is not visible ASCII escaped.
fn quote(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => write!(out, "\\x{byte:02x}").expect("writing to memory"),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandTable;
    use crate::command::families::wire::words;
    use crate::session::{Peer, SessionId};
    use larder_engine::DbIndex;

    fn shown(command: &[&str], unix: bool) -> String {
        let addr = if unix { "/tmp/s:0" } else { "127.0.0.1:1234" };
        let peer = Peer {
            addr: addr.into(),
            unix,
            ..Peer::default()
        };
        let mut session = Session::new(1, SessionId::default(), peer, 0);
        session.db = DbIndex(3);
        let (bytes, ranges) = words(command);
        let args = Args::new(&bytes, &ranges);
        let command = CommandTable::global().find(args.at(0)).unwrap();
        let command = args
            .get(1)
            .and_then(|name| command.subcommand(name))
            .unwrap_or(command);
        let mut out = Vec::new();
        write_line(
            &mut out,
            1_700_000_000_123_004,
            &session,
            command.spec,
            &args,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_quotes_what_is_not_visible() {
        assert_eq!(
            shown(&["set", "a b", "\"\\\n\r\t\x07\x08\x01"], false),
            "+1700000000.123004 [3 127.0.0.1:1234] \"set\" \"a b\" \"\\\"\\\\\\n\\r\\t\\a\\b\\x01\"\r\n"
        );
        assert_eq!(
            shown(&["PING"], true),
            "+1700000000.123004 [3 unix:/tmp/s] \"PING\"\r\n"
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        for (command, tail) in [
            (&["auth", "secret"][..], "\"auth\" \"(redacted)\""),
            (
                &["auth", "default", "secret"],
                "\"auth\" \"(redacted)\" \"(redacted)\"",
            ),
            (
                &["hello", "3", "auth", "default", "secret", "setname", "x"],
                "\"hello\" \"3\" \"auth\" \"(redacted)\" \"(redacted)\" \"setname\" \"x\"",
            ),
            (
                &["config", "set", "timeout", "5", "requirepass", "secret"],
                "\"config\" \"set\" \"timeout\" \"5\" \"requirepass\" \"(redacted)\"",
            ),
        ] {
            let line = shown(command, false);
            assert!(line.ends_with(&format!("] {tail}\r\n")), "{line}");
        }
    }
}
