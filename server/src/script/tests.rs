//! Scripts on a machine whose core answers every command with its arguments.

#![cfg(test)]

use std::time::{Duration, Instant};

use super::*;
use crate::config::LogLevel;
use crate::resp::{Protocol, Reply};

/// Runs a script with keys and arguments; gives its reply.
pub(super) struct Bench {
    vm: Vm,
    next_id: u64,
    options: RunOptions,
    /// Times a script may give the core back before it is killed.
    ticks_max: usize,
    /// Times the last script did.
    pub(super) ticks: usize,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with_memory(64 << 20)
    }

    pub(super) fn with_memory(bytes: usize) -> Self {
        Self {
            vm: Vm::with_memory(1, bytes).unwrap(),
            next_id: 0,
            options: RunOptions {
                began: Instant::now(),
                protocol: Protocol::Resp2,
                patience: None,
                log_level: LogLevel::Warning,
            },
            ticks_max: usize::MAX,
            ticks: 0,
        }
    }

    /// For a script that begins now.
    fn options_now(&self) -> RunOptions {
        RunOptions {
            began: Instant::now(),
            ..self.options
        }
    }

    pub(super) fn run(&mut self, script: &str) -> String {
        self.run_with(script.as_bytes(), &[], &[])
    }

    /// Scripts give the core back after `patience`, and are killed when they have done so `ticks_max` times.
    pub(super) fn give_back_after(&mut self, patience: Duration, ticks_max: usize) {
        self.options.patience = Some(patience);
        self.ticks_max = ticks_max;
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.vm.used_bytes()
    }

    /// Begins a script, and leaves it at its first call.
    pub(super) fn begin(&mut self, script: &str) {
        self.vm.compile(0, script.as_bytes().into()).unwrap();
        self.vm.words().clear();
        let step = self.vm.eval(0, 0, &"sha".into(), &self.options_now());
        assert_eq!(step, Step::Call(Ask::Command));
    }

    pub(super) fn run_with(&mut self, script: &[u8], keys: &[&[u8]], argv: &[&[u8]]) -> String {
        self.next_id += 1;
        let id = self.next_id;
        if let Err(error) = self.vm.compile(id, script.into()) {
            return format!("compile: {}", String::from_utf8_lossy(&error));
        }
        {
            let mut words = self.vm.words();
            words.clear();
            for word in keys.iter().chain(argv) {
                assert!(words.push(word));
            }
        }
        let options = self.options_now();
        let mut step = self.vm.eval(id, keys.len(), &"sha".into(), &options);
        self.ticks = 0;
        loop {
            step = match step {
                Step::Done => break,
                Step::Tick => {
                    self.ticks += 1;
                    let is_to_die = self.ticks > self.ticks_max;
                    self.vm.resume(if is_to_die { GoOn::Die } else { GoOn::On })
                }
                Step::Call(ask) => {
                    self.answer(ask);
                    self.vm.resume(GoOn::On)
                }
            };
        }
        let reply = String::from_utf8_lossy(&self.vm.reply()).into_owned();
        self.vm.forget(id);
        reply
    }

    /// `raw x` is answered with x, `big n` with n bytes, anything else with its arguments.
    fn answer(&self, ask: Ask) {
        let words = self.vm.words();
        let words: Vec<&[u8]> = words.range(0, words.len()).collect();
        let mut out = self.vm.reply();
        out.clear();
        let mut reply = Reply::new(&mut out, self.vm.protocol());
        match (ask, &words[..]) {
            (Ask::Permission, [b"no"]) => reply.integer(0),
            (Ask::Permission, [b"none"]) => reply.raw(b"-ERR no such command\r\n"),
            (Ask::Permission, _) => reply.integer(1),
            (_, [b"raw", raw]) => reply.raw(raw),
            (_, [b"big", n]) => {
                let len = std::str::from_utf8(n).unwrap().parse().unwrap();
                reply.bulk(&vec![b'x'; len]);
            }
            _ => {
                reply.array(words.len());
                words.iter().for_each(|word| reply.bulk(word));
            }
        }
    }

    /// The result of an expression, as a string.
    fn value(&mut self, expression: &str) -> String {
        let reply = self.run(&format!("return tostring({expression})"));
        match reply.split_once("\r\n") {
            Some((head, text)) if head.starts_with('$') => text.trim_end_matches("\r\n").to_owned(),
            _ => reply,
        }
    }
}

/// Checks the values of expressions.
fn values(expressions: &[(&str, &str)]) {
    let mut bench = Bench::new();
    for (expression, expected) in expressions {
        assert_eq!(bench.value(expression), *expected, "{expression}");
    }
}

#[test]
fn values_become_replies() {
    let mut bench = Bench::new();
    for (script, expected) in [
        ("return 'hello'", "$5\r\nhello\r\n"),
        ("return 100.9", ":100\r\n"),
        ("return -0.5", ":0\r\n"),
        ("return true", ":1\r\n"),
        ("return false", "$-1\r\n"),
        ("return nil", "$-1\r\n"),
        ("return", "$-1\r\n"),
        (
            "return print",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'print' script: sha, on @user_script:1.\r\n",
        ),
        (
            "return {1,2,{3,'x'},nil,5}",
            "*3\r\n:1\r\n:2\r\n*2\r\n:3\r\n$1\r\nx\r\n",
        ),
        ("return {ok='fine'}", "+fine\r\n"),
        ("return {err='ERR no'}", "-ERR no\r\n"),
        (
            "return {1,{err='MY bad\\r\\n'},2}",
            "*3\r\n:1\r\n-MY bad\r\n:2\r\n",
        ),
        ("return {double=3.5}", "$3\r\n3.5\r\n"),
        ("return {double=27.232}", "$6\r\n27.232\r\n"),
        ("return {map={a=1}}", "*2\r\n$1\r\na\r\n:1\r\n"),
        ("return {set={a=true}}", "*1\r\n$1\r\na\r\n"),
        (
            "return {verbatim_string={string='x',format='txt'}}",
            "$1\r\nx\r\n",
        ),
        ("return {big_number='1\\r2'}", "$3\r\n1 2\r\n"),
        ("return _G", "*0\r\n"),
        ("return {}", "*0\r\n"),
        ("return {KEYS[1], ARGV[1]}", "*0\r\n"),
        ("return 'a' --trailing comment", "$1\r\na\r\n"),
    ] {
        assert_eq!(bench.run(script), expected, "{script}");
    }
    bench.options.protocol = Protocol::Resp3;
    for (script, expected) in [
        ("return true", ":1\r\n"),
        ("redis.setresp(3) return true", "#t\r\n"),
        ("return false", "_\r\n"),
        ("return {double=3.5}", ",3.5\r\n"),
        ("return {double=2^59}", ",576460752303423488\r\n"),
        ("return {double=-1/0}", ",-inf\r\n"),
        ("return {map={a={1}}}", "%1\r\n$1\r\na\r\n*1\r\n:1\r\n"),
        ("return {set={a=true}}", "~1\r\n$1\r\na\r\n"),
        (
            "return {verbatim_string={string='xy',format='txt'}}",
            "=6\r\ntxt:xy\r\n",
        ),
        ("return {big_number='12'}", "(12\r\n"),
    ] {
        assert_eq!(bench.run(script), expected, "{script}");
    }
}

#[test]
fn replies_become_values() {
    let mut bench = Bench::new();
    for (reply, expression, expected) in [
        (":12\r\n", "r", ":12\r\n"),
        ("$2\r\nab\r\n", "r", "$2\r\nab\r\n"),
        ("$-1\r\n", "r == false", ":1\r\n"),
        ("*-1\r\n", "r == false", ":1\r\n"),
        ("+OK\r\n", "r.ok", "$2\r\nOK\r\n"),
        ("*2\r\n:1\r\n*1\r\n$1\r\nx\r\n", "r[2][1]", "$1\r\nx\r\n"),
        ("_\r\n", "r == nil", ":1\r\n"),
        ("#t\r\n", "r == true", ":1\r\n"),
        (",2.5\r\n", "r.double * 2", ":5\r\n"),
        ("(123\r\n", "r.big_number", "$3\r\n123\r\n"),
        (
            "=6\r\ntxt:xy\r\n",
            "r.verbatim_string.format .. r.verbatim_string.string",
            "$5\r\ntxtxy\r\n",
        ),
        ("%1\r\n$1\r\na\r\n:7\r\n", "r.map.a", ":7\r\n"),
        ("~1\r\n$1\r\na\r\n", "r.set.a", ":1\r\n"),
        ("|1\r\n$1\r\na\r\n:7\r\n:9\r\n", "r", ":9\r\n"),
        ("-WRONG way\r\n", "r.err", "$9\r\nWRONG way\r\n"),
    ] {
        let script = format!("local r = redis.pcall('raw', ARGV[1]) return {expression}");
        let got = bench.run_with(script.as_bytes(), &[], &[reply.as_bytes()]);
        assert_eq!(got, expected, "{reply:?}");
    }
    assert_eq!(
        bench.run("return redis.call('a', -2^63, 2^63)"),
        "*3\r\n$1\r\na\r\n$23\r\n-9.2233720368547758e+18\r\n$22\r\n9.2233720368547758e+18\r\n"
    );
    let echo = "return redis.call('a', 1, 0.1, 1e17, -5, 12039611435714932082, KEYS[1])";
    assert_eq!(
        bench.run_with(echo.as_bytes(), &[b"\xff\x00"], &[]),
        String::from_utf8_lossy(b"*7\r\n$1\r\na\r\n$1\r\n1\r\n$19\r\n0.10000000000000001\r\n$5\r\n1e+17\r\n$2\r\n-5\r\n$22\r\n1.2039611435714933e+19\r\n$2\r\n\xff\x00\r\n")
    );
    assert_eq!(
        bench.run(
            "local t = {} for i = 1, 7999 do t[i] = i end return #redis.call('x', unpack(t, 2))"
        ),
        ":7999\r\n"
    );
}

#[test]
fn errors_say_what_and_where() {
    let mut bench = Bench::new();
    for (script, expected) in [
        (
            "error('x')",
            "ERR user_script:1: x script: sha, on @user_script:1.",
        ),
        ("\n\nerror('x', 0)", "ERR x script: sha, on @user_script:3."),
        (
            "error({err='MY own'})",
            "MY own script: sha, on @user_script:1.",
        ),
        ("error()", "ERR nil script: sha, on @user_script:1."),
        (
            "local t = nil\nreturn t.x",
            "ERR user_script:2: attempt to index local 't' (a nil value) script: sha, on @user_script:2.",
        ),
        (
            "return undefined",
            "ERR user_script:1: Script attempted to access nonexistent global variable 'undefined' script: sha, on @user_script:1.",
        ),
        (
            "a = 1",
            "ERR user_script:1: Attempt to modify a readonly table script: sha, on @user_script:1.",
        ),
        (
            "redis.call = 1",
            "ERR user_script:1: Attempt to modify a readonly table script: sha, on @user_script:1.",
        ),
        (
            "string.format = 1",
            "ERR user_script:1: Attempt to modify a readonly table script: sha, on @user_script:1.",
        ),
        (
            "setmetatable(_G, {})",
            "ERR Attempt to modify a readonly table script: sha, on @user_script:1.",
        ),
        (
            "getmetatable(_G).__index = {}",
            "ERR user_script:1: Attempt to modify a readonly table script: sha, on @user_script:1.",
        ),
        (
            "getmetatable('').__index = {}",
            "ERR user_script:1: Attempt to modify a readonly table script: sha, on @user_script:1.",
        ),
        (
            "getmetatable('').__index.len = {}",
            "ERR user_script:1: Attempt to modify a readonly table script: sha, on @user_script:1.",
        ),
        (
            "rawset(_G, 'a', 1)",
            "ERR Attempt to modify a readonly table script: sha, on @user_script:1.",
        ),
        (
            "table.insert(redis, 1)",
            "ERR Attempt to modify a readonly table script: sha, on @user_script:1.",
        ),
        (
            "local _, t = pairs(redis) t.call = 1",
            "ERR user_script:1: Attempt to modify a readonly table script: sha, on @user_script:1.",
        ),
        (
            "redis.call()",
            "ERR Please specify at least one argument for this redis lib call script: sha, on @user_script:1.",
        ),
        (
            "redis.call({})",
            "ERR Lua redis lib command arguments must be strings or integers script: sha, on @user_script:1.",
        ),
        (
            "\nreturn redis.call({})",
            "ERR Lua redis lib command arguments must be strings or integers script: sha, on @user_script:2.",
        ),
        (
            "local function f()\nreturn redis.call({})\nend\nreturn f()",
            "ERR Lua redis lib command arguments must be strings or integers script: sha, on @user_script:2.",
        ),
        (
            "\nredis.call('raw', '-NO such thing\\r\\n')",
            "NO such thing script: sha, on @user_script:2.",
        ),
        (
            "redis.sha1hex()",
            "ERR wrong number of arguments script: sha, on @user_script:1.",
        ),
        (
            "redis.setresp(4)",
            "ERR RESP version must be 2 or 3. script: sha, on @user_script:1.",
        ),
        (
            "cjson.decode('x')",
            "ERR user_script:1: Expected value but found invalid token at character 1 script: sha, on @user_script:1.",
        ),
        (
            "cjson.decode()",
            "ERR user_script:1: bad argument #1 to 'decode' (expected 1 argument) script: sha, on @user_script:1.",
        ),
        (
            "string.rep()",
            "ERR user_script:1: bad argument #1 to 'rep' (string expected, got no value) script: sha, on @user_script:1.",
        ),
        (
            "string.find('a', '[')",
            "ERR user_script:1: malformed pattern (missing ']') script: sha, on @user_script:1.",
        ),
        (
            "pairs(nil)",
            "ERR user_script:1: bad argument #1 to 'pairs' (table expected, got nil) script: sha, on @user_script:1.",
        ),
        (
            "table.insert(nil, 1)",
            "ERR user_script:1: bad argument #1 to 'insert' (table expected, got nil) script: sha, on @user_script:1.",
        ),
        (
            "loadstring(string.dump(function() return 1 end))()",
            "ERR user_script:1: attempt to call a nil value script: sha, on @user_script:1.",
        ),
        (
            "math.random(0)",
            "ERR user_script:1: bad argument #1 to 'random' (interval is empty) script: sha, on @user_script:1.",
        ),
    ] {
        assert_eq!(bench.run(script), format!("-{expected}\r\n"), "{script}");
    }
    assert_eq!(
        bench.run("return ("),
        "compile: user_script:1: unexpected symbol near '<eof>'"
    );
}

#[test]
fn the_base_library_is_lua_s() {
    values(&[
        ("pcall(error, 'x')", "false"),
        ("select(2, pcall(error, {err='E x'}))", "E x"),
        ("select(2, pcall(redis.call, 'raw', '-E y\\r\\n'))", "E y"),
        ("select(2, pcall(error))", "nil"),
        ("select('#', pcall(function() return 1, nil, 3 end))", "4"),
        (
            "select(2, xpcall(function() error('x', 0) end, function(e) return e .. '!' end))",
            "x!",
        ),
        (
            "select(2, xpcall(error, function() error('x') end))",
            "error in error handling",
        ),
        (
            "select(2, pcall(table.sort, {3,2,1,5,4,7,6,9,8},function(a,b) return true end))",
            "invalid order function for sorting",
        ),
        ("next({}) == nil", "true"),
        ("next(redis) ~= nil", "true"),
        ("type(rawget(redis, 'call'))", "function"),
        (
            "(function() local n = 0 for k, v in pairs(cjson) do n = n + 1 end return n end)()",
            "13",
        ),
        (
            "(function() for k, v in pairs(_G) do if k == 'pcall' then return v == pcall end end end)()",
            "true",
        ),
        ("getmetatable(redis)", "nil"),
        ("getmetatable({})", "nil"),
        ("getmetatable(setmetatable({}, {__metatable = 7}))", "7"),
        ("loadstring('return 7')()", "7"),
        ("loadstring('return KEYS')() == KEYS", "true"),
        (
            "select(2, loadstring('return ('))",
            "[string \"return (\"]:1: unexpected symbol near '<eof>'",
        ),
        (
            "(function() local p = {'return ', '8'} return load(function() return table.remove(p, 1) end)() end)()",
            "8",
        ),
        ("type(collectgarbage('count'))", "number"),
        ("collectgarbage('stop')", "0"),
        ("_VERSION", "Lua 5.1"),
        ("tostring(1e15)", "1e+15"),
        ("type(os.clock())", "number"),
        ("pcall(function() return os.time end)", "true"),
        ("os.time", "nil"),
        ("string.dump ~= nil", "true"),
        ("#table.concat({1, 2, 3}, ', ')", "7"),
        (
            "(function() local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) return table.concat(t, ',') end)()",
            "0,1,2,3",
        ),
        (
            "(function() local t = {1} table.insert(t, -1, 'x') return t[-1] end)()",
            "x",
        ),
        (
            "(function() local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return table.concat(t) end)()",
            "321",
        ),
        ("('x'):rep(3)", "xxx"),
        ("('x'):rep(-1)", ""),
        ("('%d'):format(5)", "5"),
        ("unpack({1, 2}, 2)", "2"),
        ("coroutine.wrap(function() coroutine.yield(4) end)()", "4"),
        (
            "coroutine.wrap(function() return redis.call('x')[1] end)()",
            "x",
        ),
        ("math.floor(math.random() * 0)", "0"),
        ("redis.acl_check_cmd('yes')", "true"),
        ("redis.acl_check_cmd('no')", "false"),
        (
            "select(2, pcall(redis.acl_check_cmd, 'none'))",
            "ERR Invalid command passed to redis.acl_check_cmd()",
        ),
        (
            "redis.sha1hex('')",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        ),
        ("redis.error_reply('My Err').err", "My Err"),
        ("redis.error_reply('-My Err').err", "My Err"),
        ("redis.error_reply('Err').err", "ERR Err"),
        (
            "redis.error_reply({}).err",
            "ERR wrong number or type of arguments",
        ),
        ("redis.status_reply('x').ok", "x"),
        ("redis.replicate_commands()", "true"),
        ("redis.breakpoint()", "false"),
        ("select('#', redis.set_repl(redis.REPL_ALL))", "0"),
        ("select('#', redis.log(redis.LOG_DEBUG, 'x'))", "0"),
        ("select('#', redis.setresp(2))", "0"),
        ("select('#', redis.debug('x'))", "0"),
        ("select('#', redis.breakpoint())", "1"),
        ("select('#', redis.replicate_commands())", "1"),
        ("select('#', math.randomseed(1))", "0"),
        ("select('#', pcall(error, {}))", "3"),
        ("select('#', xpcall(error, function() end))", "2"),
        ("pcall(redis.set_repl, 0 / 0)", "false"),
        ("table.foreach(redis, function() return 1 end)", "1"),
        ("redis.LOG_WARNING", "3"),
        ("redis.REDIS_VERSION_NUM", "459776"),
    ]);
}

#[test]
fn nothing_a_script_changes_outlives_it() {
    let mut bench = Bench::new();
    for script in [
        "collectgarbage('stop')",
        "redis.setresp(3)",
        "local f = function() end pcall(rawset, redis, 'call', f) pcall(table.insert, _G, 1)",
        "getmetatable(_G).__index.x = 1",
    ] {
        bench.run(script);
        assert_eq!(
            bench.run(
                "return {type(redis.call), tostring(rawget(_G, 'x')), #_G, tostring(rawget(_G, 1))}"
            ),
            "*4\r\n$8\r\nfunction\r\n$3\r\nnil\r\n:0\r\n$3\r\nnil\r\n",
            "{script}"
        );
    }
}

#[test]
fn patterns_match_as_in_lua() {
    values(&[
        ("('hello world'):find('wor')", "7"),
        ("select(2, ('hello world'):find('wor'))", "9"),
        ("('hello'):find('l', 4)", "4"),
        ("('hello'):find('l', -1)", "nil"),
        ("('hello'):find('', 10)", "6"),
        ("('a.b'):find('.', 1, true)", "2"),
        ("('a+b'):find('+')", "2"),
        ("('hello'):match('(h)(.)')", "h"),
        ("select(2, ('hello'):match('(h)(.)'))", "e"),
        ("('hello'):match('()ll()')", "3"),
        ("('  trim '):match('^%s*(.-)%s*$')", "trim"),
        ("('key=val'):match('(%w+)=(%w+)')", "key"),
        ("('THE (quick) fox'):find('%((%a+)%)')", "5"),
        ("('f(a(b)c)d'):match('%b()')", "(a(b)c)"),
        ("('THE (quick) fox'):find('%f[%a]%a+%f[%A]')", "1"),
        ("('aaa'):match('a-b')", "nil"),
        ("('aaab'):match('a-b')", "aaab"),
        ("('abab'):match('(ab)%1')", "ab"),
        ("('x]y'):match('[]]')", "]"),
        ("('x-y'):match('[a-]')", "-"),
        ("('x^y'):match('[%^]')", "^"),
        ("('5'):match('[^%d]')", "nil"),
        ("('a\\0b'):match('%z')", "\0"),
        ("('hello world'):gsub('o', '0')", "hell0 w0rld"),
        ("select(2, ('hello world'):gsub('o', '0'))", "2"),
        ("('hello'):gsub('', '-')", "-h-e-l-l-o-"),
        ("('abc'):gsub('%w*', 'x')", "xx"),
        ("('hello world'):gsub('(%w+)', '<%1>')", "<hello> <world>"),
        (
            "('hello world'):gsub('%w+', '%0 %0', 1)",
            "hello hello world",
        ),
        ("('abc'):gsub('^a', 'x')", "xbc"),
        ("('$name'):gsub('%$(%w+)', {name = 'lua'})", "lua"),
        ("('$name $x'):gsub('%$(%w+)', {name = 'lua'})", "lua $x"),
        (
            "('abc'):gsub('%w', function(c) return c:upper() end)",
            "ABC",
        ),
        ("('abc'):gsub('', function() return '.' end)", ".a.b.c."),
        (
            "('abc'):gsub('%w', function(c) if c == 'b' then return false end return 1 end)",
            "1b1",
        ),
        ("('abc'):gsub('^%w', function(c) return 'x' end)", "xbc"),
        ("('abc'):gsub('%w', '%%')", "%%%"),
        (
            "(function() local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t+1] = k .. v end return table.concat(t) end)()",
            "a1b2",
        ),
        (
            "(function() local n = 0 for w in ('abc'):gmatch('') do n = n + 1 end return n end)()",
            "4",
        ),
        (
            "(function() for w in ('^a'):gmatch('^a') do return w end end)()",
            "^a",
        ),
        (
            "select(2, pcall(string.find, 'a', '%'))",
            "malformed pattern (ends with '%')",
        ),
        (
            "select(2, pcall(string.find, 'a', '(a'))",
            "unfinished capture",
        ),
        (
            "select(2, pcall(string.match, 'a', 'a)'))",
            "invalid pattern capture",
        ),
        (
            "select(2, pcall(string.find, 'a', '%1'))",
            "invalid capture index",
        ),
        (
            "select(2, pcall(string.gsub, 'a', 'a', '%2'))",
            "invalid capture index",
        ),
        (
            "select(2, pcall(string.gsub, 'a', 'a'))",
            "bad argument #3 to 'gsub' (string/function/table expected)",
        ),
        (
            "select(2, pcall(string.rep, 'a', 1e9))",
            "not enough memory",
        ),
    ]);
}

#[test]
fn json_is_read_and_written() {
    values(&[
        ("cjson.encode({1, 2, {a = true}})", "[1,2,{\"a\":true}]"),
        ("cjson.encode({})", "{}"),
        (
            "cjson.encode({[1] = 'one', one = 1})",
            "{\"1\":\"one\",\"one\":1}",
        ),
        (
            "cjson.encode('a\"/\\\\\\n\\127\\1\\200')",
            "\"a\\\"\\/\\\\\\n\\u007f\\u0001\u{fffd}\"",
        ),
        ("cjson.encode({1, nil, 3})", "[1,null,3]"),
        ("cjson.encode(cjson.null)", "null"),
        ("cjson.encode(0.1)", "0.1"),
        ("cjson.encode(1e20)", "1e+20"),
        (
            "select(2, pcall(cjson.encode, {[1000] = 1}))",
            "Cannot serialise table: excessively sparse array",
        ),
        (
            "select(2, pcall(cjson.encode, pcall))",
            "Cannot serialise function: type not supported",
        ),
        (
            "select(2, pcall(cjson.encode, 0/0))",
            "Cannot serialise number: must not be NaN or Inf",
        ),
        (
            "select(2, pcall(cjson.encode, {[false] = 1}))",
            "Cannot serialise boolean: table key must be a number or string",
        ),
        (
            "table.concat(cjson.decode('[0.0, -5e3, -1, 0.3e-3, 1023.2, 0e10]'), ' ')",
            "0 -5000 -1 0.0003 1023.2 0",
        ),
        ("cjson.decode('{\"a\":{\"b\":[1,\"x\"]}}').a.b[2]", "x"),
        (
            "cjson.decode('\"\\\\u00e9\\\\ud83d\\\\ude00\\\\n\"')",
            "é😀\n",
        ),
        ("cjson.decode('null') == cjson.null", "true"),
        ("cjson.decode('[]')[1]", "nil"),
        ("cjson.decode('0x10')", "16"),
        (
            "select(2, pcall(cjson.decode, '[1,]'))",
            "Expected value but found T_ARR_END at character 4",
        ),
        (
            "select(2, pcall(cjson.decode, '{\"a\":1,}'))",
            "Expected object key string but found T_OBJ_END at character 8",
        ),
        (
            "select(2, pcall(cjson.decode, '{1:2}'))",
            "Expected object key string but found T_NUMBER at character 2",
        ),
        (
            "select(2, pcall(cjson.decode, '\"abc'))",
            "Expected value but found unexpected end of string at character 5",
        ),
        (
            "select(2, pcall(cjson.decode, '\"\\\\x\"'))",
            "Expected value but found invalid escape code at character 2",
        ),
        (
            "select(2, pcall(cjson.decode, '\"\\\\ud800\"'))",
            "Expected value but found invalid unicode escape code at character 2",
        ),
        (
            "select(2, pcall(cjson.decode, '1 2'))",
            "Expected the end but found T_NUMBER at character 3",
        ),
        (
            "select(2, pcall(cjson.decode, ('['):rep(1001)))",
            "Found too many nested data structures (1001) at character 1001",
        ),
        ("cjson.encode_max_depth()", "1000"),
        ("cjson.new().encode_max_depth(5)", "5"),
        ("select('#', cjson.encode_sparse_array())", "3"),
        (
            "select(2, pcall(cjson.encode_max_depth, 0))",
            "bad argument #1 to '?' (expected integer between 1 and 2147483647)",
        ),
        ("cjson._VERSION", "2.1.0"),
    ]);
}

#[test]
fn message_pack_is_read_and_written() {
    let hex = |expression: &str| {
        format!("(({expression}):gsub('.', function(c) return ('%02x'):format(c:byte()) end))")
    };
    let mut bench = Bench::new();
    for (expression, expected) in [
        ("cmsgpack.pack(0.1)", "cb3fb999999999999a"),
        ("cmsgpack.pack(-1099511627776)", "d3ffffff0000000000"),
        (
            "cmsgpack.pack(1, 127, 128, 255, 256, 65536, 2^32)",
            "017fcc80ccffcd0100ce00010000cf0000000100000000",
        ),
        (
            "cmsgpack.pack(-1, -32, -33, -129, -32769, -2147483649)",
            "ffe0d0dfd1ff7fd2ffff7fffd3ffffffff7fffffff",
        ),
        (
            "cmsgpack.pack(0.5, 'ab', true, false, nil)",
            "ca3f000000a26162c3c2c0",
        ),
        ("cmsgpack.pack({1, 2}, {a = 1}, {})", "92010281a1610190"),
    ] {
        let script = format!("local s = {expression} return {}", hex("s"));
        assert_eq!(
            bench.run(&script),
            format!("${}\r\n{expected}\r\n", expected.len()),
            "{expression}"
        );
    }
    values(&[
        ("select('#', cmsgpack.unpack(cmsgpack.pack(1, 2, 3)))", "3"),
        ("cmsgpack.unpack(cmsgpack.pack({a = {1, 'x'}})).a[2]", "x"),
        ("cmsgpack.unpack_one(cmsgpack.pack(1, 2))", "1"),
        (
            "select(2, cmsgpack.unpack_one(cmsgpack.pack(1, 2), 1))",
            "2",
        ),
        ("cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2)", "2"),
        (
            "select(2, pcall(cmsgpack.unpack, '\\193'))",
            "Bad data format in input.",
        ),
        (
            "select(2, pcall(cmsgpack.unpack, '\\146\\1'))",
            "Missing bytes in input.",
        ),
        (
            "select(2, pcall(cmsgpack.pack))",
            "bad argument #0 to '?' (MessagePack pack needs input.)",
        ),
        (
            "select(2, pcall(cmsgpack.unpack_one, 'abc', 9))",
            "Start offset 9 greater than input length 3.",
        ),
    ]);
}

#[test]
fn structures_and_bits() {
    values(&[
        ("#struct.pack('>i2 <i4 d s', 1, 2, 3, 'abc')", "18"),
        ("struct.unpack('>I2', '\\1\\2')", "258"),
        ("struct.unpack('<i2', '\\255\\255')", "-1"),
        ("select(2, struct.unpack('>I2', '\\1\\2'))", "3"),
        ("struct.unpack('bc0', struct.pack('bc0', 3, 'abc'))", "abc"),
        ("struct.size('!8 b d')", "16"),
        (
            "select(2, pcall(struct.unpack, 'i4', 'abc'))",
            "bad argument #2 to 'unpack' (data string too short)",
        ),
        (
            "select(2, pcall(struct.pack, 'i33', 1))",
            "integral size 33 is larger than limit of 32",
        ),
        (
            "select(2, pcall(struct.pack, 'q', 1))",
            "bad argument #1 to '?' (invalid format option 'q')",
        ),
        (
            "select(2, pcall(struct.pack, '!3'))",
            "alignment 3 is not a power of 2",
        ),
        (
            "select(2, pcall(struct.size, 's'))",
            "bad argument #1 to '?' (option 's' has no fixed size)",
        ),
        ("bit.band(0xff, 0x0f, 3)", "3"),
        ("bit.bor(1, 2, 4)", "7"),
        ("bit.bxor(1, 3)", "2"),
        ("bit.bnot(0)", "-1"),
        ("bit.lshift(1, 31)", "-2147483648"),
        ("bit.rshift(-1, 28)", "15"),
        ("bit.arshift(-256, 4)", "-16"),
        ("bit.rol(0x12345678, 12)", "1164411171"),
        ("bit.bswap(0x12345678)", "2018915346"),
        ("bit.tohex(255)", "000000ff"),
        ("bit.tohex(255, -2)", "FF"),
        ("bit.tobit(2^32 + 5)", "5"),
        (
            "select(2, pcall(bit.band))",
            "bad argument #1 to '?' (number expected, got no value)",
        ),
    ]);
}
