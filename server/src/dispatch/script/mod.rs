//! Scripts: on which core one runs, and how it begins and ends there.
//!
//! ```text
//!  begin_script ── keys elsewhere? ── hop ──▶ run_script_for            (on the keys' core)
//!       └────────────── here ──▶ run_script ◀───┘
//!                                  │ start
//!            call ◀── Call ── drive ── Done ──▶ finish: the reply
//!             └──── answer ─────▶  │
//!                                Tick, or too long ──▶ busy: goes on at the end of each turn
//! ```
//!
//! One script runs at a time on a core. Cost of one over that of its commands: its arguments are copied once and made Lua
//! strings, and each command's reply is made a Lua value.

mod busy;
mod call;
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_engine::{Access, DbIndex};

use super::batch::{Head, Ticket};
use super::core::Core;
use super::execute::access_of;
use super::input::Target;
use crate::command::{
    Args, Clock, Command, CommandSpec, FirstKey, Flags, Invoke, Run, busy, no_script,
};
use crate::resp::{ErrorReply, Protocol, Reply, errors};
use crate::routing::CoreId;
use crate::script::{GoOn, Kind, RunOptions, Script, ScriptFlags, Step, Words};
use crate::session::{Peer, ReplySeq, Session, SessionId, gate};

/// Where the number of a script's keys stands among the arguments.
const NUMBER_OF_KEYS: usize = 2;

/// A core's dealings with scripts.
pub(super) struct Scripts {
    /// The client as which scripts run commands; absent while one does.
    client: Option<Box<Session>>,
    running: Option<Running>,
}

impl Default for Scripts {
    fn default() -> Self {
        let peer = Peer {
            addr: "?:0".into(),
            ..Peer::default()
        };
        let mut client = Session::new(0, SessionId::default(), peer, 0);
        client.set_gate(gate::SCRIPT, true);
        Self {
            client: Some(Box::new(client)),
            running: None,
        }
    }
}

impl Scripts {
    /// Whether no script is under way.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none()
    }
}

/// The script under way.
struct Running {
    command: &'static Command,
    name: String,
    kind: Kind,
    may_write: bool,
    /// `maxmemory` was reached when it began, and it does not say that it may run all the same.
    is_out_of_memory: bool,
    wrote: bool,
    /// When it last ran a command to its end.
    last: Instant,
    /// Set once it has run for too long.
    suspended: Option<Suspended>,
}

/// What a script that has run for too long leaves behind.
struct Suspended {
    owner: Owner,
    /// The command that runs it, to be told of in the slow log.
    words: Words,
    /// The time as the script sees it throughout.
    clock: Clock,
    /// When it last got the core back.
    resumed: Instant,
}

/// Who waits for a script's reply.
#[derive(Clone, Copy, Debug)]
enum Owner {
    /// A session of this core.
    Session {
        id: SessionId,
        /// The reply's place, if the client wants one.
        seq: Option<ReplySeq>,
    },
    /// Another core.
    Core { from: CoreId, ticket: Ticket },
}

/// How far a script has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Over,
    Suspended,
}

/// What of a client a script needs.
#[derive(Clone, Copy, Debug)]
struct Caller {
    db: DbIndex,
    protocol: Protocol,
    access: Access,
}

/// The number of keys a script is called with.
fn number_of_keys(args: Args<'_>) -> Result<usize, ErrorReply> {
    let number = args.integer(NUMBER_OF_KEYS)?;
    if number > args.len() as i64 - (NUMBER_OF_KEYS as i64 + 1) {
        return Err(errors::TOO_MANY_KEYS);
    }
    usize::try_from(number).map_err(|_| errors::NEGATIVE_KEYS)
}

impl Core {
    /// Begins a script of `session`: here, or on the core that owns its keys.
    pub(super) fn begin_script(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        quiet: bool,
    ) {
        if self.state.gates & gate::WATCHED_BY_MONITOR != 0 {
            self.tell_monitors(session, args, command.spec);
        }
        let owner = number_of_keys(args).and_then(|_| {
            self.common_core(command.spec, args)
                .ok_or(errors::SCRIPT_KEYS_APART)
        });
        match owner {
            Ok(core) if core != self.state.id => {
                let target = Target {
                    core,
                    first_key: FirstKey::UNKNOWN,
                };
                self.hop(session, args, command, target, quiet);
            }
            Ok(_) => self.run_script_here(session, args, command, quiet),
            Err(error) => {
                self.count_script_failure(&error, command);
                if !quiet {
                    session.reply(|reply| reply.error(&error));
                }
            }
        }
    }

    fn run_script_here(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        quiet: bool,
    ) {
        let caller = Caller {
            db: session.db,
            protocol: session.protocol,
            access: access_of(session),
        };
        let began = Instant::now();
        let mut out = Vec::new();
        if self.run_script(caller, args, command, &mut out) == Progress::Suspended {
            let seq = (!quiet).then(|| session.output.expect());
            session.at_barrier = true;
            return self.suspend_script(
                Owner::Session {
                    id: session.id,
                    seq,
                },
                args,
            );
        }
        if !quiet {
            session.output.append(|to| to.extend_from_slice(&out));
        }
        let micros = self.timed_apart(command, began);
        self.observe_slow(session, args, command.spec, micros);
    }

    /// Runs a script of another core's session.
    pub(super) fn run_script_for(
        &mut self,
        from: CoreId,
        args: Args<'_>,
        request: &Head,
        command: &'static Command,
    ) {
        let caller = Caller {
            db: request.db,
            protocol: request.protocol,
            access: request.access,
        };
        let (ticket, began) = (request.ticket, Instant::now());
        let mut out = Vec::new();
        if self.run_script(caller, args, command, &mut out) == Progress::Suspended {
            return self.suspend_script(Owner::Core { from, ticket }, args);
        }
        let micros = self.timed_apart(command, began);
        self.answer_core(from, ticket, &out, (command, args, micros));
    }

    /// Sends a script's reply to the core that asked; word of it, if it was slow, goes along.
    fn answer_core(
        &mut self,
        from: CoreId,
        ticket: Ticket,
        reply: &[u8],
        (command, args, micros): (&'static Command, Args<'_>, u64),
    ) {
        let outbox = &mut self.outboxes[from.index()];
        let bytes = outbox.answer(ticket, |to| to.extend_from_slice(reply));
        self.debts.owe(from, ticket.session(), bytes);
        let is_heard = !matches!(ticket, Ticket::Discard { .. });
        if is_heard && self.state.is_worth_telling(micros) {
            self.outboxes[from.index()].tell_slow(command, micros, args);
        }
    }

    /// Runs a script; its reply goes to `out` if it is over.
    fn run_script(
        &mut self,
        caller: Caller,
        args: Args<'_>,
        command: &'static Command,
        out: &mut Vec<u8>,
    ) -> Progress {
        let step = match self.start_script(caller, args, command) {
            Ok(step) => step,
            Err(error) => {
                self.count_script_failure(&error, command);
                Reply::new(out, caller.protocol).error(&error);
                return Progress::Over;
            }
        };
        let progress = self.drive(step);
        if progress == Progress::Over {
            self.finish_script(command, out);
        }
        progress
    }

    fn count_script_failure(&mut self, error: &ErrorReply, command: &'static Command) {
        self.count_error(error);
        self.state.stats.by_command[command.id.index()].failed += 1;
    }

    /// Starts a script. Its first step.
    fn start_script(
        &mut self,
        caller: Caller,
        args: Args<'_>,
        command: &'static Command,
    ) -> Result<Step, ErrorReply> {
        if self.scripts.running.is_some() {
            // Only a script that has run for too long leaves another one room to come here.
            return Err(busy(Kind::Script));
        }
        let keys = number_of_keys(args)?;
        let script = self.find_script(command, args)?;
        let is_out_of_memory = self.is_out_of_memory();
        let may_write = check_flags(script.flags, command.spec.flags, is_out_of_memory)?;
        let client = self.scripts.client.as_mut();
        let client = client.expect("no other script is at work");
        client.db = caller.db;
        client.set_gate(gate::NO_TOUCH, caller.access == Access::Peek);
        let config = &self.state.config;
        let threshold_ms = config.busy_reply_threshold_ms;
        let options = RunOptions {
            protocol: caller.protocol,
            patience: (threshold_ms > 0).then(|| Duration::from_millis(threshold_ms)),
            log_level: config.loglevel,
        };
        self.scripts.running = Some(Running {
            command,
            name: script.name().to_owned(),
            kind: Kind::Script,
            may_write,
            is_out_of_memory: is_out_of_memory && !script.flags.has(ScriptFlags::ALLOW_OOM),
            wrote: false,
            last: Instant::now(),
            suspended: None,
        });
        let vm = self.state.scripts.vm();
        let mut words = vm.words();
        words.clear();
        for arg in args.iter_from(NUMBER_OF_KEYS + 1) {
            let fits = words.push(arg);
            assert!(fits, "arguments are addressed by 32 bits all along");
        }
        drop(words);
        Ok(vm.eval(script.id, keys, script.name(), &options))
    }

    fn find_script(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<Arc<Script>, ErrorReply> {
        let shared = &*self.state.shared;
        let (engine, name) = (&mut self.state.scripts, args.at(1));
        let script = match command.spec.run {
            Run::Script(Invoke::Text) => engine.find_text(&shared.scripts, &shared.hasher, name),
            Run::Script(Invoke::Sha) => {
                let sha = crate::script::sha_of(name).ok_or(errors::NO_SCRIPT)?;
                engine.find_sha(&shared.scripts, &sha)
            }
            _ => unreachable!("only scripts are run as such"),
        };
        script.map_err(no_script)
    }

    /// Whether the server holds more than `maxmemory`.
    pub(super) fn is_out_of_memory(&self) -> bool {
        let max = self.state.config.maxmemory_bytes;
        max > 0 && self.used_bytes() + self.state.shared.used_bytes_elsewhere(self.state.id) > max
    }

    /// Does what the script asks for until it is over, or has had the core for too long.
    fn drive(&mut self, mut step: Step) -> Progress {
        loop {
            match step {
                Step::Done => return Progress::Over,
                Step::Tick => return Progress::Suspended,
                Step::Call(ask) => self.answer_script(ask),
            }
            if self.is_script_overdue() {
                return Progress::Suspended;
            }
            step = self.state.scripts.vm().resume(GoOn::On);
        }
    }

    /// Takes the reply of the script that is over.
    fn finish_script(&mut self, command: &'static Command, out: &mut Vec<u8>) {
        self.scripts.running = None;
        let vm = self.state.scripts.vm();
        out.extend_from_slice(&vm.reply());
        let errors = vm.reply_errors().clone();
        if errors.is_empty() {
            return;
        }
        self.state.stats.by_command[command.id.index()].failed += 1;
        for error in errors.iter().filter(|error| !error.is_counted) {
            self.state.stats.count_error(&error.code);
        }
    }
}

/// Checks what a script says of itself. Whether it may write.
fn check_flags(
    script: ScriptFlags,
    command: Flags,
    is_out_of_memory: bool,
) -> Result<bool, ErrorReply> {
    let is_read_only = command.has(Flags::READONLY);
    if script.has(ScriptFlags::UNDECLARED) {
        return Ok(!is_read_only);
    }
    let writes = !script.has(ScriptFlags::NO_WRITES);
    if writes && is_read_only {
        return Err(errors::SCRIPT_WRITES_IN_RO);
    }
    if is_out_of_memory && writes && !script.has(ScriptFlags::ALLOW_OOM) {
        return Err(errors::OUT_OF_MEMORY);
    }
    Ok(writes)
}

impl Core {
    /// A command's flags; of one that runs a script that says what it does, those that follow from this.
    pub(super) fn flags_of(&self, spec: &CommandSpec, args: Args<'_>) -> Flags {
        let Run::Script(invoke) = spec.run else {
            return spec.flags;
        };
        let cache = &self.state.shared.scripts;
        let flags = match invoke {
            Invoke::Text => crate::script::flags_of_text(args.at(1)),
            Invoke::Sha => crate::script::sha_of(args.at(1))
                .and_then(|sha| cache.find(&sha))
                .map(|script| script.flags),
        };
        match flags {
            Some(flags) if !flags.has(ScriptFlags::UNDECLARED) => declared(spec.flags, flags),
            _ => spec.flags,
        }
    }
}

/// The flags of a command that runs a script with flags of its own.
fn declared(command: Flags, script: ScriptFlags) -> Flags {
    let mut flags = command.without(Flags::STALE.with(Flags::DENYOOM).with(Flags::WRITE));
    flags = flags.without(Flags::MAY_REPLICATE);
    if !script.has(ScriptFlags::NO_WRITES) {
        flags = flags.with(Flags::WRITE);
        if !script.has(ScriptFlags::ALLOW_OOM) {
            flags = flags.with(Flags::DENYOOM);
        }
    }
    if script.has(ScriptFlags::ALLOW_STALE) {
        flags = flags.with(Flags::STALE);
    }
    flags
}
