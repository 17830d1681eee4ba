//! What texts show of the keys they reach, and what they do not.

use super::*;

/// The commands that a text shows, in short: `GET key`.
fn shown(text: &str) -> Option<String> {
    calls_of_script(text.as_bytes()).map(|calls| in_short(&calls))
}

fn shown_of_library(code: &str) -> Option<String> {
    calls_of_library(code.as_bytes()).map(|calls| in_short(&calls))
}

fn in_short(calls: &[Call<'_>]) -> String {
    let call = |call: &Call<'_>| {
        let arg = |arg: &Arg<'_>| match arg {
            Arg::Key => " key".to_owned(),
            Arg::Text(text) => format!(" '{}'", text.escape_ascii()),
            Arg::One => " one".to_owned(),
            Arg::Any => " any".to_owned(),
        };
        let args: String = call.args.iter().map(arg).collect();
        format!("{}{args}", call.name.escape_ascii())
    };
    calls.iter().map(call).collect::<Vec<_>>().join(", ")
}

#[test]
fn commands_that_name_their_keys_by_keys_are_shown() {
    for (text, calls) in [
        ("return 1", ""),
        ("return redis.call('GET', KEYS[1])", "GET key"),
        (
            "return(redis.call([[APPEND]],KEYS[1],ARGV[1]))",
            "APPEND key one",
        ),
        (
            "#!lua flags=no-writes\nreturn server.pcall(\"GET\", KEYS[1])",
            "GET key",
        ),
        ("return redis.call('MGET', unpack(KEYS))", "MGET key"),
        (
            "return redis.call('MGET', unpack(KEYS, 2, #KEYS))",
            "MGET key",
        ),
        (
            "redis.call('DEL', KEYS[1], KEYS[ARGV[1] + 1])",
            "DEL key key",
        ),
        (
            "local key = KEYS[1] local n = redis.call('INCR', key) if n == 1 then redis.call('EXPIRE', key, ARGV[1]) end return n",
            "INCR key, EXPIRE key one",
        ),
        (
            "local key, other, limit = KEYS[1], KEYS[2], tonumber(ARGV[1]) redis.call('RENAME', key, other)",
            "RENAME key key",
        ),
        (
            "for i, key in ipairs(KEYS) do redis.call('SET', key, i) end",
            "SET key one",
        ),
        (
            "for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i]) end",
            "SET key one",
        ),
        (
            "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
            "get key, del key",
        ),
        (
            "redis.call('SET', KEYS[1], redis.call('GET', KEYS[2]))",
            "SET key any, GET key",
        ),
        ("redis.call('SET', KEYS[1], unpack(ARGV))", "SET key any"),
        (
            "redis.call('SET', KEYS[1], 'a' .. ARGV[1], 'EX', 10)",
            "SET key one 'EX' one",
        ),
        (
            "-- redis.call('GET', ARGV[1])\n--[[ KEYS = 1 ]] return redis.sha1hex(KEYS[1])",
            "",
        ),
        ("local t = {[KEYS[1]] = 1, key = KEYS[2]} return t.KEYS", ""),
        ("return 'redis.call(KEYS)' .. [==[ KEYS ]] = 1 ]==]", ""),
        (
            "local function twice(n) return 2 * n end redis.call('SET', KEYS[1], twice(2))",
            "SET key any",
        ),
        ("redis.log(redis.LOG_NOTICE, KEYS[1])", ""),
        ("local name = 'x' redis.call('GET', name)", "GET one"),
    ] {
        assert_eq!(shown(text).as_deref(), Some(calls), "{text}");
    }
}

#[test]
fn keys_that_are_not_elements_of_keys_are_not_shown_as_such() {
    for (text, calls) in [
        ("redis.call('GET', ARGV[1])", "GET one"),
        ("redis.call('GET', 'k')", "GET 'k'"),
        ("redis.call('GET', KEYS[1] .. ':x')", "GET one"),
        ("redis.call('GET', KEYS[1] or ARGV[1])", "GET one"),
        ("redis.call('GET', (KEYS[1]))", "GET any"),
        ("redis.call('MGET', unpack(ARGV))", "MGET any"),
        ("redis.call('MGET', KEYS[1], unpack(ARGV))", "MGET key any"),
        ("redis.call('MGET', ...)", "MGET any"),
        // Names that are bound or assigned to something else somewhere.
        (
            "local key = KEYS[1] or ARGV[1] redis.call('GET', key)",
            "GET one",
        ),
        (
            "local key = KEYS[1] key = ARGV[1] redis.call('GET', key)",
            "GET one",
        ),
        (
            "local key = KEYS[1] local key = ARGV[1] redis.call('GET', key)",
            "GET one",
        ),
        ("local key key = KEYS[1] redis.call('GET', key)", "GET one"),
        (
            "local x, key = f(), KEYS[1] redis.call('GET', key)",
            "GET one",
        ),
        (
            "local key, x = KEYS[1] .. 'a', 1 redis.call('GET', key)",
            "GET one",
        ),
        (
            "local key = KEYS[1] for _, key in ipairs(ARGV) do redis.call('GET', key) end",
            "GET one",
        ),
        (
            "local key = KEYS[1] for key = 1, 2 do redis.call('GET', key) end",
            "GET one",
        ),
        (
            "for key in ipairs(KEYS) do redis.call('GET', key) end",
            "GET one",
        ),
        (
            "local key = KEYS[1] local function f(key) redis.call('GET', key) end f('a')",
            "GET one",
        ),
        (
            "local key = KEYS[1] local a a, key, b = 1, 2, 3 redis.call('GET', key)",
            "GET one",
        ),
        (
            "local key = KEYS[1] key, b = 2, 3 redis.call('GET', key)",
            "GET one",
        ),
        (
            "local key = KEYS[1]\n(print or key)() redis.call('GET', key)",
            "GET one",
        ),
        (
            "local key = KEYS[1]:lower() redis.call('GET', key)",
            "GET one",
        ),
        // Behind a value of any form a statement may begin.
        (
            "local key = KEYS[1] local a = ... key, b = 'x', 1 redis.call('GET', key)",
            "GET one",
        ),
        // Bound without being written, or to something else where the text does not bind it.
        (
            "local self = KEYS[1] function t:f() redis.call('GET', self) end t.f('x')",
            "GET one",
        ),
        (
            "local arg = KEYS[1] local function f(...) redis.call('GET', arg) end f('x')",
            "GET one",
        ),
        (
            "do local _VERSION = KEYS[1] end redis.call('GET', _VERSION)",
            "GET one",
        ),
        ("local function key() end redis.call('GET', key)", "GET one"),
        (
            "local key = KEYS[1] function key() end redis.call('GET', key)",
            "GET one",
        ),
    ] {
        assert_eq!(shown(text).as_deref(), Some(calls), "{text}");
    }
}

#[test]
fn of_a_text_that_may_come_by_commands_or_keys_in_another_way_nothing_is_known() {
    for text in [
        "local call = redis.call call('GET', ARGV[1])",
        "pcall(redis.call, 'GET', ARGV[1])",
        "redis['call']('GET', ARGV[1])",
        "local r = redis r.call('GET', ARGV[1])",
        "local t = {redis = redis} t.redis.call('GET', ARGV[1])",
        "redis.call(ARGV[1], KEYS[1])",
        "redis.call('G\\69T', KEYS[1])",
        "redis.call(unpack(ARGV))",
        "redis.call'PING'",
        "local redis = x",
        "function redis.call(a) end",
        "redis.call = print",
        "redis.call('SET', KEYS[1], (function() return 1 end)())",
        "_G.redis.call('GET', ARGV[1])",
        "load(f)()",
        "loadstring(ARGV[1])()",
        "local k = KEYS k[1] = ARGV[1]",
        "KEYS[1] = ARGV[1]",
        "KEYS = ARGV",
        "local a a, KEYS[1] = 1, 2",
        "local a a, KEYS[1], b = 1, 2, 3",
        "x = 1 a, KEYS[1], b = 1, 2, 3",
        "f(function() a, KEYS[1], b = 1, 2, 3 end)",
        "KEYS[1], a = 1, 2",
        "local a = ... KEYS[1], b = 'x', 1",
        "do KEYS[1], a = 1, 2 end",
        "local a = b KEYS[1], a = 1, 2",
        "table.insert(KEYS, 1, ARGV[1])",
        "table.sort(KEYS)",
        "rawset(KEYS, 1, ARGV[1])",
        "f(KEYS)",
        "return KEYS",
        "local t = {KEYS}",
        "for i, KEYS in ipairs(ARGV) do end",
        "local function f(KEYS) end",
        "local function f(a, KEYS) end",
        "local f, t = ipairs(KEYS) t[1] = ARGV[1]",
        "local f = next for i, k in next, KEYS do end",
        "local unpack = function(t) t[1] = 'x' end unpack(KEYS)",
        "local function unpack(t) t[1] = 'x' end unpack(KEYS)",
        "t.unpack(KEYS)",
        "local ipairs = f for i, key in ipairs(KEYS) do end",
        "redis.call('GET', KEYS[1]",
        "return 'no end",
        "return \"no\nend",
        "return [[no end",
        "--[[ no end",
        "return )",
        "end",
    ] {
        assert_eq!(shown(text), None, "{text}");
    }
}

#[test]
fn the_first_parameter_of_a_librarys_functions_is_their_keys() {
    for (code, calls) in [
        (
            "#!lua name=l\nredis.register_function('f', function(keys, args) return redis.call('GET', keys[1]) end)",
            "GET key",
        ),
        (
            "#!lua name=l\nlocal function f(KEYS, ARGV) if ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end end\nredis.register_function('f', f)",
            "SET key one",
        ),
        (
            "#!lua name=l\nserver.register_function{function_name='f', callback=function(k) for i = 1, #k do redis.call('DEL', k[i]) end end, flags={'allow-oom'}}",
            "DEL key",
        ),
        (
            "#!lua name=l\nlocal function f(k) return redis.call('GET', k[1]) end redis.register_function({callback=f, function_name='f'}) redis.register_function('g', f)",
            "GET key",
        ),
        (
            "#!lua name=l\nredis.register_function('f', function() return KEYS end)",
            "",
        ),
    ] {
        assert_eq!(shown_of_library(code).as_deref(), Some(calls), "{code}");
    }
}

#[test]
fn of_a_library_with_functions_that_are_not_only_registered_nothing_is_known() {
    for code in [
        // It could be given anything.
        "#!lua name=l\nlocal function help(keys) redis.call('GET', keys[1]) end help({'a'})",
        "#!lua name=l\nlocal function f(keys) redis.call('GET', keys[1]) end redis.register_function('f', f) f({'a'})",
        "#!lua name=l\nlocal t = {callback = function(keys) redis.call('GET', keys[1]) end} t.callback({'a'})",
        "#!lua name=l\nlocal r = {register_function = print} r.register_function('f', function(keys) end)",
        "#!lua name=l\nf('x', function(keys) end)",
        "#!lua name=l\nlocal function f(keys) redis.call('GET', keys[1]) end redis.register_function('f', f) redis.register_function('g', function(k) redis.register_function('x', f({'a'})) end)",
        "#!lua name=l\nlocal function f(keys) redis.call('GET', keys[1]) end redis.register_function{callback = f{'a'}}",
        // Its parameter has another meaning elsewhere, or in itself.
        "#!lua name=l\nredis.register_function('f', function(math) end) redis.register_function('g', function() redis.call('GET', math['pi']) end)",
        "#!lua name=l\nredis.register_function('f', function(arg, ...) redis.call('GET', arg['n']) end)",
        // It could keep its keys for the next call.
        "#!lua name=l\nlocal kept redis.register_function('f', function(keys) local key = keys[1] kept = kept or function() redis.call('GET', key) end kept() end)",
        "#!lua name=l\nlocal kept redis.register_function('f', function(keys) kept = kept or keys redis.call('GET', kept[1]) end)",
        "#!lua name=l\nredis.register_function('f', function(args, keys) redis.call('GET', keys[1]) end) redis.register_function('g', function(keys) end)",
    ] {
        assert_eq!(shown_of_library(code), None, "{code}");
    }
    let kept = "#!lua name=l\nlocal kept redis.register_function('f', function(keys) kept = kept or keys[1] redis.call('GET', kept) end)";
    assert_eq!(shown_of_library(kept).as_deref(), Some("GET one"));
}

#[test]
fn every_name_that_scripts_find_is_known_to_stand_for_something_else() {
    let mut bench = crate::script::tests::Bench::new();
    let names = "local names = {} for name in pairs(_G) do names[#names + 1] = name end return table.concat(names, ' ')";
    let reply = bench.run(names);
    let found: Vec<&str> = reply.lines().nth(1).unwrap().split(' ').collect();
    assert!(found.contains(&"math"), "{found:?}");
    // These two are the script's own; by the others a text could come by anything, and shows nothing.
    let is_known = |name: &&&str| {
        ["KEYS", "ARGV"].contains(*name)
            || LOOPHOLES.contains(&name.as_bytes())
            || BOUND_UNSEEN.contains(&name.as_bytes())
    };
    let unknown: Vec<_> = found.iter().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
