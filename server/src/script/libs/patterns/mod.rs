//! Lua's patterns: `string.find`, `match`, `gmatch` and `gsub`.
//!
//! Written anew rather than taken from Lua 5.1 for two reasons. Its matcher recurses once for every repetition in the
//! pattern, without a bound, so that a long pattern overflows the stack; and it can search for longer than anyone waits
//! without an instruction of Lua, so that the script could not be interrupted.

mod find;
mod matcher;
mod substitute;

use std::rc::Rc;

use mlua::Value;

use super::{Arguments, MultiValue, Outcomes, Patience, Registrar, raise, several};

pub(super) fn register(to: &Registrar<'_>) -> mlua::Result<()> {
    let exchange = Rc::clone(to.exchange);
    to.few("find", move |args| find::find(args, &exchange))?;
    let exchange = Rc::clone(to.exchange);
    to.few("match", move |args| find::first_match(args, &exchange))?;
    let exchange = Rc::clone(to.exchange);
    let gsub = several(to.lua, to.exchange, "gsub", move |args| {
        substitute::with_text(args, &exchange)
    })?;
    to.raw.raw_set("gsub", gsub)?;
    // The steps of what calls back into Lua, by number.
    let exchange = Rc::clone(to.exchange);
    let matcher = to
        .lua
        .create_function(move |lua, (step, values): (u32, MultiValue)| {
            let outcome = match step {
                CHECK_GMATCH => substitute::check_gmatch(&Arguments::new(lua, "gmatch", values)),
                CHECK_GSUB => substitute::check_gsub(&Arguments::new(lua, "gsub", values)),
                GMATCH => substitute::gmatch(&Arguments::new(lua, "gmatch", values), &exchange),
                _ => substitute::gsub_step(&Arguments::new(lua, "gsub", values), &exchange),
            };
            Ok(match outcome {
                Ok(values) => MultiValue::from_vec(values),
                Err(raised) => MultiValue::from_vec(vec![raise(&exchange, raised)?]),
            })
        })?;
    to.raw.raw_set("matcher", matcher)
}

/// Checks the arguments of `gmatch`.
const CHECK_GMATCH: u32 = 1;
/// Checks those of `gsub`, and gives how many replacements it may make.
const CHECK_GSUB: u32 = 2;
/// The next match, from a place on: the number of captures, the captures, where to go on.
const GMATCH: u32 = 3;

/// A value for each capture, or for the whole match where there are none.
fn captures(
    matcher: &matcher::Matcher<'_>,
    args: &Arguments<'_>,
    start: usize,
    end: usize,
) -> Outcomes {
    let count = matcher.captures().max(1);
    (0..count)
        .map(|index| capture(matcher, args, index, start, end))
        .collect()
}

fn capture(
    matcher: &matcher::Matcher<'_>,
    args: &Arguments<'_>,
    index: usize,
    start: usize,
    end: usize,
) -> super::Outcome {
    Ok(match matcher.capture(index, start, end)? {
        matcher::Captured::Text(bytes) => Value::String(args.lua.create_string(bytes)?),
        matcher::Captured::Position(at) => Value::Integer(at as i64 + 1),
    })
}
