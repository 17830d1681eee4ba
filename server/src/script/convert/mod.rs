//! Between replies and Lua values: a command's reply becomes a value ([`to_lua`]), a script's value becomes its reply
//! ([`to_reply`]).

mod to_lua;
mod to_reply;

use mlua::{Lua, LuaString, Table};

pub(super) use to_lua::read_reply;
pub(super) use to_reply::ReplyWriter;

/// The fields by which tables stand for replies that Lua has no type for, made once.
pub(super) struct Names {
    err: LuaString,
    ok: LuaString,
    double: LuaString,
    big_number: LuaString,
    verbatim_string: LuaString,
    format: LuaString,
    string: LuaString,
    map: LuaString,
    set: LuaString,
    ignore_error_stats_update: LuaString,
}

impl Names {
    pub(super) fn new(lua: &Lua) -> mlua::Result<Self> {
        let name = |text: &str| lua.create_string(text);
        Ok(Self {
            err: name("err")?,
            ok: name("ok")?,
            double: name("double")?,
            big_number: name("big_number")?,
            verbatim_string: name("verbatim_string")?,
            format: name("format")?,
            string: name("string")?,
            map: name("map")?,
            set: name("set")?,
            ignore_error_stats_update: name("ignore_error_stats_update")?,
        })
    }

    /// The table that stands for an error.
    pub(super) fn error(&self, lua: &Lua, text: &[u8], is_counted: bool) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        table.raw_set(&self.err, lua.create_string(text)?)?;
        if is_counted {
            table.raw_set(&self.ignore_error_stats_update, true)?;
        }
        Ok(table)
    }
}
