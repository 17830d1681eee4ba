//! A command's reply as a Lua value.
//!
//! The reply is the server's own, so it is well-formed, and no deeper than commands nest theirs.

use mlua::{Lua, Table, Value};

use super::Names;
use crate::script::libs::with_code;

/// The value of the one reply in `bytes`.
pub(in crate::script) fn read_reply(lua: &Lua, bytes: &[u8], names: &Names) -> mlua::Result<Value> {
    Reader { lua, bytes, names }.value()
}

struct Reader<'a> {
    lua: &'a Lua,
    /// What has yet to be read.
    bytes: &'a [u8],
    names: &'a Names,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        taken
    }

    /// A line's kind and its text.
    fn line(&mut self) -> (u8, &'a [u8]) {
        let end = self
            .bytes
            .iter()
            .position(|&byte| byte == b'\r')
            .expect("a reply is made of lines");
        let line = self.take(end + 2);
        (line[0], &line[1..end])
    }

    fn value(&mut self) -> mlua::Result<Value> {
        let (kind, text) = self.line();
        let len = || larder_engine::parse_canonical_i64(text).unwrap_or(-1);
        match kind {
            b':' => Ok(Value::Integer(integer(text))),
            b'$' if len() < 0 => Ok(Value::Boolean(false)),
            b'$' => self.string(len() as usize).map(Value::String),
            b'*' if len() < 0 => Ok(Value::Boolean(false)),
            b'*' | b'>' => self.array(len() as usize).map(Value::Table),
            b'+' => self.wrapped(&self.names.ok, text),
            b'-' => {
                let text = with_code(text);
                self.names.error(self.lua, &text, true).map(Value::Table)
            }
            b'_' => Ok(Value::Nil),
            b'#' => Ok(Value::Boolean(text == b"t")),
            b',' => self.double(text),
            b'(' => self.wrapped(&self.names.big_number, text),
            b'=' => self.verbatim(len() as usize),
            b'%' => self.map(len() as usize),
            b'~' => self.set(len() as usize),
            b'|' => {
                // Attributes are not shown to scripts; the reply they belong to follows.
                for _ in 0..2 * len() {
                    self.value()?;
                }
                self.value()
            }
            other => unreachable!("no reply begins with {:?}", char::from(other)),
        }
    }

    fn string(&mut self, len: usize) -> mlua::Result<mlua::LuaString> {
        let bytes = self.take(len + 2);
        self.lua.create_string(&bytes[..len])
    }

    fn array(&mut self, len: usize) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(len, 0)?;
        for index in 1..=len {
            let value = self.value()?;
            table.raw_set(index, value)?;
        }
        Ok(table)
    }

    /// A table whose field `name` is the text.
    fn wrapped(&self, name: &mlua::LuaString, text: &[u8]) -> mlua::Result<Value> {
        let table = self.lua.create_table()?;
        table.raw_set(name, self.lua.create_string(text)?)?;
        Ok(Value::Table(table))
    }

    fn double(&self, text: &[u8]) -> mlua::Result<Value> {
        let text = String::from_utf8_lossy(text);
        let table = self.lua.create_table()?;
        table.raw_set(&self.names.double, text.parse().unwrap_or(f64::NAN))?;
        Ok(Value::Table(table))
    }

    fn verbatim(&mut self, len: usize) -> mlua::Result<Value> {
        let bytes = &self.take(len + 2)[..len];
        let (format, text) = bytes.split_at(4);
        let inner = self.lua.create_table()?;
        inner.raw_set(&self.names.string, self.lua.create_string(text)?)?;
        inner.raw_set(&self.names.format, self.lua.create_string(&format[..3])?)?;
        let table = self.lua.create_table()?;
        table.raw_set(&self.names.verbatim_string, inner)?;
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: usize) -> mlua::Result<Value> {
        let inner = self.lua.create_table_with_capacity(0, len)?;
        for _ in 0..len {
            let (key, value) = (self.value()?, self.value()?);
            if !key.is_nil() {
                inner.raw_set(key, value)?;
            }
        }
        let table = self.lua.create_table()?;
        table.raw_set(&self.names.map, inner)?;
        Ok(Value::Table(table))
    }

    fn set(&mut self, len: usize) -> mlua::Result<Value> {
        let inner = self.lua.create_table_with_capacity(0, len)?;
        for _ in 0..len {
            let member = self.value()?;
            if !member.is_nil() {
                inner.raw_set(member, true)?;
            }
        }
        let table = self.lua.create_table()?;
        table.raw_set(&self.names.set, inner)?;
        Ok(Value::Table(table))
    }
}

fn integer(text: &[u8]) -> i64 {
    larder_engine::parse_canonical_i64(text).expect("an integer reply is one")
}
