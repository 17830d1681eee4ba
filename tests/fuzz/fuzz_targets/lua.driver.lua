-- Turns the bytes of ARGV[1] into calls of what scripts find. Each call takes a function, some arguments and the results
-- of earlier calls, all chosen by bytes.

local input, at = ARGV[1], 0
local byte, sub, select, type, pcall, pairs, unpack = string.byte, string.sub, select, type, pcall, pairs, unpack
local sort, tostring = table.sort, tostring

local function next_byte()
    at = at + 1
    return byte(input, at) or 0
end

-- All functions, in the same order in each run.
local names, functions = {}, {}
local function gather(of, path)
    for name, value in pairs(of) do
        if type(value) == 'function' then
            names[#names + 1] = path .. name
            functions[path .. name] = value
        elseif type(value) == 'table' and path == '' and value ~= _G and name ~= 'KEYS' and name ~= 'ARGV' then
            gather(value, name .. '.')
        end
    end
end
-- A library that is made when it is first looked into must be looked into.
for _, of in pairs({ bit, cjson, cmsgpack, struct }) do local _ = of.pack end
gather(_G, '')
sort(names)

local EXTREMES = {
    0, 1, -1, 2, 3, 7, 8, 31, 32, 33, 64, 127, 128, 200, 255, 256, 7997, 7998, 7999, 8000, 8001, 65535, 65536, 0.5, -0.5, 1.5,
    2 ^ 31 - 2, 2 ^ 31 - 1, 2 ^ 31, 2 ^ 31 + 1, -2 ^ 31 - 1, -2 ^ 31, -2 ^ 31 + 1, 2 ^ 32 - 1, 2 ^ 32, 2 ^ 32 + 1, 2 ^ 53, -2 ^ 53,
    2 ^ 62, 2 ^ 63, -2 ^ 63, 2 ^ 64, 1e308, -1e308, 5e-324, 1 / 0, -1 / 0, 0 / 0,
}
local TEXTS = {
    '', '0', '-1', '2147483647', '0x7fffffff', '1e999', 'nan', 'x', '\0', 'a\0b', '\27Lua', 'k', 'v', 'n', 'count', 'collect', 'step',
    'setpause', 'setstepmul', 'stop', 'restart', '%s', '%d', '%99.99f', '%q', '%c', '%-+ #0', '%5.3s', '%', '%b', '%bxy', '%f[a]', '(', ')',
    '()', '(.-)%1', '.-', '[', '[^]', '[a-', '%1', '^', '$', 'i4', '<i8', 's', 'c0', '!16d', 'Bc0', '{', '[]', '[[', '{"a":', '"\\u',
    'x=[==', '--[==[', 'return ...', 'return [===[x]===]', 'for', '\145', '\221\255\255\255\255', '\199\1', 'set', 'raw',
}
local pool = { {}, { 1, 2, 3 }, { n = 2 ^ 31 }, 'text', cjson.null }

-- Functions that are handed in.
local CALLBACKS = {
    function(...) return ... end,
    function() return nil end,
    function() return true end,
    function(a, b) return tostring(a) < tostring(b) end,
    function() error({ err = 'raised' }) end,
    function() collectgarbage() return 'x' end,
    function(t) if type(t) == 'table' then t[1] = nil t[#t + 1] = 1 end return 1 end,
    function(...) return coroutine.yield(...) end,
}

local value

local function table_value()
    local made = {}
    local meta = next_byte()
    for index = 1, next_byte() % 6 do made[index] = value(1) end
    if meta % 4 == 0 then made[value(1) or 1] = value(1) end
    if meta % 8 == 1 then
        setmetatable(made, { __index = value(1), __newindex = value(1), __call = CALLBACKS[1], __lt = CALLBACKS[3], __mode = 'kv',
            __tostring = CALLBACKS[next_byte() % #CALLBACKS + 1], __metatable = value(1), __gc = CALLBACKS[5] })
    end
    return made
end

function value(depth)
    local kind = next_byte() % 14
    if kind < 4 then
        return EXTREMES[next_byte() % #EXTREMES + 1]
    elseif kind < 6 then
        return TEXTS[next_byte() % #TEXTS + 1]
    elseif kind == 6 then
        local len = next_byte() % 24
        at = at + len
        return sub(input, at - len + 1, at)
    elseif kind == 7 then
        return (TEXTS[next_byte() % #TEXTS + 1]):rep(next_byte() * 16)
    elseif kind == 8 then
        return depth and {} or table_value()
    elseif kind < 11 then
        return pool[next_byte() % #pool + 1]
    elseif kind == 11 then
        return CALLBACKS[next_byte() % #CALLBACKS + 1]
    elseif kind == 12 then
        return functions[names[next_byte() % #names + 1]]
    end
    local boolean = next_byte() % 3
    if boolean == 0 then return nil end
    return boolean == 1
end

local function keep(_, ...)
    for index = 1, select('#', ...) do
        if index > 4 then return end
        local result = select(index, ...)
        if result ~= nil and result == result then pool[at % 24 + index] = result end
        if pool[#pool] == nil then pool[1] = {} end
    end
end

local calls = 0
while at < #input do
    local fn = functions[names[next_byte() % #names + 1]]
    local arguments = {}
    local count = next_byte() % 6
    for index = 1, count do arguments[index] = value() end
    keep(pcall(fn, unpack(arguments, 1, count)))
    calls = calls + 1
end
return calls
