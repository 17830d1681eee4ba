//! The settings of a `cjson`, and the functions that read and change them.

use std::cell::Cell;

use mlua::Value;

use crate::script::arguments::Arguments;
use crate::script::exchange::Raised;
use crate::script::libs::Outcome;

/// What becomes of infinities and of what is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidNumbers {
    /// An error.
    Refused,
    /// Written as C writes them.
    Written,
    /// Written as `null`.
    Null,
}

/// The settings of one `cjson`.
#[derive(Debug)]
pub(super) struct Settings {
    /// Whether an excessively sparse array becomes an object.
    pub(super) sparse_convert: Cell<bool>,
    /// How many times more indexes than elements are excessive; 0: none.
    pub(super) sparse_ratio: Cell<i32>,
    /// Up to this index an array is never excessively sparse.
    pub(super) sparse_safe: Cell<i32>,
    pub(super) encode_max_depth: Cell<i32>,
    pub(super) decode_max_depth: Cell<i32>,
    pub(super) encode_number_precision: Cell<i32>,
    /// Kept for what scripts read back; there is no buffer to keep.
    pub(super) encode_keep_buffer: Cell<bool>,
    pub(super) encode_invalid_numbers: Cell<InvalidNumbers>,
    pub(super) decode_invalid_numbers: Cell<bool>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_convert: Cell::new(false),
            sparse_ratio: Cell::new(2),
            sparse_safe: Cell::new(10),
            encode_max_depth: Cell::new(1000),
            decode_max_depth: Cell::new(1000),
            encode_number_precision: Cell::new(14),
            encode_keep_buffer: Cell::new(true),
            encode_invalid_numbers: Cell::new(InvalidNumbers::Refused),
            decode_invalid_numbers: Cell::new(true),
        }
    }
}

fn at_most(args: &Arguments<'_>, count: usize) -> Result<(), Raised> {
    if args.len() <= count {
        return Ok(());
    }
    Err(args.bad(count + 1, "found too many arguments"))
}

fn set_integer(
    args: &Arguments<'_>,
    number: usize,
    setting: &Cell<i32>,
    min: i32,
    max: i32,
) -> Result<(), Raised> {
    if args.is_nil(number) {
        return Ok(());
    }
    let value = args.integer32(number)?;
    if value < min || value > max {
        return Err(args.bad(1, format!("expected integer between {min} and {max}")));
    }
    setting.set(value);
    Ok(())
}

/// Sets a number, if one is given, and gives the present one.
pub(super) fn integer(args: &Arguments<'_>, setting: &Cell<i32>, min: i32, max: i32) -> Outcome {
    at_most(args, 1)?;
    set_integer(args, 1, setting, min, max)?;
    Ok(Value::Integer(setting.get().into()))
}

fn set_on_off(args: &Arguments<'_>, number: usize, setting: &Cell<bool>) -> Result<(), Raised> {
    match args.get(number) {
        Value::Nil => {}
        Value::Boolean(on) => setting.set(*on),
        _ => setting.set(args.option(number, &["off", "on"])? == 1),
    }
    Ok(())
}

/// Sets what is on or off, if it is given, and gives the present state.
pub(super) fn on_off(args: &Arguments<'_>, setting: &Cell<bool>) -> Outcome {
    at_most(args, 1)?;
    set_on_off(args, 1, setting)?;
    Ok(Value::Boolean(setting.get()))
}

pub(super) fn encode_invalid_numbers(args: &Arguments<'_>, settings: &Settings) -> Outcome {
    at_most(args, 1)?;
    let setting = &settings.encode_invalid_numbers;
    match args.get(1) {
        Value::Nil => {}
        Value::Boolean(true) => setting.set(InvalidNumbers::Written),
        Value::Boolean(false) => setting.set(InvalidNumbers::Refused),
        _ => setting.set(match args.option(1, &["off", "on", "null"])? {
            0 => InvalidNumbers::Refused,
            1 => InvalidNumbers::Written,
            _ => InvalidNumbers::Null,
        }),
    }
    Ok(match setting.get() {
        InvalidNumbers::Refused => Value::Boolean(false),
        InvalidNumbers::Written => Value::Boolean(true),
        InvalidNumbers::Null => Value::String(args.lua.create_string("null")?),
    })
}

/// Sets up to three settings, and gives all of them.
pub(super) fn encode_sparse_array(
    args: &Arguments<'_>,
    settings: &Settings,
) -> Result<Vec<Value>, Raised> {
    at_most(args, 3)?;
    set_on_off(args, 1, &settings.sparse_convert)?;
    set_integer(args, 2, &settings.sparse_ratio, 0, i32::MAX)?;
    set_integer(args, 3, &settings.sparse_safe, 0, i32::MAX)?;
    Ok(vec![
        Value::Boolean(settings.sparse_convert.get()),
        Value::Integer(settings.sparse_ratio.get().into()),
        Value::Integer(settings.sparse_safe.get().into()),
    ])
}
