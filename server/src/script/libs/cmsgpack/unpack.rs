//! MessagePack to Lua values. What a peer sends may announce more elements than it has: nothing is reserved ahead.

use mlua::{Lua, Value};

use super::{Arguments, Outcomes, Patience};
use crate::script::exchange::{Exchange, Raised};
use crate::script::limits::DOCUMENT_DEPTH_MAX;

/// Values one call may give: slots of Lua's stack.
const VALUES_MAX: usize = 7_900;

/// Up to `limit` values from `offset` on, preceded by where the rest begins, -1 at the end; all values where both are 0.
pub(super) fn unpack(
    args: &Arguments<'_>,
    limit: i64,
    offset: i64,
    exchange: &Exchange,
) -> Outcomes {
    let input = args.bytes(1)?;
    let all = limit == 0 && offset == 0;
    let start = match usize::try_from(offset) {
        Ok(start) if limit >= 0 => start,
        _ => {
            return Err(Raised::message(format!(
                "Invalid request to unpack with offset of {} and limit of {}.",
                offset as i32,
                input.len() as i32
            )));
        }
    };
    let Some(bytes) = input.get(start..) else {
        return Err(Raised::message(format!(
            "Start offset {} greater than input length {}.",
            offset as i32,
            input.len() as i32
        )));
    };
    let mut unpacker = Unpacker {
        lua: args.lua,
        rest: bytes,
        patience: Patience::new(args.lua, exchange),
    };
    let limit = if all { i64::from(i32::MAX) } else { limit };
    let mut values = Vec::new();
    while !unpacker.rest.is_empty() && (values.len() as i64) < limit {
        if values.len() == VALUES_MAX {
            let text = "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";
            return Err(Raised::message(text));
        }
        values.push(unpacker.value(0)?);
    }
    if !all {
        let rest = unpacker.rest.len();
        let next = if rest == 0 {
            -1
        } else {
            (input.len() - rest) as i64
        };
        values.insert(0, Value::Integer(next));
    }
    Ok(values)
}

struct Unpacker<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    patience: Patience<'a>,
}

impl<'a> Unpacker<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Raised> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Raised::message("Missing bytes in input."));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// A big-endian number of `count` bytes.
    fn unsigned(&mut self, count: usize) -> Result<u64, Raised> {
        let bytes = self.take(count)?;
        Ok(bytes
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// A value. What recurses is kept apart from what does not: it is deep enough.
    fn value(&mut self, depth: usize) -> Result<Value, Raised> {
        self.patience.step()?;
        let head = self.take(1)?[0];
        match head {
            0x80..=0x8F => self.map((head & 0xF).into(), depth),
            0x90..=0x9F => self.array((head & 0xF).into(), depth),
            0xDC | 0xDD => {
                let len = self.unsigned(2 << (head - 0xDC))?;
                self.array(len, depth)
            }
            0xDE | 0xDF => {
                let len = self.unsigned(2 << (head - 0xDE))?;
                self.map(len, depth)
            }
            _ => self.scalar(head),
        }
    }

    fn scalar(&mut self, head: u8) -> Result<Value, Raised> {
        Ok(match head {
            0x00..=0x7F => Value::Integer(head.into()),
            0xE0..=0xFF => Value::Integer((head as i8).into()),
            0xA0..=0xBF => self.string((head & 0x1F).into())?,
            0xC0 => Value::Nil,
            0xC2 => Value::Boolean(false),
            0xC3 => Value::Boolean(true),
            0xCA => Value::Number(f32::from_bits(self.unsigned(4)? as u32).into()),
            0xCB => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xCC => Value::Integer(self.unsigned(1)? as i64),
            0xCD => Value::Integer(self.unsigned(2)? as i64),
            0xCE => Value::Integer(self.unsigned(4)? as i64),
            // As lua-cmsgpack has it, the upper half of the unsigned ones is negative.
            0xCF | 0xD3 => Value::Number(self.unsigned(8)? as i64 as f64),
            0xD0 => Value::Integer((self.unsigned(1)? as i8).into()),
            0xD1 => Value::Integer((self.unsigned(2)? as i16).into()),
            0xD2 => Value::Integer((self.unsigned(4)? as i32).into()),
            0xD9..=0xDB => {
                let len = self.unsigned(1 << (head - 0xD9))?;
                self.string(len)?
            }
            _ => return Err(Raised::message("Bad data format in input.")),
        })
    }

    fn string(&mut self, len: u64) -> Result<Value, Raised> {
        let bytes = self.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        Ok(Value::String(self.lua.create_string(bytes)?))
    }

    fn check_depth(depth: usize) -> Result<(), Raised> {
        if depth < DOCUMENT_DEPTH_MAX {
            return Ok(());
        }
        let text = "stack overflow (in function mp_decode_to_lua_array)";
        Err(Raised::message(text))
    }

    fn array(&mut self, len: u64, depth: usize) -> Result<Value, Raised> {
        Self::check_depth(depth)?;
        let table = self.lua.create_table()?;
        for index in 1..=len {
            let value = self.value(depth + 1)?;
            table.raw_set(index, value)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: u64, depth: usize) -> Result<Value, Raised> {
        Self::check_depth(depth)?;
        let table = self.lua.create_table()?;
        for _ in 0..len {
            let key = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            match key {
                Value::Nil => return Err(Raised::message("table index is nil")),
                Value::Number(number) if number.is_nan() => {
                    return Err(Raised::message("table index is NaN"));
                }
                key => table.raw_set(key, value)?,
            }
        }
        Ok(Value::Table(table))
    }
}
