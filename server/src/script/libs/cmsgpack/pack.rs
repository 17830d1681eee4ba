//! Lua values to MessagePack: whole numbers in the shortest form that holds them, other numbers as single precision where
//! that loses nothing; a table whose keys are 1 to its size as an array, others as maps. Tables nested deeper than
//! [`NESTING_MAX`] are nil, so that a table that holds itself ends.

use mlua::{Table, Value};

use super::{Arguments, Outcome, Patience};
use crate::script::exchange::{Exchange, Raised};

/// Nesting of tables that is written.
const NESTING_MAX: usize = 16;

/// All arguments, one after the other.
pub(super) fn pack(args: &Arguments<'_>, exchange: &Exchange) -> Outcome {
    if args.len() == 0 {
        return Err(args.bad(0, "MessagePack pack needs input."));
    }
    let mut packer = Packer {
        out: Vec::new(),
        patience: Patience::new(args.lua, exchange),
        max_bytes: exchange.memory_max_bytes / 2,
    };
    for number in 1..=args.len() {
        packer.value(args.get(number), 0)?;
    }
    Ok(Value::String(args.lua.create_string(&packer.out)?))
}

struct Packer<'a> {
    out: Vec<u8>,
    patience: Patience<'a>,
    max_bytes: usize,
}

impl Packer<'_> {
    fn value(&mut self, value: &Value, level: usize) -> Result<(), Raised> {
        self.patience.step()?;
        if self.out.len() > self.max_bytes {
            return Err(Raised::message("not enough memory"));
        }
        match value {
            Value::Boolean(true) => self.out.push(0xC3),
            Value::Boolean(false) => self.out.push(0xC2),
            Value::Integer(number) => self.integer(*number),
            Value::Number(number) => self.number(*number),
            Value::String(text) => self.bytes(&text.as_bytes()),
            Value::Table(table) if level < NESTING_MAX => self.table(table, level)?,
            _ => self.out.push(0xC0),
        }
        Ok(())
    }

    fn integer(&mut self, number: i64) {
        let out = &mut self.out;
        match number {
            0..=0x7F => out.push(number as u8),
            -32..0 => out.push(number as i8 as u8),
            0x80..=0xFF => out.extend_from_slice(&[0xCC, number as u8]),
            0x100..=0xFFFF => extend(out, 0xCD, &(number as u16).to_be_bytes()),
            0x1_0000..=0xFFFF_FFFF => extend(out, 0xCE, &(number as u32).to_be_bytes()),
            0x1_0000_0000.. => extend(out, 0xCF, &number.to_be_bytes()),
            -128..-32 => extend(out, 0xD0, &(number as i8).to_be_bytes()),
            -32_768..-128 => extend(out, 0xD1, &(number as i16).to_be_bytes()),
            -2_147_483_648..-32_768 => extend(out, 0xD2, &(number as i32).to_be_bytes()),
            _ => extend(out, 0xD3, &number.to_be_bytes()),
        }
    }

    /// A number that is no 64-bit integer.
    fn number(&mut self, number: f64) {
        if number == 0.0 {
            // Minus zero, an integer to lua-cmsgpack.
            return self.integer(0);
        }
        let single = number as f32;
        if f64::from(single) == number {
            extend(&mut self.out, 0xCA, &single.to_be_bytes());
        } else {
            extend(&mut self.out, 0xCB, &number.to_be_bytes());
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let out = &mut self.out;
        match bytes.len() {
            len @ 0..=31 => out.push(0xA0 | len as u8),
            len @ 32..=0xFF => out.extend_from_slice(&[0xD9, len as u8]),
            len @ 0x100..=0xFFFF => extend(out, 0xDA, &(len as u16).to_be_bytes()),
            len => extend(out, 0xDB, &(len as u32).to_be_bytes()),
        }
        out.extend_from_slice(bytes);
    }

    /// The head of an array (`short` 0x90, `long` 0xDC) or a map (0x80, 0xDE).
    fn head(&mut self, short: u8, long: u8, len: usize) {
        match len {
            0..=15 => self.out.push(short | len as u8),
            16..=0xFFFF => extend(&mut self.out, long, &(len as u16).to_be_bytes()),
            _ => extend(&mut self.out, long + 1, &(len as u32).to_be_bytes()),
        }
    }

    fn table(&mut self, table: &Table, level: usize) -> Result<(), Raised> {
        let (mut count, mut max, mut is_array) = (0usize, 0i64, true);
        for pair in table.pairs::<Value, Value>() {
            count += 1;
            match pair?.0 {
                Value::Integer(index) if (1..=i64::from(i32::MAX)).contains(&index) => {
                    max = max.max(index);
                }
                _ => is_array = false,
            }
        }
        if is_array && max == count as i64 {
            self.head(0x90, 0xDC, count);
            for index in 1..=max {
                self.value(&table.raw_get(index)?, level + 1)?;
            }
            return Ok(());
        }
        self.head(0x80, 0xDE, count);
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            self.value(&key, level + 1)?;
            self.value(&value, level + 1)?;
        }
        Ok(())
    }
}

fn extend(out: &mut Vec<u8>, head: u8, bytes: &[u8]) {
    out.push(head);
    out.extend_from_slice(bytes);
}
