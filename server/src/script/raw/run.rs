//! Runs a script or function, from the words in the exchange to its value.

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};
use mlua::{Lua, Value};

use super::super::exchange::Exchange;
use super::super::job::Code;
use super::super::number::to_i64;
use super::super::sandbox::Sandbox;
use super::super::words::Words;
use crate::resp::{Protocol, Reply};

/// How a script ended.
pub(in crate::script) enum Ended {
    /// With a string or a number, which stands in the exchange as its reply.
    Replied,
    /// With another value.
    Value(Value),
    /// With an error.
    Error(Value),
}

/// Values on Lua's stack at a time: the handler, a table of tables, what runs, keys, arguments, one of these, and two that
/// mlua pushes a reference with.
const STACK_VALUES: c_int = 8;

/// Runs a script or function. Of the words in the exchange the first `keys` are its keys. `client` is the client's protocol.
///
/// # Errors
/// Too many values of Lua are referred to.
pub(in crate::script) fn run(
    lua: &Lua,
    sandbox: &Sandbox,
    code: Code,
    exchange: &Exchange,
    (keys, client): (usize, Protocol),
) -> mlua::Result<Ended> {
    lua.exec_raw_lua(|raw| {
        let state = raw.state();
        // SAFETY: no script runs, so memory is not bounded and what allocates here does not raise; what the script does is within
        // the protected call. There is room for `STACK_VALUES`, and the stack is left as it was.
        unsafe {
            let top = ffi::lua_gettop(state);
            let has_room = ffi::lua_checkstack(state, STACK_VALUES) != 0;
            assert!(has_room, "the stack is empty but for a few values");
            raw.push(&sandbox.handler)?;
            let given = match code {
                Code::Script(id) => {
                    raw.push(&sandbox.scripts)?;
                    field(state, id);
                    raw.push(&sandbox.script_globals)?;
                    let words = exchange.words.borrow();
                    for (name, from, end) in [("KEYS", 0, keys), ("ARGV", keys, words.len())] {
                        ffi::lua_pushlstring_(state, name.as_ptr().cast(), name.len());
                        push_array(state, &words, from, end);
                        ffi::lua_rawset(state, -3);
                    }
                    ffi::lua_settop(state, -2);
                    0
                }
                Code::Function { library, index } => {
                    raw.push(&sandbox.libraries)?;
                    field(state, library);
                    field(state, index as u64 + 1);
                    let words = exchange.words.borrow();
                    push_array(state, &words, 0, keys);
                    push_array(state, &words, keys, words.len());
                    2
                }
            };
            bound(lua, exchange.memory_max_bytes);
            let status = ffi::lua_pcall(state, given, 1, top + 1);
            bound(lua, 0);
            let ended = if status != ffi::LUA_OK {
                Ended::Error(raw.pop()?)
            } else if reply(state, exchange, client) {
                Ended::Replied
            } else {
                Ended::Value(raw.pop()?)
            };
            ffi::lua_settop(state, top);
            Ok(ended)
        }
    })
}

/// Bounds what Lua may hold; 0 for no bound.
fn bound(lua: &Lua, bytes: usize) {
    lua.set_memory_limit(bytes)
        .expect("the machine has its own allocator");
}

/// Puts a table's element in the table's place. Raises nothing: it calls no metamethods.
///
/// # Safety
/// A table is at the top, and there is room for one value.
unsafe fn field(state: *mut lua_State, number: u64) {
    // SAFETY: as for this function.
    unsafe {
        ffi::lua_pushnumber(state, number as f64);
        ffi::lua_rawget(state, -2);
        ffi::lua_remove(state, -2);
    }
}

/// Pushes the words from `from` up to `end` as an array.
///
/// # Safety
/// There is room for two values, and memory is not bounded.
unsafe fn push_array(state: *mut lua_State, words: &Words, from: usize, end: usize) {
    let len = c_int::try_from(end - from).expect("arguments are fewer than two billions");
    // SAFETY: as for this function.
    unsafe {
        ffi::lua_createtable(state, len, 0);
        for (at, word) in (1..).zip(words.range(from, end)) {
            ffi::lua_pushlstring_(state, word.as_ptr().cast(), word.len());
            ffi::lua_rawseti_(state, -2, at);
        }
    }
}

/// Makes a reply of the value at the top, if that is a string or a number. Raises nothing.
///
/// # Safety
/// There is a value.
unsafe fn reply(state: *mut lua_State, exchange: &Exchange, client: Protocol) -> bool {
    let mut out = exchange.reply.borrow_mut();
    out.clear();
    let mut reply = Reply::new(&mut out, client);
    // SAFETY: as for this function; a string's bytes stay where they are as long as it is there.
    unsafe {
        match ffi::lua_type(state, -1) {
            ffi::LUA_TSTRING => {
                let mut len = 0;
                let text = ffi::lua_tolstring(state, -1, &raw mut len);
                reply.bulk(std::slice::from_raw_parts(text.cast(), len));
            }
            ffi::LUA_TNUMBER => reply.integer(to_i64(ffi::lua_tonumber(state, -1))),
            _ => return false,
        }
    }
    true
}
