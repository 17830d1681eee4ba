//! A Lua function's arguments, checked as Lua's own library functions check theirs (`luaL_check…`), with their errors.

use mlua::{BorrowedBytes, Lua, LuaString, MultiValue, Value};

use super::exchange::Raised;
use super::number::to_i64;

/// Arguments of a call of the function `name`.
pub(super) struct Arguments<'a> {
    pub(super) lua: &'a Lua,
    name: &'static str,
    values: MultiValue,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(lua: &'a Lua, name: &'static str, values: MultiValue) -> Self {
        Self { lua, name, values }
    }

    /// Number of arguments.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Argument `number`, from one; nil if there is none.
    pub(super) fn get(&self, number: usize) -> &Value {
        self.values.get(number - 1).unwrap_or(&Value::Nil)
    }

    /// Whether argument `number` is nil or not there.
    pub(super) fn is_nil(&self, number: usize) -> bool {
        matches!(self.get(number), Value::Nil)
    }

    /// The error that argument `number` does not fit.
    pub(super) fn bad(&self, number: usize, text: impl Into<String>) -> Raised {
        Raised::Argument {
            number,
            name: self.name,
            text: text.into(),
        }
    }

    fn wrong_type(&self, number: usize, expected: &str) -> Raised {
        let found = self
            .values
            .get(number - 1)
            .map_or("no value", Value::type_name);
        // Lua's name for what mlua tells apart.
        let found = match found {
            "integer" => "number",
            "lightuserdata" | "error" => "userdata",
            other => other,
        };
        self.bad(number, format!("{expected} expected, got {found}"))
    }

    /// Argument `number` as a number; strings are converted.
    pub(super) fn number(&self, number: usize) -> Result<f64, Raised> {
        self.as_number(number)
            .ok_or_else(|| self.wrong_type(number, "number"))
    }

    /// Argument `number` as a number, if it is one or can be read as one.
    pub(super) fn as_number(&self, number: usize) -> Option<f64> {
        match self.get(number) {
            Value::Integer(value) => Some(*value as f64),
            Value::Number(value) => Some(*value),
            Value::String(_) => {
                let value = self.get(number).clone();
                self.lua.coerce_number(value).ok().flatten()
            }
            _ => None,
        }
    }

    /// Argument `number` as a whole number, cut off as C does.
    pub(super) fn integer(&self, number: usize) -> Result<i64, Raised> {
        self.number(number).map(to_i64)
    }

    /// The same in 32 bits.
    pub(super) fn integer32(&self, number: usize) -> Result<i32, Raised> {
        self.integer(number).map(|value| value as i32)
    }

    /// Argument `number` as a whole number, or `default` where there is none.
    pub(super) fn integer_or(&self, number: usize, default: i64) -> Result<i64, Raised> {
        if self.is_nil(number) {
            Ok(default)
        } else {
            self.integer(number)
        }
    }

    /// Argument `number` as a string; numbers are converted.
    pub(super) fn string(&self, number: usize) -> Result<LuaString, Raised> {
        match self.get(number) {
            Value::String(text) => Ok(text.clone()),
            value @ (Value::Integer(_) | Value::Number(_)) => {
                let text = self.lua.coerce_string(value.clone())?;
                text.ok_or_else(|| self.wrong_type(number, "string"))
            }
            _ => Err(self.wrong_type(number, "string")),
        }
    }

    /// Argument `number` as bytes; numbers are converted.
    pub(super) fn bytes(&self, number: usize) -> Result<BorrowedBytes, Raised> {
        Ok(self.string(number)?.as_bytes())
    }

    /// Argument `number` as one of `options`.
    pub(super) fn option(&self, number: usize, options: &[&str]) -> Result<usize, Raised> {
        let text = self.bytes(number)?;
        let found = options.iter().position(|name| name.as_bytes() == &*text);
        found.ok_or_else(|| {
            let text = String::from_utf8_lossy(&text).into_owned();
            self.bad(number, format!("invalid option '{text}'"))
        })
    }
}
