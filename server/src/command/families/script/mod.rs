//! Scripts: `EVAL` and its kin, `SCRIPT`, and functions (`function`).
//!
//! What runs scripts is dispatch, on the core that owns their keys; here is what clients say about them.

mod function;

pub(crate) use function::load_library;

use crate::command::{
    Category, CommandSpec, Flags, Group, Invoke, KeyFlags, KeySpec, Keys, Run, SessionCall,
};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};
pub(crate) use function::COMMANDS as FUNCTIONS;

use crate::script::{Kill, Kind, NoScript, sha_of};

/// Of all that run scripts.
const INVOKES: Flags = Flags::NOSCRIPT
    .with(Flags::STALE)
    .with(Flags::SKIP_MONITOR)
    .with(Flags::NO_MANDATORY_KEYS);
const WRITES: Flags = INVOKES.with(Flags::MAY_REPLICATE);
const READS: Flags = INVOKES.with(Flags::READONLY);
/// Keys that the script may write; their number stands at argument 2.
const MAY_WRITE: KeySpec = KeySpec::at(2, KeyFlags::RW.access().update()).counted();
/// Keys that the script only reads.
const ONLY_READS: KeySpec = KeySpec::at(2, KeyFlags::RO.access()).counted();
const MAY_WRITE_NOTE: &str =
    "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE";
const ONLY_READS_NOTE: &str =
    "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS";
const COST: &str = "Depends on the script that is executed.";

const INVOCATION: CommandSpec = CommandSpec {
    arity: -3,
    categories: &[Category::Scripting],
    group: Group::Scripting,
    complexity: COST,
    ..CommandSpec::BASE
};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "eval",
        flags: WRITES,
        keys: Keys::of(&[MAY_WRITE.note(MAY_WRITE_NOTE)]),
        since: "2.6.0",
        syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a script.",
        run: Run::Script(Invoke::Text),
        ..INVOCATION
    },
    CommandSpec {
        name: "eval_ro",
        flags: READS,
        keys: Keys::of(&[ONLY_READS.note(ONLY_READS_NOTE)]),
        since: "7.0.0",
        syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a script that does not write.",
        run: Run::Script(Invoke::Text),
        ..INVOCATION
    },
    CommandSpec {
        name: "evalsha",
        flags: WRITES,
        keys: Keys::of(&[MAY_WRITE]),
        since: "2.6.0",
        syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a known script by its SHA-1.",
        run: Run::Script(Invoke::Sha),
        ..INVOCATION
    },
    CommandSpec {
        name: "evalsha_ro",
        flags: READS,
        keys: Keys::of(&[ONLY_READS]),
        since: "7.0.0",
        syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a known script that does not write, by its SHA-1.",
        run: Run::Script(Invoke::Sha),
        ..INVOCATION
    },
    CommandSpec {
        name: "script",
        arity: -2,
        group: Group::Scripting,
        since: "2.6.0",
        summary: "A container for commands about scripts.",
        complexity: "Depends on subcommand",
        subcommands: SCRIPT,
        ..CommandSpec::BASE
    },
];

const SUBCOMMAND: CommandSpec = CommandSpec {
    arity: 2,
    flags: Flags::NOSCRIPT,
    categories: &[Category::Scripting],
    group: Group::Scripting,
    since: "2.6.0",
    ..CommandSpec::BASE
};

static SCRIPT: &[CommandSpec] = &[
    CommandSpec {
        name: "script|debug",
        arity: 3,
        since: "3.2.0",
        syntax: "<YES|SYNC|NO>",
        summary: "Chooses whether scripts are debugged, which Larder does not offer.",
        run: Run::OnSession(debug),
        ..SUBCOMMAND
    },
    CommandSpec {
        name: "script|exists",
        arity: -3,
        tips: &[
            "request_policy:all_shards",
            "response_policy:agg_logical_and",
        ],
        syntax: "sha1 [sha1 ...]",
        summary: "Says of each SHA-1 whether its script is known.",
        complexity: "O(N) with N being the number of scripts to check",
        run: Run::OnSession(exists),
        ..SUBCOMMAND
    },
    CommandSpec {
        name: "script|flush",
        arity: -2,
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        syntax: "[ASYNC|SYNC]",
        summary: "Forgets all scripts.",
        complexity: "O(N) with N being the number of scripts in cache",
        run: Run::OnSession(flush),
        ..SUBCOMMAND
    },
    CommandSpec {
        name: "script|help",
        flags: Flags::ANYTIME,
        since: "5.0.0",
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..SUBCOMMAND
    },
    CommandSpec {
        name: "script|kill",
        flags: Flags::NOSCRIPT.with(Flags::ALLOW_BUSY),
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        summary: "Ends the script that keeps the server busy.",
        run: Run::OnSession(kill),
        ..SUBCOMMAND
    },
    CommandSpec {
        name: "script|load",
        arity: 3,
        flags: Flags::NOSCRIPT.with(Flags::STALE),
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        syntax: "script",
        summary: "Makes a script known and returns its SHA-1.",
        complexity: "O(N) with N being the length in bytes of the script body.",
        run: Run::OnSession(load),
        ..SUBCOMMAND
    },
    CommandSpec {
        name: "script|show",
        arity: 3,
        flags: Flags::NOSCRIPT.with(Flags::STALE),
        since: "8.0.0",
        syntax: "sha1",
        summary: "Returns the text of a known script. Of Valkey.",
        run: Run::OnSession(show),
        ..SUBCOMMAND
    },
];

const HELP: &[&str] = &[
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DEBUG (YES|SYNC|NO)",
    "    Set the debug mode for subsequent scripts executed.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache. Very dangerous on replicas.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the scripts cache.",
    "    * SYNC: Synchronously flush the scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
    "SHOW <sha1>",
    "    Show a script from the scripts cache.",
    "HELP",
    "    Prints this help.",
];

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

fn debug(call: &mut SessionCall<'_>) -> CommandResult {
    if call.args.is(2, "no") {
        call.reply(|reply| reply.ok());
        return Ok(());
    }
    if call.args.is(2, "yes") || call.args.is(2, "sync") {
        return Err(errors::NO_SCRIPT_DEBUGGER);
    }
    Err(errors::SCRIPT_DEBUG_MODE)
}

fn exists(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let cache = &call.core.shared.scripts;
    let known: Vec<bool> = args
        .iter_from(2)
        .map(|sha| sha_of(sha).is_some_and(|sha| cache.find(&sha).is_some()))
        .collect();
    call.reply(|reply| {
        reply.array(known.len());
        known
            .iter()
            .for_each(|known| reply.integer((*known).into()));
    });
    Ok(())
}

/// Both modes are one here: each core drops its machine when it next needs one.
fn flush(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let is_known =
        args.len() == 2 || args.len() == 3 && (args.is(2, "sync") || args.is(2, "async"));
    if !is_known {
        return Err(errors::SCRIPT_FLUSH_MODE);
    }
    call.core.shared.scripts.flush();
    call.core.shared.known_scripts.clear();
    call.reply(|reply| reply.ok());
    Ok(())
}

fn load(call: &mut SessionCall<'_>) -> CommandResult {
    let core = &mut *call.core;
    let script = core
        .scripts
        .load(&core.shared.scripts, call.args.at(2))
        .map_err(no_script)?;
    call.reply(|reply| reply.bulk(&script.sha));
    Ok(())
}

fn show(call: &mut SessionCall<'_>) -> CommandResult {
    let sha = sha_of(call.args.at(2)).ok_or(errors::NO_SCRIPT)?;
    let script = call.core.shared.scripts.find(&sha);
    let script = script.ok_or(errors::NO_SCRIPT)?;
    call.reply(|reply| reply.bulk(&script.text));
    Ok(())
}

/// The error of a script or function that cannot run.
pub(crate) fn no_script(why: NoScript) -> ErrorReply {
    match why {
        NoScript::Unknown => errors::NO_SCRIPT,
        NoScript::BadFlags(text) => errors::with_text("ERR ", &text),
        NoScript::BadLua(text) => {
            errors::with_text("ERR Error compiling script (new function): ", &text)
        }
        NoScript::UnknownFunction => errors::NO_FUNCTION,
        NoScript::BadLibrary(text) => errors::with_text("ERR ", &text),
    }
}

fn kill(call: &mut SessionCall<'_>) -> CommandResult {
    end_busy(call, Kind::Script)
}

/// Ends what keeps the server busy, if it is of this kind.
fn end_busy(call: &mut SessionCall<'_>, kind: Kind) -> CommandResult {
    match call.core.shared.busy.kill(kind) {
        Kill::Done => {
            call.reply(|reply| reply.ok());
            Ok(())
        }
        Kill::Unkillable => Err(errors::UNKILLABLE),
        Kill::NotBusy => Err(errors::NOT_BUSY),
        Kill::Other(kind) => Err(busy(kind)),
    }
}

/// The error of what has to wait for a script.
pub(crate) fn busy(kind: Kind) -> ErrorReply {
    match kind {
        Kind::Script => errors::BUSY_SCRIPT,
        Kind::Function => errors::BUSY_FUNCTION,
    }
}
