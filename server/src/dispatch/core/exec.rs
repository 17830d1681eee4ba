//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`: transactions of a client's own.
//!
//! ```text
//!  MULTI      commands are queued in the session, each looked up and checked as it comes
//!  EXEC       all on this core: they run one after another, at once
//!             all on another, what is watched included: sent there as one request, answered once
//!             each command on one core, nothing watched: each is a part of a transaction (`transactions`)
//!             else: the locks of all their keys, and of the keys watched, on all cores; then the commands
//!             run as they would outside, under these locks, which are given back behind the last one
//!  WATCH      the core of a key notes who watches it (`larder_engine::Watches`), and says with the lock whether it changed
//! ```
//! The reply of `EXEC` is its header, then the replies of the commands as they leave the session anyway.

use larder_engine::UnixMillis;

use crate::command::{Args, Command, CoreRequest, FirstKey, Flags, Run, TransactionStep};
use crate::dispatch::core::Core;
use crate::dispatch::core::execute::end_exec;
use crate::dispatch::core::input::Target;
use crate::dispatch::exec::watch::{WatchRounds, end_watch_part, watch_part};
use crate::dispatch::exec::{ExecPlacement, end_multi, reply_ok};
use crate::dispatch::gather::Finish;
use crate::dispatch::locks::{Claim, Mode, Scope};
use crate::dispatch::mail::requests::{LocksHeld, RequestHead, Ticket, Watch, Work};
use crate::dispatch::run::kept_args::KeptArgs;
use crate::dispatch::run::recipient::recipient_of_session;
use crate::dispatch::transactions::pending::Plan;
use crate::dispatch::transactions::scopes::scope_of;
use crate::resp::{ErrorReply, errors};
use crate::routing::CoreId;
use crate::session::{
    Closing, Executing, Holds, Multi, QueuedCommand, QueuedPlacement, Queueing, ReplySeq, Session,
    SessionId, Watched, gate,
};

impl Core {
    /// Runs one of the commands about transactions.
    pub(super) fn run_transaction_step(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        step: TransactionStep,
        quiet: bool,
    ) {
        match step {
            TransactionStep::Begin if session.multi.is_some() => {
                self.reply_error(session, &errors::NESTED_MULTI, command, quiet);
            }
            TransactionStep::Begin => {
                session.multi = Some(self.exec_memory.take_multi());
                session.set_gate(gate::MULTI, true);
                reply_ok(session, quiet);
            }
            TransactionStep::Discard => {
                if end_multi(session).is_none() {
                    return self.reply_error(session, &errors::DISCARD_ALONE, command, quiet);
                }
                self.end_watch(session);
                reply_ok(session, quiet);
            }
            TransactionStep::Watch if session.multi.is_some() => {
                self.reply_error(session, &errors::WATCH_INSIDE, command, quiet);
            }
            TransactionStep::Watch => {
                let watch = self.watch(session, args);
                self.begin_rounds(session, args, Box::new(watch), command, quiet);
            }
            TransactionStep::Unwatch => {
                self.end_watch(session);
                reply_ok(session, quiet);
            }
            TransactionStep::Run => self.exec(session, args, command, quiet),
        }
    }

    /// Queues a command of a session between `MULTI` and `EXEC`.
    pub(super) fn queue(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        target: Target,
    ) {
        let limit = self.state.config.client_query_buffer_limit_bytes;
        let multi = session.multi.as_mut().expect("the gate says so");
        if command.spec.flags.has(Flags::NO_MULTI) {
            multi.state = Queueing::Spoilt;
            return self.refuse(session, &errors::NOT_INSIDE_MULTI);
        }
        if (multi.memory_bytes() + args.bytes()) as u64 > limit {
            multi.state = Queueing::Spoilt;
            return self.refuse(session, &errors::OUT_OF_MEMORY);
        }
        // Nothing of a transaction that cannot run any more needs to be kept.
        if multi.state == Queueing::Good {
            let (first_key, placement) = (
                target.first_key,
                self.placement_of_queued(command, args, target),
            );
            let hash = first_key.is_known().then_some(first_key.hash());
            let table = self.state.shared.slots.version();
            let multi = session.multi.as_mut().expect("the gate says so");
            if multi.is_empty() {
                multi.table = table;
            }
            multi.push(command.id, placement, hash, args.iter_from(0));
        }
        self.reply_queued(session);
    }

    fn placement_of_queued(
        &self,
        command: &'static Command,
        args: Args<'_>,
        target: Target,
    ) -> QueuedPlacement {
        match command.spec.run {
            Run::OnShard(_) if target.first_key.is_known() => QueuedPlacement::Core(target.core),
            Run::OnShard(_) => QueuedPlacement::Anywhere,
            Run::FanOut { .. } | Run::Blocking(_) => match self.common_core(command.spec, args) {
                Some(core) => QueuedPlacement::Core(core),
                None => QueuedPlacement::Several,
            },
            Run::OnSession(_) if command.spec.flags.has(Flags::WHOLE_KEYSPACE) => {
                QueuedPlacement::Several
            }
            Run::OnSession(_) => QueuedPlacement::Session,
            _ => QueuedPlacement::Several,
        }
    }

    /// Where an `EXEC` of `session` runs. Finds the places of its commands again if slots have moved since they were queued.
    fn place_of_exec(&self, session: &Session, multi: &mut Multi) -> ExecPlacement {
        let here = self.state.id;
        if self.state.shared.cores() == 1 {
            return ExecPlacement::OneCore(here);
        }
        let table = self.state.shared.slots.version();
        if multi.table != table {
            multi.find_placements(table, |multi, at| {
                let (bytes, ranges) = multi.command(at);
                let args = Args::new(bytes, ranges);
                let command = self.state.commands.get(multi.commands()[at].id);
                let found = self.state.commands.find(args.at(0));
                self.placement_of_queued(command, args, self.target(found, args))
            });
        }
        let (mut cores, mut needs_session) = (None, false);
        let watched = session.watched().into_iter().flat_map(Watched::keys);
        let watched = watched.map(|(core, _)| QueuedPlacement::Core(*core));
        let placements = multi.commands().iter().map(|command| command.placement);
        for placement in placements.chain(watched) {
            match placement {
                QueuedPlacement::Core(core) if cores.is_none_or(|other| other == core) => {
                    cores = Some(core);
                }
                QueuedPlacement::Core(_) if session.watched().is_some() => {
                    return ExecPlacement::Locks;
                }
                // The rest may still need locks.
                QueuedPlacement::Core(_) => {
                    let needs_locks = |command: &QueuedCommand| {
                        matches!(
                            command.placement,
                            QueuedPlacement::Several | QueuedPlacement::Session
                        )
                    };
                    return match multi.commands().iter().any(needs_locks) {
                        true => ExecPlacement::Locks,
                        false => ExecPlacement::Cores,
                    };
                }
                QueuedPlacement::Anywhere => {}
                QueuedPlacement::Session => needs_session = true,
                QueuedPlacement::Several => return ExecPlacement::Locks,
            }
        }
        match cores {
            Some(core) if core != here && needs_session => ExecPlacement::Locks,
            core => ExecPlacement::OneCore(core.unwrap_or(here)),
        }
    }

    /// Ends what was queued, since its `EXEC` was refused with `error`. The error for the client.
    #[cold]
    pub(super) fn abort_exec(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        error: ErrorReply,
    ) -> ErrorReply {
        self.show_exec(session, args.at(0));
        if end_multi(session).is_none() {
            return error;
        }
        self.end_watch(session);
        errors::exec_aborted_by(&error)
    }

    fn exec(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        quiet: bool,
    ) {
        let Some(mut multi) = end_multi(session) else {
            end_exec(session);
            self.show_exec(session, args.at(0));
            return self.reply_error(session, &errors::EXEC_ALONE, command, quiet);
        };
        if multi.state == Queueing::Spoilt {
            self.end_watch(session);
            end_exec(session);
            self.show_exec(session, args.at(0));
            return self.reply_error(session, &errors::EXEC_ABORTED, command, quiet);
        }
        if self.state.gates & gate::WATCHED_BY_MONITOR != 0 {
            multi.sent_as = args.at(0).into();
        }
        let is_in_order = session.gates & gate::IN_ORDER != 0;
        match self.place_of_exec(session, &mut multi) {
            // Nobody comes between, and `EXEC` has waited for whoever holds locks here.
            ExecPlacement::OneCore(core) if core == self.state.id && !is_in_order => {
                let watch = self.watch_of(session.client_id);
                let held = (LocksHeld::new(), self.state.clock.unix);
                self.exec_under_locks(session, multi, held, watch, quiet);
            }
            ExecPlacement::OneCore(core) => {
                self.send_exec(session, &multi, core, command, quiet);
                self.exec_memory.keep_multi(multi);
            }
            ExecPlacement::Cores if !self.is_told(self.flags_of_multi(&multi)) => {
                self.exec_in_parts(session, &multi, command, quiet);
                self.exec_memory.keep_multi(multi);
            }
            ExecPlacement::Locks | ExecPlacement::Cores => {
                let scopes = self.scopes_of_multi(session, &multi);
                multi.holds = self.holds_of(&scopes);
                let owner = recipient_of_session(session, None, command);
                let plan = Plan::Exec { multi, quiet };
                let watcher = session.watched().map(|_| session.client_id);
                session.at_barrier = true;
                self.begin_transaction(owner, KeptArgs::default(), plan, scopes, watcher);
            }
        }
    }

    /// Sends an `EXEC` to the core of all its keys, as one request.
    fn send_exec(
        &mut self,
        session: &mut Session,
        multi: &Multi,
        core: CoreId,
        command: &'static Command,
        quiet: bool,
    ) {
        self.state.stats.hops += 1;
        session.begin_sending();
        let seq = session.output.expect_if_wanted(!quiet);
        let ticket = Ticket::Reply {
            session: session.id,
            seq,
        };
        self.note_queued(session, multi, seq);
        let owner = recipient_of_session(session, Some(seq), command);
        let head = owner.head(ticket, Work::Unlock, None);
        let heads: Vec<RequestHead> = self.heads_of_queued(session, multi, ticket).collect();
        let commands = heads.into_iter().enumerate().map(|(at, head)| {
            let (bytes, ranges) = multi.command(at);
            (head, Args::new(bytes, ranges))
        });
        let is_in_order = session.gates & gate::IN_ORDER != 0;
        let outbox = match is_in_order {
            true => self.parts_for(core),
            false => self.outboxes.to(core),
        };
        let bytes = outbox.ask_exec(head, session.watched().is_some(), commands);
        if is_in_order {
            self.transactions.note_gathered(bytes);
            self.join(session);
        }
        session.sent_bytes += bytes;
        // The watch ends there, when the commands run. A message that ends it would overtake an `EXEC` that waits for locks.
        session.ends_watch = false;
        session.end_watching();
        end_exec(session);
    }

    /// Runs the commands of an `EXEC` as parts of one transaction, each on the core of its keys.
    fn exec_in_parts(
        &mut self,
        session: &mut Session,
        multi: &Multi,
        command: &'static Command,
        quiet: bool,
    ) {
        self.state.stats.transactions += 1;
        session.begin_transaction();
        let seq = session.output.expect_if_wanted(!quiet);
        self.note_queued(session, multi, seq);
        let owner = recipient_of_session(session, Some(seq), command);
        let no_args = Args::new(&[], &[]);
        let gather = self.begin_gather(owner, no_args, Finish::Exec, multi.len());
        let here = self.state.id;
        for at in 0..multi.len() {
            let queued = multi.commands()[at];
            let core = match queued.placement {
                QueuedPlacement::Core(core) => core,
                _ => here,
            };
            let ticket = Ticket::Part {
                session: session.id,
                gather,
                part: at as u32,
            };
            let head = self.head_of_queued(session, queued, ticket);
            let (bytes, ranges) = multi.command(at);
            self.add_part(core, head, Args::new(bytes, ranges).iter_from(0));
        }
        self.join(session);
        end_exec(session);
    }

    /// Counts, and shows to monitors, the commands of an `EXEC` that are about to go where they run.
    fn note_queued(&mut self, session: &mut Session, multi: &Multi, seq: ReplySeq) {
        let flags = self.flags_of_multi(multi);
        if flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE)) {
            session.last_write = Some(seq);
        }
        for at in 0..multi.len() {
            let command = self.state.commands.get(multi.commands()[at].id);
            self.count_call(session, command);
            if self.state.gates & gate::WATCHED_BY_MONITOR != 0 {
                let (bytes, ranges) = multi.command(at);
                self.show_to_monitors(session, Args::new(bytes, ranges), command.spec);
            }
        }
        self.show_exec(session, &multi.sent_as);
    }

    fn heads_of_queued<'a>(
        &'a self,
        session: &'a Session,
        multi: &'a Multi,
        ticket: Ticket,
    ) -> impl Iterator<Item = RequestHead> {
        let commands = multi.commands().iter();
        commands.map(move |queued| self.head_of_queued(session, *queued, ticket))
    }

    fn head_of_queued(
        &self,
        session: &Session,
        queued: QueuedCommand,
        ticket: Ticket,
    ) -> RequestHead {
        let command = self.state.commands.get(queued.id);
        let first_key = match queued.hash {
            Some(hash) => FirstKey::new(command.first_key, hash),
            None => FirstKey::UNKNOWN,
        };
        let owner = recipient_of_session(session, None, command);
        RequestHead {
            first_key,
            ..owner.head(ticket, Work::Command(command), None)
        }
    }

    /// What a script inside the `EXEC` may reach under these locks.
    fn holds_of(&self, scopes: &[(CoreId, Scope)]) -> Holds {
        let are_all = |modes: &[Mode]| {
            let is_whole =
                |scope: &Scope| matches!(scope, Scope::Whole(mode) if modes.contains(mode));
            scopes.len() == usize::from(self.state.shared.cores())
                && scopes.iter().all(|(_, scope)| is_whole(scope))
        };
        match () {
            () if are_all(&[Mode::Exclusive]) => Holds::All,
            () if are_all(&[Mode::Exclusive, Mode::Shared]) => Holds::AllToRead,
            () => Holds::Keys,
        }
    }

    /// Runs what was queued, or nothing if a watched key has changed. All locks are held.
    pub(super) fn exec_under_locks(
        &mut self,
        session: &mut Session,
        multi: Box<Multi>,
        (locks, time): (LocksHeld, UnixMillis),
        watch: Watch,
        quiet: bool,
    ) {
        self.end_watch(session);
        if watch == Watch::Broken {
            self.unlock(session.id, &locks);
            end_exec(session);
            if !quiet {
                session.reply(|reply| reply.null_array());
            }
            return self.show_exec(session, &multi.sent_as);
        }
        let clears = self.begins_pause(&multi).then(|| session.output.expect());
        if !quiet {
            session.reply(|reply| reply.array(multi.len()));
        }
        self.begin_telling_of_exec(session.id, self.flags_of_multi(&multi));
        session.executing = Some(Box::new(Executing {
            locks,
            time,
            holds: multi.holds,
            counted_before: false,
            clears,
            rest: Some((multi, 0)),
            pushes: Vec::new(),
        }));
        self.go_on_executing(session);
    }

    /// Runs the commands of an `EXEC` until one of several rounds is under way, or all have begun.
    pub(super) fn go_on_executing(&mut self, session: &mut Session) {
        let rest = session
            .executing
            .as_mut()
            .and_then(|executing| executing.rest.take());
        let (multi, mut next) = rest.expect("there is more to run");
        let executing = session.executing.as_ref().expect("set when it began");
        let (locks, time) = (executing.locks.clone(), executing.time);
        let before = self.begin_moment_under(&locks, time);
        while next < multi.len() && !session.at_barrier {
            let queued = multi.commands()[next];
            let (bytes, ranges) = multi.command(next);
            let told = self.begin_command_of_exec(session.id, next);
            next += 1;
            self.run_queued(session, Args::new(bytes, ranges), queued);
            self.end_command_of_exec(session.id, told);
            if session.output.has_more_behind() {
                self.weigh(session);
            }
            if session.closing == Closing::Now {
                // It runs to its end all the same; nobody is to get its replies.
                session.output.discard();
            }
        }
        self.end_moment(before);
        let has_to_wait = session.at_barrier || self.awaits_events(session);
        let executing = session.executing.as_mut().expect("set when it began");
        if has_to_wait {
            executing.rest = Some((multi, next));
            return;
        }
        let (locks, pushes) = (
            std::mem::take(&mut executing.locks),
            std::mem::take(&mut executing.pushes),
        );
        let clears = executing.clears;
        session.executing = None;
        end_exec(session);
        session.output.append(|out| out.extend_from_slice(&pushes));
        self.end_telling_of_exec(session);
        self.unlock(session.id, &locks);
        self.show_exec(session, &multi.sent_as);
        if let Some(seq) = clears {
            self.clear_behind_exec(session, seq);
        }
        self.exec_memory.keep_multi(multi);
    }

    /// Whether any of the queued commands begins a pause on several cores.
    fn begins_pause(&self, multi: &Multi) -> bool {
        let commands = multi.commands().iter();
        let mut commands = commands.map(|queued| self.state.commands.get(queued.id));
        self.state.shared.cores() > 1 && commands.any(|command| command.spec.name == "client|pause")
    }

    fn run_queued(&mut self, session: &mut Session, args: Args<'_>, queued: QueuedCommand) {
        let command = self.state.commands.get(queued.id);
        let here = self.state.id;
        let target = Target {
            core: match queued.placement {
                QueuedPlacement::Core(core) => core,
                _ => here,
            },
            // Where it is known, its core is that above.
            first_key: match (queued.placement, queued.hash) {
                (QueuedPlacement::Core(_), Some(hash)) => FirstKey::new(command.first_key, hash),
                _ => FirstKey::UNKNOWN,
            },
        };
        let gates = session.gates | self.state.gates;
        if gates & gate::WATCHED_BY_MONITOR != 0 {
            self.show_to_monitors(session, args, command.spec);
        }
        self.run(session, args, command, target, gates);
    }

    /// What an `EXEC` locks on each core: the keys of its commands, and those watched.
    pub(super) fn scopes_of_multi(&self, session: &Session, multi: &Multi) -> Vec<(CoreId, Scope)> {
        self.scopes(|scopes| {
            for (command, args) in self.queued(multi) {
                scope_of(&self.state, command, args, scopes);
                if let Run::Script(_) = command.spec.run {
                    // It may come to reach anything, and in an `EXEC` cannot begin again.
                    let mode = crate::dispatch::scripts::placement::mode_of_all(command);
                    let scopes = scopes.iter_mut();
                    scopes.for_each(|(_, scope)| scope.add_whole(mode));
                }
            }
            let watched = session.watched().into_iter().flat_map(Watched::keys);
            for &(core, hash) in watched {
                scopes[core.index()].1.add(Claim {
                    hash,
                    mode: Mode::Shared,
                });
            }
        })
    }

    fn queued<'a>(&self, multi: &'a Multi) -> impl Iterator<Item = (&'static Command, Args<'a>)> {
        let commands = self.state.commands;
        (0..multi.len()).map(move |at| {
            let (bytes, ranges) = multi.command(at);
            let command = commands.get(multi.commands()[at].id);
            (command, Args::new(bytes, ranges))
        })
    }

    /// The flags of all commands queued together.
    pub(super) fn flags_of_multi(&self, multi: &Multi) -> Flags {
        let queued = self.queued(multi);
        let flags = queued.map(|(command, args)| self.flags_of(command.spec, args));
        flags.fold(Flags::NONE, Flags::with)
    }

    fn watch(&self, session: &mut Session, args: Args<'_>) -> WatchRounds {
        let mut requests: Vec<CoreRequest> = Vec::new();
        for key in args.iter_from(1) {
            let core = self.state.shared.slots.core_of(key);
            session.watch(core, key, self.state.shard.hasher().hash(key));
            match requests.iter_mut().find(|request| request.core == core) {
                Some(request) => request.args.push(key.to_vec()),
                None => requests.push(CoreRequest {
                    core,
                    run: watch_part,
                    args: vec![key.to_vec()],
                }),
            }
        }
        WatchRounds::of(requests)
    }

    /// Ends all that the session watches, on all cores.
    pub(super) fn end_watch(&mut self, session: &mut Session) {
        session.ends_watch = false;
        if let Some(watched) = session.end_watching() {
            self.forget_watch(session.id, session.client_id, &watched);
        }
    }

    /// Ends what a client watches, on all cores.
    pub(super) fn forget_watch(&mut self, session: SessionId, client_id: u64, watched: &Watched) {
        for core in watched.cores() {
            if core == self.state.id {
                self.state.shard.watches().end(client_id);
                continue;
            }
            let head = RequestHead {
                client_id,
                ..RequestHead::of(Ticket::Discard { session }, Work::Part(end_watch_part))
            };
            self.outboxes.to(core).ask(head, std::iter::empty());
        }
    }

    /// Whether what a client watches on this core is as it was.
    pub(super) fn watch_of(&mut self, client_id: u64) -> Watch {
        if self.state.shard.watch_holds(client_id) {
            Watch::Intact
        } else {
            Watch::Broken
        }
    }

    pub(super) fn reply_error(
        &mut self,
        session: &mut Session,
        error: &ErrorReply,
        command: &'static Command,
        quiet: bool,
    ) {
        self.count_failure(error, command);
        if !quiet {
            session.reply(|reply| reply.error(error));
        }
    }
}
