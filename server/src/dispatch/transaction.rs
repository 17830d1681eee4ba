//! Transactions: commands on several cores, as one.
//!
//! ```text
//!  no data flows between the cores (MSET, MGET, FLUSHALL, EXEC of commands on one core each)
//!   parts ── at their place in the order each core runs its own ──▶ answers ──▶ the reply
//!
//!  data flows (RENAME, COPY, EXEC with watched keys on several cores, scripts over cores)
//!   requests for locks ── at their place each core grants them, or queues them ([`super::locks`]) ──▶ all granted
//!   the work, in rounds, under the locks; behind it they are given back
//! ```
//! A transaction takes effect at its place in the order, as a whole: that is what makes it strictly serializable. Where data
//! flows, the work comes later, but its keys are locked from the place on, so that nobody sees them in between.
//!
//! A session does not wait for its transaction. What it sends before its core has passed that place takes a place of its own
//! behind it, in the same entry or a later one ([`gate::IN_ORDER`]).

use std::collections::VecDeque;
use std::time::Instant;

use larder_engine::{Moment, UnixMillis};
use slab::Slab;

use super::batch::{Batch, Request};
use super::blocking::Terms;
use super::core::Core;
use super::execute::key_range;
use super::gather::{Ask, Finish};
use super::kept_args::{KeptArgs, keep_args};
use super::locks::{Claim, Mode, Scope};
use super::owner::{Owner, owner_of_reply, session_owner};
use super::pauses::writes;
use super::requests::{
    Counts, Head, Held, LockAnswer, LockRequest, Tells, Then, Ticket, Watch, Work,
};
use crate::command::{
    Args, Command, CommandTable, CoreFn, CoreState, Flags, KeyAccess, Merge, Rounds, Run,
    SessionCall, Spread, closing,
};
use crate::order::Ticket as EntryTicket;
use crate::resp::errors::CommandResult;
use crate::routing::{CoreId, SlotMap};
use crate::session::{LockId, Multi, Session, SessionId, WaitNumber, gate};

/// What a transaction does once it holds its locks.
pub(super) enum Plan {
    /// A command of several rounds.
    Rounds(Box<dyn Rounds>),
    /// A command each of whose cores has a part in it, of which somebody is told.
    Spread(Spread),
    /// The first attempt at a command that may block.
    Block(Terms),
    /// Another.
    BlockAgain(WaitNumber),
    /// What was queued since `MULTI`.
    Exec { multi: Box<Multi>, quiet: bool },
    /// A command of the session's own about what all cores share; its arguments are the transaction's.
    Session {
        run: fn(&mut SessionCall<'_>) -> CommandResult,
        quiet: bool,
    },
    /// A script, to begin; the owner's session is its messenger.
    Script {
        /// It may begin again.
        is_undoable: bool,
    },
}

/// The transactions of this core's sessions.
#[derive(Default)]
pub(super) struct Transactions {
    /// Those that do not hold all their locks yet.
    pending: Slab<Transaction>,
    /// Sessions with transactions in entries that this core has not passed, in the order of the entries.
    joined: VecDeque<(EntryTicket, SessionId)>,
    /// Bytes of the parts that have no place yet.
    pub(super) gathered_bytes: usize,
    /// Memory of the splitting of commands.
    split: Split,
}

/// Which keys of a command live on which core.
#[derive(Default)]
struct Split {
    /// The places of the keys among the arguments, and the parts they belong to.
    keys: Vec<(usize, usize)>,
    /// The cores, a part each.
    cores: Vec<CoreId>,
    /// The arguments from one key to the next.
    step: usize,
}

impl Split {
    fn find(&mut self, args: Args<'_>, command: &Command, slots: &SlotMap) {
        self.keys.clear();
        self.cores.clear();
        self.step = key_range(command).1;
        for at in command.spec.keys.positions(&args) {
            let core = slots.core_of(args.at(at));
            let known = self.cores.iter().position(|other| *other == core);
            let part = known.unwrap_or_else(|| {
                self.cores.push(core);
                self.cores.len() - 1
            });
            self.keys.push((at, part));
        }
    }

    /// The part that each key belongs to.
    fn part_of_keys(&self, mut parts: Vec<usize>) -> Vec<usize> {
        parts.extend(self.keys.iter().map(|(_, part)| *part));
        parts
    }

    /// A part's arguments: the command's name, and its keys with what belongs to them.
    fn args_of<'a>(&self, args: Args<'a>, part: usize) -> impl Iterator<Item = &'a [u8]> {
        let keys = self.keys.iter().filter(move |(_, of)| *of == part);
        let of_keys = keys.flat_map(move |(at, _)| {
            let end = (at + self.step).min(args.len());
            (*at..end).map(move |at| args.at(at))
        });
        std::iter::once(args.at(0)).chain(of_keys)
    }
}

struct Transaction {
    owner: Owner,
    args: KeptArgs,
    plan: Plan,
    watch: Watch,
    held: LocksHeld,
    /// The time at its place.
    time: UnixMillis,
    /// Cores that have yet to answer.
    missing: usize,
}

impl Transaction {
    /// Bytes of memory that its arguments take.
    fn memory_bytes(&self) -> usize {
        let queued = match &self.plan {
            Plan::Exec { multi, .. } => multi.queued_bytes(),
            _ => 0,
        };
        self.args.memory_bytes() + queued
    }
}

/// The locks a transaction holds, a core each.
pub(super) type LocksHeld = Vec<(CoreId, LockId)>;

/// The lock among `locks` that is on core `core`, and what is to become of it.
pub(super) fn held_on(locks: &LocksHeld, core: CoreId, then: Then) -> Option<Held> {
    let (_, id) = locks.iter().find(|(of, _)| *of == core)?;
    let tells = Tells::Here;
    Some(Held {
        id: *id,
        then,
        tells,
        counts: Counts::Now,
    })
}

impl Transactions {
    /// Whether any that awaits locks may write. Of what was queued since `MULTI`, `does` says whether it may.
    pub(super) fn any_writes(&self, does: impl Fn(&Multi) -> bool) -> bool {
        let mut pending = self.pending.iter();
        pending.any(|(_, transaction)| match &transaction.plan {
            Plan::Exec { multi, .. } => does(multi),
            _ => writes(transaction.owner.command.spec.flags),
        })
    }

    /// Whether none awaits locks.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

impl Core {
    /// Begins a command each of whose cores has a part in it, such as `MGET`.
    pub(super) fn begin_spread(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        spread: Spread,
        quiet: bool,
    ) {
        if session.executing.is_some() {
            let (finish, asks) = self.split(args, command, spread);
            return self.begin_parts(session, args, command, (finish, asks), quiet);
        }
        if self.is_told(command.spec.flags) {
            let plan = Plan::Spread(spread);
            return self.begin_under_locks(session, args, command, plan, quiet);
        }
        let mut split = std::mem::take(&mut self.transactions.split);
        split.find(args, command, &self.state.shared.slots);
        let owner = owner_of_reply(session, command, quiet);
        self.state.stats.transactions += 1;
        session.begin_transaction();
        let finish = match spread {
            Spread::Sum => Finish::Sum,
            Spread::All => Finish::All,
            Spread::Gather => Finish::Gather(split.part_of_keys(self.gathers.places())),
            Spread::Rounds(_) => unreachable!("a command of several rounds asks by itself"),
        };
        let gather = self.begin_gather(owner, args, finish, split.cores.len());
        for (part, &core) in split.cores.iter().enumerate() {
            let ticket = Ticket::Part {
                session: owner.session,
                gather,
                part: part as u32,
            };
            let head = owner.head(ticket, Work::Command(command), None);
            self.add_part(core, head, split.args_of(args, part));
        }
        self.transactions.split = split;
        self.join(session);
    }

    /// Begins a command on every core.
    pub(super) fn begin_on_every_core(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        (each, merge): (CoreFn, Merge),
        quiet: bool,
    ) {
        let asks = self.asks_of_every_core(args, each);
        let asks = asks.into_iter();
        let asks = asks.map(|(core, _, args)| (core, Work::Each(command), args));
        let parts = (Finish::Merge(merge), asks.collect());
        self.begin_parts(session, args, command, parts, quiet);
    }

    /// Begins a command between whose parts no data flows. Inside an `EXEC` the parts run under the locks of that, at once.
    fn begin_parts(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        (finish, asks): (Finish, Vec<Ask<'_>>),
        quiet: bool,
    ) {
        let owner = owner_of_reply(session, command, quiet);
        if let Some(executing) = &session.executing {
            let locks = executing.locks.clone();
            return self.gather_parts(Some(session), owner, args, finish, asks, locks);
        }
        self.begin_parts_of(session, owner, args, (finish, asks));
    }

    /// The same outside of an `EXEC`. The place of the reply is kept already.
    pub(super) fn begin_parts_of(
        &mut self,
        session: &mut Session,
        owner: Owner,
        args: Args<'_>,
        (finish, asks): (Finish, Vec<Ask<'_>>),
    ) {
        if asks.iter().any(|(_, work, _)| is_change_of_all(*work)) {
            self.state.expect_emptying(session);
        }
        self.state.stats.transactions += 1;
        session.begin_transaction();
        let gather = self.begin_gather(owner, args, finish, asks.len());
        for (part, (core, work, args)) in asks.into_iter().enumerate() {
            let ticket = Ticket::Part {
                session: owner.session,
                gather,
                part: part as u32,
            };
            let head = owner.head(ticket, work, None);
            self.add_part(core, head, args.iter().copied());
        }
        self.join(session);
    }

    /// Adds a part to the entry that gathers.
    #[inline]
    pub(super) fn add_part<'a>(
        &mut self,
        core: CoreId,
        head: Head,
        args: impl Iterator<Item = &'a [u8]>,
    ) {
        let bytes = self.parts_for(core).ask(head, args);
        self.transactions.gathered_bytes += bytes;
    }

    /// Notes that a session has a transaction in the entry that gathers. What it sends from now on comes behind that.
    #[inline]
    pub(super) fn join(&mut self, session: &mut Session) {
        #[cfg(any(test, debug_assertions))]
        if super::locks::LOCKS_ARE_OFF.get() {
            // There is no entry that could pass.
            return;
        }
        let ticket = self.entry_ticket();
        session.set_gate(gate::IN_ORDER, true);
        if session.entry != Some(ticket.0) {
            session.entry = Some(ticket.0);
            self.transactions.joined.push_back((ticket, session.id));
        }
    }

    /// This core has passed the first `passed` of its own entries: sessions with transactions in these need no more places,
    /// and those that waited go on.
    pub(super) fn leave_entries(&mut self, passed: u64) {
        while let Some(&(ticket, id)) = self.transactions.joined.front()
            && ticket.0 < passed
        {
            self.transactions.joined.pop_front();
            if let Some(session) = self.state.sessions.get_mut(id)
                && session.entry == Some(ticket.0)
            {
                session.entry = None;
                session.set_gate(gate::IN_ORDER, false);
                if session.awaits_entry {
                    session.awaits_entry = false;
                    self.waiting.push(id);
                }
            }
        }
    }

    /// Begins a command of several rounds, data flowing between cores.
    pub(super) fn begin_rounds_on_cores(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        rounds: Box<dyn Rounds>,
        quiet: bool,
    ) {
        let owner = owner_of_reply(session, command, quiet);
        if let Some(executing) = &session.executing {
            let locks = executing.locks.clone();
            session.at_barrier = true;
            let (told, locks) = ((args, false), (locks, Then::Keep));
            return self.run_told_rounds(Some(session), owner, rounds, told, locks);
        }
        self.begin_owned_under_locks(session, owner, args, Plan::Rounds(rounds));
    }

    fn begin_under_locks(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        plan: Plan,
        quiet: bool,
    ) {
        let owner = owner_of_reply(session, command, quiet);
        self.begin_owned_under_locks(session, owner, args, plan);
    }

    /// Begins a command whose parts run under locks. Its arguments are kept if they are needed then.
    fn begin_owned_under_locks(
        &mut self,
        session: &mut Session,
        owner: Owner,
        args: Args<'_>,
        plan: Plan,
    ) {
        session.begin_transaction();
        let scopes = self.scopes(|scopes| scope_of(&self.state, owner.command, args, scopes));
        let kept = match self.is_told(owner.command.spec.flags) {
            true => keep_args(args),
            false => KeptArgs::default(),
        };
        self.begin_transaction(owner, kept, plan, scopes, None);
        self.join(session);
    }

    /// Whether a session's command runs under locks of everything, since it changes what all cores share. Inside an `EXEC` it
    /// has them.
    pub(super) fn is_to_run_alone(&self, session: &Session, command: &Command) -> bool {
        matches!(command.spec.run, Run::OnSession(_))
            && command.spec.flags.has(Flags::WHOLE_KEYSPACE)
            && self.state.shared.cores() > 1
            && session.executing.is_none()
    }

    /// Begins a session's command that changes what all cores share. It asks for locks of everything at its place, and runs
    /// when it has them: no transaction is in its midst then.
    pub(super) fn begin_alone(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        run: fn(&mut SessionCall<'_>) -> CommandResult,
        quiet: bool,
    ) {
        let owner = session_owner(session, None, command);
        let scopes = self.scopes(|scopes| scope_of(&self.state, command, args, scopes));
        session.at_barrier = true;
        let plan = Plan::Session { run, quiet };
        self.begin_transaction(owner, keep_args(args), plan, scopes, None);
    }

    /// The scope that `add` makes for each core. Cores of which it locks nothing are left out.
    pub(super) fn scopes(&self, add: impl FnOnce(&mut [(CoreId, Scope)])) -> Vec<(CoreId, Scope)> {
        let cores = 0..self.state.shared.cores();
        let mut scopes: Vec<(CoreId, Scope)> =
            cores.map(|core| (CoreId(core), Scope::NOTHING)).collect();
        add(&mut scopes);
        scopes.retain(|(_, scope)| !scope.is_nothing());
        scopes
    }

    /// Begins a transaction with locks: puts its requests for them into the entry that gathers. With `watcher`, the number of a
    /// client, each core says with its grant whether what that client watches there is intact.
    pub(super) fn begin_transaction(
        &mut self,
        owner: Owner,
        args: KeptArgs,
        plan: Plan,
        mut scopes: Vec<(CoreId, Scope)>,
        watcher: Option<u64>,
    ) {
        if scopes.is_empty() {
            // It is granted at its place all the same.
            scopes.push((self.state.id, Scope::NOTHING));
        }
        let is_served = matches!(plan, Plan::BlockAgain(_));
        let is_undoable = matches!(plan, Plan::Script { is_undoable: true });
        let transaction = Transaction {
            owner,
            args,
            plan,
            watch: Watch::Intact,
            held: LocksHeld::new(),
            time: self.state.clock.unix,
            missing: scopes.len(),
        };
        self.budget.keep(transaction.memory_bytes());
        self.state.stats.transactions += 1;
        let id = self.transactions.pending.insert(transaction);
        let ticket = Ticket::Locks {
            session: owner.session,
            transaction: id as u32,
        };
        let head = owner.head(ticket, Work::Unlock, None);
        for (core, scope) in scopes {
            let request = LockRequest {
                scope,
                watcher,
                is_served,
                is_undoable,
            };
            let bytes = self.parts_for(core).ask_for_locks(head, request);
            self.transactions.gathered_bytes += bytes;
        }
    }

    /// Puts back a session that something it waited for has come for, and has it go on, if it has anything to go on with.
    pub(super) fn look_again(&mut self, mut session: Box<Session>) {
        let id = session.id;
        if id.is_messenger() {
            self.scripts.note_answer(id);
        } else {
            let limit = session.output_limit(&self.state.config.client_output_buffer_limit);
            closing::close_beyond(&mut session, limit, &mut self.state.stats);
            let may_go_on = session.has_unread()
                || session.executing.is_some()
                || session.input_ended
                || session.is_stalled()
                || session.holds_much();
            if may_go_on && self.waiting.last() != Some(&id) {
                self.waiting.push(id);
            }
            if self.state.dirty.last() != Some(&id) {
                self.state.dirty.push(id);
            }
        }
        self.state.sessions.put_back(session);
    }

    /// A core has granted a transaction its locks there. With the last, the work begins.
    pub(super) fn take_grant(&mut self, from: CoreId, id: usize, answer: LockAnswer) {
        let transaction = &mut self.transactions.pending[id];
        transaction.missing -= 1;
        transaction.held.push((from, answer.lock));
        transaction.time = answer.time;
        if answer.watch == Watch::Broken {
            transaction.watch = answer.watch;
        }
        if transaction.missing > 0 {
            return;
        }
        let transaction = self.transactions.pending.remove(id);
        self.budget.let_go(transaction.memory_bytes());
        let mut session = self.state.sessions.take_out(transaction.owner.session);
        self.begin_work(transaction, session.as_deref_mut());
        if let Some(session) = session {
            self.look_again(session);
        }
    }

    /// Begins the work of a transaction that holds all its locks.
    fn begin_work(&mut self, transaction: Transaction, session: Option<&mut Session>) {
        let Transaction {
            owner,
            args,
            plan,
            held,
            watch,
            time,
            ..
        } = transaction;
        match (plan, session) {
            (Plan::Exec { multi, quiet }, Some(session)) => {
                session.at_barrier = false;
                self.exec_under_locks(session, multi, (held, time), watch, quiet);
            }
            (Plan::Block(terms), Some(session)) => {
                self.attempt_under_locks(session, owner, args, terms, held);
            }
            (Plan::BlockAgain(number), session) => self.attempt_again(number, session, held),
            (Plan::Session { run, quiet }, Some(session)) => {
                session.at_barrier = false;
                let (command, args) = (owner.command, args.as_args());
                let began = Instant::now();
                self.run_on_session(session, args, command, run, quiet);
                let micros = self.timed_apart(command, began);
                self.observe_slow(session, args, command.spec, micros);
                self.unlock(session.id, &held);
            }
            (Plan::Exec { .. } | Plan::Block(_) | Plan::Session { .. }, None) => {
                self.unlock(owner.session, &held)
            }
            (Plan::Script { .. }, _) => self.grant_script(owner.session, held, time),
            // What it began it ends, whether its client is there or not.
            (Plan::Rounds(rounds), session) => {
                let told = (args.as_args(), !args.is_empty());
                self.run_told_rounds(session, owner, rounds, told, (held, Then::Release));
            }
            (Plan::Spread(spread), session) => {
                self.gather_under_locks(session, owner, args.as_args(), spread, held);
            }
        }
    }

    /// Gives back a transaction's locks on all cores. On each it comes behind the work that was sent there before.
    pub(super) fn unlock(&mut self, session: SessionId, held: &[(CoreId, LockId)]) {
        self.unlock_by(session, held, Work::Unlock);
    }

    /// As [`Self::unlock`]; other cores first undo what was done there under these locks.
    pub(super) fn undo_and_unlock(&mut self, session: SessionId, held: &[(CoreId, LockId)]) {
        self.unlock_by(session, held, Work::Undo);
    }

    fn unlock_by(&mut self, session: SessionId, held: &[(CoreId, LockId)], work: Work) {
        for &(core, id) in held {
            if core == self.state.id {
                self.release_locks(id);
                continue;
            }
            let locks = Held {
                id,
                then: Then::Release,
                tells: Tells::Here,
                counts: Counts::Now,
            };
            let head = Head {
                locks: Some(locks),
                ..Head::of(Ticket::Discard { session }, work)
            };
            self.outboxes[core.index()].ask(head, std::iter::empty());
        }
    }

    /// Gives back what a session that has ended holds or awaits: watches, its wait for keys, a lock.
    pub(super) fn forget_locks(&mut self, session: &mut Session) {
        if let Some(watched) = session.watched.take() {
            self.forget_watch(session.id, session.client_id, &watched);
        }
        self.forget_wait(session);
        if let Some(lock) = session.awaits_lock
            && !self.granted.iter().any(|(granted, _)| *granted == lock)
        {
            self.release_locks(lock);
        }
    }

    /// Whether this core's sessions have begun something that may yet send requests to other cores.
    pub(super) fn has_work_under_way(&self) -> bool {
        self.awaits_place()
            || !self.transactions.is_empty()
            || !self.transactions.joined.is_empty()
            || self.scripts.has_any()
            || self.gathers.has_rounds(CommandTable::rebalance().id)
            || self
                .state
                .sessions
                .iter()
                .any(|session| session.executing.is_some())
    }

    /// Runs this core's parts of an entry of core `from`, which take effect at `moment`. A part that meets a lock waits for it.
    pub(super) fn run_parts_of(&mut self, from: CoreId, moment: Moment, parts: Box<Batch>) {
        self.notice_config();
        if !self.backlog.is_empty() || !self.debts.is_empty() {
            self.run_what_came_before(from, &parts);
        }
        self.lease_for_run(parts.memory_bytes());
        let before = self.state.shard.journal().set_moment(Some(moment));
        for (at, request) in parts.requests.iter().enumerate() {
            let next = parts.requests.get(at + 1);
            let is_last = next.is_none_or(|next| !is_of_same(request, next));
            self.queues.set_mid_transaction(!is_last);
            match request.head.work {
                Work::Lock(index) => {
                    self.lock_for(from, request.head.ticket, parts.lock_request(index));
                }
                Work::Each(command) if command.spec.flags.has(Flags::IN_ORDER) => {
                    self.run_at_its_place(from, &parts, request, command);
                }
                _ if !self.locks.is_empty() && self.part_waits(from, &parts, request) => {}
                _ => self.run_request(from, &parts, request),
            }
            self.serve_written();
        }
        self.state.shard.journal().set_moment(before);
        if from == self.state.id {
            self.recycle(parts);
        } else {
            self.budget.note_ran(from, parts.request_bytes);
            self.keep_spare(parts);
        }
    }

    /// Runs the requests that the sessions of these parts sent before, and that have not run for want of room among the
    /// answers: the parts must not overtake them.
    #[cold]
    fn run_what_came_before(&mut self, from: CoreId, parts: &Batch) {
        let sessions = parts.requests.iter();
        let mut sessions: Vec<SessionId> = sessions
            .map(|request| request.head.ticket.session())
            .collect();
        sessions.sort_unstable();
        sessions.dedup();
        self.run_backlog_of(from, &sessions);
        for session in sessions {
            if let Some(mut aside) = self.debts.take_aside(from, session) {
                // They do not count as under way any more.
                aside.request_bytes = 0;
                self.run_alone(from, aside);
            }
        }
    }

    /// What a part locks of this core's shard.
    pub(super) fn scope_of_part(&self, batch: &Batch, request: &Request) -> Scope {
        let args = batch.args(request);
        match request.head.work {
            Work::Command(command) => self.scope_here(command, args),
            Work::Each(command) if command.spec.flags.has(Flags::WHOLE_KEYSPACE) => {
                Scope::Whole(mode_of(whole_access(command)))
            }
            Work::Exec(queued) => {
                let mut scope = Scope::NOTHING;
                for request in batch.queued(queued) {
                    if let Scope::Keys(claims) = self.scope_of_part(batch, request) {
                        claims.into_iter().for_each(|claim| scope.add(claim));
                    }
                }
                scope
            }
            Work::Each(_)
            | Work::Part(_)
            | Work::Lock(_)
            | Work::Unlock
            | Work::Undo
            | Work::Await(_)
            | Work::Wait(..) => Scope::NOTHING,
        }
    }
}

/// Whether two parts are of one transaction.
fn is_of_same(one: &Request, other: &Request) -> bool {
    let gather_of = |request: &Request| match request.head.ticket {
        Ticket::Part {
            session, gather, ..
        } => Some((session, gather)),
        _ => None,
    };
    gather_of(one).is_some_and(|gather| gather_of(other) == Some(gather))
}

/// Adds what a command locks on each core.
pub(super) fn scope_of(
    state: &CoreState,
    command: &Command,
    args: Args<'_>,
    scopes: &mut [(CoreId, Scope)],
) {
    if command.spec.flags.has(Flags::WHOLE_KEYSPACE) {
        let mode = mode_of(whole_access(command));
        scopes
            .iter_mut()
            .for_each(|(_, scope)| scope.add_whole(mode));
    }
    if let Run::Script(_) = command.spec.run
        && let Some(mode) = super::script::claim_on_all(state, command, args)
    {
        scopes
            .iter_mut()
            .for_each(|(_, scope)| scope.add_whole(mode));
    }
    for (key, claim) in claims_of(state, command, args) {
        let core = state.shared.slots.core_of(key);
        scopes[core.index()].1.add(claim);
    }
}

/// A command's keys, and how each is to be locked.
pub(super) fn claims_of<'a>(
    state: &CoreState,
    command: &Command,
    args: Args<'a>,
) -> impl Iterator<Item = (&'a [u8], Claim)> {
    let keys = command.spec.keys.in_args(&args);
    keys.map(move |found| {
        let key = args.at(found.at);
        let claim = Claim {
            hash: state.shard.hasher().hash(key),
            mode: mode_of(found.access()),
        };
        (key, claim)
    })
}

pub(super) fn mode_of(access: KeyAccess) -> Mode {
    match access {
        KeyAccess::Read => Mode::Shared,
        KeyAccess::Write => Mode::Exclusive,
    }
}

/// Whether it changes the keyspace as a whole.
pub(super) fn is_change_of_all(work: Work) -> bool {
    matches!(work, Work::Each(command) if whole_access(command) == KeyAccess::Write)
}

/// What a command on the keyspace as a whole does with it.
pub(super) fn whole_access(command: &Command) -> KeyAccess {
    // What all cores share is changed alone.
    if command.spec.flags.has(Flags::WRITE) || matches!(command.spec.run, Run::OnSession(_)) {
        KeyAccess::Write
    } else {
        KeyAccess::Read
    }
}
