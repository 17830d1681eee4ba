//! `string.find` and `string.match`.

use memchr::memmem;
use mlua::Value;

use super::matcher::{Matcher, until_zero};
use super::{Arguments, Outcomes, Patience, captures};
use crate::script::exchange::{Exchange, Raised};

/// Where to begin, from zero: argument 3, which counts from one, or from the end where it is negative.
fn start(args: &Arguments<'_>, len: usize) -> Result<usize, Raised> {
    let at = args.integer_or(3, 1)?;
    let at = if at < 0 {
        at.saturating_add(len as i64 + 1).max(0)
    } else {
        at
    };
    Ok(usize::try_from(at - 1).unwrap_or(0).min(len))
}

pub(super) fn find(args: &Arguments<'_>, exchange: &Exchange) -> Outcomes {
    let (text, pattern) = (args.bytes(1)?, args.bytes(2)?);
    let from = start(args, text.len())?;
    let is_plain = match args.get(4) {
        Value::Nil | Value::Boolean(false) => !until_zero(&pattern)
            .iter()
            .any(|byte| b"^$*+?.([%-".contains(byte)),
        _ => true,
    };
    if is_plain {
        return Ok(match memmem::find(&text[from..], &pattern) {
            Some(at) => range(from + at, from + at + pattern.len()),
            None => vec![Value::Nil],
        });
    }
    let mut matcher = Matcher::anchorable(&text, &pattern, Patience::new(args.lua, exchange));
    let Some((begin, end)) = matcher.search(from)? else {
        return Ok(vec![Value::Nil]);
    };
    let mut values = range(begin, end);
    if matcher.captures() > 0 {
        values.extend(captures(&matcher, args, begin, end)?);
    }
    Ok(values)
}

/// From one, the end included.
fn range(begin: usize, end: usize) -> Vec<Value> {
    vec![Value::Integer(begin as i64 + 1), Value::Integer(end as i64)]
}

pub(super) fn first_match(args: &Arguments<'_>, exchange: &Exchange) -> Outcomes {
    let (text, pattern) = (args.bytes(1)?, args.bytes(2)?);
    let from = start(args, text.len())?;
    let mut matcher = Matcher::anchorable(&text, &pattern, Patience::new(args.lua, exchange));
    match matcher.search(from)? {
        Some((begin, end)) => captures(&matcher, args, begin, end),
        None => Ok(vec![Value::Nil]),
    }
}
