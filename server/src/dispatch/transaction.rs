//! Commands on several cores, as one: the locks on every core first, then the work on any.
//!
//! ```text
//!  coordinator (the session's core)             cores of the keys
//!   a number, what to lock ──────────────────▶  granted at once, or when those before are done
//!   all granted ◀─────────────────────────────  (or wounded: given back to an earlier one, and asked for again)
//!   the work, under the locks ───────────────▶  runs, and gives the locks back
//!   the reply ◀───────────────────────────────
//! ```
//! Strictly serializable: all locks are held before any work is done, so the moment at which the last one is granted is the
//! moment of the whole (two-phase locking; Bernstein, Hadzilacos, Goodman, "Concurrency Control and Recovery", 1987). A
//! command on one core alone runs at once, unless its keys are locked: then it waits in their queues like a transaction.
//! See [`super::locks`] for why nobody waits for ever.
//!
//! A session's later commands wait until its transaction holds its locks: from then on they come behind it wherever they go.

use slab::Slab;

use super::batch::{Head, Held, LockAnswer, LockRequest, Then, Ticket, Watch, Work};
use super::blocking::Terms;
use super::core::Core;
use super::gather::{Finish, KeptArgs, Owner, keep_args, session_owner};
use super::locks::{Claim, Mode, Scope};
use super::publish::note_write;
use super::waits::{Waiter, order_of};
use crate::command::{
    Args, Command, CommandTable, CoreFn, CoreState, Flags, KeyAccess, Merge, Rounds, Run, Spread,
};
use crate::routing::CoreId;
use crate::session::{LockId, Multi, Session, SessionId};

/// What a transaction does once it holds its locks.
pub(super) enum Plan {
    /// A command that spreads, one part a core.
    Spread(Spread),
    /// A command on every core.
    EveryCore { each: CoreFn, merge: Merge },
    /// A command of several rounds.
    Rounds(Box<dyn Rounds>),
    /// The first attempt at a command that may block.
    Block(Terms),
    /// What was queued since `MULTI`.
    Exec { multi: Box<Multi>, quiet: bool },
    /// A script, to begin or to go on; the owner's session is its messenger.
    Script,
    /// Slots move, in several rounds.
    Move(Box<dyn Rounds>),
}

/// Transactions that this core coordinates and that do not hold all their locks yet.
#[derive(Default)]
pub(super) struct Transactions {
    pending: Slab<Transaction>,
    /// Those that wait for earlier commands of their own sessions.
    behind_own: Vec<usize>,
}

struct Transaction {
    owner: Owner,
    args: KeptArgs,
    plan: Plan,
    /// Its place in the order of all transactions.
    number: u64,
    scopes: Vec<(CoreId, Scope)>,
    /// The version of the slot table by which these are the cores.
    table: u64,
    /// What it has of these cores already.
    beside: LocksHeld,
    watcher: Option<u64>,
    watch: Watch,
    held: LocksHeld,
    /// Cores that have yet to answer.
    missing: usize,
    /// Some core has yet to run earlier commands of the session: it must come again when they have run.
    is_behind_own: bool,
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

/// A transaction, for who has to tell it something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coordinator {
    pub(super) core: CoreId,
    pub(super) ticket: Ticket,
}

/// The locks a transaction holds, a core each.
pub(super) type LocksHeld = Vec<(CoreId, LockId)>;

/// Those of them on core `core`.
pub(super) fn held_on(locks: &LocksHeld, core: CoreId, then: Then) -> Option<Held> {
    let (_, id) = locks.iter().find(|(of, _)| *of == core)?;
    Some(Held { id: *id, then })
}

impl Transactions {
    /// Whether some transaction has to come again by itself.
    pub(super) fn has_any_behind_own(&self) -> bool {
        !self.behind_own.is_empty()
    }

    /// Whether there is none.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.behind_own.is_empty()
    }
}

impl Core {
    /// Begins a command on several cores. Inside an `EXEC`, which holds its locks already, it works at once.
    pub(super) fn begin_on_cores(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        plan: Plan,
        quiet: bool,
    ) {
        let seq = (!quiet).then(|| session.output.expect());
        if let Some(seq) = seq {
            note_write(session, command.spec, seq);
        }
        let owner = session_owner(session, seq, command);
        if let Some(executing) = &session.executing {
            let locks = executing.locks.clone();
            session.at_barrier = true;
            return self.work_under_locks(Some(session), owner, args, plan, locks, Then::Keep);
        }
        let scopes = self.scopes(|scopes| scope_of(&self.state, command, args, scopes));
        self.begin_transaction(session, owner, keep_args(args), plan, scopes, None);
    }

    /// What `add` locks of each core; the cores of which it locks nothing are left out.
    pub(super) fn scopes(&self, add: impl FnOnce(&mut [(CoreId, Scope)])) -> Vec<(CoreId, Scope)> {
        let cores = 0..self.state.shared.cores();
        let mut scopes: Vec<(CoreId, Scope)> =
            cores.map(|core| (CoreId(core), Scope::NOTHING)).collect();
        add(&mut scopes);
        scopes.retain(|(_, scope)| !scope.is_nothing());
        scopes
    }

    /// Begins a transaction: asks for its locks. What the client named by `watcher` watches must be intact.
    pub(super) fn begin_transaction(
        &mut self,
        session: &mut Session,
        owner: Owner,
        args: KeptArgs,
        plan: Plan,
        scopes: Vec<(CoreId, Scope)>,
        watcher: Option<u64>,
    ) {
        let number = self.state.shared.next_transaction();
        let transaction = self.transaction(owner, args, plan, number, scopes);
        let transaction = Transaction {
            watcher,
            ..transaction
        };
        session.at_barrier = true;
        self.add_transaction(Some(session), transaction);
    }

    /// Begins to move slots: `rounds` are asked under the locks of all shards as a whole.
    pub(super) fn begin_move(&mut self, rounds: Box<dyn Rounds>) {
        let owner = Owner::nobody(CommandTable::rebalance());
        let scopes = self.scopes(|scopes| {
            let scopes = scopes.iter_mut();
            scopes.for_each(|(_, scope)| scope.add_whole(Mode::Exclusive));
        });
        let plan = Plan::Move(rounds);
        let number = self.state.shared.next_transaction();
        let transaction = self.transaction(owner, KeptArgs::default(), plan, number, scopes);
        self.add_transaction(None, transaction);
    }

    /// Asks for locks for a script. `beside`: those it holds, if it cannot give them back; it then comes before all others.
    pub(super) fn begin_script_transaction(
        &mut self,
        messenger: &mut Session,
        command: &'static Command,
        scopes: Vec<(CoreId, Scope)>,
        beside: Option<LocksHeld>,
    ) {
        let number = match beside {
            Some(_) => 0,
            None => self.state.shared.next_transaction(),
        };
        let owner = session_owner(messenger, None, command);
        let args = KeptArgs::default();
        let transaction = self.transaction(owner, args, Plan::Script, number, scopes);
        let transaction = Transaction {
            beside: beside.unwrap_or_default(),
            ..transaction
        };
        messenger.at_barrier = true;
        self.add_transaction(Some(messenger), transaction);
    }

    fn transaction(
        &self,
        owner: Owner,
        args: KeptArgs,
        plan: Plan,
        number: u64,
        scopes: Vec<(CoreId, Scope)>,
    ) -> Transaction {
        Transaction {
            owner,
            args,
            plan,
            number,
            scopes,
            table: self.state.shared.slots.version(),
            beside: LocksHeld::new(),
            watcher: None,
            watch: Watch::Intact,
            held: LocksHeld::new(),
            missing: 0,
            is_behind_own: false,
        }
    }

    fn add_transaction(&mut self, session: Option<&mut Session>, transaction: Transaction) {
        self.budget.keep(transaction.memory_bytes());
        let id = self.transactions.pending.insert(transaction);
        self.state.stats.transactions += 1;
        self.ask_all_for_locks(id);
        self.go_on_if_answered(id, session);
    }

    /// Asks every core of a transaction for its locks.
    fn ask_all_for_locks(&mut self, id: usize) {
        let transaction = &mut self.transactions.pending[id];
        transaction.is_behind_own = false;
        transaction.missing = transaction.scopes.len();
        for at in 0..transaction.missing {
            self.ask_for_locks(id, at);
        }
    }

    /// Asks the core of a transaction's scope number `at` for its locks.
    fn ask_for_locks(&mut self, id: usize, at: usize) {
        let transaction = &self.transactions.pending[id];
        let (number, owner, watcher) = (transaction.number, transaction.owner, transaction.watcher);
        let (core, scope) = transaction.scopes[at].clone();
        let beside = transaction.beside.iter().find(|(of, _)| *of == core);
        let beside = beside.map(|(_, lock)| *lock);
        let ticket = Ticket::Locks {
            session: owner.session,
            transaction: id as u32,
        };
        if core != self.state.id {
            self.state.stats.hops += 1;
            let head = owner.head(ticket, Work::Unlock, None);
            let request = LockRequest {
                number,
                scope,
                beside,
                watcher,
            };
            return self.outboxes[core.index()].ask_for_locks(head, request);
        }
        let order = order_of(number, Coordinator { core, ticket });
        let transaction = id as u32;
        let waiter = Waiter::Own {
            transaction,
            watcher,
        };
        if let Some(lock) = self.ask_here(beside, order, scope, waiter) {
            let watch = self.watch_for(watcher);
            self.note_granted(id, core, lock, watch);
        }
    }

    fn note_granted(&mut self, id: usize, by: CoreId, lock: LockId, watch: Watch) {
        let transaction = &mut self.transactions.pending[id];
        transaction.missing -= 1;
        transaction.held.push((by, lock));
        if watch == Watch::Broken {
            transaction.watch = watch;
        }
    }

    pub(super) fn watch_for(&mut self, watcher: Option<u64>) -> Watch {
        watcher.map_or(Watch::Intact, |client_id| self.watch_of(client_id))
    }

    /// A core has answered a transaction's request for locks.
    pub(super) fn take_lock_answer(&mut self, from: CoreId, id: usize, answer: LockAnswer) {
        match answer {
            LockAnswer::Granted(lock, watch) => self.note_granted(id, from, lock, watch),
            LockAnswer::BehindOwn => {
                let transaction = &mut self.transactions.pending[id];
                transaction.missing -= 1;
                transaction.is_behind_own = true;
            }
            LockAnswer::Wounded(lock) => return self.yield_locks(from, id, lock),
        }
        let transaction = &self.transactions.pending[id];
        if transaction.missing > 0 {
            return;
        }
        let session = transaction.owner.session;
        let mut session = self.state.sessions.take_out(session);
        self.go_on_if_answered(id, session.as_deref_mut());
        if let Some(session) = session {
            self.look_again(session);
        }
    }

    /// Puts back a session for which something it waited for has come.
    pub(super) fn look_again(&mut self, session: Box<Session>) {
        if session.id.is_messenger() {
            self.scripts.note_answer(session.id);
        } else {
            self.state.dirty.push(session.id);
            self.waiting.push(session.id);
        }
        self.state.sessions.put_back(session);
    }

    /// An earlier transaction waits for locks of this one: it gives them back and asks for them again, unless it works
    /// already and is soon done. (Its number in the table may be another's by now, which then yields without need.)
    pub(super) fn yield_locks(&mut self, core: CoreId, id: usize, lock: LockId) {
        let Some(transaction) = self.transactions.pending.get_mut(id) else {
            return;
        };
        let held = &mut transaction.held;
        let Some(at) = held.iter().position(|held| *held == (core, lock)) else {
            return;
        };
        held.swap_remove(at);
        transaction.missing += 1;
        let session = transaction.owner.session;
        let scope = transaction.scopes.iter().position(|(of, _)| *of == core);
        self.state.stats.transaction_retries += 1;
        self.unlock(session, &[(core, lock)]);
        self.ask_for_locks(id, scope.expect("it holds locks that it asked for"));
    }

    /// Once every core has answered: does the work, or comes again later if it must.
    fn go_on_if_answered(&mut self, id: usize, session: Option<&mut Session>) {
        let transaction = &mut self.transactions.pending[id];
        if transaction.missing > 0 {
            return;
        }
        if !transaction.is_behind_own && self.has_moved(id, session.as_deref()) {
            self.state.stats.transaction_retries += 1;
            let transaction = &mut self.transactions.pending[id];
            let held = std::mem::take(&mut transaction.held);
            let of = transaction.owner.session;
            self.unlock(of, &held);
            self.ask_all_for_locks(id);
            return self.go_on_if_answered(id, session);
        }
        let transaction = &mut self.transactions.pending[id];
        if !transaction.is_behind_own {
            let transaction = self.transactions.pending.remove(id);
            self.budget.let_go(transaction.memory_bytes());
            return self.begin_work(transaction, session);
        }
        self.state.stats.transaction_retries += 1;
        let held = std::mem::take(&mut transaction.held);
        let session = transaction.owner.session;
        self.unlock(session, &held);
        self.transactions.behind_own.push(id);
    }

    /// Whether keys of a transaction have moved to other cores since it asked for its locks. If so, it knows where they are
    /// now. With its locks held this is so until its work is done: slots move under all locks there are.
    fn has_moved(&mut self, id: usize, session: Option<&Session>) -> bool {
        let table = self.state.shared.slots.version();
        let transaction = &self.transactions.pending[id];
        if transaction.table == table {
            return false;
        }
        let scopes = match (&transaction.plan, session) {
            // The whole of every shard; or whoever wanted it is gone.
            (Plan::Move(_), _) | (Plan::Exec { .. }, None) => return false,
            (Plan::Exec { multi, .. }, Some(session)) => self.scopes_of_multi(session, multi),
            (Plan::Script, _) => match self.scopes_of_new_script(transaction.owner.session) {
                Some(scopes) => scopes,
                // The whole of every shard.
                None => return false,
            },
            _ => self.scopes(|scopes| {
                let args = transaction.args.as_args();
                scope_of(&self.state, transaction.owner.command, args, scopes);
            }),
        };
        let slots = &self.state.shared.slots;
        let transaction = &mut self.transactions.pending[id];
        transaction.table = table;
        if scopes == transaction.scopes {
            return false;
        }
        transaction.scopes = scopes;
        if let Plan::Rounds(rounds) = &mut transaction.plan
            && let Run::FanOut {
                spread: Spread::Rounds(begin),
                ..
            } = transaction.owner.command.spec.run
        {
            let begun = begin(&transaction.args.as_args(), slots);
            *rounds =
                begun.unwrap_or_else(|_| unreachable!("it has begun with these arguments before"));
        }
        true
    }

    /// Asks again for those whose sessions have got the replies to all their earlier commands, or are gone.
    pub(super) fn retry_behind_own(&mut self) {
        for id in std::mem::take(&mut self.transactions.behind_own) {
            let owner = self.transactions.pending[id].owner;
            let is_next = self
                .state
                .sessions
                .get(owner.session)
                .is_none_or(|session| match owner.seq {
                    Some(seq) => session.output.is_next(seq),
                    None => session.output.outstanding() == 0,
                });
            if is_next {
                self.ask_all_for_locks(id);
                let mut session = self.state.sessions.take_out(owner.session);
                self.go_on_if_answered(id, session.as_deref_mut());
                if let Some(session) = session {
                    self.state.sessions.put_back(session);
                }
            } else {
                self.transactions.behind_own.push(id);
            }
        }
    }

    /// Does what the transaction is for: it holds all its locks.
    fn begin_work(&mut self, transaction: Transaction, session: Option<&mut Session>) {
        let Transaction {
            owner,
            args,
            plan,
            held,
            watch,
            ..
        } = transaction;
        match (plan, session) {
            (Plan::Exec { multi, quiet }, Some(session)) => {
                session.at_barrier = false;
                self.exec_under_locks(session, multi, held, watch, quiet);
            }
            (Plan::Block(terms), Some(session)) => {
                self.attempt_under_locks(session, owner, args, terms, held);
            }
            (Plan::Exec { .. } | Plan::Block(_), None) => self.unlock(owner.session, &held),
            (Plan::Script, _) => self.grant_script(owner.session, held),
            (plan, session) => {
                self.work_under_locks(session, owner, args.as_args(), plan, held, Then::Release);
            }
        }
    }

    /// Does the work of one command on several cores. `then` says what becomes of the locks behind it.
    fn work_under_locks(
        &mut self,
        session: Option<&mut Session>,
        owner: Owner,
        args: Args<'_>,
        plan: Plan,
        locks: LocksHeld,
        then: Then,
    ) {
        let (finish, asks) = match plan {
            Plan::Rounds(rounds) | Plan::Move(rounds) => {
                return self.run_rounds(session, owner, rounds, locks, then);
            }
            Plan::Spread(spread) => self.split(args, owner.command, spread),
            Plan::EveryCore { each, merge } => {
                (Finish::Merge(merge), self.asks_of_every_core(args, each))
            }
            Plan::Exec { .. } | Plan::Block(_) | Plan::Script => {
                unreachable!("it is no command on several cores")
            }
        };
        self.gather_parts(session, owner, args, finish, asks, (locks, then));
    }

    /// Gives back locks of a transaction, behind the work it has sent.
    pub(super) fn unlock(&mut self, session: SessionId, held: &[(CoreId, LockId)]) {
        for &(core, id) in held {
            if core == self.state.id {
                self.release_locks(id);
                continue;
            }
            let locks = Held {
                id,
                then: Then::Release,
            };
            let head = Head {
                locks: Some(locks),
                ..Head::of(Ticket::Discard { session }, Work::Unlock)
            };
            self.outboxes[core.index()].ask(head, std::iter::empty());
        }
    }

    /// A session has ended that may have waited for locks, or held some.
    pub(super) fn forget_locks(&mut self, session: &mut Session) {
        if let Some(watched) = session.watched.take() {
            self.forget_watch(session.id, session.client_id, &watched);
        }
        let blocked = session.blocked.as_ref();
        let wait = blocked.and_then(|blocked| blocked.wait.filter(|_| !blocked.is_being_served));
        if let Some(number) = wait.or(session.ended_wait) {
            self.end_wait(number);
        }
        if let Some(lock) = session.awaits_lock
            && !self.granted.iter().any(|(granted, _)| *granted == lock)
        {
            self.release_locks(lock);
        }
    }
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

/// What a command on the keyspace as a whole does with it.
pub(super) fn whole_access(command: &Command) -> KeyAccess {
    if command.spec.flags.has(Flags::WRITE) {
        KeyAccess::Write
    } else {
        KeyAccess::Read
    }
}
