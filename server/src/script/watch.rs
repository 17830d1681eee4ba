//! The looks at the clock while Lua runs, and the end of what was killed.

use std::rc::Rc;

use mlua::debug::DebugEvent;
use mlua::{HookTriggers, Lua, VmState};

use super::exchange::{Exchange, Killed};
use super::libs::interrupt;
use super::limits::INSTRUCTIONS_PER_LOOK;
use super::sandbox::CHUNK;

/// Whatever a killed script does to survive, it fails again at its next line. The sandbox's own lines are spared, which
/// carry the error where it belongs; only what goes on and on there fails too.
pub(super) fn fail_from_now_on(lua: &Lua, killed: Killed) -> mlua::Result<()> {
    let triggers = HookTriggers::EVERY_LINE.every_nth_instruction(INSTRUCTIONS_PER_LOOK);
    lua.set_global_hook(triggers, move |_, debug| {
        let is_line = debug.event() == DebugEvent::Line;
        if is_line && debug.source().source.as_deref() == Some(CHUNK) {
            return Ok(VmState::Continue);
        }
        Err(mlua::Error::runtime(killed.text()))
    })
}

/// Whether the script is to go on, after the core has had its turn.
///
/// # Errors
/// It is to end.
pub(super) fn go_on(lua: &Lua, exchange: &Exchange) -> mlua::Result<()> {
    match exchange.killed.get() {
        Some(killed) => {
            fail_from_now_on(lua, killed)?;
            Err(mlua::Error::runtime(killed.text()))
        }
        None => Ok(()),
    }
}

/// Has the machine look at the clock now and then.
pub(super) fn watch(lua: &Lua, exchange: &Rc<Exchange>) {
    let shared = Rc::clone(exchange);
    let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_LOOK);
    lua.set_global_hook(triggers, move |lua, _| {
        interrupt(lua, &shared)?;
        Ok(VmState::Continue)
    })
    .expect("memory is bounded while scripts run only");
}
