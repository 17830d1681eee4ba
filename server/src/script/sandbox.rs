//! The sandbox: the world of the scripts and functions, written in Lua (`sandbox.lua`, `functions.lua`), and the way into it.

use std::cell::Cell;

use mlua::{Function, Lua, LuaString, Table, Value};

use super::flags::ScriptFlags;
use super::job::Code;
use super::libraries::{BAD_NAME, Function as Registered, name_of};
use super::limits::RESULTS_MAX;

/// The sandbox's source.
const SOURCE: &str = include_str!("sandbox.lua");
/// The same of what concerns functions only.
const FUNCTIONS: &str = include_str!("functions.lua");

/// The name of its chunk, by which its functions are told from a script's when an error's place is wanted.
pub(super) const CHUNK: &str = "=[sandbox]";

/// Errors that Lua makes a string of where nothing catches one more: without memory for it, the process would end
/// (`luaD_throw` of a coroutine that is not running). A string that is there takes no memory.
const UNPROTECTED_ERRORS: [&str; 2] = ["C stack overflow", "error in error handling"];
/// Name in the registry of the table that holds them.
const ERRORS: &str = "larder.errors";
/// The same of the strings that keep the table of strings from changing its size.
const STAYING: &str = "larder.staying";

/// The way into the sandbox of one machine.
pub(super) struct Sandbox {
    compile: Function,
    forget: Function,
    load_library: Function,
    forget_library: Function,
    /// Gives `load` the globals of functions, or those of scripts.
    use_env: Function,
    /// Whether it has those of functions.
    has_functions_env: Cell<bool>,
    reset_collector: Function,
    /// The scripts, by number.
    pub(super) scripts: Table,
    /// The globals that scripts find, without the proxy.
    pub(super) script_globals: Table,
    /// The functions of each library by their places, by the library's number.
    pub(super) libraries: Table,
    /// Gives an error the form in which `redis.pcall` gives one, and its place.
    pub(super) handler: Function,
    /// An array of a table's keys and values by turns, or of its keys alone, and how many elements that has.
    pub(super) flatten: Function,
}

/// Builds the sandbox over functions of Rust.
pub(super) fn load(lua: &Lua, raw: &Table) -> mlua::Result<Sandbox> {
    raw.raw_set("RESULTS_MAX", RESULTS_MAX)?;
    let (run, parts): (Table, Table) = lua.load(SOURCE).set_name(CHUNK).call(raw)?;
    raw.raw_set(
        "check_flag",
        lua.create_function(|_, name: LuaString| {
            Ok(ScriptFlags::named(&name.as_bytes()).is_some())
        })?,
    )?;
    raw.raw_set(
        "check_name",
        lua.create_function(|_, name: LuaString| {
            Ok(name_of(&name.as_bytes()).is_none().then_some(BAD_NAME))
        })?,
    )?;
    lua.load(FUNCTIONS)
        .set_name(CHUNK)
        .call::<()>((parts, raw))?;
    lua.set_named_registry_value(STAYING, run.raw_get::<Table>(1)?)?;
    lua.set_named_registry_value(ERRORS, lua.create_sequence_from(UNPROTECTED_ERRORS)?)?;
    lua.gc_collect()?;
    Ok(Sandbox {
        compile: run.raw_get("compile")?,
        forget: run.raw_get("forget")?,
        load_library: run.raw_get("load_library")?,
        forget_library: run.raw_get("forget_library")?,
        use_env: run.raw_get("use_env")?,
        has_functions_env: Cell::default(),
        reset_collector: run.raw_get("reset_collector")?,
        scripts: run.raw_get("scripts")?,
        script_globals: run.raw_get("script_globals")?,
        libraries: run.raw_get("libraries")?,
        handler: run.raw_get("handler")?,
        flatten: run.raw_get("flatten")?,
    })
}

impl Sandbox {
    /// Compiles a script. Why it could not be.
    pub(super) fn compile(&self, lua: &Lua, id: u64, text: &[u8]) -> mlua::Result<Option<Vec<u8>>> {
        let error: Value = self.compile.call((id, lua.create_string(text)?))?;
        Ok(match error {
            Value::String(text) => Some(text.as_bytes().to_vec()),
            _ => None,
        })
    }

    /// Forgets a script.
    pub(super) fn forget(&self, id: u64) -> mlua::Result<()> {
        self.forget.call(id)
    }

    /// A script or function is about to run.
    pub(super) fn prepare_for(&self, code: Code) -> mlua::Result<()> {
        let is_function = matches!(code, Code::Function { .. });
        if self.has_functions_env.replace(is_function) != is_function {
            self.use_env.call::<()>(is_function)?;
        }
        Ok(())
    }

    /// Collects garbage as always again.
    #[cold]
    pub(super) fn reset_collector(&self) -> mlua::Result<()> {
        self.reset_collector.call(())
    }

    /// Runs a library's code: the functions it registered, or Redis's text of why it could not.
    pub(super) fn load_library(
        &self,
        lua: &Lua,
        id: u64,
        text: &[u8],
    ) -> mlua::Result<Result<Vec<Registered>, Vec<u8>>> {
        let text = lua.create_string(text)?;
        let (error, made): (Option<LuaString>, Option<Vec<Table>>) =
            self.load_library.call((id, text))?;
        if let Some(error) = error {
            return Ok(Err(error.as_bytes().to_vec()));
        }
        let functions: mlua::Result<Vec<Registered>> =
            made.unwrap_or_default().iter().map(registered).collect();
        functions.map(Ok)
    }

    /// Forgets a library.
    pub(super) fn forget_library(&self, id: u64) -> mlua::Result<()> {
        self.forget_library.call(id)
    }
}

/// A function as a library registered it.
fn registered(made: &Table) -> mlua::Result<Registered> {
    let name: LuaString = made.raw_get("name")?;
    let description: Option<LuaString> = made.raw_get("description")?;
    let flags: Vec<LuaString> = made.raw_get("flags")?;
    let flags = flags
        .iter()
        .filter_map(|flag| ScriptFlags::named(&flag.as_bytes()));
    Ok(Registered {
        name: name.to_string_lossy(),
        description: description.map(|text| text.as_bytes().to_vec()),
        flags: flags.fold(ScriptFlags::default(), ScriptFlags::with),
    })
}

/// Where the error being handled was raised: what was called, if it was Lua's, else who called it. The sandbox's own
/// functions count as the library functions they stand for. Called by the handler, which is itself called where the
/// error was raised:
///
/// ```text
///  0 this function   1 handler   2 error, or what failed   3 a wrapper of the sandbox   4 the script
/// ```
pub(super) fn locate(lua: &Lua) -> mlua::Result<(Option<String>, i64)> {
    let place = |level: usize| {
        lua.inspect_stack(level, |debug| {
            let source = debug.source();
            Level {
                is_native: source.what == "C",
                is_tail_call: source.what == "tail",
                source: source
                    .source
                    .map(|text| text.into_owned())
                    .unwrap_or_default(),
                line: debug.current_line().map_or(-1, |line| line as i64),
            }
        })
    };
    let mut level = 2;
    let mut found = place(level);
    if found.as_ref().is_some_and(|place| place.is_native) {
        level += 1;
        found = place(level);
    }
    let is_wrapper = |place: &Level| place.source == CHUNK;
    if found.as_ref().is_some_and(is_wrapper) {
        while found
            .as_ref()
            .is_some_and(|place| is_wrapper(place) || place.is_tail_call)
        {
            level += 1;
            found = place(level);
        }
    }
    Ok(match found {
        Some(place) => (Some(place.source), place.line),
        None => (None, -1),
    })
}

/// A level of the stack.
struct Level {
    is_native: bool,
    is_tail_call: bool,
    source: String,
    line: i64,
}
