//! `struct`: bytes in the layout of C structures, as Roberto Ierusalimschy's struct packs and unpacks them.
//!
//! A format is a string of options, each with its size: integers `b B h H l L T i I`, numbers `f d`, strings `c s`, a byte
//! of padding `x`; `<` and `>` choose the order of bytes, `!` the alignment.

use mlua::Value;

use super::{Arguments, Outcome, Outcomes, Registrar};
use crate::script::exchange::Raised;
use crate::script::number::to_i64;

/// Largest integer, in bytes.
const INTEGER_MAX_BYTES: usize = 32;
/// Alignment of `!` without a number.
const DEFAULT_ALIGNMENT: usize = 8;
/// Values one call may give: slots of Lua's stack.
const VALUES_MAX: usize = 7_900;

pub(super) fn register(to: &Registrar<'_>) -> mlua::Result<()> {
    let memory_max_bytes = to.exchange.memory_max_bytes;
    to.one("pack", move |args| pack(args, memory_max_bytes))?;
    to.many("unpack", unpack)?;
    to.one("size", size)
}

/// A format being read.
struct Format<'a> {
    text: &'a [u8],
    is_big_endian: bool,
    alignment: usize,
}

impl<'a> Format<'a> {
    fn new(text: &'a [u8]) -> Self {
        // As a C string, it ends at a zero byte.
        let end = text.iter().position(|&byte| byte == 0);
        Self {
            text: &text[..end.unwrap_or(text.len())],
            is_big_endian: cfg!(target_endian = "big"),
            alignment: 1,
        }
    }

    /// The next option and its size; controlling options are none.
    fn next(&mut self) -> Result<Option<(u8, usize)>, Raised> {
        let Some((&option, rest)) = self.text.split_first() else {
            return Ok(None);
        };
        self.text = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_MAX_BYTES {
                    return Err(Raised::message(format!(
                        "integral size {size} is larger than limit of {INTEGER_MAX_BYTES}"
                    )));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    fn number(&mut self, default: usize) -> Result<usize, Raised> {
        if !self.text.first().is_some_and(u8::is_ascii_digit) {
            return Ok(default);
        }
        let mut number = 0i32;
        while let Some(digit @ b'0'..=b'9') = self.text.first() {
            let next = number
                .checked_mul(10)
                .and_then(|number| number.checked_add(i32::from(digit - b'0')));
            number = next.ok_or_else(|| Raised::message("integral size overflow"))?;
            self.text = &self.text[1..];
        }
        Ok(number as usize)
    }

    /// Bytes of padding before an option of `size` at `at`.
    fn padding(&self, at: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.alignment);
        // As the original, which means powers of two.
        size.wrapping_sub(at & (size - 1)) & (size - 1)
    }

    /// An option that is no value.
    fn control(&mut self, option: u8, args: &Arguments<'_>) -> Result<(), Raised> {
        match option {
            b' ' => {}
            b'>' => self.is_big_endian = true,
            b'<' => self.is_big_endian = false,
            b'!' => {
                let alignment = self.number(DEFAULT_ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    return Err(Raised::message(format!(
                        "alignment {alignment} is not a power of 2"
                    )));
                }
                self.alignment = alignment;
            }
            other => {
                let text = format!("invalid format option '{}'", char::from(other));
                return Err(args.bad(1, text));
            }
        }
        Ok(())
    }

    /// Native bytes in the order asked for.
    fn ordered<const N: usize>(&self, mut little_endian: [u8; N]) -> [u8; N] {
        if self.is_big_endian {
            little_endian.reverse();
        }
        little_endian
    }

    fn put_integer(&self, out: &mut Vec<u8>, number: f64, size: usize) {
        let mut value = if number < 0.0 {
            to_i64(number) as u64
        } else {
            number as u64
        };
        let begin = out.len();
        for _ in 0..size {
            out.push(value as u8);
            value >>= 8;
        }
        if self.is_big_endian {
            out[begin..].reverse();
        }
    }

    fn integer(&self, bytes: &[u8], is_signed: bool) -> f64 {
        let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let value = if self.is_big_endian {
            bytes.iter().fold(0, push)
        } else {
            bytes.iter().rev().fold(0, push)
        };
        if !is_signed {
            return value as f64;
        }
        let spare_bits = 64u32.saturating_sub(bytes.len() as u32 * 8);
        if spare_bits == 64 {
            return value as f64;
        }
        ((value << spare_bits) as i64 >> spare_bits) as f64
    }
}

fn pack(args: &Arguments<'_>, memory_max_bytes: usize) -> Outcome {
    let text = args.bytes(1)?;
    let mut format = Format::new(&text);
    let mut out = Vec::new();
    let mut number = 2;
    while let Some((option, mut size)) = format.next()? {
        let padding = format.padding(out.len(), option, size);
        out.resize(out.len() + padding, 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                format.put_integer(&mut out, args.number(number)?, size);
                number += 1;
            }
            b'x' => out.push(0),
            b'f' => {
                let value = args.number(number)? as f32;
                out.extend_from_slice(&format.ordered(value.to_le_bytes()));
                number += 1;
            }
            b'd' => {
                let value = args.number(number)?;
                out.extend_from_slice(&format.ordered(value.to_le_bytes()));
                number += 1;
            }
            b'c' | b's' => {
                let value = args.bytes(number)?;
                number += 1;
                if size == 0 {
                    size = value.len();
                }
                let Some(bytes) = value.get(..size) else {
                    return Err(args.bad(number, "string too short"));
                };
                out.extend_from_slice(bytes);
                if option == b's' {
                    out.push(0);
                }
            }
            other => format.control(other, args)?,
        }
        if out.len() > memory_max_bytes / 2 {
            return Err(Raised::message("not enough memory"));
        }
    }
    Ok(Value::String(args.lua.create_string(&out)?))
}

fn unpack(args: &Arguments<'_>) -> Outcomes {
    let (text, data) = (args.bytes(1)?, args.bytes(2)?);
    let mut format = Format::new(&text);
    let at = args.integer_or(3, 1)?;
    let Some(mut at) = (at as u64).checked_sub(1).map(|at| at as usize) else {
        return Err(args.bad(3, "offset must be 1 or greater"));
    };
    let too_short = || args.bad(2, "data string too short");
    let mut values = Vec::new();
    while let Some((option, mut size)) = format.next()? {
        at = at.wrapping_add(format.padding(at, option, size));
        let bytes = at
            .checked_add(size)
            .and_then(|end| data.get(at..end))
            .ok_or_else(too_short)?;
        if values.len() == VALUES_MAX {
            return Err(Raised::message("stack overflow (too many results)"));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = format.integer(bytes, option.is_ascii_lowercase());
                values.push(Value::Number(number));
            }
            b'f' => {
                let bytes = format.ordered(bytes.try_into().expect("a float is four bytes"));
                values.push(Value::Number(f32::from_le_bytes(bytes).into()));
            }
            b'd' => {
                let bytes = format.ordered(bytes.try_into().expect("a double is eight bytes"));
                values.push(Value::Number(f64::from_le_bytes(bytes)));
            }
            b'c' => {
                if size == 0 {
                    let Some(Value::Number(previous)) = values.pop() else {
                        let text = "format 'c0' needs a previous size";
                        return Err(Raised::message(text));
                    };
                    size = to_i64(previous) as usize;
                }
                let bytes = at
                    .checked_add(size)
                    .and_then(|end| data.get(at..end))
                    .ok_or_else(too_short)?;
                values.push(Value::String(args.lua.create_string(bytes)?));
            }
            b's' => {
                let rest = &data[at..];
                let Some(end) = rest.iter().position(|&byte| byte == 0) else {
                    return Err(Raised::message("unfinished string in data"));
                };
                values.push(Value::String(args.lua.create_string(&rest[..end])?));
                size = end + 1;
            }
            b'x' => {}
            other => format.control(other, args)?,
        }
        at += size;
    }
    values.push(Value::Integer((at as i64).wrapping_add(1)));
    Ok(values)
}

fn size(args: &Arguments<'_>) -> Outcome {
    let text = args.bytes(1)?;
    let mut format = Format::new(&text);
    let mut at = 0usize;
    while let Some((option, size)) = format.next()? {
        at = at.wrapping_add(format.padding(at, option, size));
        match option {
            b's' => return Err(args.bad(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(args.bad(1, "option 'c0' has no fixed size")),
            _ => {}
        }
        if !option.is_ascii_alphanumeric() {
            format.control(option, args)?;
        }
        at = at.wrapping_add(size);
    }
    Ok(Value::Integer(at as i64))
}
