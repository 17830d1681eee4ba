//! Who waits for locks of this core's shard, and goes on when they are granted: commands of its own sessions, commands of
//! other cores' sessions, and transactions, in one order (`locks`).

use super::batch::{Batch, LockAnswer, LockRequest, Request, Ticket, Work};
use super::core::Core;
use super::locks::{Asked, Order, Scope};
use super::transaction::{Coordinator, claims_of};
use crate::command::{Args, Command};
use crate::routing::CoreId;
use crate::session::{LockId, Session, SessionId, WaitNumber, gate};

/// Who waits for locks of this core's shard.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A session of this core, with its next command.
    Session(SessionId),
    /// A command of another core's session, alone in a batch.
    Request { from: CoreId, batch: Box<Batch> },
    /// A transaction of another core.
    Remote {
        to: CoreId,
        ticket: Ticket,
        watcher: Option<u64>,
    },
    /// A command that blocked, for its next attempt.
    Wait(WaitNumber),
    /// A transaction of this core.
    Own {
        transaction: u32,
        watcher: Option<u64>,
    },
    /// A script of this core, which goes on meanwhile.
    Bar,
}

/// The order of a transaction of this number.
pub(super) fn order_of(number: u64, by: Coordinator) -> Order<Coordinator> {
    match number {
        0 => Order::First,
        number => Order::Numbered { number, by },
    }
}

impl Waiter {
    /// Whether it is a command that this session of another core has sent.
    fn is_request_of(&self, core: CoreId, session: SessionId) -> bool {
        match self {
            Self::Request { from, batch } => {
                let mut requests = batch.requests.iter();
                *from == core && requests.any(|request| request.head.ticket.session() == session)
            }
            _ => false,
        }
    }
}

impl Core {
    /// Asks for locks of this core's shard, and notes whom that wounds. None: `waiter` waits for them.
    pub(super) fn ask_here(
        &mut self,
        beside: Option<LockId>,
        order: Order<Coordinator>,
        scope: Scope,
        waiter: Waiter,
    ) -> Option<LockId> {
        let (lock, is_granted) = self.ask_for(beside, order, scope, waiter);
        is_granted.then_some(lock)
    }

    /// As [`Self::ask_here`]; also names the locks that are waited for.
    pub(super) fn ask_for(
        &mut self,
        beside: Option<LockId>,
        order: Order<Coordinator>,
        scope: Scope,
        waiter: Waiter,
    ) -> (LockId, bool) {
        self.end_copies_for(&scope);
        let asked = self.locks.ask_beside(beside, order, scope, waiter);
        self.set_gate(gate::LOCKS, true);
        match asked {
            Asked::Granted(lock) => (lock, true),
            Asked::Waits(lock, wounded) => {
                let wounded = wounded.into_iter().map(|(lock, by)| (by, lock));
                self.wounded.extend(wounded);
                (lock, false)
            }
        }
    }

    fn tell_wounded(&mut self, Coordinator { core, ticket }: Coordinator, lock: LockId) {
        if core != self.state.id {
            let answer = LockAnswer::Wounded(lock);
            self.outboxes[core.index()].answer_for_locks(ticket, answer);
            return;
        }
        match ticket {
            Ticket::Locks { transaction, .. } => self.yield_locks(core, transaction as usize, lock),
            Ticket::Wait { number, .. } => self.wait_wounded(core, number, lock),
            _ => unreachable!("only transactions and waits hold locks in an order"),
        }
    }

    /// Gives back locks of this core's shard. Those who come to hold them go on with [`Self::run_granted`].
    pub(super) fn release_locks(&mut self, id: LockId) {
        // Who waited for what was written under them comes before all others.
        self.serve_written();
        self.locks.release(id, &mut self.granted);
        self.set_gate(gate::LOCKS, !self.locks.is_empty());
    }

    /// A transaction of another core asks for locks.
    pub(super) fn lock_for(&mut self, from: CoreId, ticket: Ticket, request: &LockRequest) {
        let session = ticket.session();
        let answer = if self.debts.has_set_aside(from, session) {
            LockAnswer::BehindOwn
        } else {
            self.put_before(from, session, request.number);
            let watcher = request.watcher;
            let waiter = Waiter::Remote {
                to: from,
                ticket,
                watcher,
            };
            let order = order_of(request.number, Coordinator { core: from, ticket });
            match self.ask_here(request.beside, order, request.scope.clone(), waiter) {
                Some(lock) => LockAnswer::Granted(lock, self.watch_for(watcher)),
                None => return,
            }
        };
        self.outboxes[from.index()].answer_for_locks(ticket, answer);
    }

    /// Puts what a session of another core has sent, and waits here, before a transaction that it began later.
    fn put_before(&mut self, from: CoreId, session: SessionId, number: u64) {
        let is_own = |waiter: &Waiter| waiter.is_request_of(from, session);
        let wounded = self.locks.promote(is_own, number, &mut self.granted);
        let wounded = wounded.into_iter().map(|(lock, by)| (by, lock));
        self.wounded.extend(wounded);
    }

    /// Whether a command of this core's session, which needs `scope` of this core's shard, may run. If not, it waits for it.
    #[cold]
    pub(super) fn may_pass_locks(&mut self, session: &mut Session, scope: Scope) -> bool {
        if session.granted_lock.is_some() {
            // Given back behind the command.
            return true;
        }
        if !self.locks.conflicts(&scope) {
            return true;
        }
        let waiter = Waiter::Session(session.id);
        let behind = self.queues.behind_all(&scope);
        match self.locks.ask(Order::Local { behind }, scope, waiter) {
            Asked::Waits(lock, _) => session.awaits_lock = Some(lock),
            Asked::Granted(_) => unreachable!("it conflicts, and comes last"),
        }
        false
    }

    /// Whether a command of another core's session has to wait for locks. If so, it does.
    #[cold]
    pub(super) fn waits_for_locks(
        &mut self,
        from: CoreId,
        batch: &Batch,
        request: &Request,
    ) -> bool {
        let Work::Command(command) = request.head.work else {
            return false;
        };
        let args = batch.args(request);
        let scope = self.scope_here(command, args);
        if !self.locks.conflicts(&scope) {
            return false;
        }
        let mut alone = self.spare.pop().unwrap_or_default();
        alone.ask_as(batch, request);
        alone.weight = alone.memory_bytes();
        self.budget.keep(alone.weight);
        self.budget.note_ran(from, -alone.request_bytes);
        let waiter = Waiter::Request { from, batch: alone };
        let behind = self.queues.behind_all(&scope);
        self.locks.ask(Order::Local { behind }, scope, waiter);
        true
    }

    /// What a command whose keys all live here locks.
    pub(super) fn scope_here(&self, command: &Command, args: Args<'_>) -> Scope {
        let claims = claims_of(&self.state, command, args);
        Scope::Keys(claims.map(|(_, claim)| claim).collect())
    }

    /// Lets those go on who have got their locks, and those who get theirs by that. This ends: sessions go on with input they
    /// have, and none comes meanwhile; a script goes on until it asks another core or its slice is over; and an attempt at a
    /// command that blocked ends the wait, or waits for another write.
    #[inline]
    pub(super) fn run_granted(&mut self) {
        if !self.granted.is_empty() || !self.wounded.is_empty() || self.scripts.has_ready() {
            self.run_all_granted();
        }
    }

    #[cold]
    fn run_all_granted(&mut self) {
        let mut stuck = Vec::new();
        loop {
            for (lock, waiter) in std::mem::take(&mut self.granted) {
                match waiter {
                    Waiter::Request { from, .. } if self.outboxes[from.index()].is_full() => {
                        stuck.push((lock, waiter));
                    }
                    _ => self.go_on_with_locks(lock, waiter),
                }
            }
            if !self.granted.is_empty() {
                continue;
            }
            if self.scripts.has_ready() {
                self.run_ready_scripts();
                continue;
            }
            // Whoever is wounded hears of it behind the word that it was granted its locks.
            let Some((wounded, lock)) = self.wounded.pop() else {
                break;
            };
            self.tell_wounded(wounded, lock);
        }
        self.granted = stuck;
    }

    fn go_on_with_locks(&mut self, lock: LockId, waiter: Waiter) {
        match waiter {
            Waiter::Session(id) => self.resume_with_locks(id, lock),
            Waiter::Wait(number) => self.tell_wait_granted(number, lock),
            Waiter::Request { from, batch } => self.run_with_locks(from, batch, lock),
            Waiter::Remote {
                to,
                ticket,
                watcher,
            } => {
                let answer = LockAnswer::Granted(lock, self.watch_for(watcher));
                self.outboxes[to.index()].answer_for_locks(ticket, answer);
            }
            Waiter::Own {
                transaction,
                watcher,
            } => {
                let answer = LockAnswer::Granted(lock, self.watch_for(watcher));
                self.take_lock_answer(self.state.id, transaction as usize, answer);
            }
            Waiter::Bar => {}
        }
    }

    fn resume_with_locks(&mut self, id: SessionId, lock: LockId) {
        let Some(mut session) = self.state.sessions.take_out(id) else {
            return self.release_locks(lock);
        };
        session.awaits_lock = None;
        session.granted_lock = Some(lock);
        self.run_unread(&mut session);
        if let Some(unused) = session.granted_lock.take() {
            self.release_locks(unused);
        }
        self.settle(&mut session);
        self.state.sessions.put_back(session);
    }

    fn run_with_locks(&mut self, from: CoreId, batch: Box<Batch>, lock: LockId) {
        self.run_alone(from, batch);
        self.release_locks(lock);
    }

    /// Runs a command of another core's session that waited. Though the session may owe much, it is not set aside: what the
    /// session owes may be for later commands, whose replies cannot be taken before this one's.
    pub(super) fn run_alone(&mut self, from: CoreId, batch: Box<Batch>) {
        self.budget.note_ran(from, batch.request_bytes);
        let bytes = batch.memory_bytes();
        self.lease_for_run(bytes);
        for request in &batch.requests {
            if !self.refuses_request(from, &batch, request, bytes) {
                self.run_request(from, &batch, request);
            }
        }
        self.keep_spare(batch);
    }
}
