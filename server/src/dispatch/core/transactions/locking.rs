//! Waiting for locks of this core's shard ([`crate::dispatch::locks`]), and going on with them: commands of its own sessions, commands
//! and parts from any core, and transactions that ask for locks.

use larder_engine::{Moment, UnixMillis};

use crate::command::{Args, Command};
use crate::dispatch::core::Core;
use crate::dispatch::locks::{Asked, Kind, Scope};
use crate::dispatch::mail::batch::{Batch, Request};
use crate::dispatch::mail::requests::{
    LockAnswer, LockRequest, LocksHeld, Then, Ticket, Watch, held_on,
};
use crate::dispatch::transactions::claimant::Claimant;
use crate::dispatch::transactions::scopes::claims_of;
use crate::routing::CoreId;
use crate::session::{LockId, Session, SessionId, gate};

/// The moment and the time to go back to, while something is done at others.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch::core) struct MomentBefore {
    moment: Option<Moment>,
    time: UnixMillis,
}

impl Core {
    /// Has commands look for locks while there are any, and while slots are on the move.
    pub(in crate::dispatch::core) fn choose_lock_gate(&mut self) {
        let is_on = !self.locks.is_empty() || self.state.moving.stands_still();
        self.set_gate(gate::LOCKS, is_on);
    }

    /// Asks for locks of this core's shard, and ends copies of the keys they are for. `None`: the claimant is queued for them.
    pub(in crate::dispatch::core) fn ask_here(
        &mut self,
        kind: Kind,
        scope: Scope,
        claimant: Claimant,
    ) -> Option<LockId> {
        self.end_copies_for(&scope);
        let asked = self.ask_now(kind, scope, claimant);
        self.set_gate(gate::LOCKS, true);
        match asked {
            Asked::Granted(lock) => Some(lock),
            Asked::Pending(_) => None,
        }
    }

    /// Asks for locks. All that is done under them takes effect at this moment, however long the claimant waits.
    pub(in crate::dispatch::core) fn ask_now(
        &mut self,
        kind: Kind,
        scope: Scope,
        claimant: Claimant,
    ) -> Asked {
        let asked = self.locks.ask(kind, scope, claimant);
        let (Asked::Granted(lock) | Asked::Pending(lock)) = asked;
        let moment = self.state.shard.journal().moment();
        let now = self.state.shard.now();
        self.locks.set_moment(lock, moment, now);
        asked
    }

    /// What is done from now on is done under `lock`, at the moment and the time when it was asked for. The moment before,
    /// which [`Self::end_moment`] takes.
    #[inline]
    pub(in crate::dispatch::core) fn begin_moment_of(&mut self, lock: LockId) -> MomentBefore {
        let (moment, time) = (self.locks.moment(lock), self.locks.time(lock));
        MomentBefore {
            moment: self.state.shard.journal().set_moment(Some(moment)),
            time: self.set_time(time),
        }
    }

    /// As [`Self::begin_moment_of`], for what has locks on several cores, which were asked for at `time`.
    pub(in crate::dispatch::core) fn begin_moment_under(
        &mut self,
        locks: &LocksHeld,
        time: UnixMillis,
    ) -> MomentBefore {
        match held_on(locks, self.state.id, Then::Keep) {
            Some(held) => self.begin_moment_of(held.id),
            None => {
                let journal = self.state.shard.journal();
                let before = journal.set_moment(None);
                journal.set_moment(before);
                MomentBefore {
                    moment: before,
                    time: self.set_time(time),
                }
            }
        }
    }

    /// Sets the time by which deadlines are judged. The one before.
    pub(in crate::dispatch::core) fn set_time(&mut self, time: UnixMillis) -> UnixMillis {
        self.state.shard.set_now(time);
        std::mem::replace(&mut self.state.clock.unix, time)
    }

    /// The moment at which what is done under `locks` takes effect here; `None` if none of them is of this core.
    pub(in crate::dispatch::core) fn moment_under(&self, locks: &LocksHeld) -> Option<Moment> {
        let held = held_on(locks, self.state.id, Then::Keep)?;
        Some(self.locks.moment(held.id))
    }

    /// Goes back to the moment `before`, which [`Self::begin_moment_of`] has answered.
    #[inline]
    pub(in crate::dispatch::core) fn end_moment(&mut self, before: MomentBefore) {
        self.state.shard.journal().set_moment(before.moment);
        self.set_time(before.time);
    }

    /// Gives back a lock of this core's shard. Those who wait no longer go on in [`Self::run_granted`].
    pub(in crate::dispatch::core) fn release_locks(&mut self, id: LockId) {
        // Who waited for what was written under them comes before all others.
        if !self.undos.is_empty() {
            self.end_undo(id);
        }
        self.serve_behind(id);
        self.locks.release(id);
        self.choose_lock_gate();
    }

    /// Asks for the locks of a transaction, whose place has come.
    pub(in crate::dispatch::core) fn lock_for(
        &mut self,
        from: CoreId,
        ticket: Ticket,
        request: &LockRequest,
    ) {
        let (watcher, is_undoable) = (request.watcher, request.is_undoable);
        let claimant = Claimant::Transaction {
            to: from,
            ticket,
            watcher,
            is_undoable,
        };
        let kind = match request.is_served {
            true => Kind::Served,
            false => Kind::InOrder,
        };
        if let Some(lock) = self.ask_here(kind, request.scope.clone(), claimant) {
            self.grant(from, ticket, lock, (watcher, is_undoable));
        }
    }

    fn grant(
        &mut self,
        to: CoreId,
        ticket: Ticket,
        lock: LockId,
        (watcher, is_undoable): (Option<u64>, bool),
    ) {
        if is_undoable {
            self.expect_undo(lock);
        }
        let watch = watcher.map_or(Watch::Intact, |client_id| self.watch_of(client_id));
        let answer = LockAnswer {
            lock,
            watch,
            time: self.locks.time(lock),
        };
        self.outboxes.to(to).answer(ticket, |out| answer.write(out));
    }

    /// Whether a command of this core's session that needs `scope` of this shard may run now. If not, the session waits for it.
    #[cold]
    pub(in crate::dispatch::core) fn may_pass_locks(
        &mut self,
        session: &mut Session,
        scope: Scope,
    ) -> bool {
        if session.granted_lock.is_some() {
            // Given back behind the command.
            return true;
        }
        if !self.locks.conflicts(&scope) {
            return true;
        }
        let claimant = Claimant::Session(session.id);
        match self.ask_now(Kind::Alone, scope, claimant) {
            Asked::Pending(lock) => session.pending_lock = Some(lock),
            Asked::Granted(_) => unreachable!("it conflicts, and comes last"),
        }
        false
    }

    /// Whether a command of another core's session, or a part whose place has come, has to wait for locks. If so, it does.
    #[cold]
    pub(in crate::dispatch::core) fn is_put_behind_locks(
        &mut self,
        kind: Kind,
        from: CoreId,
        batch: &Batch,
        request: &Request,
    ) -> bool {
        let scope = self.scope_of_part(batch, request);
        let waits = match kind {
            Kind::InOrder => self.locks.conflicts_in_order(&scope),
            _ => self.locks.conflicts(&scope),
        };
        if waits {
            self.put_behind_locks(kind, scope, from, batch, request);
        }
        waits
    }

    fn put_behind_locks(
        &mut self,
        kind: Kind,
        scope: Scope,
        from: CoreId,
        batch: &Batch,
        request: &Request,
    ) {
        let mut alone = self.outboxes.empty();
        alone.ask_as(batch, request);
        let weight = alone.memory_bytes();
        alone.weigh(weight);
        self.budget.keep(weight);
        if from != self.state.id {
            self.budget.note_ran(from, -alone.request_bytes());
        }
        if kind == Kind::InOrder {
            // For whoever has passed its place, it has happened.
            self.end_copies_for(&scope);
        }
        let claimant = Claimant::Request { from, batch: alone };
        let asked = self.ask_now(kind, scope, claimant);
        assert!(
            matches!(asked, Asked::Pending(_)),
            "it conflicts, and comes last"
        );
    }

    /// The keys that a command locks, all of which live here.
    pub(in crate::dispatch::core) fn scope_here(&self, command: &Command, args: Args<'_>) -> Scope {
        let claims = claims_of(&self.state, command, args);
        Scope::Keys(claims.map(|(_, claim)| claim).collect())
    }

    /// Has those go on who have got their locks, and those who get theirs by that, until nobody is left. This ends: sessions
    /// run input they have, and none comes meanwhile; a script runs until it asks another core or its slice is over; an attempt
    /// of a client that waited ends the wait, or waits for another write.
    #[inline]
    pub(in crate::dispatch::core) fn run_granted(&mut self) {
        if self.locks.has_granted() || self.scripts.has_ready() || self.has_own_mail() {
            self.run_all_granted();
        }
    }

    #[cold]
    fn run_all_granted(&mut self) {
        loop {
            self.take_own_mail();
            let granted = self.locks.take_granted();
            if !granted.is_empty() {
                for (lock, claimant) in granted {
                    self.go_on_with_locks(lock, claimant);
                }
            } else if self.scripts.has_ready() {
                self.run_ready_scripts();
            } else if !self.has_own_mail() {
                return;
            }
        }
    }

    fn go_on_with_locks(&mut self, lock: LockId, claimant: Claimant) {
        match claimant {
            Claimant::Session(id) => self.resume_with_locks(id, lock),
            Claimant::Request { from, batch } => {
                let before = self.begin_moment_of(lock);
                self.scripts.note_waited(true);
                self.in_steps.lend_lock(lock);
                self.run_alone(from, batch);
                self.scripts.note_waited(false);
                self.end_moment(before);
                if let Some(lock) = self.in_steps.take_lock() {
                    self.release_locks(lock);
                }
            }
            Claimant::Transaction {
                to,
                ticket,
                watcher,
                is_undoable,
            } => self.grant(to, ticket, lock, (watcher, is_undoable)),
            Claimant::Attempt(number) => self.attempt_under(number, lock),
            Claimant::Nobody => unreachable!("such locks are granted at once"),
        }
    }

    fn resume_with_locks(&mut self, id: SessionId, lock: LockId) {
        let Some(mut session) = self.state.sessions.take_out(id) else {
            return self.release_locks(lock);
        };
        session.pending_lock = None;
        session.granted_lock = Some(lock);
        self.run_unread(&mut session);
        if let Some(unused) = session.granted_lock.take() {
            self.release_locks(unused);
        }
        self.settle(&mut session);
        self.state.sessions.put_back(session);
    }

    /// Runs a command of another core's session that has waited. It is not set aside, however much its session owes: that may
    /// be for later commands, whose replies cannot be taken before this one's.
    pub(in crate::dispatch::core) fn run_alone(&mut self, from: CoreId, batch: Box<Batch>) {
        if from != self.state.id {
            self.budget.note_ran(from, batch.request_bytes());
        }
        let bytes = batch.memory_bytes();
        self.lease_for_run(bytes);
        for request in batch.requests() {
            if !self.refuses_request(from, &batch, request, bytes) {
                self.run_request(from, &batch, request);
            }
        }
        self.keep_spare(batch);
    }
}
