//! Every bound of the scripts, by name.

use std::time::Duration;

/// Address space of the stack that a virtual machine runs on. Only what is touched takes memory. The deepest nesting that
/// the bounds below allow fits in half of it, unoptimised.
pub(super) const STACK_BYTES: usize = 16 << 20;

/// Memory that scripts of one virtual machine may hold; beyond, they fail with "not enough memory".
pub(super) const MEMORY_MAX_BYTES: usize = 1 << 30;

/// Memory held after a script above which all garbage is collected at once.
pub(super) const GARBAGE_MAX_BYTES: usize = 64 << 20;

/// Bytes of a chunk's text: Lua's lexer counts in an `int` what a text repeats. What a script itself has compiled is less.
pub(super) const CHUNK_MAX_BYTES: usize = i32::MAX as usize;
const _: () = assert!(MEMORY_MAX_BYTES < CHUNK_MAX_BYTES);

/// Values that `unpack` gives at most (`LUAI_MAXCSTACK`).
pub(super) const RESULTS_MAX: usize = 8_000;

/// Instructions after which a running script looks at the clock, as in Redis.
pub(super) const INSTRUCTIONS_PER_LOOK: u32 = 100_000;

/// Steps of a pattern match, or elements of a document, after which the clock is looked at.
pub(super) const STEPS_PER_LOOK: u32 = 1 << 18;

/// Nesting of a pattern's repetitions and captures (`LUAI_MAXCCALLS`, which Lua 5.2 made the bound here).
pub(super) const MATCH_DEPTH_MAX: u32 = 200;

/// Nesting of a script's reply: about what Lua's stack allows in Redis.
pub(super) const REPLY_DEPTH_MAX: usize = 7_000;

/// Nesting of JSON and MessagePack, whatever a script asks for; Redis ends between two and four thousand levels.
pub(super) const DOCUMENT_DEPTH_MAX: usize = 1_500;

/// Scripts run by `EVAL` alone that are remembered; those of `SCRIPT LOAD` stay until they are flushed.
pub(super) const EVALUATED_SCRIPTS_MAX: usize = 500;

/// Scripts of which it is remembered whether they keep to the keys they declare.
pub(super) const KNOWN_SCRIPTS_MAX: usize = 10_000;

/// Machines a core keeps beside the one it uses, for when scripts wait for other cores again.
pub(super) const IDLE_MACHINES_MAX: usize = 16;

/// How long a new library of functions may take to load, as in Redis.
pub const LIBRARY_LOAD_MAX: Duration = Duration::from_millis(500);

/// The same where it is known to load: on the other cores, and when it is restored. Redis sets no bound there.
pub const LIBRARY_RELOAD_MAX: Duration = Duration::from_secs(5);
