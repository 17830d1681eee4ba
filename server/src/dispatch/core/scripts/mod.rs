//! Scripts: on which core one runs, and how it begins and ends there.
//!
//! ```text
//!  begin_script ── keys on one other core? ── hop ──▶ run_script_for        (on the keys' core)
//!       ├────────── all here ──▶ run_script ◀──────────────┘
//!       │                          │ start
//!       │    call ◀── Call ─────── drive ── Done ──▶ the reply
//!       │      └── answer ──────▶   ├ not now: other cores' answers, or too long ──▶ parked, and resumed from there
//!       │                           └ it reaches beyond its keys ──▶ begins again, with locks of everything
//!       └─ on several cores ──▶ locks of its keys everywhere (`transactions`) ──▶ parked, to begin when they are granted
//! ```
//! A script on one core holds no locks: nothing comes between its commands. One on several cores locks its keys, from its
//! place in the order on. Either way it takes effect at one moment. If it reaches for keys that it did not declare, what it
//! wrote is undone, and it begins again under locks of everything; the next time it begins so at once.
//!
//! Any number of scripts are under way on a core, each in a machine of its own; one is at work at a time. Cost of one over
//! that of its commands: its arguments are copied once and made Lua strings, and each command's reply is made a Lua value.

mod busy;
mod call;
mod client;
mod parked;
mod reach;

use std::time::{Duration, Instant};

use larder_engine::Access;

use crate::command::invalidate::remember_each;
use crate::command::{Args, Command, CommandSpec, FirstKey, Flags, Invoke, Run, no_script};
use crate::dispatch::core::Core;
use crate::dispatch::core::input::Target;
use crate::dispatch::core::memory::waiting::Room;
use crate::dispatch::mail::requests::{Reading, RequestHead, Ticket, Work};
use crate::dispatch::scripts::hold::Hold;
use crate::dispatch::scripts::parked::keep_words;
use crate::dispatch::scripts::placement::{
    NUMBER_OF_KEYS, Placement, is_undeclared, keeps_to_its_keys, number_of_keys,
};
use crate::dispatch::scripts::running::{
    Asker, Caller, Needs, Progress, Reads, Running, Start, caller_of,
};
use crate::observe::Cost;
use crate::resp::{ErrorReply, Reply, errors};
use crate::routing::CoreId;
use crate::script::{
    Callable, GoOn, LIBRARY_RELOAD_MAX, LoadOptions, RunOptions, ScriptFlags, Step,
};
use crate::session::{Reader, Session, gate};

impl Core {
    /// Begins a script of `session`: here, on the core that owns its keys, or on several.
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
        match self.place_of_script(session, args, command) {
            Ok(Placement::OneCore(core)) if core != self.state.id => {
                self.send_script(session, args, command, core, quiet);
            }
            Ok(Placement::OneCore(core)) if session.gates & gate::IN_ORDER != 0 => {
                self.send_script(session, args, command, core, quiet);
            }
            Ok(Placement::OneCore(_)) => self.run_script_here(session, args, command, quiet),
            Ok(Placement::Cores) => self.begin_script_on_cores(session, args, command, quiet),
            Err(error) => {
                self.state.stats.ran(command.id, 1, 0);
                self.count_failure(&error, command);
                if !quiet {
                    session.reply(|reply| reply.error(&error));
                }
            }
        }
    }

    /// Sends a script to the core of its keys. Unless its text shows that it keeps to these, it may yet begin again, at a later
    /// place: what the session sends next waits for its answer.
    fn send_script(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        core: CoreId,
        quiet: bool,
    ) {
        let keeps = keeps_to_its_keys(&self.state, args, command);
        let target = Target {
            core,
            first_key: FirstKey::UNKNOWN,
        };
        if !keeps && session.output.outstanding() > 0 && core != self.state.id {
            self.precede_by_what_was_sent(session);
        }
        self.hop(session, args, command, target, quiet);
        if !keeps {
            session.set_gate(gate::BEHIND_LAST, true);
        }
    }

    /// Gives a script that is sent elsewhere a place in an entry of this core that concerns all cores. It may begin again there,
    /// at a place that the other core gives: so that this comes behind what its session has sent to any core.
    #[cold]
    fn precede_by_what_was_sent(&mut self, session: &mut Session) {
        let nothing = RequestHead::of(
            Ticket::Discard {
                session: session.id,
            },
            Work::Unlock,
        );
        let here = self.state.id;
        for core in (0..self.state.shared.cores()).map(CoreId) {
            if core != here {
                self.parts_for(core).ask(nothing, std::iter::empty());
            }
        }
        self.join(session);
    }

    /// The client that a script of this session changes and reads for.
    fn reads_of(&self, session: &Session, command: &Command) -> Reads {
        Reads {
            by: self.state.reader(session.id),
            reading: Reading::of(session, command),
        }
    }

    fn run_script_here(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        quiet: bool,
    ) {
        let began = self.state.timing.begin_apart();
        let mut out = self.scripts.take_reply();
        let is_in_exec = session.executing.is_some();
        let caller = caller_of(session, self.reads_of(session, command));
        let asked = (args, command, began);
        let progress = self.run_script(caller, asked, is_in_exec, &mut out);
        if progress != Progress::Over {
            let owner = Asker::Session {
                id: session.id,
                seq: session.output.expect_if_wanted(!quiet),
                is_held: true,
            };
            session.at_barrier = true;
            return match progress {
                Progress::Beyond => self.begin_again(owner, keep_words(args), command, caller),
                _ => self.park_script(owner, args),
            };
        }
        let reply_bytes = if quiet { 0 } else { out.len() };
        session
            .output
            .append(|to| to.extend_from_slice(&out[..reply_bytes]));
        self.scripts.keep_reply(out);
        if let Some(messenger) = self.scripts.take_telling() {
            self.end_telling_of_script(messenger, None, Some(session));
        }
        if self.scripts.has_publications() {
            // Its messages come behind what it did.
            let by = self.changer(session.id);
            self.act_on_notes(Some(session), Some(by));
        }
        self.publish_held(Some(session));
        let cost = Cost {
            nanos: self.timed_apart(command, began),
            reply_bytes: reply_bytes as u64,
        };
        self.observe_slow(session, args, command.spec, cost.nanos);
        self.add_costs(command.spec, args, cost);
        self.observe_reply(session, args, command.spec, reply_bytes);
    }

    /// Runs a script of another core's session.
    pub(super) fn run_script_for(
        &mut self,
        from: CoreId,
        args: Args<'_>,
        request: &RequestHead,
        command: &'static Command,
    ) {
        let caller = Caller {
            db: request.db,
            protocol: request.protocol,
            access: request.access,
            user: request.user,
            reads: Reads {
                by: request.origin(from),
                reading: request.reading,
            },
        };
        let (ticket, began) = (request.ticket, self.state.timing.begin_apart());
        let mut out = self.scripts.take_reply();
        let asked = (args, command, began);
        let owner = Asker::OtherCore { from, ticket };
        match self.run_script(caller, asked, false, &mut out) {
            Progress::Over => {}
            Progress::Suspended => return self.park_script(owner, args),
            Progress::Beyond => {
                return self.begin_again(owner, keep_words(args), command, caller);
            }
        }
        let nanos = self.timed_apart(command, began);
        if let Some(messenger) = self.scripts.take_telling() {
            self.end_telling_of_sent_script(messenger, from, ticket);
        }
        self.answer_core(from, ticket, &out, (command, args, nanos));
        self.scripts.keep_reply(out);
        self.publish_held(None);
    }

    /// Sends a script's reply to the core that asked; word of it, if it stands out, goes along.
    fn answer_core(
        &mut self,
        from: CoreId,
        ticket: Ticket,
        reply: &[u8],
        (command, args, nanos): (&'static Command, Args<'_>, u64),
    ) {
        self.answer(from, ticket, |to| to.extend_from_slice(reply));
        let is_heard = !matches!(ticket, Ticket::Discard { .. });
        let cost = Cost {
            nanos,
            reply_bytes: reply.len() as u64,
        };
        self.add_costs(command.spec, args, cost);
        if is_heard && self.state.is_worth_telling(cost) {
            let outbox = self.outboxes.to(from);
            outbox.tell_cost(ticket, (command, cost), args, None);
        }
    }

    /// Runs a script without locks; its reply goes to `out` if it is over.
    fn run_script(
        &mut self,
        caller: Caller,
        (args, command, began): (Args<'_>, &'static Command, Instant),
        is_in_exec: bool,
        out: &mut Vec<u8>,
    ) -> Progress {
        let mut hold = self.hold_of(args, command);
        if is_in_exec {
            hold.join_exec();
        }
        let step = match self.start_script(caller, (args, command, began), hold) {
            Ok(step) => step,
            Err((error, _)) => {
                self.count_failure(&error, command);
                Reply::new(out, caller.protocol).error(&error);
                return Progress::Over;
            }
        };
        let progress = self.drive(step);
        if progress != Progress::Suspended {
            let running = self.finish_script(args, out);
            if let Some(messenger) = running.hold().messenger() {
                self.state.sessions.remove(messenger);
                match progress {
                    Progress::Beyond => self.drop_telling(messenger),
                    _ => self.scripts.leave_telling(messenger),
                }
            }
            self.scripts.keep(running);
        }
        progress
    }

    /// Starts a script that came at `began`. Its first step.
    ///
    /// # Errors
    /// It cannot run. What it holds comes back.
    fn start_script(
        &mut self,
        caller: Caller,
        (args, command, began): (Args<'_>, &'static Command, Instant),
        mut hold: Hold,
    ) -> Result<Step, (ErrorReply, Box<Hold>)> {
        let is_out_of_memory = self.room_for_weighed() == Room::Nowhere;
        let admitted = number_of_keys(&self.state, args, command).and_then(|keys| {
            let script = self.find_script(command, args)?;
            let may_write = check_flags(script.flags, command.spec.flags, is_out_of_memory)?;
            Ok((keys, script, may_write))
        });
        let (keys, script, may_write) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return Err((error, Box::new(hold))),
        };
        let is_alone = self.state.shared.cores() == 1;
        hold.note_keeps(
            !is_alone
                && script.keeps.get().unwrap_or_else(|| {
                    let keeps = keeps_to_its_keys(&self.state, args, command);
                    script.keeps.set(Some(keeps));
                    keeps
                }),
        );
        let is_undoable = may_write && !is_alone && hold.may_begin_again();
        let mut client = self.scripts.client();
        client.db = caller.db;
        client.user = caller.user;
        client.set_gate(gate::NO_TOUCH, caller.access == Access::Peek);
        let config = &self.state.config;
        let threshold_ms = config.busy_reply_threshold_ms;
        let options = RunOptions {
            began,
            protocol: caller.protocol,
            patience: (threshold_ms > 0).then(|| Duration::from_millis(threshold_ms)),
            log_level: config.loglevel,
        };
        let start = Start {
            command,
            name: script.name,
            kind: script.kind,
            may_write,
            is_out_of_memory: is_out_of_memory && !script.flags.has(ScriptFlags::ALLOW_OOM),
            is_undoable,
            reads: caller.reads,
            began,
        };
        let running = self.scripts.begin(start, hold, client);
        let vm = self.state.scripts.vm();
        let mut words = vm.words();
        words.clear();
        for arg in args.iter_from(NUMBER_OF_KEYS + 1) {
            let fits = words.push(arg);
            assert!(fits, "arguments are addressed by 32 bits all along");
        }
        drop(words);
        Ok(vm.run(script.code, keys, &running.start().name, &options))
    }

    fn find_script(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<Callable, ErrorReply> {
        let shared = &*self.state.shared;
        let (engine, name) = (&mut self.state.scripts, args.at(1));
        let script = match command.spec.run {
            Run::Script(Invoke::Text) => engine.find_text(&shared.scripts, &shared.hasher, name),
            Run::Script(Invoke::Sha) => {
                let sha = crate::script::sha_of(name).ok_or(errors::NO_SCRIPT)?;
                engine.find_sha(&shared.scripts, &sha)
            }
            Run::Script(Invoke::Function) => {
                let options = LoadOptions {
                    limit: LIBRARY_RELOAD_MAX,
                    log_level: self.state.config.loglevel,
                };
                let found =
                    engine.find_function(&shared.scripts, &shared.libraries, name, &options);
                return found.map_err(no_script);
            }
            _ => unreachable!("only scripts are run as such"),
        };
        script.map_err(no_script)
    }

    /// The script at work.
    fn running(&mut self) -> &mut Running {
        self.scripts.at_work_mut()
    }

    /// Does what the script asks for until it is over, or cannot go on at once.
    fn drive(&mut self, mut step: Step) -> Progress {
        loop {
            match step {
                Step::Done if self.running().begins_again() => return Progress::Beyond,
                Step::Done => return Progress::Over,
                Step::Tick => {
                    self.running().wait_for(Needs::Slice);
                    return Progress::Suspended;
                }
                Step::Call(ask) => match self.answer_script(ask) {
                    Some(Needs::Everything) => {
                        // What it wrote could not be taken back.
                        let keeps = self.running().hold().keeps();
                        debug_assert!(!keeps, "its text shows that it keeps to its keys");
                        self.running().wait_for(Needs::Everything);
                        step = self.state.scripts.vm().resume(GoOn::Die);
                        continue;
                    }
                    Some(needs) => {
                        self.running().wait_for(needs);
                        return Progress::Suspended;
                    }
                    None => {}
                },
            }
            if self.is_script_overdue() {
                self.running().wait_for(Needs::Slice);
                return Progress::Suspended;
            }
            step = self.state.scripts.vm().resume(GoOn::On);
        }
    }

    /// Has the cores of a script's keys remember that it read them. As in Redis, all keys it declared count as read once it
    /// has read anything. Other cores are told of this before its locks there are given back.
    fn remember_declared(&mut self, command: &'static Command, args: Args<'_>, reader: Reader) {
        for at in command.spec.keys.positions(&args) {
            let key = args.at(at);
            let core = self.state.shared.slots.core_of(key);
            if core == self.state.id {
                self.state.remember_key(key, reader);
            } else {
                self.tell(core, remember_each, &[&reader.to_bytes(), key]);
            }
        }
    }

    /// Sends the messages of the script that is over, behind its reply.
    #[inline]
    fn publish_held(&mut self, session: Option<&mut Session>) {
        if self.scripts.has_publications() {
            let publications = self.scripts.take_publications();
            self.publish_for_script(session, publications);
        }
    }

    /// Ends the undo log of the script that is over, on this core: what it did stands, or is undone if it begins again.
    fn settle_undo(&mut self) {
        let running = self.scripts.at_work();
        if !running.start().is_undoable {
            return;
        }
        let begins_again = running.begins_again();
        let lock = running.hold().lock_on(self.state.id);
        if self.state.shard.is_undoable() || self.take_up_undo(lock) {
            match begins_again {
                true => self.state.shard.undo(),
                false => self.state.shard.end_undo(),
            }
        }
    }

    /// Takes the reply of the script that is over.
    fn finish_script(&mut self, args: Args<'_>, out: &mut Vec<u8>) -> Box<Running> {
        self.settle_undo();
        let (mut running, dropped_bytes) = self.scripts.end();
        self.budget.let_go(dropped_bytes);
        if let Some(reader) = running.reader() {
            self.remember_declared(running.start().command, args, reader);
        }
        let mut shown = running.take_shown();
        self.state.monitor_lines.append(&mut shown);
        let vm = self.state.scripts.vm();
        out.extend_from_slice(&vm.reply());
        let errors = vm.reply_errors().clone();
        if !errors.is_empty() && !running.begins_again() {
            self.state.stats.by_command[running.start().command.id.index()].failed += 1;
            for error in errors.iter().filter(|error| !error.is_counted) {
                self.state.stats.count_error(&error.code);
            }
        }
        running
    }
}

/// Whether a script may write, by the flags that it declares and those of the command that runs it.
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
            Invoke::Function => {
                let libraries = self.state.scripts.libraries(&self.state.shared.libraries);
                libraries
                    .function(args.at(1))
                    .map(|function| function.flags)
            }
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

impl Core {
    /// Where a script of `session` runs.
    pub(in crate::dispatch::core) fn place_of_script(
        &self,
        session: &Session,
        args: Args<'_>,
        command: &'static Command,
    ) -> Result<Placement, ErrorReply> {
        number_of_keys(&self.state, args, command)?;
        let here = Placement::OneCore(self.state.id);
        if self.state.shared.cores() == 1 {
            return Ok(here);
        }
        if let Some(executing) = &session.executing {
            // It runs where the `EXEC` does, under its locks if it has any.
            return Ok(match executing.locks.is_empty() {
                true => here,
                false => Placement::Cores,
            });
        }
        if is_undeclared(&self.state, args, command) {
            return Ok(Placement::Cores);
        }
        let core = self.common_core(command.spec, args);
        Ok(core.map_or(Placement::Cores, Placement::OneCore))
    }
}
