//! Calls in a `return`, made ordinary ones in a compiled script.
//!
//! Redis's functions are C: `return redis.sha1hex(…)` leaves the script's line to be found when it fails. Here most are wrappers
//! in Lua, and a tail call takes the caller's place and its line with it. So tail calls become calls, which the `return`
//! behind each allows: it returns all there is. (`OP_TAILCALL A B 0`, `OP_RETURN A 0`; "A No-Frills Introduction to Lua 5.1
//! VM Instructions", Kein-Hong Man, 2006.)
//!
//! Inside functions that is done only where a field of a table is called, as `redis.sha1hex` is: others may call each other in
//! this way without end.
//!
//! The same pass tells whether a chunk assigns to globals, which takes an instruction of its own (`OP_SETGLOBAL`). One that does not
//! needs no proxy that refuses it: it is given the table of the globals themselves.

/// Instructions of Lua 5.1.
mod op {
    pub(super) const GET_TABLE: u32 = 6;
    pub(super) const SET_GLOBAL: u32 = 7;
    pub(super) const SELF: u32 = 11;
    pub(super) const CALL: u32 = 28;
    pub(super) const TAIL_CALL: u32 = 29;
    pub(super) const MASK: u32 = 0x3f;
}

/// Reads what `string.dump` wrote on this machine.
struct Dump<'a> {
    bytes: &'a mut [u8],
    at: usize,
    sets_globals: bool,
}

/// What was found in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// It may assign to globals.
    pub(super) sets_globals: bool,
}

const HEADER_BYTES: usize = 12;

/// Rewrites a chunk as `string.dump` wrote it. None: it is none, or of another form than this Lua's.
pub(super) fn keep_callers(bytes: &mut [u8]) -> Option<Found> {
    // Sizes of an int, a size, an instruction and a number; numbers have fractions.
    let is_known = bytes.get(..HEADER_BYTES)? == b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00";
    if !is_known {
        return None;
    }
    let mut dump = Dump {
        bytes,
        at: HEADER_BYTES,
        sets_globals: false,
    };
    dump.function(true)?;
    Some(Found {
        sets_globals: dump.sets_globals,
    })
}

impl Dump<'_> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    fn int(&mut self) -> Option<usize> {
        let bytes = self.bytes.get(self.at..self.at + 4)?.try_into().ok()?;
        self.at += 4;
        usize::try_from(i32::from_ne_bytes(bytes)).ok()
    }

    fn skip_string(&mut self) -> Option<()> {
        let bytes = self.bytes.get(self.at..self.at + 8)?.try_into().ok()?;
        self.at += 8;
        self.skip(usize::try_from(u64::from_ne_bytes(bytes)).ok()?)
    }

    /// A function and those in it.
    fn function(&mut self, is_main: bool) -> Option<()> {
        self.skip_string()?;
        self.skip(4 + 4 + 4)?;
        let instructions = self.int()?;
        let code = self.at;
        self.skip(instructions.checked_mul(4)?)?;
        self.rewrite(code, instructions, is_main)?;
        for _ in 0..self.int()? {
            let kind = *self.bytes.get(self.at)?;
            self.at += 1;
            match kind {
                0 => {}
                1 => self.skip(1)?,
                3 => self.skip(8)?,
                4 => self.skip_string()?,
                _ => return None,
            }
        }
        for _ in 0..self.int()? {
            self.function(false)?;
        }
        let lines = self.int()?;
        self.skip(lines.checked_mul(4)?)?;
        for _ in 0..self.int()? {
            self.skip_string()?;
            self.skip(8)?;
        }
        for _ in 0..self.int()? {
            self.skip_string()?;
        }
        Some(())
    }

    fn instruction(&self, code: usize, index: usize) -> Option<u32> {
        let at = code + 4 * index;
        let bytes = self.bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    }

    fn rewrite(&mut self, code: usize, instructions: usize, is_main: bool) -> Option<()> {
        let register = |instruction: u32| (instruction >> 6) & 0xff;
        for index in 0..instructions {
            let instruction = self.instruction(code, index)?;
            // A number among the instructions may look like one: then the chunk has the proxy for nothing.
            self.sets_globals |= instruction & op::MASK == op::SET_GLOBAL;
            if instruction & op::MASK != op::TAIL_CALL {
                continue;
            }
            // What is called was loaded last into the register of the call.
            let callee = register(instruction);
            let loads = (0..index).rev().filter_map(|at| self.instruction(code, at));
            let load = loads
                .into_iter()
                .find(|load| register(*load) == callee)
                .map(|load| load & op::MASK);
            if is_main || matches!(load, Some(op::GET_TABLE | op::SELF)) {
                let call = (instruction & !op::MASK) | op::CALL;
                let at = code + 4 * index;
                self.bytes[at..at + 4].copy_from_slice(&call.to_ne_bytes());
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use mlua::Lua;

    use super::*;

    fn rewritten(lua: &Lua, text: &str) -> Vec<u8> {
        let mut bytes = lua.load(text).into_function().unwrap().dump(false);
        keep_callers(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_rewritten_chunk_does_what_it_did() {
        let lua = Lua::new();
        for (text, expected) in [
            ("return tostring(7)", "7"),
            ("return ('x'):rep(3)", "xxx"),
            (
                "return (function(...) return select('#', ...) end)(1, nil, 3)",
                "3",
            ),
            (
                "local function f(n) if n == 0 then return 'end' end return f(n - 1) end return f(1e6)",
                "end",
            ),
            (
                "local t = {1.5, 'text', true, nil, 2} local function g() return t[2] end return g()",
                "text",
            ),
            (
                "local x = 0 local function f() x = x + 1 return string.format('%d', x) end f() return f()",
                "2",
            ),
        ] {
            let bytes = rewritten(&lua, text);
            let before: String = lua.load(text).eval().unwrap();
            let loadstring: mlua::Function = lua.globals().get("loadstring").unwrap();
            let chunk: mlua::Function =
                loadstring.call(lua.create_string(&bytes).unwrap()).unwrap();
            let after: String = chunk.call(()).unwrap();
            assert_eq!(
                (before.as_str(), after.as_str()),
                (expected, expected),
                "{text}"
            );
        }
    }

    #[test]
    fn a_chunk_that_assigns_to_a_global_anywhere_is_found() {
        let lua = Lua::new();
        for (text, expected) in [
            ("return KEYS[1]", false),
            ("local x = 1 local t = {} t.x = x x = t return x", false),
            ("x = 1", true),
            (
                "local function f() return function() x = 1 end end return f",
                true,
            ),
            ("local x function x() end", false),
            ("function x() end", true),
            ("x, t = 1", true),
            ("for at = 1, 2 do x = at end", true),
        ] {
            let mut bytes = lua.load(text).into_function().unwrap().dump(false);
            let found = keep_callers(&mut bytes).unwrap();
            assert_eq!(found.sets_globals, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_left_alone() {
        let lua = Lua::new();
        let whole = rewritten(&lua, "return tostring(7)");
        for end in 0..whole.len() {
            assert!(keep_callers(&mut whole[..end].to_vec()).is_none());
        }
        assert!(keep_callers(&mut [0; 100]).is_none());
    }
}
