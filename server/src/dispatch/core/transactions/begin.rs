//! Begins transactions, runs this core's parts of them, and goes on with them when they hold their locks.
//!
//! ```text
//!  no data flows between the cores (MSET, MGET, FLUSHALL, EXEC of commands on one core each)
//!   parts ── at their place in the order each core runs its own ──▶ answers ──▶ the reply
//!
//!  data flows (RENAME, COPY, EXEC with watched keys on several cores, scripts over cores)
//!   requests for locks ── at their place each core grants them, or queues them ([`crate::dispatch::locks`]) ──▶ all granted
//!   the work, in rounds, under the locks; behind it they are given back
//! ```
//! A transaction takes effect at its place in the order, as a whole: that is what makes it strictly serializable. Where data
//! flows, the work comes later, but its keys are locked from the place on, so that nobody sees them in between.
//!
//! A session does not wait for its transaction. What it sends before its core has passed that place takes a place of its own
//! behind it, in the same entry or a later one ([`gate::IN_ORDER`]).

use std::time::Instant;

use larder_engine::Moment;

use crate::command::{
    Args, Command, CommandTable, CoreFn, FirstKey, Flags, Merge, Rounds, Run, SessionCall, Spread,
    closing,
};
use crate::dispatch::core::Core;
use crate::dispatch::core::transactions::gather::AskedPart;
use crate::dispatch::gather::{Finish, Gather};
use crate::dispatch::limits::RUN_COMMANDS;
use crate::dispatch::locks::{Claim, Kind, Mode, Scope};
use crate::dispatch::mail::batch::{Batch, Request};
use crate::dispatch::mail::requests::{
    Counts, Held, LockAnswer, LockRequest, RequestHead, Tells, Then, Ticket, Work,
};
use crate::dispatch::run::kept_args::{KeptArgs, keep_args};
use crate::dispatch::run::recipient::{Recipient, recipient_of_reply, recipient_of_session};
use crate::dispatch::transactions::pending::{Plan, Transaction, key_range};
use crate::dispatch::transactions::scopes::{
    is_change_of_all, mode_of, scope_of, scopes_of, whole_access,
};
use crate::resp::errors::CommandResult;
use crate::routing::CoreId;
use crate::session::{LockId, Session, SessionId, gate};

impl Core {
    /// Begins a command with a part on each core of its keys, such as `MGET`: its keys are split already.
    pub(in crate::dispatch::core) fn begin_spread(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        first_key: FirstKey,
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
        let split = self.transactions.take_split();
        let (_, step) = key_range(command);
        let recipient = recipient_of_reply(session, command, quiet);
        self.state.stats.transactions += 1;
        session.begin_transaction();
        let finish = self.finish_of(spread, &split);
        let gather = self.begin_gather(recipient, args, finish, split.cores.len());
        for (part, &core) in split.cores.iter().enumerate() {
            let ticket = Ticket::Part {
                session: recipient.session,
                gather,
                part: part as u32,
            };
            let mut head = recipient.head(ticket, Work::Command(command), None);
            if part == 0 {
                head.first_key = split.first_key_of_first_part(first_key);
            }
            self.add_part(core, head, split.args_of(args, step, part));
        }
        self.transactions.give_split(split);
        self.join(session);
    }

    /// Begins a command on every core.
    pub(in crate::dispatch::core) fn begin_on_every_core(
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
        let finish = match command.spec.walk {
            Some(walk) if session.executing.is_none() => Finish::Pieces(walk.merge),
            _ => Finish::Merge(merge),
        };
        let parts = (finish, asks.collect());
        self.begin_parts(session, args, command, parts, quiet);
    }

    /// Begins a command whose parts need nothing from each other. Inside an `EXEC` they run at once, under its locks.
    fn begin_parts(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        (finish, asks): (Finish, Vec<AskedPart<'_>>),
        quiet: bool,
    ) {
        let recipient = recipient_of_reply(session, command, quiet);
        if let Some(executing) = &session.executing {
            let locks = executing.locks.clone();
            let locks = (locks, Then::Keep);
            return self.gather_parts(Some(session), recipient, args, (finish, asks), locks);
        }
        self.begin_parts_of(session, recipient, args, (finish, asks));
    }

    /// The same outside of an `EXEC`. The place of the reply is kept already.
    pub(super) fn begin_parts_of(
        &mut self,
        session: &mut Session,
        recipient: Recipient,
        args: Args<'_>,
        (finish, asks): (Finish, Vec<AskedPart<'_>>),
    ) {
        if asks.iter().any(|(_, work, _)| is_change_of_all(*work)) {
            self.state.expect_emptying(session);
        }
        self.state.stats.transactions += 1;
        session.begin_transaction();
        let gather = self.begin_gather(recipient, args, finish, asks.len());
        for (part, (core, work, args)) in asks.into_iter().enumerate() {
            let ticket = Ticket::Part {
                session: recipient.session,
                gather,
                part: part as u32,
            };
            let head = recipient.head(ticket, work, None);
            self.add_part(core, head, args.iter().copied());
        }
        self.join(session);
    }

    /// Adds a part to the entry that gathers.
    #[inline]
    pub(in crate::dispatch::core) fn add_part<'a>(
        &mut self,
        core: CoreId,
        head: RequestHead,
        args: impl Iterator<Item = &'a [u8]>,
    ) {
        let bytes = self.parts_for(core).ask(head, args);
        self.transactions.note_gathered(bytes);
    }

    /// Notes that a session has a transaction in the entry that gathers. What it sends from now on comes behind that.
    #[inline]
    pub(in crate::dispatch::core) fn join(&mut self, session: &mut Session) {
        #[cfg(any(test, debug_assertions))]
        if crate::dispatch::locks::LOCKS_ARE_OFF.get() {
            // There is no entry that could pass.
            return;
        }
        let ticket = self.entry_ticket();
        session.set_gate(gate::IN_ORDER, true);
        if session.entry != Some(ticket.0) {
            session.entry = Some(ticket.0);
            self.transactions.join(ticket, session.id);
        }
    }

    /// This core has passed the first `passed` of its own entries: sessions with transactions in these need no more places,
    /// and those that waited go on.
    pub(in crate::dispatch::core) fn leave_entries(&mut self, passed: u64) {
        while let Some((ticket, id)) = self.transactions.leave(passed) {
            if let Some(session) = self.state.sessions.get_mut(id)
                && session.entry == Some(ticket.0)
            {
                session.entry = None;
                session.set_gate(gate::IN_ORDER, false);
                if session.stalled_for_entry {
                    session.stalled_for_entry = false;
                    self.run_queue.push(id);
                }
            }
        }
    }

    /// Begins a command of several rounds, data flowing between cores.
    pub(in crate::dispatch::core) fn begin_rounds_on_cores(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        rounds: Box<dyn Rounds>,
        quiet: bool,
    ) {
        let recipient = recipient_of_reply(session, command, quiet);
        if let Some(executing) = &session.executing {
            let locks = executing.locks.clone();
            session.at_barrier = true;
            let gather = Gather::in_rounds(recipient, rounds, keep_args(args));
            let gather = gather.under(locks, Then::Keep);
            return self.run_told_rounds(Some(session), gather, false);
        }
        // It may change how commands run.
        session.set_gate(gate::BEHIND_LAST, true);
        let is_told = self.is_told(command.spec.flags);
        self.begin_owned_under_locks(session, recipient, args, Plan::Rounds { rounds, is_told });
    }

    fn begin_under_locks(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        plan: Plan,
        quiet: bool,
    ) {
        let recipient = recipient_of_reply(session, command, quiet);
        self.begin_owned_under_locks(session, recipient, args, plan);
    }

    /// Begins a command whose parts run under locks. Its arguments are kept if they are needed then.
    fn begin_owned_under_locks(
        &mut self,
        session: &mut Session,
        recipient: Recipient,
        args: Args<'_>,
        plan: Plan,
    ) {
        session.begin_transaction();
        let scopes = self.scopes(|scopes| scope_of(&self.state, recipient.command, args, scopes));
        // Those of a command of several rounds are there for the log, should its reply be large.
        let is_kept =
            matches!(plan, Plan::Rounds { .. }) || self.is_told(recipient.command.spec.flags);
        let kept = match is_kept {
            true => keep_args(args),
            false => KeptArgs::default(),
        };
        self.begin_transaction(recipient, kept, plan, scopes, None);
        self.join(session);
    }

    /// Whether a session's command runs under locks of everything, since it changes what all cores share. Inside an `EXEC` it
    /// has them.
    pub(in crate::dispatch::core) fn is_to_run_alone(
        &self,
        session: &Session,
        command: &Command,
    ) -> bool {
        matches!(command.spec.run, Run::OnSession(_))
            && command.spec.flags.has(Flags::WHOLE_KEYSPACE)
            && self.state.shared.cores() > 1
            && session.executing.is_none()
    }

    /// Begins a session's command that changes what all cores share. It asks for locks of everything at its place, and runs
    /// when it has them: no transaction is in its midst then.
    pub(in crate::dispatch::core) fn begin_alone(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        run: fn(&mut SessionCall<'_>) -> CommandResult,
        quiet: bool,
    ) {
        let recipient = recipient_of_session(session, None, command);
        let scopes = self.scopes(|scopes| scope_of(&self.state, command, args, scopes));
        session.at_barrier = true;
        let plan = Plan::Session { run, quiet };
        self.begin_transaction(recipient, keep_args(args), plan, scopes, None);
    }

    /// The scope that `add` makes for each core. Cores of which it locks nothing are left out.
    pub(in crate::dispatch::core) fn scopes(
        &self,
        add: impl FnOnce(&mut [(CoreId, Scope)]),
    ) -> Vec<(CoreId, Scope)> {
        scopes_of(self.state.shared.cores(), add)
    }

    /// Begins a transaction with locks: puts its requests for them into the entry that gathers. With `watcher`, the number of a
    /// client, each core says with its grant whether what that client watches there is intact.
    pub(in crate::dispatch::core) fn begin_transaction(
        &mut self,
        recipient: Recipient,
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
        let now = self.state.clock.unix;
        let transaction = Transaction::new(recipient, args, plan, now, scopes.len());
        self.budget.keep(transaction.memory_bytes());
        self.state.stats.transactions += 1;
        let id = self.transactions.insert(transaction);
        let ticket = Ticket::Locks {
            session: recipient.session,
            transaction: id,
        };
        let head = recipient.head(ticket, Work::Unlock, None);
        for (core, scope) in scopes {
            let request = LockRequest {
                scope,
                watcher,
                is_served,
                is_undoable,
            };
            let bytes = self.parts_for(core).ask_for_locks(head, request);
            self.transactions.note_gathered(bytes);
        }
    }

    /// Puts a session back for which something has come, and has it go on, if it has anything to go on with.
    pub(in crate::dispatch::core) fn look_again(&mut self, mut session: Box<Session>) {
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
            if may_go_on {
                self.run_queue.push_answered(id);
            }
            if self.state.dirty.last() != Some(&id) {
                self.state.dirty.push(id);
            }
        }
        self.state.sessions.put_back(session);
    }

    /// A core has granted a transaction its locks there. With the last, the work begins.
    pub(in crate::dispatch::core) fn take_grant(
        &mut self,
        from: CoreId,
        number: u32,
        answer: LockAnswer,
    ) {
        let Some(transaction) = self.transactions.take_grant(from, number, answer) else {
            return;
        };
        self.budget.let_go(transaction.memory_bytes());
        let mut session = self.state.sessions.take_out(transaction.recipient.session);
        self.begin_work(transaction, session.as_deref_mut());
        if let Some(session) = session {
            self.look_again(session);
        }
    }

    /// Begins the work of a transaction that holds all its locks.
    fn begin_work(&mut self, transaction: Transaction, session: Option<&mut Session>) {
        let Transaction {
            recipient,
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
                self.attempt_under_locks(session, recipient, args, terms, held);
            }
            (Plan::BlockAgain(number), session) => self.attempt_again(number, session, held),
            (Plan::Session { run, quiet }, Some(session)) => {
                session.at_barrier = false;
                let (command, args) = (recipient.command, args.as_args());
                let began = Instant::now();
                self.run_on_session(session, args, command, run, quiet);
                let nanos = self.timed_apart(command, began);
                self.observe_slow(session, args, command.spec, nanos);
                self.unlock(session.id, &held);
            }
            (Plan::Exec { .. } | Plan::Block(_) | Plan::Session { .. }, None) => {
                self.unlock(recipient.session, &held)
            }
            (Plan::Script { .. }, _) => self.grant_script(recipient.session, held, time),
            // What it began it ends, whether its client is there or not.
            (Plan::Rounds { rounds, is_told }, session) => {
                let gather = Gather::in_rounds(recipient, rounds, args).under(held, Then::Release);
                self.run_told_rounds(session, gather, is_told);
            }
            (Plan::Spread(spread), session) => {
                let args = args.as_args();
                let parts = self.split(args, recipient.command, spread);
                self.gather_parts(session, recipient, args, parts, (held, Then::Release));
            }
        }
    }

    /// Gives back a transaction's locks on all cores. On each it comes behind the work that was sent there before.
    pub(in crate::dispatch::core) fn unlock(
        &mut self,
        session: SessionId,
        held: &[(CoreId, LockId)],
    ) {
        self.unlock_by(session, held, Work::Unlock);
    }

    /// As [`Self::unlock`]; other cores first undo what was done there under these locks.
    pub(in crate::dispatch::core) fn undo_and_unlock(
        &mut self,
        session: SessionId,
        held: &[(CoreId, LockId)],
    ) {
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
            let head = RequestHead {
                locks: Some(locks),
                ..RequestHead::of(Ticket::Discard { session }, work)
            };
            self.outboxes.to(core).ask(head, std::iter::empty());
        }
    }

    /// Gives back what a session that has ended holds or awaits: watches, its wait for keys, a lock.
    pub(in crate::dispatch::core) fn forget_locks(&mut self, session: &mut Session) {
        if let Some(watched) = session.end_watching() {
            self.forget_watch(session.id, session.client_id, &watched);
        }
        self.forget_wait(session);
        if let Some(lock) = session.pending_lock
            && !self.locks.is_granted(lock)
        {
            self.release_locks(lock);
        }
    }

    /// Whether this core's sessions have begun something that may yet send requests to other cores.
    pub(in crate::dispatch::core) fn has_work_under_way(&self) -> bool {
        self.awaits_place()
            || !self.transactions.is_empty()
            || !self.transactions.has_no_joined()
            || self.scripts.has_any()
            || self.gathers.has_rounds(CommandTable::rebalance().id)
            || self
                .state
                .sessions
                .iter()
                .any(|session| session.executing.is_some())
    }

    /// Runs this core's parts of an entry of core `from`, which take effect at `moment`. A part that meets a lock waits for it.
    pub(in crate::dispatch::core) fn run_parts_of(
        &mut self,
        from: CoreId,
        moment: Moment,
        parts: Box<Batch>,
    ) {
        self.notice_config();
        if !self.backlog.is_empty() || !self.debts.is_empty() {
            self.run_what_came_before(from, &parts);
        }
        self.lease_for_run(parts.memory_bytes());
        let before = self.state.shard.journal().set_moment(Some(moment));
        for (at, request) in parts.requests().iter().enumerate() {
            if at % RUN_COMMANDS == 0 {
                let end = parts.requests().len().min(at + RUN_COMMANDS);
                self.bring_near(&parts, &parts.requests()[at..end]);
            }
            let next = parts.requests().get(at + 1);
            let is_last = next.is_none_or(|next| !is_of_same(request, next));
            self.key_queues.set_mid_transaction(!is_last);
            match request.head.work {
                Work::Lock(index) => {
                    self.lock_for(from, request.head.ticket, parts.lock_request(index));
                }
                Work::Each(command) if command.spec.flags.has(Flags::IN_ORDER) => {
                    self.run_at_its_place(from, &parts, request);
                }
                _ if !self.locks.is_empty()
                    && self.is_put_behind_locks(Kind::InOrder, from, &parts, request) => {}
                _ => self.run_request(from, &parts, request),
            }
            self.serve_written();
        }
        self.state.shard.journal().set_moment(before);
        if from != self.state.id {
            self.budget.note_ran(from, parts.request_bytes());
        }
        self.keep_spare(parts);
    }

    /// Runs the requests that the sessions of these parts sent before, and that have not run for want of room among the
    /// answers: the parts must not overtake them.
    #[cold]
    fn run_what_came_before(&mut self, from: CoreId, parts: &Batch) {
        let sessions = parts.requests().iter();
        let mut sessions: Vec<SessionId> = sessions
            .map(|request| request.head.ticket.session())
            .collect();
        sessions.sort_unstable();
        sessions.dedup();
        self.run_backlog_of(from, &sessions);
        for session in sessions {
            if let Some(aside) = self.debts.take_aside(from, session) {
                self.run_aside(from, aside);
            }
        }
    }

    /// What a part locks of this core's shard.
    pub(in crate::dispatch::core) fn scope_of_part(
        &mut self,
        batch: &Batch,
        request: &Request,
    ) -> Scope {
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
                if queued.watched {
                    let hasher = &self.state.shared.hasher;
                    let watches = self.state.shard.watches();
                    for (_, key) in watches.keys_of(request.head.client_id) {
                        scope.add(Claim {
                            hash: hasher.hash(key),
                            mode: Mode::Shared,
                        });
                    }
                }
                scope
            }
            Work::Cut => Scope::Whole(Mode::Shared),
            Work::Each(_)
            | Work::Part(_)
            | Work::Clear
            | Work::Lock(_)
            | Work::Unlock
            | Work::Undo
            | Work::Leave
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
