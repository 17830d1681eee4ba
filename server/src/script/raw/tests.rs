//! What is done on Lua's stack against the same done with mlua's values.

#![cfg(test)]

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Value};

use super::super::convert::Names;
use super::super::exchange::{Exchange, Phase, Raised};
use super::super::libs::{Ask, Called, called, caller, each_argument};
use super::super::tests::Bench;
use super::super::vm::Step;

/// A Lua in which one function calls commands on its stack, and another one by mlua.
struct Pair {
    lua: Lua,
    exchange: Rc<Exchange>,
    fast: Function,
    slow: Function,
    /// Makes a text of a value.
    show: Function,
}

const SHOW: &str = "
    local function show(value)
        if type(value) ~= 'table' then
            return type(value) .. ' ' .. (type(value) == 'number' and string.format('%.17g', value) or tostring(value))
        end
        local fields = {}
        for key, of in pairs(value) do fields[#fields + 1] = show(key) .. '=' .. show(of) end
        table.sort(fields)
        return '{' .. table.concat(fields, ',') .. '} of ' .. #value
    end
    return show";

impl Pair {
    fn new() -> Self {
        let lua = Lua::new();
        let exchange = Rc::new(Exchange::new(1 << 30, 1));
        exchange.phase.set(Phase::Running);
        let names = Rc::new(Names::new(&lua).unwrap());
        let fast = caller(&lua, &exchange, &names, false).unwrap();
        let shared = Rc::clone(&exchange);
        let slow = lua.create_function(move |lua, values: MultiValue| {
            let asked = each_argument(values.iter(), &shared).and_then(|()| {
                super::some(&shared.words.borrow())?;
                shared.exit.leave(Step::Call(Ask::Command));
                called(lua, &shared, &names)
            });
            match asked {
                Ok(Called::Value(value)) => Ok(value),
                Ok(Called::Error(text)) => names.error(lua, &text, true).map(Value::Table),
                Err(Raised::Object { text, is_counted }) => {
                    names.error(lua, &text, is_counted).map(Value::Table)
                }
                Err(other) => panic!("{other:?}"),
            }
        });
        let show = lua.load(SHOW).eval().unwrap();
        Self {
            lua,
            exchange,
            fast,
            slow: slow.unwrap(),
            show,
        }
    }

    /// What a call says when it is answered with `reply`, and the words that arrived, if they did.
    fn call(&self, function: &Function, arguments: &str, reply: &[u8]) -> (String, Vec<Vec<u8>>) {
        let words = RefCell::new(Vec::new());
        let answer = |step| {
            assert_eq!(step, Step::Call(Ask::Command));
            let asked = self.exchange.words.borrow();
            *words.borrow_mut() = asked.range(0, asked.len()).map(<[u8]>::to_vec).collect();
            *self.exchange.reply.borrow_mut() = reply.to_vec();
        };
        let script = self.lua.load(format!(
            "local call, show = ... return show(call({arguments}))"
        ));
        let arguments = (function, &self.show);
        let said: String = self
            .exchange
            .exit
            .open(&answer, || script.call(arguments))
            .unwrap();
        (said, words.into_inner())
    }

    fn assert_same(&self, arguments: &str, reply: &[u8]) {
        let [fast, slow] =
            [&self.fast, &self.slow].map(|function| self.call(function, arguments, reply));
        let shown = String::from_utf8_lossy(reply);
        assert_eq!(fast, slow, "{arguments} answered with {shown:?}");
    }
}

#[test]
fn arguments_arrive_as_mlua_hands_them_over() {
    let pair = Pair::new();
    for arguments in [
        "",
        "'a'",
        "'a', 'b', ''",
        "'with\\0zero', '\\255\\r\\n'",
        "1, -2, 3.5, 2^53, -2^53, 1e17, -1e17, 1e300, 0, -0",
        "0/0, 1/0, -1/0",
        "'a', nil",
        "nil",
        "'a', true",
        "{}",
        "print",
        "unpack({}, 1, 3)",
        "'x', unpack({1, 'two', 3.25})",
        "('x'):rep(100000)",
    ] {
        pair.assert_same(arguments, b":1\r\n");
    }
}

/// A reply that is put together by chance.
fn reply(random: &mut impl FnMut(usize) -> usize, depth: usize, out: &mut Vec<u8>) {
    let items: [&[u8]; 16] = [
        b"$0\r\n\r\n",
        b"$-1\r\n",
        b"$5\r\na\r\nbc\r\n",
        b"$12\r\n+OK\r\n-ERR\r\n*\r\n",
        b":0\r\n",
        b":-7\r\n",
        b":9223372036854775807\r\n",
        b"_\r\n",
        b"+OK\r\n",
        b"+OK now\r\n",
        b"#t\r\n",
        b",1.5\r\n",
        b"(123\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"*-1\r\n",
        b"*0\r\n",
    ];
    match random(if depth == 0 { 16 } else { 22 }) {
        at @ 0..16 => out.extend_from_slice(items[at]),
        kind => {
            let (head, of_each) = match kind {
                16..20 => (b'*', 1),
                20 => (b'%', 2),
                _ => (b'~', 1),
            };
            let len = random(4);
            out.push(head);
            out.extend_from_slice(format!("{len}\r\n").as_bytes());
            for _ in 0..len * of_each {
                reply(random, depth - 1, out);
            }
        }
    }
}

#[test]
fn replies_become_the_values_that_mlua_makes_of_them() {
    let pair = Pair::new();
    for error in [
        "-ERR no\r\n",
        "-WRONGTYPE Operation against\r\n",
        "-one\r\n",
    ] {
        pair.assert_same("'x'", error.as_bytes());
    }
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for _ in 0..3000 {
        let mut bytes = Vec::new();
        reply(&mut random, 3, &mut bytes);
        pair.assert_same("'x'", &bytes);
    }
}

#[test]
fn a_reply_that_finds_no_memory_fails_and_the_machine_goes_on() {
    let mut bench = Bench::with_memory(4 << 20);
    for (script, expected) in [
        ("return redis.call('big', 8000000)", None),
        (
            "local ok = pcall(redis.call, 'big', 8000000) return redis.call('echo', tostring(ok))[2]",
            Some("$5\r\nfalse\r\n"),
        ),
        (
            "local kept = {} for at = 1, 1e6 do kept[at] = redis.call('big', 1000) end",
            None,
        ),
        ("return redis.call('echo', 'on')[2]", Some("$2\r\non\r\n")),
    ] {
        let reply = bench.run(script);
        match expected {
            Some(expected) => assert_eq!(reply, expected, "{script}"),
            None => assert!(reply.contains("not enough memory"), "{script}: {reply}"),
        }
    }
}

#[test]
fn scripts_and_functions_take_their_turns_with_the_globals_of_each() {
    let mut bench = Bench::new();
    let code = "return KEYS[1] .. ARGV[1] .. #ARGV";
    for _ in 0..3 {
        let reply = bench.run_with(code.as_bytes(), &[b"k"], &[b"a", b"b"]);
        assert_eq!(reply, "$3\r\nka2\r\n");
        assert_eq!(bench.run("return #KEYS + #ARGV"), ":0\r\n");
        // `loadstring` has the globals of scripts.
        let reply = bench.run("return loadstring('return type(KEYS)')()");
        assert_eq!(reply, "$5\r\ntable\r\n");
    }
}

#[test]
fn what_a_script_changes_of_the_collector_ends_with_it() {
    let mut bench = Bench::new();
    bench.run("collectgarbage('stop') collectgarbage('setpause', 1000)");
    assert_eq!(
        bench.run("return collectgarbage('setpause', 200)"),
        ":200\r\n"
    );
}
