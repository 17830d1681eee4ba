//! Scripts in Lua 5.1, as Redis runs them.
//!
//! ```text
//!  vm          Lua on a stack of its own: a script leaves it for every command, and when it takes too long
//!   ├ job       what a machine is told to do
//!   ├ exchange  what both sides hand each other across the switch
//!   ├ watch     looks at the clock, and the end of what was killed
//!   ├ sandbox   the world of the scripts, in Lua: read-only tables, errors with their places
//!   ├ libs      what scripts find in it: redis, cjson, cmsgpack, bit, struct, patterns, random numbers
//!   ├ convert   replies to Lua values and back
//!   └ raw       the way of every script, on Lua's own stack (unsafe)
//!  engine      a core's machines and the scripts they have compiled
//!  cache       the scripts all cores know, by their SHA-1
//!  busy        the scripts that run for too long, for all cores to see
//!  libraries   the libraries of functions all cores know
//!  declared    which keys a script reaches, by its text
//!  known       which scripts keep to the keys they declare
//!  flags       what a script says of itself in its first line
//! ```
//!
//! A machine knows nothing of the core that drives it (`dispatch`): commands are byte strings out, replies in RESP in.

mod arguments;
mod busy;
mod bytecode;
mod cache;
mod convert;
mod declared;
mod engine;
mod exchange;
mod faults;
mod flags;
mod hostile;
mod job;
mod known;
mod libraries;
mod libs;
mod limits;
mod number;
mod raw;
mod sandbox;
mod tests;
mod vm;
mod watch;
mod words;

pub use busy::{BusyScript, BusyScripts, Kill, Kind};
pub use cache::{Origin, Script, ScriptCache, Sha, sha_of};
pub use declared::{Arg, Call, calls_of_library, calls_of_script};
pub use engine::{Callable, Engine, Machine, NoScript};
pub use exchange::ReplyError;
pub use flags::{ScriptFlags, flags_of_text};
pub use job::{Code, LoadOptions, RunOptions};
pub use known::{Habit, KnownScripts};
pub use libraries::{Function, Libraries, Library, LibraryCache};
pub use libs::Ask;
pub use limits::{LIBRARY_LOAD_MAX, LIBRARY_RELOAD_MAX};
pub use vm::{GoOn, Step, Vm};
pub use words::Words;
