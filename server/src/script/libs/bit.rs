//! `bit`: operations on 32-bit integers, as Mike Pall's BitOp defines them. A number counts modulo 2^32.

use mlua::Value;

use super::{Arguments, Outcome, Registrar};
use crate::script::exchange::Raised;

pub(super) fn register(to: &Registrar<'_>) -> mlua::Result<()> {
    to.one("tobit", |args| Ok(result(operand(args, 1)?)))?;
    to.one("bnot", |args| Ok(result(!operand(args, 1)?)))?;
    to.one("band", |args| fold(args, |left, right| left & right))?;
    to.one("bor", |args| fold(args, |left, right| left | right))?;
    to.one("bxor", |args| fold(args, |left, right| left ^ right))?;
    to.one("lshift", |args| shift(args, |bits, by| bits << by))?;
    to.one("rshift", |args| shift(args, |bits, by| bits >> by))?;
    to.one("arshift", |args| {
        shift(args, |bits, by| (bits as i32 >> by) as u32)
    })?;
    to.one("rol", |args| shift(args, u32::rotate_left))?;
    to.one("ror", |args| shift(args, u32::rotate_right))?;
    to.one("bswap", |args| Ok(result(operand(args, 1)?.swap_bytes())))?;
    to.one("tohex", to_hex)
}

/// The 32 low bits of a number, rounded to the nearest integer, ties to even.
fn bits_of(number: f64) -> u32 {
    /// Added to a number of magnitude below 2^51, it moves the integer into the low bits of the mantissa.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    (number + SHIFT).to_bits() as u32
}

fn operand(args: &Arguments<'_>, number: usize) -> Result<u32, Raised> {
    args.number(number).map(bits_of)
}

fn result(bits: u32) -> Value {
    Value::Integer(i64::from(bits as i32))
}

fn fold(args: &Arguments<'_>, operation: impl Fn(u32, u32) -> u32) -> Outcome {
    let mut bits = operand(args, 1)?;
    for number in 2..=args.len() {
        bits = operation(bits, operand(args, number)?);
    }
    Ok(result(bits))
}

fn shift(args: &Arguments<'_>, operation: impl Fn(u32, u32) -> u32) -> Outcome {
    let bits = operand(args, 1)?;
    Ok(result(operation(bits, operand(args, 2)? & 31)))
}

/// Eight digits, or as many as asked for; capitals where the number asked for is negative.
fn to_hex(args: &Arguments<'_>) -> Outcome {
    let bits = operand(args, 1)?;
    let asked = if args.len() < 2 {
        8
    } else {
        operand(args, 2)? as i32
    };
    let digits = asked.unsigned_abs().min(8) as usize;
    let text = if asked < 0 {
        format!("{bits:08X}")
    } else {
        format!("{bits:08x}")
    };
    let text = args.lua.create_string(&text.as_bytes()[8 - digits..])?;
    Ok(Value::String(text))
}
