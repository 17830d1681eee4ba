//! Runs one command: checks that it may run, and finds where.

use std::rc::Rc;
use std::time::Instant;

use crate::command::{
    Args, Command, CommandSpec, CoreFn, Flags, Rounds, RoundsFn, Run, SessionCall, ShardFn, Spread,
    TransactionStep,
};
use crate::dispatch::core::admit::{Admission, has_to_come_behind};
use crate::dispatch::core::input::Target;
use crate::dispatch::core::transactions::gather::AskedPart;
use crate::dispatch::core::{Core, protect};
use crate::dispatch::exec::locks_of;
use crate::dispatch::gather::Finish;
use crate::dispatch::limits::TIMED_ARGS_BYTES;
use crate::dispatch::mail::requests::{Reading, RequestHead, Ticket, Work};
use crate::dispatch::run::on_shard::{CallOptions, access_of, run_on_shard};
use crate::dispatch::run::recipient::note_write;
use crate::dispatch::transactions::pending::key_range;
use crate::resp::{ErrorReply, errors};
use crate::routing::CoreId;
use crate::session::{Closing, Endpoint, HighWater, Queueing, ReplyMode, Session, gate};

/// What has become of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Executed {
    /// It has run or is on its way to another core: of its session only what that is owed has changed.
    Plainly,
    /// It has run, or has begun to.
    Otherwise,
    /// It must wait, and the session is stalled.
    NotYet,
}

impl Core {
    /// Runs a command of `session`, or begins to.
    #[inline(always)]
    pub(super) fn execute(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: Option<&'static Command>,
        target: Target,
    ) -> Executed {
        if session.gates | self.state.gates == 0
            && target.core == self.state.id
            && let Some(command) = command
            && let Run::OnShard(run) = command.spec.run
            && command.is_plain
            && command.spec.accepts(args.len())
            && args.span_bytes() <= TIMED_ARGS_BYTES
        {
            self.count_call(session, command);
            self.state.timing.ran(command.id);
            let how = (false, Reading::NotRemembered);
            self.run_here(session, args, command, run, target, how);
            self.serve_written();
            return Executed::Plainly;
        }
        self.execute_otherwise(session, args, command, target)
    }

    /// As [`Self::execute`], for whatever is not a plain command on a key of this core: it may be one on a key of another.
    #[inline(never)]
    fn execute_otherwise(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: Option<&'static Command>,
        target: Target,
    ) -> Executed {
        if session.gates | self.state.gates == 0
            && target.core != self.state.id
            && let Some(command) = command
            && matches!(command.spec.run, Run::OnShard(_))
            && command.is_plain
            && command.spec.accepts(args.len())
            && args.span_bytes() <= TIMED_ARGS_BYTES
            && self.may_just_hop(session, target)
        {
            self.count_call(session, command);
            self.hop(session, args, command, target, false);
            return Executed::Plainly;
        }
        match self.execute_any(session, args, command, target) {
            true => Executed::Otherwise,
            false => Executed::NotYet,
        }
    }

    /// Whether a plain command on a key of another core has but to be sent there, gates apart.
    #[inline(always)]
    fn may_just_hop(&self, session: &Session, target: Target) -> bool {
        !self.is_congested(target.core.index())
            && !session.has_sent_much()
            && self.copies.is_empty()
            && session.granted_lock.is_none()
    }

    #[inline]
    pub(super) fn count_call(&mut self, session: &mut Session, command: &'static Command) {
        session.commands += 1;
        session.last_command = command.spec.name;
        self.state.stats.commands += 1;
    }

    /// As [`Self::execute`], for whatever is not a plain command on one key. False: it must wait, and the session is stalled.
    fn execute_any(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: Option<&'static Command>,
        target: Target,
    ) -> bool {
        let before = session.granted_lock.map(|lock| self.begin_moment_of(lock));
        self.scripts.has_waited = before.is_some();
        let has_run = self.try_execute(session, args, command, target);
        self.scripts.has_waited = false;
        if let Some(before) = before {
            self.end_moment(before);
        }
        if has_run && let Some(lock) = session.granted_lock.take() {
            // It held it while it ran. What waits behind goes on after this command at the earliest.
            self.release_locks(lock);
        }
        has_run
    }

    #[inline(always)]
    fn try_execute(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: Option<&'static Command>,
        target: Target,
    ) -> bool {
        if command.is_none() && is_http(args) {
            session.closing = Closing::Now;
            return true;
        }
        // As in Redis, what is no command is said even to a client that has yet to authenticate.
        let resolved = match resolve(command, args) {
            Ok(resolved) => resolved,
            Err(error) => {
                self.count_unresolved(command, args);
                spoil(session);
                self.refuse(session, &error);
                return true;
            }
        };
        if let Some(error) = protect::refusal(&self.state.config, session, resolved.spec) {
            self.reject(session, resolved, &error);
            return true;
        }
        if self.state.shared.slots.cores() > 1 {
            if session.gates & gate::BEHIND_LAST != 0 {
                if session.output.outstanding() > 0 || session.gates & gate::IN_ORDER != 0 {
                    session.stalled_for_room = true;
                    self.to_resume.push(session.id);
                    return false;
                }
                session.set_gate(gate::BEHIND_LAST, false);
            }
            if session.gates & gate::IN_ORDER != 0 && !self.may_take_place(session, resolved) {
                session.stalled_for_entry = true;
                return false;
            }
            if !self.has_room_for(session, command, target)
                || self.has_no_room_for_notes()
                || has_to_come_behind(session, resolved)
                || self.has_yet_to_hear_of_itself(session)
                || self.would_be_told_early(session, resolved)
            {
                session.stalled_for_room = true;
                self.to_resume.push(session.id);
                return false;
            }
        }
        let mut gates = session.gates | self.state.gates;
        if self.is_weighed_apart(session, args, resolved, target) {
            gates |= gate::MAXMEMORY;
        }
        if gates != 0 {
            match self.pass_gates(session, args, resolved, target, gates) {
                Admission::Run => {}
                Admission::Wait => return false,
                Admission::Queue => {
                    self.queue(session, args, resolved, target);
                    return true;
                }
                Admission::Refuse(error) => {
                    let error = match resolved.spec.run {
                        Run::Transaction(TransactionStep::Run) => {
                            self.abort_exec(session, args, error)
                        }
                        _ => error,
                    };
                    self.reject(session, resolved, &error);
                    return true;
                }
            }
        }
        self.run(session, args, resolved, target, gates);
        self.serve_written();
        self.act_on_served(Some(session));
        if gates & gate::MONITOR != 0 {
            // What a monitor runs it sees behind its reply.
            self.pass_to_monitors(Some(session));
        }
        true
    }

    /// Refuses a command before it runs.
    #[cold]
    fn reject(&mut self, session: &mut Session, command: &'static Command, error: &ErrorReply) {
        self.state.stats.by_command[command.id.index()].rejected += 1;
        spoil(session);
        self.refuse(session, error);
    }

    /// Says that a command is queued.
    pub(super) fn reply_queued(&mut self, session: &mut Session) {
        if wants_reply(session) {
            session.reply(|reply| reply.status("QUEUED"));
        }
        end_skip(session);
    }

    pub(super) fn refuse(&mut self, session: &mut Session, error: &ErrorReply) {
        self.count_error(error);
        if wants_reply(session) {
            session.reply(|reply| reply.error(error));
        }
        end_skip(session);
        session.end_caching();
    }

    /// Runs an admitted command, or sends it where it runs.
    #[inline]
    pub(super) fn run(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        target: Target,
        gates: u32,
    ) {
        self.count_call(session, command);
        let quiet = gates & gate::REPLY_MODE != 0 && !wants_reply(session);
        let owner = match command.spec.run {
            Run::OnShard(_) => Some(target.core),
            Run::FanOut { .. } | Run::Blocking(_) => self.common_core(command.spec, args),
            _ => None,
        };
        let is_spread = owner.is_none() && matches!(command.spec.run, Run::FanOut { .. });
        match owner {
            Some(core)
                if core != self.state.id
                    && matches!(command.spec.run, Run::Blocking(_))
                    && session.may_wait() =>
            {
                self.send_attempt(session, args, command, core, quiet);
            }
            _ if matches!(command.spec.run, Run::Script(_)) => {
                self.begin_script(session, args, command, quiet);
            }
            Some(core) if core != self.state.id || gates & gate::IN_ORDER != 0 => {
                let is_answered = !self.copies.is_empty()
                    && self.run_on_copy(session, args, command, target, gates);
                if !is_answered {
                    self.hop(session, args, command, Target { core, ..target }, quiet);
                }
            }
            // It is timed when it runs.
            _ if self.is_to_run_alone(session, command) => {
                self.start(session, args, command, target, owner, quiet);
            }
            // What is spread runs elsewhere, and later.
            _ if is_spread || !is_timed_apart(command, args, gates) => {
                self.state.timing.ran(command.id);
                self.start(session, args, command, target, owner, quiet);
            }
            _ => {
                let began = Instant::now();
                self.start(session, args, command, target, owner, quiet);
                let micros = self.timed_apart(command, began);
                self.observe_slow(session, args, command.spec, micros);
            }
        }
        end_command(session, command.spec);
        if gates & gate::NOTES != 0 {
            let by = self.changer(session.id);
            self.act_on_notes(Some(session), Some(by));
        }
    }

    /// Runs a command that is not one for another core alone.
    #[inline]
    pub(super) fn start(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        target: Target,
        owner: Option<CoreId>,
        quiet: bool,
    ) {
        let how = (quiet, Reading::of(session, command));
        match command.spec.run {
            Run::OnShard(run) => self.run_here(session, args, command, run, target, how),
            Run::OnSession(run) if self.is_to_run_alone(session, command) => {
                self.begin_alone(session, args, command, run, quiet);
            }
            Run::OnSession(run) => self.run_on_session(session, args, command, run, quiet),
            Run::FanOut { together, .. } if owner.is_some() => {
                self.run_here(session, args, command, together, target, how);
            }
            Run::FanOut { spread, .. } => self.spread(session, args, command, spread, quiet),
            Run::EveryCore { each, merge } if is_by_node(session, command) => {
                let own = vec![self.ask_of_core(self.state.id, args, each)];
                self.gather(session, args, command, Finish::Merge(merge), own, quiet);
            }
            Run::EveryCore { each, merge } => {
                let is_alone = self.state.shared.cores() == 1;
                let takes_place = Flags::WHOLE_KEYSPACE.with(Flags::IN_ORDER);
                if command.spec.flags.has_any(takes_place) && !is_alone {
                    let run = (each, merge);
                    if command.spec.flags.has(Flags::IN_ORDER) {
                        // It concerns what may run next.
                        session.set_gate(gate::BEHIND_LAST, true);
                    }
                    return self.begin_on_every_core(session, args, command, run, quiet);
                }
                let asks = self.asks_of_every_core(args, each);
                self.gather(session, args, command, Finish::Merge(merge), asks, quiet);
            }
            Run::Rounds(begin) => {
                if let Some(rounds) = self.rounds(session, args, command, begin, quiet) {
                    self.begin_rounds(session, rounds, command, quiet);
                }
            }
            Run::Blocking(blocking) if owner.is_some() => {
                self.attempt_here(session, args, command, blocking, how);
            }
            Run::Blocking(blocking) => {
                self.begin_blocking(session, args, command, blocking, quiet);
            }
            Run::Transaction(step) => {
                self.run_transaction_step(session, args, command, step, quiet);
            }
            Run::SomeCores {
                which,
                topic,
                count,
                merge,
                ..
            } if self.is_told_among_events(topic) => {
                self.ask_some_cores(session, args, command, which, (count, merge), quiet);
                self.tell_message(args.at(1), args.at(2), Some(session));
            }
            Run::SomeCores {
                which, each, merge, ..
            } => {
                self.ask_some_cores(session, args, command, which, (each, merge), quiet);
            }
            Run::Script(_) => unreachable!("a script begins elsewhere"),
            Run::Container => unreachable!("a container is resolved to its subcommand"),
        }
    }

    /// Accounts for a command that began at `began` and was timed by itself; microseconds it took.
    pub(super) fn timed_apart(&mut self, command: &'static Command, began: Instant) -> u64 {
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.state.timing.apart(nanos);
        self.state.stats.ran(command.id, 1, nanos);
        nanos / 1000
    }

    /// Runs on this core's shard.
    #[inline(always)]
    fn run_here(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        run: ShardFn,
        target: Target,
        (quiet, reading): (bool, Reading),
    ) {
        let options = CallOptions {
            db: session.db,
            protocol: session.protocol,
            access: access_of(session),
            first_key: target.first_key,
        };
        let state = &mut self.state;
        session.output.append(|out| {
            let began = out.len();
            run_on_shard(state, out, args, command, run, options);
            if quiet {
                out.truncate(began);
            }
        });
        if reading == Reading::Remembered {
            let reader = state.reader(session.id);
            state.remember(command.spec, &args, reader);
        }
    }

    pub(super) fn run_on_session(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        run: fn(&mut SessionCall<'_>) -> errors::CommandResult,
        quiet: bool,
    ) {
        // Word of a change of subscriptions is no reply: it is said to a client that wants none, too.
        let is_heard = !quiet || command.spec.flags.has(Flags::PUBSUB);
        let mark = (!is_heard).then(|| session.output.mark());
        let result = run(&mut SessionCall {
            core: &mut self.state,
            session,
            args,
        });
        if let Err(error) = result {
            self.count_error(&error);
            self.state.stats.by_command[usize::from(command.id.0)].failed += 1;
            session.reply(|reply| reply.error(&error));
        }
        self.show_behind(session, args, command.spec);
        self.notice_config();
        let high_water = self.state.config.client_output_buffer_high_water_bytes;
        session.set_high_water(HighWater::of(high_water));
        // `CLIENT REPLY ON` and `RESET` are heard: they end what made them quiet.
        if let Some(mark) = mark
            && !wants_reply(session)
        {
            session.output.rewind(mark);
            if let Some(blocked) = &mut session.blocked {
                blocked.quiet = true;
            }
        }
        if session.ends_watch {
            self.end_watch(session);
        }
        if let Some(until_ms) = session
            .blocked
            .as_ref()
            .and_then(|blocked| blocked.until_ms)
        {
            self.state.add_timer(until_ms, session.id);
        }
    }

    /// Sends the command to the core that owns its keys.
    pub(super) fn hop(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        target: Target,
        quiet: bool,
    ) {
        if session.executing.is_some() && self.tells_of(session.id) {
            return self.ask_in_exec(session, args, command, target.core, quiet);
        }
        self.state.stats.hops += 1;
        session.begin_sending();
        let seq = session.output.expect_if_wanted(!quiet);
        note_write(session, command.spec, seq);
        let ticket = Ticket::Reply {
            session: session.id,
            seq,
        };
        let head = RequestHead {
            ticket,
            work: Work::Command(command),
            db: session.db,
            protocol: session.protocol,
            access: access_of(session),
            client_id: session.client_id,
            user: session.user,
            reading: Reading::of(session, command),
            first_key: target.first_key,
            locks: locks_of(session, target.core),
        };
        if session.gates & gate::IN_ORDER != 0 {
            return self.hop_in_order(session, target.core, head, args);
        }
        let outbox = &mut self.outboxes[target.core.index()];
        session.sent_bytes += outbox.ask_with(head, args, self.lent.as_ref());
    }

    /// The one core that owns all keys of the command, if there is one.
    pub(super) fn common_core(&self, spec: &CommandSpec, args: Args<'_>) -> Option<CoreId> {
        let slots = &self.state.shared.slots;
        if slots.cores() == 1 {
            return Some(self.state.id);
        }
        let mut cores = spec
            .keys
            .positions(&args)
            .map(|at| slots.core_of(args.at(at)));
        let first = cores.next().unwrap_or(self.state.id);
        cores.all(|core| core == first).then_some(first)
    }

    /// Spreads a command of several keys over the cores that own them.
    fn spread(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        spread: Spread,
        quiet: bool,
    ) {
        if let Spread::Rounds(begin) = spread {
            if let Some(rounds) = self.rounds(session, args, command, begin, quiet) {
                self.begin_rounds_on_cores(session, args, command, rounds, quiet);
            }
            return;
        }
        let (first, step) = key_range(command);
        if !(args.len() - first).is_multiple_of(step) {
            return self.refuse(session, &errors::wrong_arity(command.spec.name));
        }
        self.begin_spread(session, args, command, spread, quiet);
    }

    /// A command of several rounds, ready to begin. None: its arguments were wrong, and that is said.
    pub(super) fn rounds(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        begin: RoundsFn,
        quiet: bool,
    ) -> Option<Box<dyn Rounds>> {
        begin(&args, &self.state.shared.slots)
            .map(|mut rounds| {
                if is_by_node(session, command) {
                    rounds.keep_to(self.state.id);
                }
                rounds
            })
            .inspect_err(|error| {
                self.count_failure(error, command);
                if !quiet {
                    session.reply(|reply| reply.error(error));
                }
            })
            .ok()
    }

    /// A command on one core, as a question.
    fn ask_of_core<'a>(&self, core: CoreId, args: Args<'a>, each: CoreFn) -> AskedPart<'a> {
        (core, Work::Part(each), args.iter_from(0).collect())
    }

    /// A command on every core, as questions.
    pub(super) fn asks_of_every_core<'a>(
        &self,
        args: Args<'a>,
        each: CoreFn,
    ) -> Vec<AskedPart<'a>> {
        let cores = (0..self.state.shared.cores()).map(CoreId);
        let own: Rc<[&[u8]]> = args.iter_from(0).collect();
        cores
            .map(|core| (core, Work::Part(each), own.clone()))
            .collect()
    }

    /// A command that spreads, as one question for each core that owns keys of it, and how the answers become one.
    pub(super) fn split<'a>(
        &self,
        args: Args<'a>,
        command: &'static Command,
        spread: Spread,
    ) -> (Finish, Vec<AskedPart<'a>>) {
        let work = Work::Command(command);
        let (_, step) = key_range(command);
        let cores = usize::from(self.state.shared.cores());
        let mut parts: Vec<Vec<&[u8]>> = vec![Vec::new(); cores];
        let mut places = Vec::new();
        for at in command.spec.keys.positions(&args) {
            let core = self.state.shared.slots.core_of(args.at(at)).index();
            if parts[core].is_empty() {
                parts[core].push(args.at(0));
            }
            places.push(core);
            let end = (at + step).min(args.len());
            parts[core].extend((at..end).map(|at| args.at(at)));
        }
        // Parts are numbered densely, by core.
        let mut number = vec![0; cores];
        let mut asks: Vec<AskedPart<'a>> = Vec::new();
        for (core, part) in parts
            .into_iter()
            .enumerate()
            .filter(|(_, part)| !part.is_empty())
        {
            number[core] = asks.len();
            asks.push((CoreId(core as u16), work, part.into()));
        }
        let finish = match spread {
            Spread::Sum => Finish::Sum,
            Spread::All => Finish::All,
            Spread::Gather => Finish::Gather(places.into_iter().map(|core| number[core]).collect()),
            Spread::Rounds(_) => unreachable!("a command of several rounds asks by itself"),
        };
        (finish, asks)
    }

    pub(super) fn count_error(&mut self, error: &ErrorReply) {
        self.state.stats.count_error(error.code());
    }
}

/// Whether a command's share of its turn's time would not tell enough of it.
#[inline]
pub(super) fn is_timed_apart(command: &Command, args: Args<'_>, gates: u32) -> bool {
    !command.shares_turn || gates & gate::TIME_EACH != 0 || args.span_bytes() > TIMED_ARGS_BYTES
}

/// The command to run, subcommand and arity settled.
#[inline]
pub(super) fn resolve(
    command: Option<&'static Command>,
    args: Args<'_>,
) -> Result<&'static Command, ErrorReply> {
    let Some(command) = command else {
        return Err(errors::unknown_command(args.at(0), args.iter_from(1)));
    };
    if !command.subcommands.is_empty() {
        return resolve_subcommand(command, args);
    }
    if !command.spec.accepts(args.len()) {
        return Err(errors::wrong_arity(command.spec.name));
    }
    Ok(command)
}

#[cold]
fn resolve_subcommand(
    container: &'static Command,
    args: Args<'_>,
) -> Result<&'static Command, ErrorReply> {
    let spec = container.spec;
    let Some(name) = args.get(1) else {
        // A container may run by itself (`COMMAND`); most want a subcommand.
        return match spec.run {
            Run::Container => Err(errors::wrong_arity(spec.name)),
            _ => Ok(container),
        };
    };
    let Some(command) = container.subcommand(name) else {
        return Err(errors::unknown_subcommand(args.at(0), name));
    };
    if !command.spec.accepts(args.len()) {
        return Err(errors::wrong_arity(command.spec.name));
    }
    Ok(command)
}

/// Whether the command, coming from this client, is about the core that serves it alone.
pub(super) fn is_by_node(session: &Session, command: &Command) -> bool {
    session.peer.endpoint == Endpoint::Core && command.spec.flags.has(Flags::BY_NODE)
}

/// Whether an HTTP request is being passed off as commands, as a web page can make a browser do: its lines would be
/// run one by one. Redis closes such a connection too.
#[cold]
fn is_http(args: Args<'_>) -> bool {
    args.is(0, "POST") || args.is(0, "Host:")
}

/// Whatever was refused was to be a part of a transaction: that cannot be run any more.
fn spoil(session: &mut Session) {
    if let Some(multi) = &mut session.multi {
        multi.state = Queueing::Spoilt;
    }
}

fn wants_reply(session: &Session) -> bool {
    matches!(session.reply_mode, ReplyMode::On | ReplyMode::SkipNext)
}

/// Behind a command: what was said of it alone is over, that its reply is to be skipped or its keys are to be tracked.
/// What was said of an `EXEC` holds to its end, which [`end_exec`] is told of.
#[inline]
fn end_command(session: &mut Session, spec: &CommandSpec) {
    if session.gates & (gate::REPLY_MODE | gate::TRACKING) == 0
        || session.executing.is_some()
        || matches!(spec.run, Run::Transaction(TransactionStep::Run))
    {
        return;
    }
    end_skip(session);
    // As in Redis, `CLIENT` commands do not count.
    if !spec.name.starts_with("client|") {
        session.end_caching();
    }
}

/// Behind an `EXEC`.
pub(super) fn end_exec(session: &mut Session) {
    end_skip(session);
    session.end_caching();
}

/// Behind a command: the one to be skipped is over, or comes next.
#[inline]
fn end_skip(session: &mut Session) {
    if session.gates & gate::REPLY_MODE == 0 {
        return;
    }
    session.reply_mode = match session.reply_mode {
        ReplyMode::SkipNext => ReplyMode::SkipThis,
        ReplyMode::SkipThis => ReplyMode::On,
        other => other,
    };
    session.set_gate(gate::REPLY_MODE, session.reply_mode != ReplyMode::On);
}
