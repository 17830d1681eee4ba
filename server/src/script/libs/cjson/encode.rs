//! Lua values to JSON.
//!
//! A table is an array if its keys are whole numbers from one on, and not all too few of those up to the largest; an empty
//! one is an object. Cost: one walk over each table to find out which, one to write it.

use mlua::{Lua, Table, Value};

use super::settings::{InvalidNumbers, Settings};
use crate::script::exchange::{Exchange, Raised};
use crate::script::libs::Patience;
use crate::script::limits::DOCUMENT_DEPTH_MAX;
use crate::script::number::format_general;

/// The JSON of `value`.
pub(super) fn encode(
    lua: &Lua,
    value: &Value,
    settings: &Settings,
    exchange: &Exchange,
) -> Result<Vec<u8>, Raised> {
    let mut encoder = Encoder {
        settings,
        json: Vec::new(),
        patience: Patience::new(lua, exchange),
        json_max_bytes: exchange.memory_max_bytes / 2,
    };
    encoder.value(value, 0)?;
    Ok(encoder.json)
}

struct Encoder<'a> {
    settings: &'a Settings,
    json: Vec<u8>,
    patience: Patience<'a>,
    json_max_bytes: usize,
}

/// What a table is written as.
enum Shape {
    Array(i64),
    Object,
}

impl Encoder<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Raised> {
        self.patience.step()?;
        if self.json.len() > self.json_max_bytes {
            return Err(Raised::message("not enough memory"));
        }
        match value {
            Value::Nil => self.json.extend_from_slice(b"null"),
            Value::LightUserData(data) if data.0.is_null() => {
                self.json.extend_from_slice(b"null");
            }
            Value::Boolean(true) => self.json.extend_from_slice(b"true"),
            Value::Boolean(false) => self.json.extend_from_slice(b"false"),
            Value::Integer(number) => self.number(*number as f64)?,
            Value::Number(number) => self.number(*number)?,
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Table(table) => self.table(table, depth + 1)?,
            other => return Err(refused(type_name(other), "type not supported")),
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<(), Raised> {
        if !number.is_finite() {
            match self.settings.encode_invalid_numbers.get() {
                InvalidNumbers::Refused => {
                    return Err(refused("number", "must not be NaN or Inf"));
                }
                InvalidNumbers::Written if number.is_nan() => {
                    self.json.extend_from_slice(b"nan");
                    return Ok(());
                }
                InvalidNumbers::Written => {}
                InvalidNumbers::Null => {
                    self.json.extend_from_slice(b"null");
                    return Ok(());
                }
            }
        }
        let precision = self.settings.encode_number_precision.get() as usize;
        let text = format_general(number, precision);
        self.json.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        self.json.push(b'"');
        for &byte in text {
            match byte {
                b'"' | b'\\' | b'/' => self.json.extend_from_slice(&[b'\\', byte]),
                0x08 => self.json.extend_from_slice(b"\\b"),
                b'\t' => self.json.extend_from_slice(b"\\t"),
                b'\n' => self.json.extend_from_slice(b"\\n"),
                0x0C => self.json.extend_from_slice(b"\\f"),
                b'\r' => self.json.extend_from_slice(b"\\r"),
                0..=0x1F | 0x7F => {
                    let escape = format!("\\u{byte:04x}");
                    self.json.extend_from_slice(escape.as_bytes());
                }
                _ => self.json.push(byte),
            }
        }
        self.json.push(b'"');
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<(), Raised> {
        let depth_max = self.settings.encode_max_depth.get() as usize;
        if depth > depth_max || depth > DOCUMENT_DEPTH_MAX {
            let text = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(Raised::message(text));
        }
        match self.shape(table)? {
            Shape::Array(len) => self.array(table, len, depth),
            Shape::Object => self.object(table, depth),
        }
    }

    fn shape(&self, table: &Table) -> Result<Shape, Raised> {
        let (mut max, mut count, mut is_array) = (0i64, 0i64, true);
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(index) if index >= 1 => max = max.max(index),
                Value::Number(index) if index >= 1.0 && index.fract() == 0.0 => max = i64::MAX,
                _ => is_array = false,
            }
            if !is_array {
                return Ok(Shape::Object);
            }
            count += 1;
        }
        let ratio = i64::from(self.settings.sparse_ratio.get());
        let safe = i64::from(self.settings.sparse_safe.get());
        if ratio > 0 && max > count.saturating_mul(ratio) && max > safe {
            if !self.settings.sparse_convert.get() {
                return Err(refused("table", "excessively sparse array"));
            }
            return Ok(Shape::Object);
        }
        Ok(if max > 0 {
            Shape::Array(max)
        } else {
            Shape::Object
        })
    }

    fn array(&mut self, table: &Table, len: i64, depth: usize) -> Result<(), Raised> {
        self.json.push(b'[');
        for index in 1..=len {
            if index > 1 {
                self.json.push(b',');
            }
            let element: Value = table.raw_get(index)?;
            self.value(&element, depth)?;
        }
        self.json.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: usize) -> Result<(), Raised> {
        self.json.push(b'{');
        let mut is_first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !std::mem::take(&mut is_first) {
                self.json.push(b',');
            }
            match &key {
                Value::String(name) => self.string(&name.as_bytes()),
                Value::Integer(_) | Value::Number(_) => {
                    self.json.push(b'"');
                    self.value(&key, depth)?;
                    self.json.push(b'"');
                }
                other => {
                    let reason = "table key must be a number or string";
                    return Err(refused(type_name(other), reason));
                }
            }
            self.json.push(b':');
            self.value(&value, depth)?;
        }
        self.json.push(b'}');
        Ok(())
    }
}

fn refused(what: &str, reason: &str) -> Raised {
    Raised::message(format!("Cannot serialise {what}: {reason}"))
}

/// Lua's name of a value's type.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::LightUserData(_) | Value::UserData(_) | Value::Error(_) => "userdata",
        Value::Integer(_) => "number",
        other => other.type_name(),
    }
}
