//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`: transactions of a client's own.
//!
//! ```text
//!  MULTI      commands are queued in the session, each looked up and checked as it comes
//!  EXEC       all on this core: they run one after another, at once
//!             else: the locks of all their keys, and of the keys watched, on all cores (`transaction`); then the commands
//!             run as they would outside, under these locks; behind the last one the locks are given back
//!  WATCH      the core of a key notes who watches it (`larder_engine::Watches`), and says with the lock whether it changed
//! ```
//! The reply of `EXEC` is its header, then the replies of the commands as they leave the session anyway.

use super::batch::{Head, Held, Then, Ticket, Watch, Work};
use super::core::Core;
use super::execute::{end_exec, resolve};
use super::gather::{KeptArgs, session_owner};
use super::locks::{Claim, Mode, Scope};
use super::transaction::{LocksHeld, Plan, scope_of};
use crate::command::{
    Args, Command, CoreCall, Flags, Request, Round, Rounds, Run, TransactionStep,
};
use crate::resp::{ErrorReply, Reply, errors};
use crate::routing::CoreId;
use crate::session::{
    Closing, Executing, Holds, Multi, Queueing, Session, SessionId, Watched, gate,
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
                session.multi = Some(Box::default());
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
                self.begin_rounds(session, Box::new(watch), command, quiet);
            }
            TransactionStep::Unwatch => {
                self.end_watch(session);
                reply_ok(session, quiet);
            }
            TransactionStep::Run => self.exec(session, args, command, quiet),
        }
    }

    /// Queues a command of a session between `MULTI` and `EXEC`.
    pub(super) fn queue(&mut self, session: &mut Session, args: Args<'_>, command: &Command) {
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
            multi.push(args.iter_from(0));
        }
        self.reply_queued(session);
    }

    /// `EXEC` was refused: the transaction is over. The error to answer.
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
        let scopes = self.scopes_of_multi(session, &multi);
        if scopes.iter().all(|(core, _)| *core == self.state.id) && self.is_immediate(&multi) {
            // Nobody comes between, and `EXEC` has waited for whoever holds locks here.
            let watch = self.watch_of(session.client_id);
            return self.exec_under_locks(session, multi, LocksHeld::new(), watch, quiet);
        }
        multi.holds = self.holds_of(&scopes);
        let owner = session_owner(session, None, command);
        let plan = Plan::Exec { multi, quiet };
        let watcher = session.watched.as_ref().map(|_| session.client_id);
        self.begin_transaction(session, owner, KeptArgs::default(), plan, scopes, watcher);
    }

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
        locks: LocksHeld,
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
        if !quiet {
            session.reply(|reply| reply.array(multi.len()));
        }
        session.executing = Some(Box::new(Executing {
            locks,
            holds: multi.holds,
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
        while next < multi.len() && !session.at_barrier {
            let (bytes, ranges) = multi.command(next);
            next += 1;
            self.run_queued(session, Args::new(bytes, ranges));
            if session.output.has_more_behind() {
                self.weigh(session);
            }
            if session.closing == Closing::Now {
                // It runs to its end all the same; nobody is to get its replies.
                session.output.discard();
            }
        }
        let executing = session.executing.as_mut().expect("set when it began");
        if session.at_barrier {
            executing.rest = Some((multi, next));
            return;
        }
        let (locks, pushes) = (
            std::mem::take(&mut executing.locks),
            std::mem::take(&mut executing.pushes),
        );
        session.executing = None;
        end_exec(session);
        self.unlock(session.id, &locks);
        session.output.append(|out| out.extend_from_slice(&pushes));
        self.show_exec(session, &multi.sent_as);
    }

    fn run_queued(&mut self, session: &mut Session, args: Args<'_>) {
        let found = self.state.commands.find(args.at(0));
        let command = match resolve(found, args) {
            Ok(command) => command,
            Err(_) => unreachable!("commands are looked up before they are queued"),
        };
        let target = self.target(found, args);
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
            }
            let watched = session.watched.iter().flat_map(|watched| &watched.keys);
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
        (0..multi.len()).filter_map(move |at| {
            let (bytes, ranges) = multi.command(at);
            let args = Args::new(bytes, ranges);
            let command = resolve(commands.find(args.at(0)), args).ok()?;
            Some((command, args))
        })
    }

    /// Whether commands whose keys are all here run one right after the other: none asks other cores and waits.
    fn is_immediate(&self, multi: &Multi) -> bool {
        let mut commands = self.queued(multi);
        commands.all(|(command, _)| !matches!(command.spec.run, Run::Rounds(_)))
    }

    /// The flags of all commands queued together.
    pub(super) fn flags_of_multi(&self, multi: &Multi) -> Flags {
        let flags = self.queued(multi).map(|(command, _)| command.spec.flags);
        flags.fold(Flags::NONE, Flags::with)
    }

    fn watch(&self, session: &mut Session, args: Args<'_>) -> WatchRounds {
        let mut requests: Vec<Request> = Vec::new();
        let watched = session.watched.get_or_insert_default();
        for key in args.iter_from(1) {
            let core = self.state.shared.slots.core_of(key);
            let place = (core, self.state.shard.hasher().hash(key));
            if !watched.keys.contains(&place) {
                watched.keys.push(place);
            }
            match requests.iter_mut().find(|request| request.core == core) {
                Some(request) => request.args.push(key.to_vec()),
                None => requests.push(Request {
                    core,
                    run: watch_part,
                    args: vec![key.to_vec()],
                }),
            }
        }
        WatchRounds {
            requests: Some(requests),
        }
    }

    /// Ends all that the session watches, on all cores.
    pub(super) fn end_watch(&mut self, session: &mut Session) {
        session.ends_watch = false;
        if let Some(watched) = session.watched.take() {
            self.forget_watch(session.id, session.client_id, &watched);
        }
    }

    /// Ends what a client watches, on all cores.
    pub(super) fn forget_watch(&mut self, session: SessionId, client_id: u64, watched: &Watched) {
        let mut cores: Vec<CoreId> = watched.keys.iter().map(|(core, _)| *core).collect();
        cores.sort_unstable();
        cores.dedup();
        for core in cores {
            if core == self.state.id {
                self.state.shard.watches().end(client_id);
                continue;
            }
            let head = Head {
                client_id,
                ..Head::of(Ticket::Discard { session }, Work::Part(end_watch_part))
            };
            self.outboxes[core.index()].ask(head, std::iter::empty());
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

/// The locks of an `EXEC` under way, for a command on core `core`.
pub(super) fn locks_of(session: &Session, core: CoreId) -> Option<Held> {
    let executing = session.executing.as_ref()?;
    super::transaction::held_on(&executing.locks, core, Then::Keep)
}

/// Whether a command is queued between `MULTI` and `EXEC`.
pub(super) fn is_queued(command: &Command) -> bool {
    !matches!(
        command.spec.name,
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    )
}

fn end_multi(session: &mut Session) -> Option<Box<Multi>> {
    session.set_gate(gate::MULTI, false);
    session.multi.take()
}

fn reply_ok(session: &mut Session, quiet: bool) {
    if !quiet {
        session.reply(|reply| reply.ok());
    }
}

/// `WATCH`: one round, to the cores of its keys.
#[derive(Debug)]
struct WatchRounds {
    requests: Option<Vec<Request>>,
}

impl Rounds for WatchRounds {
    fn next(&mut self, _: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        Ok(match self.requests.take() {
            Some(requests) => Round::Ask(requests),
            None => {
                reply.ok();
                Round::Done
            }
        })
    }
}

/// Notes that a client watches the keys among the arguments.
fn watch_part(call: &mut CoreCall<'_>) {
    for at in 0..call.args.len() {
        let shard = &mut call.core.shard;
        let key = shard.hasher().key(call.args.at(at));
        shard.watch(call.asking_client_id, call.db, key);
        if call.core.shared.slots.core_of(call.args.at(at)) != call.core.id {
            // Its slot has moved while this was on its way: what becomes of the key is not seen here.
            call.core.shard.watches().spoil(call.asking_client_id);
        }
    }
}

/// Ends what a client watches here.
fn end_watch_part(call: &mut CoreCall<'_>) {
    call.core.shard.watches().end(call.asking_client_id);
}
