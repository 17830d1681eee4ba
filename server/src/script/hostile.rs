//! What scripts may try: endless loops, endless nesting, endless memory, and random bytes. Each ends with an error or is
//! killed, and the machine serves the next script.

#![cfg(test)]

use std::time::Duration;

use super::tests::Bench;
use crate::dispatch::testing::{Random, seeds};

/// The error of a script; the machine is sound afterwards.
fn error_of(bench: &mut Bench, script: &str) -> String {
    let reply = bench.run(script);
    assert_eq!(
        bench.run("return #redis.call('a', 'b')"),
        ":2\r\n",
        "after {script}"
    );
    let error = reply.strip_prefix('-').unwrap_or(&reply);
    error.split(" script: sha").next().unwrap().to_owned()
}

#[test]
fn nesting_of_every_kind_ends_with_an_error() {
    let mut bench = Bench::new();
    for (script, expected) in [
        (
            "local function f() return 1 + f() end f()",
            "stack overflow",
        ),
        ("local function f() return pcall(f) end f()", ""),
        (
            "local function f(n) local ok, e = pcall(f, n) if not ok then error(e, 0) end end f(1)",
            "stack overflow",
        ),
        ("local function f() return xpcall(f, f) end f()", ""),
        (
            "local function f() return coroutine.wrap(f)() end f()",
            "C stack overflow",
        ),
        (
            "local function f() return (('a'):gsub('a', f)) end f()",
            "stack overflow",
        ),
        (
            "local function f() table.sort({1, 2, 3}, f) end f()",
            "C stack overflow",
        ),
        (
            "local function f() return load(f) end f()",
            "stack overflow",
        ),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k .. 1] end return t.x",
            "C stack overflow",
        ),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__tostring = function() return tostring(t) end return tostring(t)",
            "C stack overflow",
        ),
        (
            "return ('x'):rep(1000):find(('a*'):rep(1000))",
            "pattern too complex",
        ),
        (
            "return ('x'):rep(1000):find(('(x'):rep(1000))",
            "too many captures",
        ),
        (
            "return ('x'):rep(1000):gsub(('x?'):rep(10000), '')",
            "pattern too complex",
        ),
        (
            "cjson.decode_max_depth(1e9) return cjson.decode(('['):rep(1e6))",
            "Found too many nested data structures",
        ),
        (
            "cjson.encode_max_depth(1e9) local t = {} t[1] = t return cjson.encode(t)",
            "Cannot serialise, excessive nesting",
        ),
        ("local t = {} t[1] = t return #cmsgpack.pack(t)", ":17\r\n"),
        (
            "return cmsgpack.unpack(('\\145'):rep(1e6))",
            "stack overflow",
        ),
        (
            "return loadstring('return ' .. ('('):rep(1e5))()",
            "attempt to call a nil value",
        ),
        (
            "return loadstring('return ' .. ('{'):rep(1e5))()",
            "attempt to call a nil value",
        ),
        (
            "return loadstring(('do '):rep(1e5))()",
            "attempt to call a nil value",
        ),
        ("return unpack({}, 1, 1e8)", "too many results to unpack"),
        (
            "return ('x'):rep(9000):byte(1, -1)",
            "string slice too long",
        ),
        (
            "error(setmetatable({}, {__tostring = error}))",
            "unknown error",
        ),
    ] {
        let error = error_of(&mut bench, script);
        assert!(error.contains(expected), "{script}: {error}");
    }
}

#[test]
fn a_reply_that_holds_itself_ends_with_an_error_inside() {
    let mut bench = Bench::new();
    let reply = bench.run("local a = {} local b = {a} a[1] = b return a");
    let error = "-ERR reached lua stack limit\r\n";
    assert!(
        reply.starts_with("*1\r\n*1\r\n*1\r\n") && reply.ends_with(error),
        "{}",
        &reply[reply.len() - 100..]
    );
    assert_eq!(reply.replace("*1\r\n", ""), error);
    let reply = bench.run("local a = {} a.map = {x = a} return a");
    assert!(reply.ends_with(error));
    assert_eq!(bench.run("return 1"), ":1\r\n");
}

#[test]
fn memory_has_a_bound() {
    let mut bench = Bench::with_memory(8 << 20);
    for script in [
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
        "local s = 'x' while true do s = s .. s end",
        "local s = ('x'):rep(1e6) while true do s = s .. s end",
        "return ('x'):rep(1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local s = '[' .. ('{},'):rep(1e6) .. '{}]' return cjson.decode(s)",
        "cjson.encode_sparse_array(true, 0) return cjson.encode({[1e9] = 1})",
        "return cmsgpack.unpack(('\\145\\1'):rep(1e6))",
        "return redis.call('x', ('x'):rep(3e6), ('y'):rep(3e6)) and ('z'):rep(3e6) .. ('w'):rep(3e6)",
        "return struct.pack('c9000000', 'x')",
        "return table.concat({('x'):rep(3e6), ('y'):rep(3e6), ('z'):rep(3e6)})",
        "return (('x'):rep(1e6):gsub('x', ('y'):rep(100)))",
        "local f = loadstring('return {' .. ('1,'):rep(3e6) .. '}') return #f()",
    ] {
        let error = error_of(&mut bench, script);
        assert!(
            error.contains("not enough memory")
                || error.contains("too many re")
                || error.contains("string too short")
                || error.contains("attempt to call a nil value"),
            "{script}: {error}"
        );
        assert!(bench.used_bytes() < 16 << 20, "{script}");
    }
    // A bound is no trap: what fits runs.
    assert_eq!(bench.run("return #('x'):rep(1e6)"), ":1000000\r\n");
}

#[test]
fn an_endless_script_gives_the_core_back_and_can_be_killed() {
    let mut bench = Bench::new();
    bench.give_back_after(Duration::ZERO, 3);
    for script in [
        "while true do end",
        "while true do pcall(error) end",
        "local f = function() while true do redis.call('x') end end while true do pcall(f) end",
        "local f = function() while true do end end while true do xpcall(f, f) end",
        "local f = coroutine.wrap(function() while true do end end) f()",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "return ('a'):rep(100):find(('a*'):rep(50) .. 'b')",
        "return ('a'):rep(100):gsub(('.-'):rep(50) .. 'b', '')",
        "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
        "table.sort({1, 2, 3}, function() while true do end end)",
        "('a'):gsub('a', function() while true do end end)",
        "load(function() while true do end end)",
        "table.insert({}, -2^31, 1)",
        "return table.concat(setmetatable({}, {__index = function() end})) .. tostring(setmetatable({}, {__tostring = function() while true do end end}))",
    ] {
        assert_eq!(
            error_of(&mut bench, script),
            "ERR Script killed by user with SCRIPT KILL...",
            "{script}"
        );
    }
    // One that is left alone goes on where it was.
    bench.give_back_after(Duration::ZERO, usize::MAX);
    assert_eq!(
        bench.run("local n = 0 for i = 1, 1e6 do n = n + 1 end return n"),
        ":1000000\r\n"
    );
    assert!(bench.ticks > 0);
}

#[test]
fn a_machine_may_be_dropped_in_the_midst_of_a_script() {
    let mut bench = Bench::new();
    bench.begin("while true do pcall(redis.call, 'x') end");
    drop(bench);
}

/// Pieces of which random scripts are made.
const PIECES: &[&str] = &[
    "local a = ",
    "return ",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "end ",
    "function(...) ",
    "if ",
    "then ",
    "for i = 1, 3 do ",
    "while a do ",
    "a",
    "i",
    "...",
    ".",
    ":",
    ",",
    ";",
    "=",
    "==",
    "..",
    "+",
    "-",
    "#",
    "nil",
    "true",
    "1",
    "1e308",
    "0/0",
    "'x'",
    "'%b'",
    "\"\\0\"",
    "redis.call",
    "redis.pcall",
    "cjson.encode",
    "cjson.decode",
    "cmsgpack.pack",
    "cmsgpack.unpack",
    "struct.pack",
    "struct.unpack",
    "bit.tohex",
    "string.gsub",
    "string.rep",
    "string.format",
    "table.sort",
    "table.insert",
    "table.concat",
    "setmetatable",
    "getmetatable",
    "rawset",
    "rawget",
    "next",
    "pairs",
    "_G",
    "KEYS",
    "ARGV",
    "pcall",
    "xpcall",
    "error",
    "loadstring",
    "load",
    "setfenv",
    "getfenv",
    "newproxy",
    "coroutine.wrap",
    "coroutine.yield",
    "unpack",
    "select",
    "redis",
    "string",
    "\n",
    " ",
];

#[test]
fn random_scripts_never_break_the_machine() {
    let mut bench = Bench::with_memory(4 << 20);
    bench.give_back_after(Duration::ZERO, 2);
    for seed in 0..seeds(200) {
        let mut random = Random(seed);
        for _ in 0..50 {
            let script: Vec<u8> = if random.one_in(4) {
                (0..random.below(60)).map(|_| random.next() as u8).collect()
            } else {
                let pieces: Vec<&str> = (0..random.below(30)).map(|_| random.of(PIECES)).collect();
                pieces.concat().into_bytes()
            };
            bench.run_with(&script, &[b"k"], &[b"v"]);
        }
        assert_eq!(
            bench.run("return {type(redis.call), type(pcall), cjson.encode({1})}"),
            "*3\r\n$8\r\nfunction\r\n$8\r\nfunction\r\n$3\r\n[1]\r\n"
        );
    }
}

/// Calls that read what a peer sent.
const READERS: &[&str] = &[
    "cjson.decode(ARGV[1])",
    "cmsgpack.unpack(ARGV[1])",
    "cmsgpack.unpack_limit(ARGV[1], 3, 1)",
    "struct.unpack(ARGV[1], ARGV[2])",
    "struct.size(ARGV[1])",
    "struct.pack(ARGV[1], 1, 2, 'three', 4)",
    "string.find(ARGV[2], ARGV[1])",
    "string.gsub(ARGV[2], ARGV[1], ARGV[2], 9)",
    "string.gsub(ARGV[2], ARGV[1], function(a) return a end)",
    "string.format(ARGV[1], 1, 2, 3)",
    "loadstring(ARGV[1])",
    "tonumber(ARGV[1])",
];

/// Bytes that mean something to one of the readers.
const TELLING: &[u8] = b"{}[]\":,\\u0123456789+-eE.xX nulltruefalse%abcdfswz()*?^$><!iIhHlLTs\x90\x91\xa5\xc0\xc4\xca\xd9\xdc\xde\x80\xff\x00\n";

#[test]
fn random_bytes_never_break_what_reads_them() {
    let mut bench = Bench::with_memory(4 << 20);
    bench.give_back_after(Duration::ZERO, 2);
    for seed in 0..seeds(200) {
        let mut random = Random(seed);
        for reader in READERS {
            let mut bytes = || -> Vec<u8> {
                let len = random.below(40);
                (0..len)
                    .map(|_| match random.one_in(5) {
                        true => random.next() as u8,
                        false => random.of(TELLING),
                    })
                    .collect()
            };
            let (first, second) = (bytes(), bytes());
            let script =
                format!("local r = {{pcall(function() return {reader} end)}} return type(r[1])");
            let reply = bench.run_with(script.as_bytes(), &[], &[&first, &second]);
            assert!(
                reply == "$7\r\nboolean\r\n" || reply.contains("killed by user"),
                "{reader} of {first:?}, {second:?}: {reply}"
            );
        }
    }
}
