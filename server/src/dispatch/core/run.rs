//! Runs a command that may run: on this core's shard, on its session, on the core of its keys, or on several cores.

use std::rc::Rc;
use std::time::Instant;

use crate::command::{
    Args, Command, CommandSpec, CoreFn, FirstKey, Flags, KeyAccess, Rounds, Run, SessionCall,
    ShardFn, Spread,
};
use crate::dispatch::core::Core;
use crate::dispatch::core::execute::end_command;
use crate::dispatch::core::input::Target;
use crate::dispatch::core::transactions::gather::AskedPart;
use crate::dispatch::exec::locks_of;
use crate::dispatch::gather::Finish;
use crate::dispatch::limits::TIMED_ARGS_BYTES;
use crate::dispatch::mail::requests::{Reading, RequestHead, Ticket, Work};
use crate::dispatch::run::on_shard::{CallOptions, access_of, run_on_shard};
use crate::dispatch::run::recipient::note_write;
use crate::dispatch::transactions::pending::{Split, key_range};
use crate::observe::Cost;
use crate::resp::{ErrorReply, errors};
use crate::routing::{CoreId, SlotMap};
use crate::session::{Endpoint, HighWater, Session, gate};

impl Core {
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
        let quiet = gates & gate::REPLY_MODE != 0 && !session.wants_reply();
        let owner = match command.spec.run {
            Run::OnShard(_) => Some(target.core),
            Run::FanOut { .. } => self.split_keys(command, args, target),
            Run::Blocking(_) => self.common_core(command.spec, args),
            _ => None,
        };
        let runs_later = match command.spec.run {
            Run::FanOut { .. } => owner.is_none(),
            Run::RoundsOfAll { reaches, .. } => self.takes_locks_of_all(reaches, args),
            _ => false,
        };
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
            Some(_) if let Some(begin) = command.steps.filter(|_| session.may_wait()) => {
                self.run_in_steps(session, args, (command, begin), target, quiet);
            }
            // What is spread runs elsewhere, and what needs locks of everything when it has them.
            _ if runs_later || !is_timed_apart(command, args, gates) => {
                self.start(session, args, command, target, owner, quiet);
                // What tells of what has run does not tell of itself.
                self.state.timing.ran(command.id);
            }
            _ => {
                let began = self.state.timing.begin_apart();
                let written_before = session.output.written_bytes();
                self.start(session, args, command, target, owner, quiet);
                let cost = Cost {
                    nanos: self.timed_apart(command, began),
                    reply_bytes: session.output.written_since(written_before),
                };
                self.observe_slow(session, args, command.spec, cost.nanos);
                self.add_costs(command.spec, args, cost);
            }
        }
        // It may have changed what counts as large.
        if is_told_apart(args, gates | self.state.gates) {
            self.observe_request(session, args, command.spec);
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
            Run::FanOut { spread, .. } => {
                self.spread(session, args, command, target.first_key, spread, quiet);
            }
            Run::EveryCore { .. } if let Some(cores) = self.cores_that_walk(session, command) => {
                let walk = command.spec.walk.expect("it was looked at");
                self.walk_on(session, args, (command, walk), cores, quiet);
            }
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
                    self.begin_rounds(session, args, rounds, command, quiet);
                }
            }
            Run::RoundsOfAll { begin, reaches } => {
                let takes_locks = self.takes_locks_of_all(reaches, args);
                match self.rounds(session, args, command, begin, quiet) {
                    Some(rounds) if takes_locks => {
                        self.begin_rounds_on_cores(session, args, command, rounds, quiet);
                    }
                    Some(rounds) => self.begin_rounds(session, args, rounds, command, quiet),
                    None => {}
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

    /// Whether rounds of a command run under locks of everything. On one core they are one step, and need none.
    fn takes_locks_of_all(
        &self,
        reaches: fn(&Args<'_>) -> Option<KeyAccess>,
        args: Args<'_>,
    ) -> bool {
        self.state.shared.cores() > 1 && reaches(&args).is_some()
    }

    /// Accounts for a command that began at `began` and was timed by itself; nanoseconds it took.
    pub(super) fn timed_apart(&mut self, command: &'static Command, began: Instant) -> u64 {
        let nanos = nanos_since(began);
        self.state.timing.apart(nanos);
        self.state.stats.ran(command.id, 1, nanos);
        nanos
    }

    /// Accounts for a step of a command that is counted already, which began at `began`; nanoseconds it took.
    pub(super) fn timed_step(&mut self, command: &'static Command, began: Instant) -> u64 {
        let nanos = nanos_since(began);
        self.state.timing.apart(nanos);
        self.state.stats.took_longer(command.id, nanos);
        nanos
    }

    /// Runs on this core's shard.
    #[inline(always)]
    pub(super) fn run_here(
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
        let reply_bytes = session.output.append(|out| {
            let began = out.len();
            run_on_shard(state, out, args, command, run, options);
            if quiet {
                out.truncate(began);
            }
            out.len() - began
        });
        if reading == Reading::Remembered {
            let reader = state.reader(session.id);
            state.remember(command.spec, &args, reader);
        }
        self.observe_reply(session, args, command.spec, reply_bytes);
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
        let written_before = session.output.written_bytes();
        let result = run(&mut SessionCall {
            core: &mut self.state,
            session,
            args,
        });
        if let Err(error) = result {
            self.count_failure(&error, command);
            session.reply(|reply| reply.error(&error));
        }
        let reply_bytes = session.output.written_since(written_before);
        self.observe_reply(session, args, command.spec, reply_bytes as usize);
        self.show_behind(session, args, command.spec);
        self.notice_config();
        let high_water = self.state.config.client_output_buffer_high_water_bytes;
        session.set_high_water(HighWater::of(high_water));
        // `CLIENT REPLY ON` and `RESET` are heard: they end what made them quiet.
        if let Some(mark) = mark
            && !session.wants_reply()
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
    #[inline(always)]
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
        let outbox = self.outboxes.to(target.core);
        session.sent_bytes += outbox.ask_with(head, args, self.lent.as_ref());
    }

    /// Splits the keys of a command by the cores that own them. The one core that owns all, if there is one; none if it may come
    /// to others that no argument names.
    fn split_keys(&mut self, command: &Command, args: Args<'_>, target: Target) -> Option<CoreId> {
        let (here, slots) = (self.state.id, &self.state.shared.slots);
        if slots.cores() == 1 {
            return Some(here);
        }
        if command.spec.keys.unnamed(&args).is_some() {
            return None;
        }
        let first_key = target.first_key;
        let first = first_key.is_known().then(|| (first_key.at(), target.core));
        let split = self.transactions.split_mut();
        split.find(args, command, first, slots);
        split.only_core(here)
    }

    /// The one core that owns all keys of the command, if there is one; none if it may come to others that no argument names.
    pub(super) fn common_core(&self, spec: &CommandSpec, args: Args<'_>) -> Option<CoreId> {
        let slots = &self.state.shared.slots;
        if slots.cores() == 1 {
            return Some(self.state.id);
        }
        if spec.keys.unnamed(&args).is_some() {
            return None;
        }
        let mut cores = spec
            .keys
            .positions(&args)
            .map(|at| slots.core_of(args.at(at)));
        let first = cores.next().unwrap_or(self.state.id);
        cores.all(|core| core == first).then_some(first)
    }

    /// Spreads a command of several keys over the cores that own them, as [`Self::split_keys`] found.
    fn spread(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        first_key: FirstKey,
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
        self.begin_spread(session, args, command, first_key, spread, quiet);
    }

    /// A command of several rounds, ready to begin. None: its arguments were wrong, and that is said.
    pub(super) fn rounds(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        begin: impl FnOnce(&Args<'_>, &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply>,
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

    /// The cores that do their parts of a command over several turns, without a place in the order.
    fn cores_that_walk(&self, session: &Session, command: &Command) -> Option<Vec<CoreId>> {
        command.spec.walk.filter(|_| session.may_wait())?;
        let cores = self.state.shared.cores();
        match is_by_node(session, command) || cores == 1 {
            true => Some(vec![self.state.id]),
            false if command.spec.flags.has(Flags::WHOLE_KEYSPACE) => None,
            false => Some((0..cores).map(CoreId).collect()),
        }
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
        &mut self,
        args: Args<'a>,
        command: &'static Command,
        spread: Spread,
    ) -> (Finish, Vec<AskedPart<'a>>) {
        let mut split = self.transactions.take_split();
        split.find(args, command, None, &self.state.shared.slots);
        let (work, (_, step)) = (Work::Command(command), key_range(command));
        let asks = split.cores.iter().enumerate();
        let asks =
            asks.map(|(part, &core)| (core, work, split.args_of(args, step, part).collect()));
        let asks = asks.collect();
        let finish = self.finish_of(spread, &split);
        self.transactions.give_split(split);
        (finish, asks)
    }

    /// How the answers of the parts of a split command become one.
    pub(super) fn finish_of(&mut self, spread: Spread, split: &Split) -> Finish {
        match spread {
            Spread::Sum => Finish::Sum,
            Spread::All => Finish::All,
            Spread::Gather => Finish::Gather(split.part_of_keys(self.gathers.places())),
            Spread::Rounds(_) => unreachable!("a command of several rounds asks by itself"),
        }
    }
}

pub(super) fn nanos_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Whether a command's share of its turn's time would not tell enough of it.
#[inline]
pub(super) fn is_timed_apart(command: &Command, args: Args<'_>, gates: u32) -> bool {
    !command.shares_turn || is_told_apart(args, gates)
}

/// Whether the bytes of a command may be of interest by themselves.
#[inline]
fn is_told_apart(args: Args<'_>, gates: u32) -> bool {
    gates & (gate::TIME_EACH | gate::COSTS) != 0 || args.span_bytes() > TIMED_ARGS_BYTES
}

/// Whether the command, coming from this client, is about the core that serves it alone.
pub(super) fn is_by_node(session: &Session, command: &Command) -> bool {
    session.peer.endpoint == Endpoint::Core && command.spec.flags.has(Flags::BY_NODE)
}
