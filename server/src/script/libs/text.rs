//! `string.rep`, which in Lua's own form can neither be interrupted nor knows of the bound of memory until it is too late.

use mlua::Value;

use super::{Arguments, Outcome, Registrar};
use crate::script::exchange::Raised;

pub(super) fn register(to: &Registrar<'_>) -> mlua::Result<()> {
    let memory_max_bytes = to.exchange.memory_max_bytes;
    to.one("rep", move |args| repeat(args, memory_max_bytes))
}

fn repeat(args: &Arguments<'_>, memory_max_bytes: usize) -> Outcome {
    let text = args.bytes(1)?;
    let times = usize::try_from(args.integer32(2)?).unwrap_or(0);
    let len = text.len().saturating_mul(times);
    // Half of it, since the bytes are copied once.
    if len > memory_max_bytes / 2 {
        return Err(Raised::message("not enough memory"));
    }
    Ok(Value::String(args.lua.create_string(text.repeat(times))?))
}
