//! The known faults of Lua 5.1.5 and of the libraries that come with it in Redis, one test each: what reached them gets
//! Redis's error, or its answer, and the machine serves the next script. Decision 0015 says how each is kept out.

#![cfg(test)]

use super::limits::CHUNK_MAX_BYTES;
use super::tests::Bench;
use super::vm::check_len;

/// The reply of a script without its place; the machine is sound afterwards.
fn answer(bench: &mut Bench, script: &str) -> String {
    let reply = bench.run(script);
    assert_eq!(
        bench.run("return cjson.encode({unpack({1, 2})})"),
        "$5\r\n[1,2]\r\n",
        "after {script}"
    );
    let line = reply.split(" script: sha").next().unwrap_or_default();
    line.trim_end().to_owned()
}

fn check(cases: &[(&str, &str)]) {
    let mut bench = Bench::new();
    for (script, expected) in cases {
        assert_eq!(answer(&mut bench, script), *expected, "{script}");
    }
}

const TOO_MANY: &str = "-ERR user_script:1: too many results to unpack";

#[test]
fn cve_2025_46817_unpack_counts_without_overflow() {
    check(&[
        ("return {unpack({1,2,3}, -2, 2147483647)}", TOO_MANY),
        ("return {unpack({1,2,3}, -2^31, 2^31 - 1)}", TOO_MANY),
        ("return {unpack({1,2,3}, 0, 2147483647)}", TOO_MANY),
        ("return {unpack({1,2,3}, 1/0, 2147483647)}", TOO_MANY),
        ("return {unpack({}, 1, 8000)}", TOO_MANY),
        ("return select('#', unpack({}, 1, 7990))", ":7990"),
        ("return select('#', unpack({}, 2^31 - 1, 2^31 - 1))", ":1"),
        (
            "local t = {} for i = 1, 7999 do t[i] = i end return select('#', unpack(t, 2))",
            ":7998",
        ),
        ("return unpack({[2^31 - 1] = 7}, 2^31 - 1, 2^31 - 1)", ":7"),
        ("return select('#', unpack({}, -2^31, -2^31 + 1))", ":2"),
        ("return select('#', unpack({1, 2}, 2^32 + 1, '2'))", ":2"),
        ("return select('#', unpack({1, 2}, 3))", ":0"),
        ("return select('#', unpack({1, 2}, nil, 1))", ":1"),
        (
            "return unpack()",
            "-ERR user_script:1: bad argument #1 to 'unpack' (table expected, got no value)",
        ),
        (
            "return unpack({}, {})",
            "-ERR user_script:1: bad argument #2 to 'unpack' (number expected, got table)",
        ),
        (
            "return unpack({}, 1, 'x')",
            "-ERR user_script:1: bad argument #3 to 'unpack' (number expected, got string)",
        ),
    ]);
}

#[test]
fn cve_2025_49844_a_chunks_name_outlives_the_garbage_of_its_reader() {
    // The name of a chunk is a string of its own where it holds a zero byte.
    let reader = "local n = 0 local f, e = load(function() n = n + 1 collectgarbage() local t = {} \
                  for i = 1, 100 do t[i] = ('garbage'):rep(i) end ";
    check(&[
        (
            &format!(
                "{reader} return n > 1 and 'x' or nil end, 'name' .. tostring(1) .. '\\0' .. 'x') return e or 'none'"
            ),
            "$4\r\nnone",
        ),
        (
            &format!(
                "{reader} return n == 1 and 'x x' or nil end, '=name' .. 1 .. '\\0' .. 2) return e"
            ),
            "$30\r\nname1:1: '=' expected near 'x'",
        ),
    ]);
}

#[test]
fn cve_2025_46818_the_metatables_of_basic_types_are_nobodys() {
    const READONLY: &str = "-ERR user_script:1: Attempt to modify a readonly table";
    check(&[
        ("getmetatable('').__index = function() end", READONLY),
        ("getmetatable('').__call = function() end", READONLY),
        ("getmetatable('').__index.rep = function() end", READONLY),
        (
            "rawset(getmetatable(''), '__index', 1)",
            "-ERR Attempt to modify a readonly table",
        ),
        (
            "setmetatable(getmetatable(''), {})",
            "-ERR Attempt to modify a readonly table",
        ),
        (
            "local t = {} for _, v in pairs({1, true, type, coroutine.create(function() end), cjson.null}) do \
             t[#t + 1] = tostring(getmetatable(v)) end return table.concat(t, ' ')",
            "$19\r\nnil nil nil nil nil",
        ),
        (
            "setmetatable('', {})",
            "-ERR user_script:1: bad argument #1 to 'setmetatable' (table expected, got string)",
        ),
    ]);
}

#[test]
fn cve_2025_46819_long_brackets_of_any_level_are_counted() {
    let unfinished = |text: &str| format!("return {{loadstring({text})}}");
    let mut bench = Bench::new();
    for text in [
        "'x = [' .. ('='):rep(1e6)",
        "'x = [' .. ('='):rep(1e6) .. '['",
        "'x = [' .. ('='):rep(1e6) .. '[' .. ']' .. ('='):rep(1e6)",
        "'--[' .. ('='):rep(1e6) .. '['",
        "'x = [=[' .. (']'):rep(1e6)",
    ] {
        assert_eq!(bench.run(&unfinished(text)), "*0\r\n", "{text}");
    }
    assert_eq!(
        bench.run(
            "local e = ('='):rep(1e6) return loadstring('return [' .. e .. '[x]' .. e .. ']')()"
        ),
        "$1\r\nx\r\n"
    );
    // A count beyond 32 bits takes a longer text, which is refused.
    assert!(check_len(CHUNK_MAX_BYTES).is_ok());
    assert_eq!(
        check_len(CHUNK_MAX_BYTES + 1).unwrap_err(),
        b"chunk is too long"
    );
}

#[test]
fn cve_2024_46981_nothing_of_a_scripts_runs_while_a_machine_closes() {
    check(&[
        (
            "return newproxy(true)",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'newproxy'",
        ),
        (
            "for i = 1, 100 do setmetatable({}, {__gc = error}) end collectgarbage()",
            "$-1",
        ),
    ]);
    // Left as garbage, and as what is held, when the machine is closed.
    let mut bench = Bench::new();
    for keeper in ["local x =", "return"] {
        bench.run(&format!(
            "{keeper} setmetatable({{coroutine.wrap(function() collectgarbage() end)}}, {{__gc = redis.call, __mode = 'kv'}})"
        ));
    }
    drop(bench);
}

#[test]
fn cve_2024_31449_bit_operations_take_any_number() {
    check(&[
        ("return bit.tohex(1, -2147483648)", "$8\r\n00000001"),
        ("return bit.tohex(-1, -2^31)", "$8\r\nFFFFFFFF"),
        ("return bit.tohex(-1, 2^31)", "$8\r\nFFFFFFFF"),
        ("return bit.tohex(255, 2^32 + 2)", "$2\r\nff"),
        ("return bit.tohex(255, 0)", "$0"),
        ("return bit.lshift(1, -1)", ":-2147483648"),
        ("return bit.arshift(-1, 2^31)", ":-1"),
        ("return bit.rol(1, 2^53)", ":1"),
    ]);
}

#[test]
fn cve_2022_24834_encoders_have_no_size_to_overflow() {
    let mut bench = Bench::with_memory(32 << 20);
    for script in [
        // Six bytes for each of the text's.
        "return cjson.encode(('\\0'):rep(8e6))",
        "local t = {} for i = 1, 1e4 do t[i] = ('\\1'):rep(1e3) end return cjson.encode(t)",
        "local s = ('x'):rep(6e6) return cmsgpack.pack(s, s, s, s)",
    ] {
        let reply = answer(&mut bench, script);
        assert!(reply.ends_with("not enough memory"), "{script}: {reply}");
    }
    check(&[
        ("return #cjson.encode(('\\0'):rep(1e6))", ":6000002"),
        (
            "cjson.encode_keep_buffer(false) return #cjson.encode(('x'):rep(1e6))",
            ":1000002",
        ),
        (
            "return cmsgpack.unpack('\\219\\255\\255\\255\\255')",
            "-ERR user_script:1: Missing bytes in input.",
        ),
        (
            "return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
            "-ERR user_script:1: Missing bytes in input.",
        ),
        (
            "return struct.pack('c2147483647', 'x')",
            "-ERR user_script:1: bad argument #3 to 'pack' (string too short)",
        ),
    ]);
}

#[test]
fn cve_2022_24735_no_script_changes_what_others_find() {
    let mut bench = Bench::new();
    for change in [
        "redis.call = error",
        "rawset(redis, 'call', error)",
        "table.insert(redis, error)",
        "table.sort(redis)",
        "setmetatable(redis, {__index = error})",
        "setmetatable(_G, {__index = error})",
        "rawset(_G, 'pcall', error)",
        "_G.pcall = error",
        "pcall = error",
        "getmetatable(_G).__index = error",
        "rawset(getmetatable(_G), '__index', error)",
        "string.format = error",
        "table.foreach(_G, function(k, v) v.x = 1 end)",
        "setfenv(1, {})",
        "getfenv(0).pcall = error",
        "loadstring('pcall = error')()",
        "coroutine.wrap(function() pcall = error end)()",
    ] {
        let reply = bench.run(change);
        assert!(reply.starts_with("-ERR"), "{change}: {reply}");
        assert_eq!(
            bench.run("return {pcall(string.format, '%d', 7), tostring(rawget(_G, 'x')), #redis, type(redis.call)}"),
            "*4\r\n:1\r\n$3\r\nnil\r\n:0\r\n$8\r\nfunction\r\n",
            "{change}"
        );
    }
}

#[test]
fn cve_2014_5461_a_call_finds_room_for_parameters_it_was_not_given() {
    let many: Vec<String> = (0..199).map(|number| format!("p{number}")).collect();
    let parameters = many.join(", ");
    let mut bench = Bench::new();
    assert_eq!(
        bench.run(&format!(
            "local function f({parameters}, ...) return 7 end local co = coroutine.wrap(function() return f() end) return co()"
        )),
        ":7\r\n"
    );
}

#[test]
fn cve_2020_14147_sizes_in_a_format_do_not_overflow() {
    check(&[
        (
            "return struct.size('i2147483648')",
            "-ERR user_script:1: integral size overflow",
        ),
        (
            "return struct.pack('i4294967297', 1)",
            "-ERR user_script:1: integral size overflow",
        ),
    ]);
}

#[test]
fn compiled_code_is_refused_in_every_way_in() {
    check(&[
        ("return {loadstring(string.dump(function() end))}", "*0"),
        (
            "local code = string.dump(function() end) local done return {load(function() if not done then done = true return code end end)}",
            "*0",
        ),
        (
            "local code, at = string.dump(function() end), 0 return {load(function() at = at + 1 return code:sub(at, at) end)}",
            "*0",
        ),
    ]);
    let mut bench = Bench::new();
    assert!(
        bench
            .run_with(b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00", &[], &[])
            .starts_with("compile: ")
    );
}

#[test]
fn formats_of_any_width_keep_to_their_buffer() {
    check(&[
        ("return #string.format('%99.99f', -1.7e308)", ":410"),
        ("return #string.format('%-+ #099.99e', 1e308)", ":107"),
        ("return #string.format('%99d', -2^63)", ":99"),
        ("return #string.format('%99.99s', ('x'):rep(1000))", ":99"),
        ("return #string.format('%s', ('x'):rep(1000))", ":1000"),
        (
            "return string.format('%100d', 1)",
            "-ERR user_script:1: invalid format (width or precision too long)",
        ),
        (
            "return string.format('%------d', 1)",
            "-ERR user_script:1: invalid format (repeated flags)",
        ),
    ]);
}

#[test]
fn positions_of_any_size_keep_to_the_text_and_the_table() {
    let mut bench = Bench::new();
    for far in [
        "2^31", "2^31 - 1", "-2^31", "2^32 + 1", "2^53", "2^63", "-2^63", "1/0", "-1/0", "0/0",
    ] {
        for call in [
            "('abc'):sub(FAR, 2)",
            "('abc'):sub(2, FAR)",
            "('abc'):sub(FAR, FAR)",
            "('abc'):byte(FAR, 2)",
            "('abc'):byte(2, FAR)",
            "('abc'):byte(FAR, FAR)",
            "('abc'):find('b', FAR)",
            "('abc'):match('()', FAR)",
            "('abc'):gsub('b', 'x', FAR)",
            "table.remove({1, 2}, FAR)",
            "table.concat({1, 2}, ',', FAR, 2)",
            "select(FAR, 1, 2)",
            "struct.unpack('b', 'abc', FAR)",
            "cmsgpack.unpack_limit('\\1\\2', FAR, 0)",
            "cmsgpack.unpack_limit('\\1\\2', 1, FAR)",
            "string.char(FAR)",
            "error('x', FAR)",
            "tonumber('11', FAR)",
            "math.ldexp(1, FAR)",
            "collectgarbage('step', FAR)",
            "collectgarbage('setpause', FAR)",
            "collectgarbage('setstepmul', FAR)",
        ] {
            let script = format!(
                "{} return 1",
                call.replace("FAR", &format!("({far})"))
                    .replace("('abc'):", "local _ = ('abc'):")
            );
            let script = if call.starts_with('(') {
                script
            } else {
                format!("local _ = {script}")
            };
            let reply = answer(&mut bench, &script);
            assert!(
                reply == ":1" || reply.starts_with("-ERR"),
                "{script}: {reply}"
            );
        }
    }
}

#[test]
fn an_error_of_a_coroutine_without_memory_ends_nothing_but_the_script() {
    // Coroutines that resume each other until Lua's bound on C's stack, in memory that is full: the text of that error has
    // to be there.
    let fill = "local kept = {} for i = 1, 4096 do kept[i] = i end local size, n = 2 ^ 20, 0 \
                local function add() kept[n] = ('x'):rep(size) .. n end \
                local function fill() collectgarbage() collectgarbage('stop') \
                while size >= 1 do n = n + 1 if not pcall(add) then size = size / 2 end end end ";
    let mut bench = Bench::with_memory(8 << 20);
    for overflow in [
        "local chain = {} for i = 1, 230 do chain[i] = coroutine.create(function() return coroutine.resume(chain[i + 1]) end) end \
         fill() coroutine.resume(chain[1])",
        "local co = coroutine.create(function() local t = setmetatable({}, {}) \
         getmetatable(t).__index = function(_, k) return t[k] end return t[1] end) fill() coroutine.resume(co)",
        "local function f() return pcall(f) end local co = coroutine.create(f) fill() coroutine.resume(co)",
        "local co = coroutine.create(function() local function f() return 1 + f() end return f() end) fill() coroutine.resume(co)",
        "local co = coroutine.create(function(...) return select('#', ...) end) fill() coroutine.resume(co, unpack({}, 1, 7000))",
        "local co = coroutine.create(function(...) return unpack({}, 1, 7000) end) fill() coroutine.resume(co)",
    ] {
        let reply = answer(
            &mut bench,
            &format!("{fill} {overflow} kept = nil return 1"),
        );
        assert!(
            reply == ":1" || reply.ends_with("not enough memory"),
            "{overflow}: {reply}"
        );
    }
}
