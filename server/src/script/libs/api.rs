//! `redis`: commands, and what else a script may ask of the server.

use std::rc::Rc;

use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};
use sha1::{Digest, Sha1};

use super::super::exchange::{Exchange, Phase, Raised};
use super::super::number::{format_general, to_i64};
use super::super::raw::{commander, some};
use super::super::vm::Step;
use super::super::watch::go_on;
use super::super::words::Words;
use super::{Arguments, Outcome, Registrar, raise};
use crate::config::{LogLevel, REDIS_VERSION, REDIS_VERSION_NUMBER};
use crate::log;
use crate::resp::{Digits, Protocol};
use crate::script::convert::{Names, read_reply};

pub(super) fn register(to: &Registrar<'_>) -> mlua::Result<()> {
    for (level, name) in ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"]
        .into_iter()
        .enumerate()
    {
        to.value(name, level)?;
    }
    for (flags, name) in [
        (0, "REPL_NONE"),
        (REPL_AOF, "REPL_AOF"),
        (REPL_REPLICA, "REPL_SLAVE"),
        (REPL_REPLICA, "REPL_REPLICA"),
        (REPL_AOF | REPL_REPLICA, "REPL_ALL"),
    ] {
        to.value(name, flags)?;
    }
    to.value("REDIS_VERSION", REDIS_VERSION)?;
    to.value("REDIS_VERSION_NUM", REDIS_VERSION_NUMBER)?;
    to.one("sha1hex", sha1_hex)?;
    to.one("error_reply", error_reply)?;
    to.one("status_reply", status_reply)?;
    to.one("replicate_commands", |_| Ok(Value::Boolean(true)))?;
    to.one("breakpoint", |_| Ok(Value::Boolean(false)))?;
    to.none("debug", |_| Ok(()))?;
    let exchange = Rc::clone(to.exchange);
    to.none("setresp", move |args| set_protocol(args, &exchange))?;
    let exchange = Rc::clone(to.exchange);
    to.none("set_repl", move |args| set_replication(args, &exchange))?;
    let exchange = Rc::clone(to.exchange);
    to.none("log", move |args| log(args, &exchange))?;
    Ok(())
}

/// To which of the streams of changes a write goes; both bits are Redis's own.
const REPL_AOF: i32 = 1;
const REPL_REPLICA: i32 = 2;

fn sha1_hex(args: &Arguments<'_>) -> Outcome {
    if args.len() != 1 {
        return Err(Raised::object("wrong number of arguments"));
    }
    // What is no text has none.
    let text = args.bytes(1);
    let digest = hex(text.as_deref().unwrap_or(b""));
    Ok(Value::String(args.lua.create_string(digest)?))
}

/// The SHA-1 of `text` in hexadecimal digits.
pub(in crate::script) fn hex(text: &[u8]) -> [u8; 40] {
    let digest = Sha1::digest(text);
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    hex
}

/// The only argument, if it is a text.
fn only_text(args: &Arguments<'_>) -> Option<LuaString> {
    match args.get(1) {
        Value::String(text) if args.len() == 1 => Some(text.clone()),
        _ => None,
    }
}

fn table_of(args: &Arguments<'_>, field: &str, text: &[u8]) -> Outcome {
    let table = args.lua.create_table()?;
    table.raw_set(field, args.lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

const WRONG_ARGUMENTS: &[u8] = b"ERR wrong number or type of arguments";

fn error_reply(args: &Arguments<'_>) -> Outcome {
    let Some(text) = only_text(args) else {
        return table_of(args, "err", WRONG_ARGUMENTS);
    };
    table_of(args, "err", &with_code(&text.as_bytes()))
}

fn status_reply(args: &Arguments<'_>) -> Outcome {
    let Some(text) = only_text(args) else {
        return table_of(args, "err", WRONG_ARGUMENTS);
    };
    table_of(args, "ok", &text.as_bytes())
}

/// An error's text, with `ERR` before one of a single word; a `-` at the beginning is none of it.
pub(in crate::script) fn with_code(text: &[u8]) -> Vec<u8> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let (code, message) = match text.iter().position(|&byte| byte == b' ') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (&b"ERR"[..], text),
    };
    let end = message.len()
        - message
            .iter()
            .rev()
            .take_while(|byte| is_break(byte))
            .count();
    let begin = message[..end]
        .iter()
        .take_while(|byte| is_break(byte))
        .count();
    [code, b" ", &message[begin..end]].concat()
}

fn check_running(exchange: &Exchange, name: &str) -> Result<(), Raised> {
    if exchange.phase.get() == Phase::Running {
        return Ok(());
    }
    Err(Raised::object(&format!(
        "redis.{name} can only be called inside a script invocation"
    )))
}

fn set_protocol(args: &Arguments<'_>, exchange: &Exchange) -> Result<(), Raised> {
    check_running(exchange, "setresp")?;
    if args.len() != 1 {
        return Err(Raised::object("redis.setresp() requires one argument."));
    }
    let protocol = match args.as_number(1).unwrap_or(0.0).trunc() {
        2.0 => Protocol::Resp2,
        3.0 => Protocol::Resp3,
        _ => return Err(Raised::object("RESP version must be 2 or 3.")),
    };
    exchange.protocol.set(protocol);
    Ok(())
}

/// Checks its argument only: every change goes to every consumer of the journal.
fn set_replication(args: &Arguments<'_>, exchange: &Exchange) -> Result<(), Raised> {
    check_running(exchange, "set_repl")?;
    if args.len() != 1 {
        return Err(Raised::object("redis.set_repl() requires two arguments."));
    }
    let flags = i32::try_from(to_i64(args.as_number(1).unwrap_or(0.0))).unwrap_or(i32::MIN);
    if flags & !(REPL_AOF | REPL_REPLICA) != 0 {
        return Err(Raised::object(
            "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        ));
    }
    Ok(())
}

fn log(args: &Arguments<'_>, exchange: &Exchange) -> Result<(), Raised> {
    if args.len() < 2 {
        return Err(Raised::object(
            "redis.log() requires two arguments or more.",
        ));
    }
    let Some(level) = args.as_number(1) else {
        return Err(Raised::object(
            "First argument must be a number (log level).",
        ));
    };
    let (level, name) = match level.trunc() {
        0.0 => (LogLevel::Debug, "debug"),
        1.0 => (LogLevel::Verbose, "verbose"),
        2.0 => (LogLevel::Notice, "notice"),
        3.0 => (LogLevel::Warning, "warning"),
        _ => return Err(Raised::object("Invalid debug level.")),
    };
    if level < exchange.log_level.get() {
        return Ok(());
    }
    let words: Vec<_> = (2..=args.len())
        .filter_map(|at| args.bytes(at).ok())
        .collect();
    let words: Vec<&[u8]> = words.iter().map(|word| &**word).collect();
    let text = words.join(&b' ');
    log::tell(name, format_args!("{}", String::from_utf8_lossy(&text)));
    Ok(())
}

/// What `redis.call` and its kin ask the core for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To run a command; the answer is its reply.
    Command,
    /// Whether the script's user may run a command; the answer is an integer reply or an error.
    Permission,
}

/// The functions that have the core do something.
pub(in crate::script) fn callers(
    lua: &Lua,
    raw: &Table,
    exchange: &Rc<Exchange>,
    names: &Rc<Names>,
) -> mlua::Result<()> {
    for (name, is_raised) in [("call", true), ("pcall", false)] {
        raw.raw_set(name, caller(lua, exchange, names, is_raised)?)?;
    }
    let exchange = Rc::clone(exchange);
    let permission = lua.create_function(move |lua, values: MultiValue| {
        let arguments = each_argument(values.iter(), &exchange);
        match ask_permission(lua, arguments, &exchange) {
            Ok(value) => Ok(value),
            Err(raised) => raise(&exchange, raised),
        }
    })?;
    raw.raw_set("acl_check_cmd", permission)
}

/// `redis.call`, whose errors are raised, or `redis.pcall`, whose are values.
pub(in crate::script) fn caller(
    lua: &Lua,
    exchange: &Rc<Exchange>,
    names: &Rc<Names>,
    is_raised: bool,
) -> mlua::Result<Function> {
    let (shared, names) = (Rc::clone(exchange), Rc::clone(names));
    let rest = lua.create_function(move |lua, ()| {
        let raised = shared.raised.borrow_mut().take();
        let called = match raised {
            Some(raised) => Err(raised),
            None => called(lua, &shared, &names),
        };
        let error = |text: &[u8], is_counted| {
            let error = names.error(lua, text, is_counted)?;
            Ok((Value::Table(error), is_raised))
        };
        match called {
            Ok(Called::Value(value)) => Ok((value, false)),
            Ok(Called::Error(text)) => error(&text, true),
            Err(Raised::Object { text, is_counted }) => error(&text, is_counted),
            Err(Raised::Lua(error)) => Err(error),
            Err(other) => unreachable!("no command fails with {other:?}"),
        }
    })?;
    commander(lua, exchange, &rest)
}

/// How a command ended.
pub(in crate::script) enum Called {
    Value(Value),
    /// With this error.
    Error(Vec<u8>),
}

pub(in crate::script) fn each_argument<'a>(
    mut values: impl Iterator<Item = &'a Value>,
    exchange: &Exchange,
) -> Result<(), Raised> {
    let mut words = exchange.words.borrow_mut();
    words.clear();
    values.try_for_each(|value| push_argument(value, &mut words))
}

/// Appends a command's argument. Numbers are written so that no digit is lost.
fn push_argument(value: &Value, words: &mut Words) -> Result<(), Raised> {
    let fits = match value {
        Value::String(text) => words.push(&text.as_bytes()),
        Value::Integer(number) => push_number(*number as f64, words),
        Value::Number(number) => push_number(*number, words),
        _ => {
            return Err(Raised::object(
                "Lua redis lib command arguments must be strings or integers",
            ));
        }
    };
    if fits {
        Ok(())
    } else {
        Err(Raised::object(
            "the arguments exceed the maximum allowed size (4gb)",
        ))
    }
}

/// Appends a number so that no digit is lost. False: there is no room.
pub(in crate::script) fn push_number(number: f64, words: &mut Words) -> bool {
    /// Below it a number of 17 digits is written without an exponent.
    const WHOLE_MAX: f64 = 100_000_000_000_000_000.0;
    if number.fract() == 0.0 && number.abs() < WHOLE_MAX {
        words.push(Digits::new().signed(number as i64))
    } else {
        words.push(format_general(number, 17).as_bytes())
    }
}

/// What became of the command that the core has run.
pub(in crate::script) fn called(
    lua: &Lua,
    exchange: &Exchange,
    names: &Names,
) -> Result<Called, Raised> {
    go_on(lua, exchange)?;
    let reply = exchange.reply.borrow();
    if let Some(line) = reply.strip_prefix(b"-") {
        let line = line.split(|&byte| byte == b'\r').next().unwrap_or_default();
        return Ok(Called::Error(with_code(line)));
    }
    // The reply is bounded, and its strings are made faster where memory is taken to suffice.
    lua.set_memory_limit(0)?;
    let value = read_reply(lua, &reply, names);
    lua.set_memory_limit(exchange.memory_max_bytes)?;
    Ok(Called::Value(value?))
}

fn ask_permission(lua: &Lua, arguments: Result<(), Raised>, exchange: &Exchange) -> Outcome {
    check_running(exchange, "acl_check_cmd")?;
    arguments?;
    some(&exchange.words.borrow())?;
    exchange.exit.leave(Step::Call(Ask::Permission));
    go_on(lua, exchange)?;
    let reply = exchange.reply.borrow();
    match &**reply {
        b":1\r\n" => Ok(Value::Boolean(true)),
        b":0\r\n" => Ok(Value::Boolean(false)),
        _ => Err(Raised::object(
            "Invalid command passed to redis.acl_check_cmd()",
        )),
    }
}

/// The function that tells the sandbox what a function failed with: the text, an argument's number or nil, and the
/// function's name or how the text is to be wrapped.
pub(in crate::script) fn take_error(lua: &Lua, exchange: &Rc<Exchange>) -> mlua::Result<Function> {
    let exchange = Rc::clone(exchange);
    lua.create_function(move |lua, ()| {
        let raised = exchange.raised.borrow_mut().take();
        let (text, number, name) = match raised.expect("a function answered that it failed") {
            Raised::Message(text) => (text, None, None),
            Raised::Argument { number, name, text } => {
                (text.into_bytes(), Some(number), Some(name))
            }
            Raised::Object { text, is_counted } => {
                let kind = if is_counted { "counted" } else { "plain" };
                (text, None, Some(kind))
            }
            Raised::Lua(error) => return Err(error),
        };
        Ok((lua.create_string(&text)?, number, name))
    })
}

#[cfg(test)]
mod tests {
    use crate::script::tests::Bench;

    #[test]
    fn arguments_that_are_none_fail() {
        let mut bench = Bench::new();
        for wrong in [
            "nil",
            "'a', nil",
            "'a', nil, 'b'",
            "true",
            "{}",
            "1, 2, 3, nil",
        ] {
            let call = format!("redis.pcall('echo', {wrong}).err");
            let text = "ERR Lua redis lib command arguments must be strings or integers";
            let each = format!("${}\r\n{text}\r\n", text.len());
            assert_eq!(bench.run(&format!("return {call}")), each, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_handed_over_without_losing_a_digit() {
        let mut bench = Bench::new();
        for (number, expected) in [
            ("1", "1"),
            ("-0", "0"),
            ("1.5", "1.5"),
            ("2^53", "9007199254740992"),
            ("-99999999999999984", "-99999999999999984"),
            ("1e17", "1e+17"),
            ("1e-17", "1.0000000000000001e-17"),
            ("0.1 + 0.2", "0.30000000000000004"),
            ("1 / 0", "inf"),
            ("-1 / 0", "-inf"),
        ] {
            let script = format!("return redis.call('echo', {number})[2]");
            let expected = format!("${}\r\n{expected}\r\n", expected.len());
            assert_eq!(bench.run(&script), expected, "{number}");
        }
    }

    #[test]
    fn each_status_is_a_table_of_its_own() {
        let mut bench = Bench::new();
        let script = "local a = redis.call('raw', '+OK\\r\\n') a.ok = 'changed' a.x = 1
            local b = redis.call('raw', '+OK\\r\\n') local c = redis.pcall('raw', '+OK\\r\\n')
            return {b.ok, c.ok, tostring(b.x), a.ok, type(a)}";
        let expected =
            "*5\r\n$2\r\nOK\r\n$2\r\nOK\r\n$3\r\nnil\r\n$7\r\nchanged\r\n$5\r\ntable\r\n";
        assert_eq!(bench.run(script), expected);
    }
}
