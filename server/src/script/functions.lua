-- The world of libraries of functions. Runs once in each virtual machine, with what `sandbox.lua` gives it.
--
-- A library's functions and the code that registers them share one table of globals, `FUNCTION_ENV`, which is empty and
-- looks for what is asked for in one of two: while a library loads it finds `redis` alone, with little but
-- `redis.register_function`; later it finds what scripts find.

local parts, raw = ...

local run, compile = parts.run, parts.compile
local protect, missing_global, real_of = parts.protect, parts.missing_global, parts.real_of
local keep_callers, check_flag, check_name = raw.keep_callers, raw.check_flag, raw.check_name
local error, type, next, select, tostring = error, type, next, select, tostring
local getmetatable, setmetatable, setfenv, pcall = getmetatable, setmetatable, setfenv, pcall
local loadstring, dump, lower = loadstring, string.dump, string.lower

-- Functions by the numbers of their libraries, in the order in which they were registered.
local libraries = {}
run.libraries = libraries
-- The functions of the library that loads.
local loading

local function fail(text)
    error({ err = "ERR " .. text }, 0)
end

-- As Lua's own functions take texts: numbers will do.
local function text_of(value)
    if type(value) == "number" then return tostring(value) end
    return type(value) == "string" and value or nil
end

local function flags_of(list)
    local names, at = {}, 1
    while true do
        local flag = list[at]
        if flag == nil then return names end
        flag = text_of(flag)
        if not flag or not check_flag(lower(flag)) then fail("unknown flag given") end
        names[at] = lower(flag)
        at = at + 1
    end
end

local function named_arguments(given)
    if type(given) ~= "table" then
        fail("calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).")
    end
    local made = { flags = {} }
    for key, value in next, real_of(given) do
        key = text_of(key)
        if not key then
            fail("named argument key given to redis.register_function is not a string")
        end
        key = lower(key)
        if key == "function_name" then
            made.name = text_of(value)
            if not made.name then
                fail("function_name argument given to redis.register_function must be a string")
            end
        elseif key == "description" then
            made.description = text_of(value)
            if not made.description then
                fail("description argument given to redis.register_function must be a string")
            end
        elseif key == "callback" then
            if type(value) ~= "function" then
                fail("callback argument given to redis.register_function must be a function")
            end
            made.callback = value
        elseif key == "flags" then
            if type(value) ~= "table" then
                fail("flags argument to redis.register_function must be a table representing function flags")
            end
            made.flags = flags_of(value)
        else
            fail("unknown argument given to redis.register_function")
        end
    end
    if not made.name then
        fail("redis.register_function must get a function name argument")
    elseif not made.callback then
        fail("redis.register_function must get a callback argument")
    end
    return made
end

local function register_function(...)
    if not loading then
        fail("redis.register_function can only be called on FUNCTION LOAD command")
    end
    local count, made = select("#", ...), nil
    if count < 1 or count > 2 then
        fail("wrong number of arguments to redis.register_function")
    elseif count == 1 then
        made = named_arguments((...))
    else
        local name, callback = ...
        made = { name = text_of(name), callback = callback, flags = {} }
        if not made.name then
            fail("first argument to redis.register_function must be a string")
        elseif type(callback) ~= "function" then
            fail("second argument to redis.register_function must be a function")
        end
    end
    local bad = check_name(made.name)
    if bad then fail(bad) end
    for _, other in next, loading do
        if other.name == made.name then fail("Function already exists in the library") end
    end
    loading[#loading + 1] = made
end

local api = { register_function = register_function }
for _, name in next, { "log", "LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING", "REDIS_VERSION",
    "REDIS_VERSION_NUM" } do
    api[name] = parts.redis[name]
end
local LOAD_GLOBALS = setmetatable(
    { redis = protect(setmetatable(api, { __index = missing_global })) },
    { __index = missing_global }
)
local FUNCTION_ENV = protect({}, parts.FUNCTION_META)
local FUNCTION_ENV_META = getmetatable(FUNCTION_ENV)
FUNCTION_ENV_META.__index = parts.FUNCTION_GLOBALS

-- Runs a library's code. Answers why it could not, or nil and the functions that it registered.
function run.load_library(id, text)
    local chunk, err = compile(text, "@user_function", FUNCTION_ENV)
    if not chunk then
        return "Error compiling function: " .. err
    end
    local kept = keep_callers(dump(chunk))
    chunk = kept and setfenv(loadstring(kept), FUNCTION_ENV) or chunk
    loading = {}
    FUNCTION_ENV_META.__index = LOAD_GLOBALS
    local ok, failed = pcall(chunk)
    local made = loading
    loading = nil
    FUNCTION_ENV_META.__index = parts.FUNCTION_GLOBALS
    if not ok then
        if type(failed) == "userdata" then failed = parts.describe(failed) end
        if type(failed) == "table" then
            failed = text_of(failed.err) or "ERR unknown error"
        else
            failed = "ERR " .. tostring((parts.without_place(failed)))
        end
        return "Error registering functions: " .. failed
    end
    local callbacks = {}
    for at, one in next, made do callbacks[at] = one.callback end
    libraries[id] = callbacks
    return nil, made
end

function run.forget_library(id)
    libraries[id] = nil
end

-- The globals of what `load` and `loadstring` make from now on.
function run.use_env(is_of_functions)
    parts.use_env(is_of_functions and FUNCTION_ENV or parts.EVAL_ENV)
end
