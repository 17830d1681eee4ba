//! `redis`: commands, and what else a script may ask of the server.

use std::rc::Rc;

use mlua::{Function, Lua, LuaString, MultiValue, Scope, Table, Value};
use sha1::{Digest, Sha1};

use super::super::exchange::{Exchange, Phase, Raised};
use super::super::limits::{ARGUMENTS_ONE_BY_ONE, NAME_MAX_BYTES, NAMES_MAX};
use super::super::number::{format_general, to_i64};
use super::super::words::Words;
use super::{Arguments, Outcome, Registrar, ok, raise};
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

/// A command as the sandbox hands it over: its name's number, how many arguments there are with the name, and these. To look
/// at an argument takes several times what a number does, so the name is skipped: what is a boolean costs nothing.
type Handed = (usize, usize, bool, Value, Value, Value, MultiValue);

/// The functions that call commands, over `ask`, which has the core answer. They live as long as `scope`.
pub(in crate::script) fn caller<'scope, 'env>(
    lua: &Lua,
    scope: &'scope Scope<'scope, 'env>,
    raw: &Table,
    exchange: &'env Exchange,
    names: &'env Names,
    ask: &'env dyn Fn(Ask) -> mlua::Result<()>,
) -> mlua::Result<()> {
    raw.raw_set("ARGUMENTS_MAX", ARGUMENTS_ONE_BY_ONE)?;
    let run = move |lua: &Lua, arguments| run_command(lua, arguments, exchange, names, ask);
    let answer = move |lua: &Lua, called: Result<Called, Raised>, raises: bool| match called {
        Ok(Called::Value(value)) => Ok(value),
        Ok(Called::Error(text)) if raises => raise(
            exchange,
            Raised::Object {
                text,
                is_counted: true,
            },
        ),
        Ok(Called::Error(text)) => names.error(lua, &text, true).map(Value::Table),
        Err(raised) => raise(exchange, raised),
    };
    let each = |raises: bool| {
        scope.create_function(move |lua, command: Handed| {
            answer(lua, run(lua, words_of(&command, exchange)), raises)
        })
    };
    raw.raw_set("call", each(true)?)?;
    raw.raw_set("pcall", each(false)?)?;
    let numbers = lua.create_table()?;
    raw.raw_set("NAMES", &numbers)?;
    let many =
        scope.create_function(move |lua, (raises, count, table): (bool, usize, Table)| {
            exchange.words.borrow_mut().clear();
            let arguments = (1..=count).try_for_each(|index| {
                let value = table.raw_get(index)?;
                push_argument(&value, &mut exchange.words.borrow_mut())
            });
            let called = run(lua, arguments);
            if let Ok(Called::Value(_)) = called {
                number_name(&numbers, &table.raw_get(1)?, exchange)?;
            }
            answer(lua, called, raises)
        })?;
    raw.raw_set("call_with_many", many)?;
    let permission = scope.create_function(move |_, values: MultiValue| {
        let arguments = each_argument(values.iter(), exchange);
        match ask_permission(arguments, exchange, ask) {
            Ok(value) => Ok(value),
            Err(raised) => raise(exchange, raised),
        }
    })?;
    raw.raw_set("acl_check_cmd", permission)
}

/// How a command ended.
enum Called {
    Value(Value),
    /// With this error.
    Error(Vec<u8>),
}

/// Gives the name of a command that has run a number, by which the sandbox hands it over from now on.
fn number_name(numbers: &Table, name: &Value, exchange: &Exchange) -> mlua::Result<()> {
    let mut names = exchange.names.borrow_mut();
    if let Value::String(text) = name
        && names.len() < NAMES_MAX
        && text.as_bytes().len() <= NAME_MAX_BYTES
        && numbers.raw_get::<Value>(text)?.is_nil()
    {
        numbers.raw_set(text, names.len())?;
        names.push(text.as_bytes().as_ref().into());
    }
    Ok(())
}

/// Puts a command's words into the exchange.
fn words_of(command: &Handed, exchange: &Exchange) -> Result<(), Raised> {
    let (number, count, _, first, second, third, rest) = command;
    let mut words = exchange.words.borrow_mut();
    words.clear();
    words.push(&exchange.names.borrow()[*number]);
    let mut values = [first, second, third].into_iter().chain(rest);
    values
        .by_ref()
        .take(count - 1)
        .try_for_each(|value| push_argument(value, &mut words))
}

fn each_argument<'a>(
    mut values: impl Iterator<Item = &'a Value>,
    exchange: &Exchange,
) -> Result<(), Raised> {
    let mut words = exchange.words.borrow_mut();
    words.clear();
    values.try_for_each(|value| push_argument(value, &mut words))
}

/// Appends a command's argument. Numbers are written so that no digit is lost.
fn push_argument(value: &Value, words: &mut Words) -> Result<(), Raised> {
    /// Below it a number of 17 digits is written without an exponent.
    const WHOLE_MAX: u64 = 100_000_000_000_000_000;
    let fits = match value {
        Value::String(text) => words.push(&text.as_bytes()),
        Value::Integer(number) if number.unsigned_abs() < WHOLE_MAX => {
            words.push(Digits::new().signed(*number))
        }
        Value::Integer(number) => words.push(format_general(*number as f64, 17).as_bytes()),
        Value::Number(number) => words.push(format_general(*number, 17).as_bytes()),
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

/// Has the core run the command whose arguments stand in the exchange.
fn run_command(
    lua: &Lua,
    arguments: Result<(), Raised>,
    exchange: &Exchange,
    names: &Names,
    ask: &dyn Fn(Ask) -> mlua::Result<()>,
) -> Result<Called, Raised> {
    check_callable(exchange)?;
    arguments?;
    check_some(exchange)?;
    ask(Ask::Command)?;
    let reply = exchange.reply.borrow();
    if let Some(line) = reply.strip_prefix(b"-") {
        let line = line.split(|&byte| byte == b'\r').next().unwrap_or_default();
        return Ok(Called::Error(with_code(line)));
    }
    if **reply == *b"+OK\r\n" {
        return Ok(Called::Value(ok()));
    }
    // The reply is bounded, and its strings are made faster where memory is taken to suffice.
    lua.set_memory_limit(0)?;
    let value = read_reply(lua, &reply, names);
    lua.set_memory_limit(exchange.memory_max_bytes)?;
    Ok(Called::Value(value?))
}

fn check_callable(exchange: &Exchange) -> Result<(), Raised> {
    if exchange.phase.get() != Phase::Running {
        return Err(Raised::object(
            "redis.call/pcall can only be called inside a script invocation",
        ));
    }
    Ok(())
}

fn check_some(exchange: &Exchange) -> Result<(), Raised> {
    if exchange.words.borrow().is_empty() {
        return Err(Raised::object(
            "Please specify at least one argument for this redis lib call",
        ));
    }
    Ok(())
}

fn ask_permission(
    arguments: Result<(), Raised>,
    exchange: &Exchange,
    ask: &dyn Fn(Ask) -> mlua::Result<()>,
) -> Outcome {
    check_running(exchange, "acl_check_cmd")?;
    check_callable(exchange)?;
    arguments?;
    check_some(exchange)?;
    ask(Ask::Permission)?;
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
    fn a_name_that_has_a_number_says_what_it_said_before() {
        let mut bench = Bench::new();
        let script = "local out = {} for at = 1, 3 do
            local r = redis.call('echo', 'a', 2, 'b', 1.5) out[at] = #r .. r[1] .. r[3] .. r[5]
        end return table.concat(out, ' ')";
        assert_eq!(
            bench.run(script),
            "$29\r\n5echo21.5 5echo21.5 5echo21.5\r\n"
        );
    }

    #[test]
    fn arguments_that_are_none_fail_whether_the_name_has_a_number_or_not() {
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
            let script =
                format!("local first = {call} redis.call('echo') return {{first, {call}}}");
            let text = "ERR Lua redis lib command arguments must be strings or integers";
            let each = format!("${}\r\n{text}\r\n", text.len());
            assert_eq!(bench.run(&script), format!("*2\r\n{each}{each}"), "{wrong}");
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

    #[test]
    fn any_number_of_names_takes_bounded_numbers() {
        let mut bench = Bench::new();
        let script = "for at = 1, 3000 do redis.call('n' .. at) end
            return redis.call('n2999', 'x')[1] .. redis.call('n7', 'x')[1]";
        assert_eq!(bench.run(script), "$7\r\nn2999n7\r\n");
    }
}
