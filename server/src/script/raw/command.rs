//! `redis.call` and `redis.pcall`: a function of Lua's C interface for each.
//!
//! ```text
//!  upvalue  1  the exchange, a pointer          3  "ok"
//!           2  the rest, a function of mlua's   4  "OK"
//!                                               5  what keeps the exchange
//! ```
//! The rest makes a value of a reply that is not made here, or says what error there is; whether it is to be raised is its second
//! value.

use std::ffi::c_int;
use std::rc::Rc;

use mlua::ffi::{self, lua_State, lua_upvalueindex};
use mlua::{Function, Lua};

use super::super::exchange::{Exchange, Phase, Raised};
use super::super::libs::{Ask, push_number};
use super::super::vm::Step;
use super::super::words::Words;

/// Makes the function that calls commands. `rest` answers what is not answered here: it finds an error in the exchange, or that
/// the script is to end, or a reply.
///
/// # Errors
/// No memory.
pub(in crate::script) fn commander(
    lua: &Lua,
    exchange: &Rc<Exchange>,
    rest: &Function,
) -> mlua::Result<Function> {
    let pointer = Rc::as_ptr(exchange).cast_mut().cast();
    let kept = Rc::clone(exchange);
    let keeper = lua.create_function(move |_, ()| {
        let _ = &kept;
        Ok(())
    })?;
    // SAFETY: the stack holds the four values given, and there is room for three more; errors are caught outside of the closure,
    // which holds nothing.
    unsafe {
        lua.exec_raw((rest, "ok", "OK", keeper), move |state| {
            ffi::lua_pushlightuserdata(state, pointer);
            ffi::lua_insert(state, 1);
            ffi::lua_pushcclosure(state, call, 5);
        })
    }
}

/// How a command's reply becomes a value. Text is where the exchange has it.
enum Answer {
    One(Item),
    /// Of so many elements, which begin here.
    Array(usize, Bytes),
    Ok,
    /// By the rest.
    Other,
}

/// One of a reply's values.
enum Item {
    Text(Bytes),
    Number(f64),
    False,
    Nil,
}

/// Bytes of the exchange's reply, which stays as it is until the next command.
struct Bytes {
    at: *const u8,
    len: usize,
}

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        Self {
            at: bytes.as_ptr(),
            len: bytes.len(),
        }
    }
}

/// A command of a script: see the top. It holds nothing while it calls what may raise.
unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: upvalue 1 points to the exchange, which upvalue 5 keeps. `ask` looks at the stack as it finds it. A C function has
    // room for 20 values beside its arguments (`LUA_MINSTACK`).
    unsafe {
        let exchange = ffi::lua_touserdata(state, lua_upvalueindex(1)).cast::<Exchange>();
        match ask(state, &*exchange) {
            Answer::One(item) => push(state, &item),
            Answer::Array(len, bytes) => return array(state, len, &bytes),
            Answer::Ok => {
                ffi::lua_createtable(state, 0, 1);
                ffi::lua_pushvalue(state, lua_upvalueindex(3));
                ffi::lua_pushvalue(state, lua_upvalueindex(4));
                ffi::lua_rawset(state, -3);
            }
            Answer::Other => return rest(state),
        }
        1
    }
}

/// Has the core run the command whose words are the arguments of the call. Raises nothing.
///
/// # Safety
/// `state` is at the beginning of a call.
unsafe fn ask(state: *mut lua_State, exchange: &Exchange) -> Answer {
    // SAFETY: as for this function.
    if let Err(raised) = unsafe { take_words(state, exchange) } {
        *exchange.raised.borrow_mut() = Some(raised);
        return Answer::Other;
    }
    exchange.exit.leave(Step::Call(Ask::Command));
    if exchange.killed.get().is_some() {
        return Answer::Other;
    }
    answer(&exchange.reply.borrow())
}

/// Puts the arguments of the call into the exchange. Raises nothing.
///
/// # Errors
/// What the script is told if there is no command to run.
///
/// # Safety
/// As of [`ask`].
unsafe fn take_words(state: *mut lua_State, exchange: &Exchange) -> Result<(), Raised> {
    if exchange.phase.get() != Phase::Running {
        return Err(Raised::object(
            "redis.call/pcall can only be called inside a script invocation",
        ));
    }
    let mut words = exchange.words.borrow_mut();
    words.clear();
    // SAFETY: the arguments are the values from 1 to the top. A string's bytes stay where they are as long as it is there.
    unsafe {
        for at in 1..=ffi::lua_gettop(state) {
            let fits = match ffi::lua_type(state, at) {
                ffi::LUA_TSTRING => {
                    let mut len = 0;
                    let text = ffi::lua_tolstring(state, at, &raw mut len);
                    words.push(std::slice::from_raw_parts(text.cast(), len))
                }
                ffi::LUA_TNUMBER => push_number(ffi::lua_tonumber(state, at), &mut words),
                _ => {
                    return Err(Raised::object(
                        "Lua redis lib command arguments must be strings or integers",
                    ));
                }
            };
            if !fits {
                return Err(too_large());
            }
        }
    }
    some(&words)
}

/// That there are words.
pub(in crate::script) fn some(words: &Words) -> Result<(), Raised> {
    if words.is_empty() {
        return Err(Raised::object(
            "Please specify at least one argument for this redis lib call",
        ));
    }
    Ok(())
}

#[cold]
fn too_large() -> Raised {
    Raised::object("the arguments exceed the maximum allowed size (4gb)")
}

/// What a reply is.
fn answer(reply: &[u8]) -> Answer {
    if let Some(item) = whole_item(reply) {
        return Answer::One(item);
    }
    match reply {
        b"+OK\r\n" => Answer::Ok,
        [b'*', ..] => flat_array(reply).unwrap_or(Answer::Other),
        _ => Answer::Other,
    }
}

fn whole_item(reply: &[u8]) -> Option<Item> {
    item(reply).map(|(item, _)| item)
}

/// An array whose elements are all items.
fn flat_array(reply: &[u8]) -> Option<Answer> {
    let (len, bytes) = line(reply)?;
    let len = usize::try_from(len).ok()?;
    let mut unread = bytes;
    for _ in 0..len {
        (_, unread) = item(unread)?;
    }
    Some(Answer::Array(len, Bytes::of(bytes)))
}

/// The number in the line that a reply begins with, and what is behind it.
fn line(reply: &[u8]) -> Option<(i64, &[u8])> {
    let end = reply.iter().position(|&byte| byte == b'\r')?;
    let number = larder_engine::parse_canonical_i64(reply.get(1..end)?)?;
    Some((number, reply.get(end + 2..)?))
}

/// The item that a reply begins with, and what is behind it. None: it begins with something else.
fn item(reply: &[u8]) -> Option<(Item, &[u8])> {
    match reply.first()? {
        b'$' => {
            let (len, rest) = line(reply)?;
            match usize::try_from(len) {
                Ok(len) => Some((
                    Item::Text(Bytes::of(rest.get(..len)?)),
                    rest.get(len + 2..)?,
                )),
                Err(_) => Some((Item::False, rest)),
            }
        }
        b':' => line(reply).map(|(number, rest)| (Item::Number(number as f64), rest)),
        b'_' => Some((Item::Nil, reply.get(3..)?)),
        _ => None,
    }
}

/// Pushes a value. Raises for lack of memory.
///
/// # Safety
/// There is room for it, and text is still where it was.
unsafe fn push(state: *mut lua_State, item: &Item) {
    // SAFETY: as for this function.
    unsafe {
        match item {
            Item::Text(text) => ffi::lua_pushlstring_(state, text.at.cast(), text.len),
            Item::Number(number) => ffi::lua_pushnumber(state, *number),
            Item::False => ffi::lua_pushboolean(state, 0),
            Item::Nil => ffi::lua_pushnil(state),
        }
    }
}

/// Answers with an array of `len` items. Raises for lack of memory.
///
/// # Safety
/// As of [`push`], for all of them.
unsafe fn array(state: *mut lua_State, len: usize, bytes: &Bytes) -> c_int {
    // SAFETY: as for this function; a slice has nothing to drop.
    unsafe {
        let len = c_int::try_from(len).unwrap_or(c_int::MAX);
        ffi::lua_createtable(state, len, 0);
        let mut unread = std::slice::from_raw_parts(bytes.at, bytes.len);
        for at in 1..=len {
            let Some((item, behind)) = item(unread) else {
                break;
            };
            push(state, &item);
            ffi::lua_rawseti_(state, -2, at);
            unread = behind;
        }
        1
    }
}

/// Answers with what the rest makes of it. Raises what it says is to be raised, and what itself raises.
///
/// # Safety
/// As of [`call`].
unsafe fn rest(state: *mut lua_State) -> c_int {
    // SAFETY: the arguments are no longer needed, so there is room.
    unsafe {
        ffi::lua_settop(state, 0);
        ffi::lua_pushvalue(state, lua_upvalueindex(2));
        ffi::lua_call(state, 0, 2);
        let is_raised = ffi::lua_toboolean(state, 2) != 0;
        ffi::lua_settop(state, 1);
        if is_raised {
            ffi::lua_error(state);
        }
        1
    }
}
