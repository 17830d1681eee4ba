-- The world a script lives in. Runs once in each virtual machine.
--
-- Redis patches Lua so that tables can be read-only. Here a table that scripts may not change is a *proxy*: an empty
-- table that finds what is asked for in a hidden one, `REAL[proxy]`. What reads or writes without metamethods (`next`,
-- `rawget`, `table.insert`, …) is wrapped so that it treats a proxy as what it stands for.
--
-- Functions written in Rust never raise errors, since only Lua can raise any value with a position: they answer `FAIL`,
-- and the wrapper around them raises what `take_error` tells. `redis.call` raises its own, which are tables without one.

local raw = ...

local FAIL, take_error, describe = raw.FAIL, raw.take_error, raw.describe
local locate, name_of_level, open = raw.locate, raw.name_of_level, raw.open
local keep_callers, dump = raw.keep_callers, string.dump
local note_collector = raw.note_collector
local error, type, next, select, tostring, unpack = error, type, next, select, tostring, unpack
local rawget, rawset, rawequal, pairs, pcall, xpcall = rawget, rawset, rawequal, pairs, pcall, xpcall
local setmetatable, getmetatable, getfenv, setfenv = setmetatable, getmetatable, getfenv, setfenv
local loadstring, collectgarbage, tonumber = loadstring, collectgarbage, tonumber
local byte, concat, find, sub = string.byte, table.concat, string.find, string.sub
local ceil, floor = math.ceil, math.floor
-- By these names Lua's own messages call them.
local insert, remove, sort = table.insert, table.remove, table.sort
local HOST = getfenv(0)
local RESULTS_MAX = raw.RESULTS_MAX

local READONLY = "Attempt to modify a readonly table"

-- Proxies.

local REAL = {}
local META = setmetatable({}, { __mode = "k" })
-- The names of the libraries that are made when they are first looked into.
local UNOPENED = {}

local open_library

-- The table to look into where `of` may be a proxy.
local function real_of(of)
    if UNOPENED[of] then
        return open_library(of)
    end
    return REAL[of] or of
end

local function refuse_change()
    error(READONLY, 2)
end

local function missing_global(_, name)
    if type(name) ~= "string" and type(name) ~= "number" then
        error("Second argument to luaProtectedTableError must be a string or number", 2)
    end
    error("Script attempted to access nonexistent global variable '" .. name .. "'", 2)
end

local function protect(real, meta)
    local proxy = {}
    REAL[proxy] = real
    META[proxy] = meta or false
    return setmetatable(proxy, { __index = real, __newindex = refuse_change })
end

-- What `getmetatable` shows of a table of globals.
local GLOBALS_META = protect({ __index = missing_global })

local function globals(real)
    setmetatable(real, { __index = missing_global })
    local proxy = protect(real, GLOBALS_META)
    real._G = proxy
    return proxy
end

-- Errors.

local function bad_argument(number, name, text, level)
    error("bad argument #" .. number .. " to '" .. name .. "' (" .. text .. ")", level + 1)
end

local function expect_table(value, name)
    if type(value) ~= "table" then
        bad_argument(1, name, "table expected, got " .. (value == nil and "nil" or type(value)), 3)
    end
end

-- Raises what a function written in Rust failed with, at `level` of its wrapper's caller.
local function throw(level)
    local message, number, name = take_error()
    if number then
        -- As in Lua, a function is called by the name it was called by; the frame of some wrappers is gone by now.
        if level == 2 then
            name = name_of_level(2) or "?"
        end
        bad_argument(number, name, message, level + 1)
    elseif name then
        error({ err = message, ignore_error_stats_update = name == "counted" or nil }, 0)
    end
    error(message, level + 1)
end

-- A function of Rust that gives no value.
local function none(fn)
    return function(...)
        if fn(...) == FAIL then throw(2) end
    end
end

-- A function of Rust that gives one value.
local function one(fn)
    return function(...)
        local value = fn(...)
        if value == FAIL then throw(2) end
        return value
    end
end

-- The values of a function of Rust that gives a table of so many.
local function spread(count, values)
    if count == FAIL then throw(3) end
    return unpack(values, 1, count)
end

-- The values of a function of Rust.
local function checked(first, ...)
    if first == FAIL then throw(3) end
    return first, ...
end

-- A function of Rust that gives a few values.
local function few(fn)
    return function(...)
        return checked(fn(...))
    end
end

-- A function of Rust that gives any number of values.
local function many(fn)
    return function(...)
        return spread(fn(...))
    end
end

-- A message of a function of Lua's that a wrapper called, without the wrapper's own place.
local function without_place(message)
    if type(message) == "string" and sub(message, 1, 10) == "[sandbox]:" then
        local _, last = find(message, ": ", 11, true)
        return sub(message, last + 1), true
    end
    return message
end

-- A script's error in the form in which `redis.pcall` gives one, with its place.
local function handler(err)
    local source, line = locate()
    if type(err) == "userdata" then
        err = describe(err)
    end
    local message, was_placed = without_place(err)
    err = was_placed and sub(source, 2) .. ":" .. line .. ": " .. message or message
    if type(err) ~= "table" or REAL[err] then
        err = { err = "ERR " .. tostring(err) }
    end
    if source then
        rawset(err, "source", source)
        rawset(err, "line", line)
    end
    return err
end

-- Arguments that Lua's own functions count with.

-- The 32-bit integer that `luaL_checkint` makes of an argument: cut off, the low bits of what is too large, 0 of what is
-- none.
local function int_of(value, number, name)
    local whole = type(value) == "number" and value or type(value) == "string" and tonumber(value)
    if not whole then
        bad_argument(number, name, "number expected, got " .. type(value), 3)
    end
    whole = whole < 0 and ceil(whole) or floor(whole)
    if not (whole > -2 ^ 63 and whole < 2 ^ 63) then return 0 end
    whole = whole % 2 ^ 32
    return whole < 2 ^ 31 and whole or whole - 2 ^ 32
end

-- The base library.

local base = {}
local ENV

for _, name in pairs({ "_VERSION", "assert", "error", "gcinfo", "ipairs", "rawequal", "select", "tonumber", "tostring",
    "type" }) do
    base[name] = HOST[name]
end
base.__redis__err__handler = handler

local function after_pcall(ok, err, ...)
    if ok then
        return true, err, ...
    end
    if type(err) == "userdata" then
        local text, is_killed = describe(err)
        if is_killed then error(err, 0) end
        return false, text
    elseif type(err) == "table" then
        -- As before Redis 7, which made errors tables.
        local message = err.err
        if type(message) ~= "string" and type(message) ~= "number" then
            return false, err, message
        end
        err = message
    end
    return false, (without_place(err))
end

function base.pcall(fn, ...)
    return after_pcall(pcall(fn, ...))
end

local function after_xpcall(handle, ok, err, ...)
    if ok then
        return true, err, ...
    end
    if type(err) == "userdata" then
        local text, is_killed = describe(err)
        if is_killed then error(err, 0) end
        err = text
    end
    local handled, result = pcall(handle, (without_place(err)))
    if not handled then result = "error in error handling" end
    return false, result
end

-- Lua's own has the handler run where the error was raised, which is where nothing can interrupt it if that was a hook.
function base.xpcall(...)
    if select("#", ...) < 2 then bad_argument(2, "xpcall", "value expected", 2) end
    local fn, handle = ...
    return after_xpcall(handle, pcall(fn))
end

function base.next(of, key)
    expect_table(of, "next")
    return next(real_of(of), key)
end

function base.pairs(of)
    if REAL[of] then
        local real = real_of(of)
        return function(_, key) return next(real, key) end, of, nil
    end
    expect_table(of, "pairs")
    return pairs(of)
end

function base.rawget(of, key)
    expect_table(of, "rawget")
    return rawget(real_of(of), key)
end

function base.rawset(of, key, value)
    if REAL[of] then error(READONLY, 0) end
    expect_table(of, "rawset")
    return rawset(of, key, value)
end

-- The native one takes a number of values above 2^31 for a negative one, and writes beyond its stack.
function base.unpack(...)
    local of, first, last = ...
    if first == nil and last == nil or type(of) ~= "table" then
        return unpack(...)
    end
    local from = first == nil and 1 or int_of(first, 2, "unpack")
    local to = last == nil and #of or int_of(last, 3, "unpack")
    if to - from >= RESULTS_MAX then
        error("too many results to unpack", 2)
    elseif to == 2 ^ 31 - 1 then
        -- It counts one beyond the last.
        local copy = {}
        for index = from, to do copy[index - from + 1] = rawget(of, index) end
        return unpack(copy, 1, to - from + 1)
    end
    return unpack(...)
end

-- What scripts see of the metatable that all strings share.
local STRING_META

function base.getmetatable(...)
    local of = ...
    local meta = META[of]
    if meta ~= nil then
        return meta or nil
    end
    if type(of) == "string" then
        return STRING_META
    end
    return getmetatable(...)
end

function base.setmetatable(of, ...)
    if REAL[of] then error(READONLY, 0) end
    expect_table(of, "setmetatable")
    local meta = ...
    if type(meta) ~= "table" and (meta ~= nil or select("#", ...) == 0) then
        bad_argument(2, "setmetatable", "nil or table expected", 2)
    end
    return setmetatable(of, meta)
end

-- Text only: compiled code can be forged to read and write any memory. And the text as a whole: the parser holds a chunk's
-- name only once it has read the first byte, and what reads it for `load` is the script's own and may collect garbage.
local function compile(text, name, env)
    if byte(text) == 27 then
        text = " " .. text
    end
    local chunk, err = loadstring(text, name)
    if not chunk then
        return nil, err
    end
    return setfenv(chunk, env)
end

function base.loadstring(text, name)
    if type(text) == "number" then text = tostring(text) end
    if type(text) ~= "string" then
        bad_argument(1, "loadstring", "string expected, got " .. (text == nil and "nil" or type(text)), 2)
    end
    return compile(text, name or text, ENV)
end

function base.load(reader, name)
    if type(reader) ~= "function" then
        bad_argument(1, "load", "function expected, got " .. (reader == nil and "nil" or type(reader)), 2)
    end
    local pieces = {}
    while true do
        local piece = reader()
        if piece == nil or piece == "" then break end
        if type(piece) ~= "string" and type(piece) ~= "number" then
            return nil, "reader function must return a string"
        end
        pieces[#pieces + 1] = piece
    end
    return compile(concat(pieces), name or "=(load)", ENV)
end

function base.collectgarbage(...)
    note_collector()
    return collectgarbage(...)
end

-- The libraries.

local libraries = {}

for library, names in pairs({
    coroutine = { "create", "resume", "running", "status", "wrap", "yield" },
    math = { "abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "cosh", "deg", "exp", "floor", "fmod", "frexp", "huge",
        "ldexp", "log", "log10", "max", "min", "mod", "modf", "pi", "pow", "rad", "sin", "sinh", "sqrt", "tan", "tanh" },
    os = { "clock" },
    redis = {},
    string = { "byte", "char", "dump", "format", "len", "lower", "reverse", "sub", "upper" },
    table = { "concat", "foreach", "foreachi", "getn", "maxn", "setn" },
}) do
    local from, into = HOST[library], {}
    for _, name in pairs(names) do
        into[name] = from[name]
    end
    libraries[library] = into
end

-- Adds a library's functions and values of Rust. Gives those that are not for scripts.
local function complete(library, into)
    local natives = open(library)
    for name, fn in pairs(natives.none) do into[name] = none(fn) end
    for name, fn in pairs(natives.one) do into[name] = one(fn) end
    for name, fn in pairs(natives.few) do into[name] = few(fn) end
    for name, fn in pairs(natives.many) do into[name] = many(fn) end
    for name, value in pairs(natives.values) do into[name] = value end
    return natives.raw
end

complete("math", libraries.math)
local patterns = complete("string", libraries.string)

function libraries.table.insert(into, ...)
    if REAL[into] then error(READONLY, 0) end
    expect_table(into, "insert")
    local at, value, more = ...
    if more ~= nil or at == nil and select("#", ...) == 0 then
        error("wrong number of arguments to 'insert'", 2)
    end
    if select("#", ...) == 2 then
        at = int_of(at, 2, "insert")
        if at < 1 then
            -- The native one moves the elements from there on in one go that nothing can interrupt.
            for index = #into + 1, at + 1, -1 do
                rawset(into, index, rawget(into, index - 1))
            end
            rawset(into, at, value)
            return
        end
        return insert(into, at, value)
    end
    return insert(into, ...)
end

function libraries.table.remove(from, ...)
    if REAL[from] then error(READONLY, 2) end
    expect_table(from, "remove")
    return remove(from, ...)
end

for _, name in pairs({ "foreach", "foreachi" }) do
    local native = libraries.table[name]
    libraries.table[name] = function(of, ...)
        expect_table(of, name)
        return native(real_of(of), ...)
    end
end

function libraries.table.sort(list, ...)
    if REAL[list] then error(READONLY, 2) end
    expect_table(list, "sort")
    return sort(list, ...)
end

-- Patterns: what calls back into Lua is written in it, above a matcher in Rust.

local matcher, gsub_with_text = patterns.matcher, patterns.gsub

function libraries.string.gmatch(...)
    local text, pattern = ...
    if matcher(1, ...) == FAIL then throw(2) end
    local at = 1
    return function()
        local count, found, last = matcher(3, text, pattern, at)
        if count == FAIL then throw(2) end
        if not count then return nil end
        at = last
        return unpack(found, 1, count)
    end
end
libraries.string.gfind = libraries.string.gmatch

local function replacement(of, whole, found, count)
    local value
    if type(of) == "function" then
        value = of(unpack(found, 1, count))
    else
        value = of[found[1]]
    end
    if not value then
        return whole
    elseif type(value) ~= "string" and type(value) ~= "number" then
        error("invalid replacement value (a " .. type(value) .. ")", 3)
    end
    return value
end

function libraries.string.gsub(...)
    local text, pattern, by = ...
    if type(by) ~= "function" and type(by) ~= "table" then
        return spread(gsub_with_text(...))
    end
    local most = matcher(2, ...)
    if most == FAIL then throw(2) end
    text = type(text) == "number" and tostring(text) or text
    local pieces, at, times = {}, 1, 0
    while times < most do
        local count, found, last, first = matcher(4, text, pattern, at)
        if count == FAIL then throw(2) end
        if not count then break end
        times = times + 1
        pieces[#pieces + 1] = sub(text, at, first - 1)
        pieces[#pieces + 1] = replacement(by, sub(text, first, last - 1), found, count)
        if last > first then
            at = last
        else
            -- A match of nothing: one byte goes over as it is.
            pieces[#pieces + 1] = sub(text, first, first)
            at = first + 1
        end
        if byte(pattern) == 94 or at > #text + 1 then break end
    end
    pieces[#pieces + 1] = sub(text, at)
    return concat(pieces), times
end

-- A new `cjson`, with settings of its own.
local function add_new_cjson(into, new_natives)
    function into.new()
        local made = {}
        local fns, encode_sparse_array = new_natives()
        for name, fn in pairs(fns) do
            made[name] = one(fn)
        end
        made.encode_sparse_array = many(encode_sparse_array)
        made.null, made._NAME, made._VERSION = into.null, into._NAME, into._VERSION
        made.new = into.new
        return made
    end
end

-- Makes the library that `proxy` stands for, if that is yet to be done.
function open_library(proxy)
    local real, library = REAL[proxy], UNOPENED[proxy]
    if library then
        UNOPENED[proxy] = nil
        local hidden = complete(library, real)
        if library == "cjson" then
            add_new_cjson(real, hidden.new)
        end
        getmetatable(proxy).__index = real
    end
    return real
end

-- The table that scripts see of a library.
local function unopened(library)
    local proxy = protect({})
    UNOPENED[proxy] = library
    getmetatable(proxy).__index = function(_, name)
        return open_library(proxy)[name]
    end
    return proxy
end

-- `redis`.

local redis = libraries.redis
complete("redis", redis)
redis.acl_check_cmd = one(raw.acl_check_cmd)
redis.call, redis.pcall = raw.call, raw.pcall

-- The globals: of scripts, of functions, and of a library while it loads.

local strings = libraries.string
local string_meta = getmetatable("")
string_meta.__index = strings
STRING_META = protect({ __index = protect(strings) })

local exposed = {}
for name, real in pairs(libraries) do
    exposed[name] = name == "string" and STRING_META.__index or protect(real)
end
for _, name in pairs({ "bit", "cjson", "cmsgpack", "struct" }) do
    exposed[name] = unopened(name)
end

local function new_globals()
    local real = {}
    for name, value in pairs(base) do real[name] = value end
    for name, proxy in pairs(exposed) do real[name] = proxy end
    return real
end

local EVAL_GLOBALS = new_globals()
local EVAL_ENV = globals(EVAL_GLOBALS)
local FUNCTION_GLOBALS = new_globals()
globals(FUNCTION_GLOBALS)
-- What belongs to scripts only.
local function_redis = {}
for name, value in pairs(redis) do
    if name ~= "replicate_commands" and name ~= "breakpoint" and name ~= "debug" then
        function_redis[name] = value
    end
end
FUNCTION_GLOBALS.redis = protect(function_redis)
FUNCTION_GLOBALS.__redis__err__handler = nil
ENV = EVAL_ENV

-- Strings that stay. Lua halves its table of strings if three quarters of it are free after a collection, and doubles it again
-- as garbage comes together: with few strings that stay it does both each time.
local STAYING = {}
for at = 1, 300 do STAYING[at] = "staying " .. at end

-- Scripts.

local scripts = {}
-- What Rust takes from here. It puts the keys and arguments into the globals, and calls scripts and functions itself.
local run = { STAYING, handler = handler, scripts = scripts, script_globals = EVAL_GLOBALS }

function run.reset_collector()
    collectgarbage("restart")
    collectgarbage("setpause", 200)
    collectgarbage("setstepmul", 200)
end

-- Compiles a script. Answers why it could not. One that assigns to no global finds them without the proxy: nothing else that
-- it can reach tells the two apart.
function run.compile(id, text)
    local chunk, err = compile(text, "@user_script", EVAL_ENV)
    if chunk then
        local kept, sets_globals = keep_callers(dump(chunk))
        chunk = kept and setfenv(loadstring(kept), sets_globals and EVAL_ENV or EVAL_GLOBALS) or chunk
    end
    scripts[id] = chunk
    return err
end

function run.forget(id)
    scripts[id] = nil
end

-- An array of the keys and values of a table by turns, or of its keys alone; and its length.
function run.flatten(of, keys_only)
    local flat, count = {}, 0
    for key, value in next, real_of(of) do
        count = count + 1
        flat[count] = key
        if not keys_only then
            count = count + 1
            flat[count] = value
        end
    end
    return flat, count
end

-- For `functions.lua`.
local parts = {
    run = run,
    compile = compile,
    describe = describe,
    protect = protect,
    missing_global = missing_global,
    real_of = real_of,
    redis = redis,
    without_place = without_place,
    FUNCTION_GLOBALS = FUNCTION_GLOBALS,
    FUNCTION_META = GLOBALS_META,
    use_env = function(env) ENV = env end,
    EVAL_ENV = EVAL_ENV,
}

return run, parts
