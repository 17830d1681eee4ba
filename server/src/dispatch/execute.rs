//! Running one command: may it run, and where.

use std::rc::Rc;
use std::time::Instant;

use larder_engine::Access;

use super::batch::{Head, Ticket, Work};
use super::core::Core;
use super::gather::Finish;
use super::input::Target;
use super::limits::TIMED_ARGS_BYTES;
use crate::command::{
    Args, Command, CommandSpec, CoreState, FirstKey, Flags, Keys, Run, SessionCall, ShardCall,
    ShardFn, Spread,
};
use crate::resp::{ErrorReply, Protocol, Reply, errors};
use crate::routing::CoreId;
use crate::session::{Closing, ReplyMode, Session, gate};

/// What the gates decide.
enum Admission {
    Run,
    /// Not now: the session stalls before this command.
    Wait,
    Refuse(ErrorReply),
}

impl Core {
    /// Runs a command of `session`, or begins to. False: it must wait, and the session is stalled.
    #[inline(always)]
    pub(super) fn execute(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: Option<&'static Command>,
        target: Target,
    ) -> bool {
        if session.gates | self.state.gates == 0
            && target.core == self.state.id
            && let Some(command) = command
            && let Run::OnShard(run) = command.spec.run
            && command.shares_turn
            && command.spec.accepts(args.len())
            && args.span_bytes() <= TIMED_ARGS_BYTES
        {
            self.count_call(session, command);
            self.timing.ran(command.id);
            self.run_here(session, args, command, run, target, false);
            return true;
        }
        self.execute_any(session, args, command, target)
    }

    #[inline]
    fn count_call(&mut self, session: &mut Session, command: &'static Command) {
        session.commands += 1;
        session.last_command = command.spec.name;
        self.state.stats.commands += 1;
    }

    /// As [`Self::execute`], for whatever is not a plain command on a key of this core.
    fn execute_any(
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
                if let Some(command) = command {
                    self.state.stats.by_command[usize::from(command.id.0)].rejected += 1;
                }
                self.refuse(session, &error);
                return true;
            }
        };
        if self.state.shared.slots.cores() > 1 && !self.has_room_for(command, target) {
            session.awaits_room = true;
            self.waiting.push(session.id);
            return false;
        }
        let gates = session.gates | self.state.gates;
        if gates != 0 {
            match self.pass_gates(session, args, resolved, target, gates) {
                Admission::Run => {}
                Admission::Wait => return false,
                Admission::Refuse(error) => {
                    self.state.stats.by_command[usize::from(resolved.id.0)].rejected += 1;
                    self.refuse(session, &error);
                    return true;
                }
            }
        }
        self.run(session, args, resolved, target, gates);
        true
    }

    /// Whether the outboxes the command may need have room for it; if not, it waits for the next turn.
    #[inline]
    fn has_room_for(&self, command: Option<&'static Command>, target: Target) -> bool {
        match command.map(|command| command.spec.run) {
            Some(Run::OnShard(_)) if target.core == self.state.id => true,
            Some(Run::OnShard(_)) => !self.outboxes[target.core.index()].is_full(),
            Some(Run::OnSession(_)) | None => true,
            _ => !self.outboxes.iter().any(|outbox| outbox.is_full()),
        }
    }

    fn refuse(&mut self, session: &mut Session, error: &ErrorReply) {
        self.count_error(error);
        if wants_reply(session) {
            session.reply(|reply| reply.error(error));
        }
        end_skip(session);
    }

    /// Runs an admitted command, or sends it where it runs.
    #[inline]
    fn run(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        target: Target,
        gates: u32,
    ) {
        self.count_call(session, command);
        let quiet = gates & gate::REPLY_MODE != 0 && !wants_reply(session);
        if let Run::Script(_) = command.spec.run {
            self.begin_script(session, args, command, quiet);
            return end_skip(session);
        }
        let owner = match command.spec.run {
            Run::OnShard(_) => Some(target.core),
            Run::FanOut { .. } => self.common_core(command.spec, args),
            _ => None,
        };
        match owner {
            Some(core) if core != self.state.id => {
                self.hop(session, args, command, Target { core, ..target }, quiet);
            }
            _ if !is_timed_apart(command, args, gates) => {
                self.timing.ran(command.id);
                self.start(session, args, command, target, owner, quiet);
            }
            _ => {
                let began = Instant::now();
                self.start(session, args, command, target, owner, quiet);
                let micros = self.timed_apart(command, began);
                self.observe_slow(session, args, command.spec, micros);
            }
        }
        end_skip(session);
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
        match command.spec.run {
            Run::OnShard(run) => self.run_here(session, args, command, run, target, quiet),
            Run::OnSession(run) => self.run_on_session(session, args, command, run, quiet),
            Run::FanOut { together, .. } if owner.is_some() => {
                self.run_here(session, args, command, together, target, quiet);
            }
            Run::FanOut { spread, .. } => self.spread(session, args, command, spread, quiet),
            Run::EveryCore { each, merge } => {
                let cores = (0..self.state.shared.cores()).map(CoreId);
                let own: Rc<[&[u8]]> = args.iter_from(0).collect();
                let asks = cores
                    .map(|core| (core, Work::Part(each), own.clone()))
                    .collect();
                self.gather(session, args, command, Finish::Merge(merge), asks, quiet);
            }
            Run::Rounds(begin) => self.begin_rounds(session, args, command, begin, quiet),
            Run::Script(_) => unreachable!("a script begins elsewhere"),
            Run::Container => unreachable!("a container is resolved to its subcommand"),
        }
    }

    /// Accounts for a command that began at `began` and was timed by itself; microseconds it took.
    pub(super) fn timed_apart(&mut self, command: &'static Command, began: Instant) -> u64 {
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.timing.apart(nanos);
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
        quiet: bool,
    ) {
        let place = Place {
            db: session.db,
            protocol: session.protocol,
            access: access_of(session),
            first_key: target.first_key,
        };
        let state = &mut self.state;
        session.output.append(|out| {
            let began = out.len();
            run_on_shard(state, out, args, command, run, place);
            if quiet {
                out.truncate(began);
            }
        });
    }

    fn run_on_session(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        run: fn(&mut SessionCall<'_>) -> errors::CommandResult,
        quiet: bool,
    ) {
        let mark = quiet.then(|| session.output.mark());
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
        // `CLIENT REPLY ON` and `RESET` are heard: they end what made them quiet.
        if let Some(mark) = mark
            && !wants_reply(session)
        {
            session.output.rewind(mark);
            if let Some(blocked) = &mut session.blocked {
                blocked.quiet = true;
            }
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
        self.state.stats.hops += 1;
        let ticket = if quiet {
            Ticket::Discard {
                session: session.id,
            }
        } else {
            Ticket::Reply {
                session: session.id,
                seq: session.output.expect(),
            }
        };
        let head = Head {
            ticket,
            work: Work::Command(command),
            db: session.db,
            protocol: session.protocol,
            access: access_of(session),
            client_id: session.client_id,
            first_key: target.first_key,
        };
        self.outboxes[target.core.index()].ask(head, args.iter_from(0));
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
        let work = Work::Command(command);
        let finish = match spread {
            Spread::Rounds(begin) => {
                return self.begin_rounds(session, args, command, begin, quiet);
            }
            Spread::Sum => Finish::Sum,
            Spread::All => Finish::All,
            Spread::Gather => Finish::Gather(Vec::new()),
        };
        let Keys::Range { first, step, .. } = command.spec.keys else {
            unreachable!("a command that spreads has its keys in a range")
        };
        if !(args.len() - usize::from(first)).is_multiple_of(step.into()) {
            return self.refuse(session, &errors::wrong_arity(command.spec.name));
        }
        let cores = usize::from(self.state.shared.cores());
        let mut parts: Vec<Vec<&[u8]>> = vec![Vec::new(); cores];
        let mut places = Vec::new();
        for at in command.spec.keys.positions(&args) {
            let core = self.state.shared.slots.core_of(args.at(at)).index();
            if parts[core].is_empty() {
                parts[core].push(args.at(0));
            }
            places.push(core);
            let end = (at + usize::from(step)).min(args.len());
            parts[core].extend((at..end).map(|at| args.at(at)));
        }
        // Parts are numbered densely, by core.
        let mut number = vec![0; cores];
        let mut asks = Vec::new();
        for (core, part) in parts
            .into_iter()
            .enumerate()
            .filter(|(_, part)| !part.is_empty())
        {
            number[core] = asks.len();
            asks.push((CoreId(core as u16), work, part.into()));
        }
        let finish = match finish {
            Finish::Gather(_) => {
                Finish::Gather(places.into_iter().map(|core| number[core]).collect())
            }
            other => other,
        };
        self.gather(session, args, command, finish, asks, quiet);
    }

    /// Everything that takes a command off the fast path.
    #[cold]
    fn pass_gates(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        target: Target,
        gates: u32,
    ) -> Admission {
        let spec = command.spec;
        let flags = self.flags_of(spec, args);
        if gates & gate::NEEDS_AUTH != 0 && !spec.flags.has(Flags::NO_AUTH) {
            return Admission::Refuse(errors::NO_AUTH);
        }
        if gates & gate::BUSY != 0
            && let Some(error) = self.refuse_while_busy(command, args, target)
        {
            return Admission::Refuse(error);
        }
        if gates & gate::MONITOR != 0
            && !matches!(spec.name, "quit" | "reset")
            && spec.flags.has_any(Flags::WRITE.with(Flags::READONLY))
        {
            return Admission::Refuse(errors::NOT_AS_MONITOR);
        }
        if gates & gate::MAXMEMORY != 0 && flags.has(Flags::DENYOOM) && self.is_out_of_memory() {
            return Admission::Refuse(errors::OUT_OF_MEMORY);
        }
        if gates & gate::PAUSE != 0 && self.state.is_paused_for(flags) {
            self.state.hold_for_pause(session);
            return Admission::Wait;
        }
        if gates & gate::WATCHED_BY_MONITOR != 0 && !spec.flags.has(Flags::SKIP_MONITOR) {
            self.show_to_monitors(session, args, spec);
        }
        Admission::Run
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

/// How a command runs on a shard, whoever asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) db: larder_engine::DbIndex,
    pub(super) protocol: Protocol,
    pub(super) access: Access,
    pub(super) first_key: FirstKey,
}

/// Runs a command on the core's shard; its reply, or its error, goes to the end of `out`.
#[inline(always)]
pub(super) fn run_on_shard(
    state: &mut CoreState,
    out: &mut Vec<u8>,
    args: Args<'_>,
    command: &'static Command,
    run: ShardFn,
    place: Place,
) {
    let began = out.len();
    let result = run(&mut ShardCall {
        shard: &mut state.shard,
        db: place.db,
        args,
        reply: Reply::new(out, place.protocol),
        config: &state.config,
        stats: &mut state.stats,
        access: place.access,
        first_key: place.first_key,
    });
    if let Err(error) = result {
        fail(state, out, began, command, place.protocol, &error);
    }
}

/// Takes back what a failed command wrote, and writes its error.
#[cold]
fn fail(
    state: &mut CoreState,
    out: &mut Vec<u8>,
    began: usize,
    command: &'static Command,
    protocol: Protocol,
    error: &ErrorReply,
) {
    out.truncate(began);
    Reply::new(out, protocol).error(error);
    state.stats.count_error(error.code());
    state.stats.by_command[command.id.index()].failed += 1;
}

/// The command to run, subcommand and arity settled.
#[inline]
fn resolve(
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
        return Err(errors::unknown_subcommand(spec.name, name));
    };
    if !command.spec.accepts(args.len()) {
        return Err(errors::wrong_arity(command.spec.name));
    }
    Ok(command)
}

/// Whether an HTTP request is being passed off as commands, as a web page can make a browser do: its lines would be
/// run one by one. Redis closes such a connection too.
#[cold]
fn is_http(args: Args<'_>) -> bool {
    args.is(0, "POST") || args.is(0, "Host:")
}

pub(super) fn access_of(session: &Session) -> Access {
    if session.gates & gate::NO_TOUCH == 0 {
        Access::Touch
    } else {
        Access::Peek
    }
}

fn wants_reply(session: &Session) -> bool {
    matches!(session.reply_mode, ReplyMode::On | ReplyMode::SkipNext)
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
