//! Scripts: on which core one runs, and how its commands run there.
//!
//! ```text
//!  begin_script ── keys elsewhere? ── hop ──▶ run_script_for          (on the keys' core)
//!       │                                          │
//!       └────────────── here ──▶ start ◀───────────┘
//!                                  │
//!                         drive: Call ─▶ run_for_script ─▶ resume …    until Done
//! ```
//!
//! A script's commands run as those of a stand-in for a client, whose output is the script's input. Cost of a command over
//! that of the same from a client: the switch of stacks, and its reply made a Lua value.

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_engine::{Access, DbIndex};

use super::batch::{Head, Ticket};
use super::core::Core;
use super::execute::{Place, access_of, run_on_shard};
use super::input::Target;
use crate::command::{Args, Command, CommandSpec, FirstKey, Flags, Invoke, Run, no_script};
use crate::observe::CommandId;
use crate::resp::{ErrorReply, Protocol, Reply, errors};
use crate::routing::CoreId;
use crate::script::{Ask, GoOn, RunOptions, Script, ScriptFlags, Step};
use crate::session::{Peer, Session, SessionId, gate};

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

/// The script under way.
struct Running {
    may_write: bool,
    /// `maxmemory` was reached when it began, and it does not say that it may run all the same.
    is_out_of_memory: bool,
    wrote: bool,
}

/// What of a client a script needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) db: DbIndex,
    pub(super) protocol: Protocol,
    pub(super) access: Access,
}

impl Caller {
    fn of_session(session: &Session) -> Self {
        Self {
            db: session.db,
            protocol: session.protocol,
            access: access_of(session),
        }
    }
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
            Ok(_) => {
                let caller = Caller::of_session(session);
                let began = Instant::now();
                let mut out = Vec::new();
                self.run_script(caller, args, command, &mut out);
                if !quiet {
                    session.output.append(|to| to.extend_from_slice(&out));
                }
                let micros = self.timed_apart(command, began);
                self.observe_slow(session, args, command.spec, micros);
            }
            Err(error) => {
                self.count_script_failure(&error, command);
                if !quiet {
                    session.reply(|reply| reply.error(&error));
                }
            }
        }
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
        let began = Instant::now();
        let mut out = Vec::new();
        self.run_script(caller, args, command, &mut out);
        let outbox = &mut self.outboxes[from.index()];
        let bytes = outbox.answer(request.ticket, |to| to.extend_from_slice(&out));
        self.debts.owe(from, request.ticket.session(), bytes);
        let micros = self.timed_apart(command, began);
        let is_heard = !matches!(request.ticket, Ticket::Discard { .. });
        if is_heard && self.state.is_worth_telling(micros) {
            self.outboxes[from.index()].tell_slow(command, micros, args);
        }
    }

    /// Runs a script; its reply goes to `out`.
    fn run_script(
        &mut self,
        caller: Caller,
        args: Args<'_>,
        command: &'static Command,
        out: &mut Vec<u8>,
    ) {
        if let Err(error) = self.start_script(caller, args, command) {
            self.count_script_failure(&error, command);
            Reply::new(out, caller.protocol).error(&error);
            return;
        }
        self.finish_script(command, out);
    }

    fn count_script_failure(&mut self, error: &ErrorReply, command: &'static Command) {
        self.count_error(error);
        self.state.stats.by_command[command.id.index()].failed += 1;
    }

    /// Starts a script, and drives it to its end.
    fn start_script(
        &mut self,
        caller: Caller,
        args: Args<'_>,
        command: &'static Command,
    ) -> Result<(), ErrorReply> {
        let keys = number_of_keys(args)?;
        let script = self.find_script(command, args)?;
        let is_out_of_memory = self.is_out_of_memory();
        let may_write = check_flags(script.flags, command.spec.flags, is_out_of_memory)?;
        let threshold_ms = self.state.config.busy_reply_threshold_ms;
        let options = RunOptions {
            protocol: caller.protocol,
            patience: (threshold_ms > 0).then(|| Duration::from_millis(threshold_ms)),
            log_level: self.state.config.loglevel,
        };
        let client = self.scripts.client.as_mut();
        let client = client.expect("no other script is at work");
        client.db = caller.db;
        client.set_gate(gate::NO_TOUCH, caller.access == Access::Peek);
        let vm = self.state.scripts.vm();
        let mut words = vm.words();
        words.clear();
        for arg in args.iter_from(NUMBER_OF_KEYS + 1) {
            let fits = words.push(arg);
            assert!(fits, "arguments are addressed by 32 bits all along");
        }
        drop(words);
        let step = vm.eval(script.id, keys, script.name(), &options);
        self.scripts.running = Some(Running {
            is_out_of_memory: is_out_of_memory && !script.flags.has(ScriptFlags::ALLOW_OOM),
            may_write,
            wrote: false,
        });
        self.drive(step);
        Ok(())
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

    /// Does what the script asks for until it is over.
    fn drive(&mut self, mut step: Step) {
        loop {
            step = match step {
                Step::Done => return,
                Step::Tick => self.state.scripts.vm().resume(GoOn::On),
                Step::Call(ask) => {
                    self.answer_script(ask);
                    self.state.scripts.vm().resume(GoOn::On)
                }
            };
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

    /// Answers what the script asks for. The buffers are the machine's, and go back to it.
    fn answer_script(&mut self, ask: Ask) {
        let vm = self.state.scripts.vm();
        let protocol = vm.protocol();
        let words = std::mem::take(&mut *vm.words());
        let mut out = std::mem::take(&mut *vm.reply());
        out.clear();
        let client = self.scripts.client.take();
        let mut client = client.expect("no other command of a script is at work");
        client.protocol = protocol;
        let (bytes, ranges) = words.parts();
        let args = Args::new(bytes, ranges);
        let result = match ask {
            Ask::Command => self.run_for_script(&mut client, args, &mut out),
            Ask::Permission => match resolve(self.state.commands.find(args.at(0)), args) {
                Err(Unresolved::Unknown) => Err(errors::SCRIPT_INVALID_COMMAND),
                _ => {
                    // There is one user, who may do anything.
                    Reply::new(&mut out, protocol).integer(1);
                    Ok(())
                }
            },
        };
        if let Err(error) = result {
            Reply::new(&mut out, protocol).error(&error);
        }
        self.scripts.client = Some(client);
        let vm = self.state.scripts.vm();
        *vm.words() = words;
        *vm.reply() = out;
    }

    /// Runs a command of the script under way.
    ///
    /// # Errors
    /// It may not run. What it answers itself, errors included, is in `out`.
    fn run_for_script(
        &mut self,
        client: &mut Session,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorReply> {
        let command = match resolve(self.state.commands.find(args.at(0)), args) {
            Ok(command) => command,
            Err(Unresolved::Unknown) => {
                self.count_error(&errors::SCRIPT_UNKNOWN_COMMAND);
                return Err(errors::SCRIPT_UNKNOWN_COMMAND);
            }
            Err(Unresolved::Arity(command)) => {
                return Err(self.reject_for_script(command, errors::SCRIPT_WRONG_ARITY));
            }
        };
        let target = self.target(self.state.commands.find(args.at(0)), args);
        if let Err(error) = self.admit_for_script(command, args, target) {
            return Err(self.reject_for_script(command.id, error));
        }
        self.state.stats.commands += 1;
        if self.state.gates & gate::WATCHED_BY_MONITOR != 0 {
            self.show_to_monitors(client, args, command.spec);
        }
        let began = Instant::now();
        match command.spec.run {
            Run::OnShard(run) | Run::FanOut { together: run, .. } => {
                let place = Place {
                    db: client.db,
                    protocol: client.protocol,
                    access: access_of(client),
                    first_key: target.first_key,
                };
                run_on_shard(&mut self.state, out, args, command, run, place);
            }
            _ => {
                let owner = Some(self.state.id);
                self.start(client, args, command, target, owner, false);
                let len = client.output.unsent().len();
                out.extend_from_slice(client.output.unsent());
                client.output.advance(len);
            }
        }
        let micros = self.timed_apart(command, began);
        self.observe_slow(client, args, command.spec, micros);
        Ok(())
    }

    fn reject_for_script(&mut self, command: CommandId, error: ErrorReply) -> ErrorReply {
        self.count_error(&error);
        self.state.stats.by_command[command.index()].rejected += 1;
        error
    }

    /// Whether the script under way may run a command, and can here.
    fn admit_for_script(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        target: Target,
    ) -> Result<(), ErrorReply> {
        use std::sync::atomic::Ordering;
        let flags = command.spec.flags;
        let may_call_all = &self.state.shared.scripts_may_call_all;
        if flags.has(Flags::NOSCRIPT) && !may_call_all.load(Ordering::Relaxed)
            || matches!(command.spec.run, Run::Script(_))
        {
            return Err(errors::NOT_FROM_SCRIPT);
        }
        let running = self.scripts.running.as_mut();
        let running = running.expect("a script asks");
        if !running.may_write && flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE)) {
            return Err(errors::SCRIPT_IS_READ_ONLY);
        }
        // Once it has written, a script is not stopped halfway.
        if running.is_out_of_memory && !running.wrote && flags.has(Flags::DENYOOM) {
            return Err(errors::OUT_OF_MEMORY);
        }
        running.wrote |= flags.has(Flags::WRITE);
        let is_here = match command.spec.run {
            Run::OnShard(_) => target.core == self.state.id,
            Run::FanOut { .. } => self.common_core(command.spec, args) == Some(self.state.id),
            Run::OnSession(_) => true,
            _ => self.state.shared.cores() == 1,
        };
        if is_here {
            Ok(())
        } else {
            Err(errors::SCRIPT_KEY_ELSEWHERE)
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

/// Why a script's command is none.
enum Unresolved {
    Unknown,
    Arity(CommandId),
}

/// The command a script calls, subcommand and arity settled.
fn resolve(
    command: Option<&'static Command>,
    args: Args<'_>,
) -> Result<&'static Command, Unresolved> {
    let command = command.ok_or(Unresolved::Unknown)?;
    let command = match args.get(1) {
        Some(name) if !command.subcommands.is_empty() => {
            command.subcommand(name).ok_or(Unresolved::Unknown)?
        }
        _ => command,
    };
    if command.spec.accepts(args.len()) {
        Ok(command)
    } else {
        Err(Unresolved::Arity(command.id))
    }
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
