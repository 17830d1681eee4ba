//! The way of every script, on Lua's own stack: its keys and arguments become Lua values, its commands go out to the core and
//! their replies come in, and its value becomes the reply. `mlua` makes a reference of each value that crosses; here none is made.
//!
//! ```text
//!  run      text, keys, arguments ─▶ Lua values ─▶ the script ─▶ a string or number: the reply; any other value: mlua's
//!  command  strings, numbers ─▶ the exchange ─▶ the core ─▶ a string, number, status OK or flat array; any other reply, and
//!           every error: a function of mlua's
//!  exit     how a machine is left from inside Lua
//! ```
//!
//! **What is unsafe.** An error of Lua is a `longjmp`: it ends the frames up to the next protected call without dropping what
//! they hold. So between a call that may raise and the frame's end nothing is held that has a destructor: what is borrowed or
//! allocated is given back before. Which calls raise is said at each: of Lua's interface, those that allocate (for lack of
//! memory) and those that call or index with metamethods. A panic unwinds through Lua's frames, which have nothing to drop
//! either, and ends the machine.
//!
//! What is unusual is left to `mlua`, which is also the twin that the tests compare with (`tests`).
#![allow(
    unsafe_code,
    reason = "Lua's C interface; see docs/decisions/0021-lua-stack.md"
)]

mod command;
mod exit;
mod run;
mod tests;

pub(super) use command::{commander, some};
pub(super) use exit::Exit;
pub(super) use run::{Ended, run};
