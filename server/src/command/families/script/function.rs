//! Functions: `FCALL`, `FCALL_RO`, and `FUNCTION` about the libraries they come from.
//!
//! A library is loaded on its client's core and then known to all; the others load it when they come to call it.
//!
//! ```text
//! DUMP:  [ 245 | code, as a string of an RDB file ] a library, and the footer of DUMP
//! ```
//! Read, not written: 246, as Redis 7.0 had it before it came out: name, engine, a description or none, and the code without
//! its first line.

use std::borrow::Cow;

use super::{
    COST, INVOCATION, MAY_WRITE, MAY_WRITE_NOTE, ONLY_READS, ONLY_READS_NOTE, READS, SUBCOMMAND,
    WRITES, busy, end_busy,
};
use crate::command::{CommandSpec, CoreState, Flags, Group, Invoke, Keys, Run, SessionCall};
use crate::glob::{self, Case};
use crate::rdb::{Input, Output, Packing, seal, unseal};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::script::{Kind, LIBRARY_LOAD_MAX, LIBRARY_RELOAD_MAX, Libraries, Library, LoadOptions};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "fcall",
        flags: WRITES,
        keys: Keys::of(&[MAY_WRITE.note(MAY_WRITE_NOTE)]),
        since: "7.0.0",
        syntax: "function numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Calls a function.",
        complexity: "Depends on the function that is executed.",
        run: Run::Script(Invoke::Function),
        ..INVOCATION
    },
    CommandSpec {
        name: "fcall_ro",
        flags: READS,
        keys: Keys::of(&[ONLY_READS.note(ONLY_READS_NOTE)]),
        since: "7.0.0",
        syntax: "function numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Calls a function that does not write.",
        complexity: "Depends on the function that is executed.",
        run: Run::Script(Invoke::Function),
        ..INVOCATION
    },
    CommandSpec {
        name: "function",
        arity: -2,
        group: Group::Scripting,
        since: "7.0.0",
        summary: "A container for commands about functions.",
        complexity: "Depends on subcommand",
        subcommands: FUNCTION,
        ..CommandSpec::BASE
    },
];

const CHANGES: CommandSpec = CommandSpec {
    flags: Flags::WRITE
        .with(Flags::NOSCRIPT)
        .with(Flags::WHOLE_KEYSPACE),
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    ..TELLS
};

const TELLS: CommandSpec = CommandSpec {
    since: "7.0.0",
    ..SUBCOMMAND
};

static FUNCTION: &[CommandSpec] = &[
    CommandSpec {
        name: "function|delete",
        arity: 3,
        syntax: "library-name",
        summary: "Deletes a library and its functions.",
        complexity: "O(N) with N being the number of libraries and functions",
        run: Run::OnSession(delete),
        ..CHANGES
    },
    CommandSpec {
        name: "function|dump",
        summary: "Answers all libraries in the form FUNCTION RESTORE takes.",
        complexity: "O(N) where N is the number of functions",
        run: Run::OnSession(dump),
        ..TELLS
    },
    CommandSpec {
        name: "function|flush",
        arity: -2,
        syntax: "[ASYNC|SYNC]",
        summary: "Deletes all libraries.",
        complexity: "O(N) where N is the number of functions deleted",
        run: Run::OnSession(flush),
        ..CHANGES
    },
    CommandSpec {
        name: "function|help",
        flags: Flags::ANYTIME,
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..TELLS
    },
    CommandSpec {
        name: "function|kill",
        flags: Flags::NOSCRIPT.with(Flags::ALLOW_BUSY),
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        summary: "Ends the function that keeps the server busy.",
        run: Run::OnSession(kill),
        ..TELLS
    },
    CommandSpec {
        name: "function|list",
        arity: -2,
        tips: &["nondeterministic_output_order"],
        syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
        summary: "Describes the libraries.",
        complexity: "O(N) where N is the number of functions",
        run: Run::OnSession(list),
        ..TELLS
    },
    CommandSpec {
        name: "function|load",
        arity: -3,
        flags: CHANGES.flags.with(Flags::DENYOOM),
        syntax: "[REPLACE] function-code",
        summary: "Creates a library of functions.",
        complexity: COST,
        run: Run::OnSession(load),
        ..CHANGES
    },
    CommandSpec {
        name: "function|restore",
        arity: -3,
        flags: CHANGES.flags.with(Flags::DENYOOM),
        syntax: "serialized-value [FLUSH|APPEND|REPLACE]",
        summary: "Creates libraries from what FUNCTION DUMP answered.",
        complexity: "O(N) where N is the number of functions on the payload",
        run: Run::OnSession(restore),
        ..CHANGES
    },
    CommandSpec {
        name: "function|stats",
        flags: Flags::NOSCRIPT.with(Flags::ALLOW_BUSY),
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        summary: "Describes the function that keeps the server busy, and how much is loaded.",
        run: Run::OnSession(stats),
        ..TELLS
    },
];

const HELP: &[&str] = &[
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Library description",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of failure",
    "      in case of functions name collision with another library).",
    "HELP",
    "    Prints this help.",
];

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

fn error(text: &[u8]) -> ErrorReply {
    errors::with_text("ERR ", text)
}

fn load(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let last = args.len() - 1;
    if let Some(unknown) = (2..last).find(|&at| !args.is(at, "replace")) {
        return Err(errors::with_text(
            "ERR Unknown option given: ",
            args.at(unknown),
        ));
    }
    let is_replaced = last > 2;
    let name = load_library(call.core, args.at(last), is_replaced)?;
    call.reply(|reply| reply.bulk(name.as_bytes()));
    Ok(())
}

/// Loads a library of functions, in place of one of the same name if it `is_replaced`. Its name.
///
/// # Errors
/// It is none, or there is such a one.
pub(crate) fn load_library(
    core: &mut CoreState,
    code: &[u8],
    is_replaced: bool,
) -> Result<String, ErrorReply> {
    let options = LoadOptions {
        limit: LIBRARY_LOAD_MAX,
        log_level: core.config.loglevel,
    };
    let cache = &core.shared.libraries;
    let is_taken = |name: &str| !is_replaced && cache.current().get(name).is_some();
    let library = core
        .scripts
        .make_library(&core.shared.scripts, cache, code, &options, is_taken)
        .map_err(|text| error(&text))?;
    let name = library.name.clone();
    cache
        .change(|libraries| {
            if libraries.remove(&name) && !is_replaced {
                // Another core was first.
                return Err(format!("Library '{name}' already exists").into_bytes());
            }
            libraries.add(library)
        })
        .map_err(|text| error(&text))?;
    Ok(name)
}

fn delete(call: &mut SessionCall<'_>) -> CommandResult {
    let name = std::str::from_utf8(call.args.at(2)).map_err(|_| errors::NO_LIBRARY)?;
    let deleted = call.core.shared.libraries.change(|libraries| {
        let was_there = libraries.remove(name);
        was_there.then_some(()).ok_or(errors::NO_LIBRARY)
    });
    deleted?;
    call.reply(|reply| reply.ok());
    Ok(())
}

/// Both modes are one here: each core forgets the libraries when it next calls a function.
fn flush(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    if args.len() > 3 {
        return Err(errors::subcommand_syntax(args.at(0), args.at(1)));
    }
    if args.len() == 3 && !args.is(2, "sync") && !args.is(2, "async") {
        return Err(errors::FUNCTION_FLUSH_MODE);
    }
    call.core.shared.libraries.change(|libraries| {
        *libraries = Libraries::default();
        Ok::<(), ErrorReply>(())
    })?;
    call.reply(|reply| reply.ok());
    Ok(())
}

fn list(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let (mut with_code, mut pattern) = (false, None);
    let mut at = 2;
    while at < args.len() {
        if !with_code && args.is(at, "withcode") {
            with_code = true;
        } else if pattern.is_none() && args.is(at, "libraryname") {
            at += 1;
            pattern = Some(args.get(at).ok_or(errors::NO_LIBRARY_NAME)?);
        } else {
            return Err(errors::with_text("ERR Unknown argument ", args.at(at)));
        }
        at += 1;
    }
    let libraries = call.core.shared.libraries.current();
    let is_wanted = |library: &&Library| {
        let name = library.name.as_bytes();
        pattern.is_none_or(|pattern| glob::matches(pattern, name, Case::Insensitive))
    };
    let wanted = libraries.iter().map(|library| &**library).filter(is_wanted);
    let wanted: Vec<&Library> = wanted.collect();
    call.reply(|reply| {
        reply.array(wanted.len());
        for library in wanted {
            describe(library, with_code, reply);
        }
    });
    Ok(())
}

fn describe(library: &Library, with_code: bool, reply: &mut Reply<'_>) {
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(library.name.as_bytes());
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(function.name.as_bytes());
        reply.bulk(b"description");
        match &function.description {
            Some(text) => reply.bulk(text),
            None => reply.null(),
        }
        reply.bulk(b"flags");
        let flags = function.flags.names();
        reply.set(flags.clone().count());
        flags.for_each(|flag| reply.status(flag));
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.code);
    }
}

/// Before each library.
const OPCODE: u8 = 245;
/// The same in the older form.
const OLD_OPCODE: u8 = 246;

fn dump(call: &mut SessionCall<'_>) -> CommandResult {
    let libraries = call.core.shared.libraries.current();
    let mut out = Output::new(Packing::None);
    for library in libraries.iter() {
        out.byte(OPCODE);
        out.string(&library.code);
    }
    let payload = seal(out);
    call.reply(|reply| reply.bulk(&payload));
    Ok(())
}

/// The code of the library that comes next.
///
/// # Errors
/// Redis's text, without code word.
fn next_library<'a>(input: &mut Input<'a>, opcode: u8) -> Result<Cow<'a, [u8]>, &'static str> {
    let mut string = |missing| input.string().map_err(|_| missing);
    match opcode {
        OPCODE => string("Failed loading library payload"),
        OLD_OPCODE => {
            let name = string("Failed loading library name")?;
            let engine = string("Failed loading engine name")?;
            let is_described = input.length();
            if is_described.map_err(|_| "Failed loading library description indicator")? > 0 {
                let description = input.string();
                description.map_err(|_| "Failed loading library description")?;
            }
            let code = input.string();
            let code = code.map_err(|_| "Failed loading library blob")?;
            Ok([b"#!", &*engine, b" name=", &*name, b"\n", &*code]
                .concat()
                .into())
        }
        _ => Err("given type is not a function"),
    }
}

/// The libraries of a payload, loaded on this core.
fn read(core: &mut CoreState, payload: &[u8]) -> Result<Libraries, ErrorReply> {
    let (_, mut input) = unseal(payload).map_err(|_| errors::BAD_PAYLOAD)?;
    let options = LoadOptions {
        limit: LIBRARY_RELOAD_MAX,
        log_level: core.config.loglevel,
    };
    let cache = &core.shared.libraries;
    let mut libraries = Libraries::default();
    while let Ok(opcode) = input.byte() {
        let code = next_library(&mut input, opcode).map_err(|text| error(text.as_bytes()))?;
        let is_taken = |name: &str| libraries.get(name).is_some();
        let library = core
            .scripts
            .make_library(&core.shared.scripts, cache, &code, &options, is_taken)
            .map_err(|text| error(&text))?;
        libraries.add(library).map_err(|text| error(&text))?;
    }
    Ok(libraries)
}

/// What becomes of the libraries there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// They go.
    Flush,
    /// They stay, and none of the same name may come.
    Append,
    /// Those of the same names go.
    Replace,
}

fn restore(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let policy = match args.len() {
        3 => Policy::Append,
        4 if args.is(3, "append") => Policy::Append,
        4 if args.is(3, "replace") => Policy::Replace,
        4 if args.is(3, "flush") => Policy::Flush,
        4 => return Err(errors::RESTORE_POLICY),
        _ => return Err(errors::subcommand_syntax(args.at(0), args.at(1))),
    };
    let restored = read(call.core, args.at(2))?;
    let changed = call.core.shared.libraries.change(|libraries| {
        match policy {
            Policy::Flush => *libraries = restored,
            Policy::Append | Policy::Replace => {
                libraries.join(&restored, policy == Policy::Replace)?;
            }
        }
        Ok(())
    });
    changed.map_err(|text: Vec<u8>| error(&text))?;
    call.reply(|reply| reply.ok());
    Ok(())
}

fn kill(call: &mut SessionCall<'_>) -> CommandResult {
    end_busy(call, Kind::Function)
}

fn stats(call: &mut SessionCall<'_>) -> CommandResult {
    let running = call.core.shared.busy.first();
    if running
        .as_ref()
        .is_some_and(|running| running.kind == Kind::Script)
    {
        return Err(busy(Kind::Script));
    }
    let libraries = call.core.shared.libraries.current();
    call.reply(|reply| {
        reply.map(2);
        reply.bulk(b"running_script");
        match running {
            Some(running) => {
                reply.map(3);
                reply.bulk(b"name");
                reply.bulk(running.name.as_bytes());
                reply.bulk(b"command");
                reply.array(running.command.len());
                running.command.iter().for_each(|word| reply.bulk(word));
                reply.bulk(b"duration_ms");
                reply.integer(running.began.elapsed().as_millis() as i64);
            }
            None => reply.null(),
        }
        reply.bulk(b"engines");
        reply.map(1);
        reply.bulk(b"LUA");
        reply.map(2);
        reply.bulk(b"libraries_count");
        reply.integer(libraries.len() as i64);
        reply.bulk(b"functions_count");
        reply.integer(libraries.functions() as i64);
    });
    Ok(())
}
