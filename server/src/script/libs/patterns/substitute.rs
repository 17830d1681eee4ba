//! `string.gsub` with a text, and the steps of `gmatch` and of `gsub` with a function or a table, whose loops are the
//! sandbox's: what they call is Lua.

use mlua::Value;

use super::matcher::{Captured, Matcher};
use super::{Arguments, Outcomes, Patience, captures};
use crate::script::exchange::{Exchange, Raised};

/// Checks the arguments of `gmatch`.
pub(super) fn check_gmatch(args: &Arguments<'_>) -> Outcomes {
    args.bytes(1)?;
    args.bytes(2)?;
    Ok(vec![Value::Boolean(true)])
}

/// How many replacements `gsub` may make.
fn replacements_max(args: &Arguments<'_>, text: &[u8]) -> Result<i64, Raised> {
    let all = text.len() as i64 + 1;
    args.integer_or(4, all).map(|count| (count as i32).into())
}

/// Checks the arguments of `gsub`, and gives how many replacements it may make.
pub(super) fn check_gsub(args: &Arguments<'_>) -> Outcomes {
    let text = args.bytes(1)?;
    args.bytes(2)?;
    Ok(vec![Value::Integer(replacements_max(args, &text)?)])
}

/// The next match from a place on, which counts from one: the number of captures, the captures, and where to go on.
pub(super) fn gmatch(args: &Arguments<'_>, exchange: &Exchange) -> Outcomes {
    let (text, pattern) = (args.bytes(1)?, args.bytes(2)?);
    let from = args.integer(3)? as usize - 1;
    let mut matcher = Matcher::unanchored(&text, &pattern, Patience::new(args.lua, exchange));
    let Some((begin, end)) = matcher.search(from)? else {
        return Ok(vec![Value::Nil]);
    };
    let values = captures(&matcher, args, begin, end)?;
    let next = if end == begin { end + 1 } else { end };
    step(args, values, &[next])
}

/// The same for `gsub`, and where the match ends and begins.
pub(super) fn gsub_step(args: &Arguments<'_>, exchange: &Exchange) -> Outcomes {
    let (text, pattern) = (args.bytes(1)?, args.bytes(2)?);
    let from = args.integer(3)? as usize - 1;
    let mut matcher = Matcher::anchorable(&text, &pattern, Patience::new(args.lua, exchange));
    let Some((begin, end)) = matcher.search(from)? else {
        return Ok(vec![Value::Nil]);
    };
    let values = captures(&matcher, args, begin, end)?;
    step(args, values, &[end, begin])
}

fn step(args: &Arguments<'_>, values: Vec<Value>, places: &[usize]) -> Outcomes {
    let count = Value::Integer(values.len() as i64);
    let table = args.lua.create_sequence_from(values)?;
    let mut step = vec![count, Value::Table(table)];
    step.extend(places.iter().map(|at| Value::Integer(*at as i64 + 1)));
    Ok(step)
}

/// `gsub` with a text to put in place of each match: the result, and the number of matches.
pub(super) fn with_text(args: &Arguments<'_>, exchange: &Exchange) -> Outcomes {
    let (text, pattern) = (args.bytes(1)?, args.bytes(2)?);
    let most = replacements_max(args, &text)?;
    let by = match args.get(3) {
        Value::String(_) | Value::Integer(_) | Value::Number(_) => args.bytes(3)?,
        _ => return Err(args.bad(3, "string/function/table expected")),
    };
    let mut matcher = Matcher::anchorable(&text, &pattern, Patience::new(args.lua, exchange));
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut count) = (0, 0);
    while count < most {
        let found = matcher.match_at(at)?;
        if let Some(end) = found {
            count += 1;
            replace(&mut out, &matcher, &by, &text, (at, end))?;
        }
        match found {
            Some(end) if end > at => at = end,
            _ if at < text.len() => {
                out.push(text[at]);
                at += 1;
            }
            _ => break,
        }
        if out.len() > exchange.memory_max_bytes / 2 {
            return Err(Raised::message("not enough memory"));
        }
        if matcher.is_anchored {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
    Ok(vec![
        Value::String(args.lua.create_string(&out)?),
        Value::Integer(count),
    ])
}

/// Appends the replacement of a match: `%0` is the match, `%1` to `%9` its captures, `%` before another byte that byte.
fn replace(
    out: &mut Vec<u8>,
    matcher: &Matcher<'_>,
    by: &[u8],
    text: &[u8],
    (begin, end): (usize, usize),
) -> Result<(), Raised> {
    let mut bytes = by.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        match bytes.next().copied().unwrap_or(0) {
            b'0' => out.extend_from_slice(&text[begin..end]),
            digit @ b'1'..=b'9' => match matcher.capture((digit - b'1').into(), begin, end)? {
                Captured::Text(captured) => out.extend_from_slice(captured),
                Captured::Position(at) => out.extend_from_slice((at + 1).to_string().as_bytes()),
            },
            other => out.push(other),
        }
    }
    Ok(())
}
