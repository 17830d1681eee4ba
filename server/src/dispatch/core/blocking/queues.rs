//! The keys' side of blocking commands ([`KeyQueues`]): who waits for a key of this core's shard is queued, served when it is
//! written, and leaves.

use larder_engine::{Access, DbIndex};

use crate::command::{Args, Attempted, Command, Resolved, Turn};
use crate::dispatch::blocking::key_queues::{Behind, KeyWaiter};
use crate::dispatch::blocking::word::{WaitWord, write_moved};
use crate::dispatch::core::Core;
use crate::dispatch::limits::KEPT_REPLY_BYTES;
use crate::dispatch::locks::{Asked, Kind, Scope};
use crate::dispatch::mail::requests::{Reading, RequestHead, Ticket, WaitRequest, WaitStep};
use crate::dispatch::run::attempt::{attempt, blocking_of};
use crate::dispatch::run::kept_args::{KeptArgs, keep, keep_args};
use crate::dispatch::run::on_shard::CallOptions;
use crate::dispatch::transactions::claimant::Claimant;
use crate::resp::Reply;
use crate::routing::CoreId;
use crate::session::{Ending, LockId, Reader, Session, WaitNumber};

impl Core {
    /// A session of core `to` waits for keys of this one. What is there already serves it.
    pub(in crate::dispatch::core) fn queue_wait(
        &mut self,
        to: CoreId,
        head: &RequestHead,
        request: WaitRequest,
        args: Args<'_>,
    ) {
        let session = head.ticket.session();
        let number = request.number;
        let ticket = Ticket::Wait { session, number };
        let head = RequestHead { ticket, ..*head };
        self.add_wait(to, head, request, || keep_args(args));
        // What came before it was known here has served nobody.
        let wait = self.key_queues.get(number);
        let keys = wait.map_or_else(Vec::new, |wait| wait.keys.clone());
        for key in keys {
            self.serve(head.db, &key, None);
        }
        if self.has_moved(number) {
            // Since it was sent.
            self.send_back(number);
        }
    }

    /// An attempt for a session of core `to` has found nothing: it waits.
    pub(in crate::dispatch::core) fn queue_attempt(
        &mut self,
        to: CoreId,
        head: RequestHead,
        number: WaitNumber,
        (command, args): (&'static Command, KeptArgs),
        again_in_ms: Option<u64>,
    ) {
        let request = Self::wait_request(command, args.as_args(), number);
        self.add_wait(to, head, request, || args);
        self.key_queues.note_tried(number);
        self.key_queues
            .set_alarm(number, self.alarm_in(again_in_ms));
    }

    fn add_wait(
        &mut self,
        to: CoreId,
        head: RequestHead,
        request: WaitRequest,
        args: impl FnOnce() -> KeptArgs,
    ) {
        if self.key_queues.has_no_waiters() {
            let version = self.state.shared.slots.version();
            self.key_queues.note_table(version);
        }
        let number = request.number;
        let waiter = KeyWaiter::new(to, head, request, args);
        for key in &waiter.keys {
            self.state
                .shard
                .awaited()
                .add(head.db, key, waiter.wakes_on());
        }
        self.budget.keep(waiter.memory_bytes());
        let hasher = self.state.shard.hasher();
        self.key_queues.add(number, waiter, |key| hasher.hash(key));
    }

    /// Serves those who waited for what has been written.
    #[inline(always)]
    pub(in crate::dispatch::core) fn serve_written(&mut self) {
        if self.state.shard.awaited().has_written() {
            self.serve_all_written(None);
        }
    }

    /// Some wait for a key to go, and hear of it now, at the end of a turn: no command comes behind that would have those go on who get
    /// locks by it.
    #[inline(always)]
    pub(in crate::dispatch::core) fn serve_written_at_end(&mut self) {
        if self.state.shard.awaited().has_written() {
            self.serve_all_written(None);
            self.run_granted();
        }
    }

    #[cold]
    fn serve_all_written(&mut self, own: Option<LockId>) {
        if self.key_queues.is_mid_transaction() {
            return;
        }
        // Whom an attempt serves may write, too.
        while self.state.shard.awaited().has_written() {
            for (db, key) in self.state.shard.awaited().take_written() {
                let hash = self.state.shard.hasher().hash(&key);
                self.key_queues.note_written(hash);
                self.serve(db, &key, own);
            }
        }
    }

    /// Locks are about to be given back: serves those who waited for what was written under them.
    #[inline]
    pub(in crate::dispatch::core) fn serve_behind(&mut self, own: LockId) {
        if self.key_queues.has_put_off() || self.state.shard.awaited().has_written() {
            self.serve_again(Some(own));
        }
    }

    /// Serves those who could not be served when their keys were written, and sends waits on whose keys have moved. Whether
    /// anybody waits.
    #[inline]
    pub(in crate::dispatch::core) fn serve_put_off(&mut self) -> bool {
        let has_waits = self.key_queues.has_put_off() | !self.key_queues.has_no_waiters();
        if has_waits {
            self.look_after_waits();
        }
        has_waits
    }

    #[cold]
    fn look_after_waits(&mut self) {
        if self.key_queues.has_put_off() {
            self.serve_again(None);
        }
        if !self
            .key_queues
            .knows_table(self.state.shared.slots.version())
        {
            self.send_back_moved();
        }
    }

    #[cold]
    fn serve_again(&mut self, own: Option<LockId>) {
        for (db, key) in self.key_queues.take_put_off() {
            self.serve(db, &key, own);
        }
        self.serve_all_written(own);
    }

    /// Gives those who wait for what a key holds their turn, as long as it holds that. `own`: the locks it was written under,
    /// which are about to be given back.
    fn serve(&mut self, db: DbIndex, key: &[u8], own: Option<LockId>) {
        let hash = self.state.shard.hasher().hash(key);
        let mut last = None;
        while let Some((number, written)) = self.key_queues.next(hash, last) {
            last = Some(number);
            let Some(wait) = self.key_queues.get(number) else {
                return;
            };
            if !wait.is_for(db, key) {
                continue;
            }
            if wait.reserved().is_some() {
                match wait.lets_others() {
                    Behind::HaveTheirTurn => continue,
                    _ => return,
                }
            }
            if wait.has_tried_since(written) {
                continue;
            }
            let shard = &mut self.state.shard;
            let found = shard.hasher().key(key);
            let found = shard.get(db, found, Access::Peek).map(|entry| entry.kind());
            if !wait.wakes_on().is_met_by(found) {
                if shard.awaited().wakes_any(db, key, found) {
                    continue;
                }
                return;
            }
            match self.give_turn(number, hash, own) {
                Behind::HaveTheirTurn => {}
                Behind::Wait => return,
                Behind::PutOff => {
                    self.key_queues.put_off(db, key);
                    return;
                }
            }
        }
    }

    fn give_turn(&mut self, number: WaitNumber, hash: u64, own: Option<LockId>) -> Behind {
        let Some(wait) = self.key_queues.get(number) else {
            return Behind::HaveTheirTurn;
        };
        let is_paused = self.state.is_paused_for(wait.command.spec.flags);
        if is_paused || self.state.moving.stands_still() {
            return Behind::PutOff;
        }
        if !self.locks.is_empty() && self.locks.holds_other(hash, own) {
            return Behind::PutOff;
        }
        let Some(args) = wait.args() else {
            let lets_others = wait.lets_others();
            self.wake(number);
            return lets_others;
        };
        if !self.locks.is_empty() {
            let scope = self.scope_here(wait.command, args.as_args());
            if self.locks.is_in_way(&scope, own) {
                return self.attempt_behind_locks(number, scope);
            }
        }
        self.attempt_again_here(number);
        Behind::HaveTheirTurn
    }

    /// Asks for the locks of an attempt, some of which are in other hands.
    #[cold]
    fn attempt_behind_locks(&mut self, number: WaitNumber, scope: Scope) -> Behind {
        let Some(wait) = self.key_queues.get(number) else {
            return Behind::HaveTheirTurn;
        };
        let lets_others = wait.lets_others();
        let asked = self.ask_now(Kind::Alone, scope, Claimant::Attempt(number));
        self.choose_lock_gate();
        let Asked::Pending(lock) = asked else {
            unreachable!("they are in other hands, and it comes last")
        };
        self.key_queues.note_tried(number);
        self.key_queues.reserve(number, Some(lock));
        lets_others
    }

    /// An attempt that waited for locks has got them.
    pub(in crate::dispatch::core) fn attempt_under(&mut self, number: WaitNumber, lock: LockId) {
        let wait = self.key_queues.get(number);
        if let Some(wait) = wait.filter(|wait| wait.reserved() == Some(lock)) {
            let (db, keys) = (wait.head.db, wait.keys.clone());
            self.key_queues.reserve(number, None);
            let before = self.begin_moment_of(lock);
            self.attempt_again_here(number);
            self.end_moment(before);
            for key in keys {
                self.serve(db, &key, Some(lock));
            }
        }
        self.release_locks(lock);
    }

    /// Makes the next attempt, where the keys are.
    fn attempt_again_here(&mut self, number: WaitNumber) {
        let Some(mut wait) = self.key_queues.take_out(number) else {
            return;
        };
        let (head, to) = (wait.head, wait.to);
        let command = wait.command;
        let args = wait.args().expect("it is attempted here");
        let served = Reader {
            core: to,
            session: head.ticket.session(),
        };
        let is_own = to == self.state.id;
        let own = is_own.then(|| self.state.sessions.take_out(served.session));
        let (state, options) = (&mut self.state, CallOptions::of(&head));
        let mut resolved = Resolved::AS_BEFORE;
        let mut make = |out: &mut Vec<u8>| match attempt(
            state,
            out,
            args.as_args(),
            command,
            options,
            Turn::Later,
        ) {
            Attempted::Done => true,
            Attempted::Wait(words) => {
                resolved = words;
                false
            }
        };
        let answered = match own.flatten() {
            Some(session) => {
                let mut reply = self.key_queues.take_reply();
                let is_served = make(&mut reply);
                self.end_attempt_of_own(session, is_served.then_some(&reply));
                if reply.capacity() <= KEPT_REPLY_BYTES {
                    self.key_queues.keep_reply(reply);
                }
                is_served.then_some(0)
            }
            // It may be at work, having come to wait just now.
            None => self.outboxes.to(to).answer_if(head.ticket, |out| {
                out.push(WaitWord::Served as u8);
                make(out)
            }),
        };
        if answered.is_some() && head.reading == Reading::Remembered {
            self.state.remember(command.spec, &args.as_args(), served);
        }
        let alarm = self.alarm_in(resolved.again_in_ms);
        if let Some(words) = resolved.args {
            self.budget.let_go(wait.memory_bytes());
            wait.go_on_from(keep(words.iter().map(Vec::as_slice)));
            self.budget.keep(wait.memory_bytes());
        }
        self.keep_notes_of(served);
        match answered {
            Some(bytes) => {
                self.owe(to, served.session, bytes);
                self.leave_queues(number, &wait);
            }
            None => {
                self.key_queues.put_back(number, wait);
                self.key_queues.set_alarm(number, alarm);
            }
        }
    }

    /// When a wait is looked at again though no key is written, in milliseconds of the monotonic clock.
    pub(in crate::dispatch::core) fn alarm_in(&self, again_in_ms: Option<u64>) -> Option<u64> {
        let now_ms = self.state.clock.monotonic_ms();
        again_in_ms.map(|millis| now_ms.saturating_add(millis))
    }

    /// Gives those their turn who are to look again by now. Whether there were any.
    #[inline]
    pub(in crate::dispatch::core) fn ring_alarms(&mut self, now_ms: u64) -> bool {
        let alarms = [
            self.key_queues.alarms().next(),
            self.blocked.alarms().next(),
        ];
        let is_due = alarms.into_iter().flatten().any(|alarm| alarm <= now_ms);
        if is_due {
            self.ring(now_ms);
        }
        is_due
    }

    #[cold]
    fn ring(&mut self, now_ms: u64) {
        while let Some(number) = self.key_queues.alarms_mut().take_due(now_ms) {
            // All its keys are here, and an attempt looks at all of them.
            let wait = self.key_queues.get(number);
            let place = wait.and_then(|wait| Some((wait.head.db, wait.keys.first()?.clone())));
            if let Some((db, key)) = place {
                let hash = self.state.shard.hasher().hash(&key);
                self.key_queues.note_written(hash);
                self.serve(db, &key, None);
            }
        }
        while let Some(number) = self.blocked.alarms_mut().take_due(now_ms) {
            self.wait_woken(number);
        }
    }

    /// An attempt for a session of this core was made here: with a reply, it waits no longer.
    fn end_attempt_of_own(&mut self, mut session: Box<Session>, reply: Option<&Vec<u8>>) {
        let Some(reply) = reply else {
            return self.state.sessions.put_back(session);
        };
        session.end_blocked(|out| out.extend_from_slice(reply));
        self.answer_unblocks(session.id, false);
        self.look_again(session);
    }

    /// A step of a wait, asked for by the core of its session; `own`: the locks of the attempt that is over.
    pub(in crate::dispatch::core) fn step_wait(
        &mut self,
        number: WaitNumber,
        step: WaitStep,
        own: Option<LockId>,
    ) {
        match step {
            WaitStep::GoOn => {
                let Some(wait) = self.key_queues.get(number) else {
                    return;
                };
                let (db, keys) = (wait.head.db, wait.keys.clone());
                // The next is served before anybody else is let in.
                let reserved = self.key_queues.take_reservation(number);
                for key in keys {
                    self.serve(db, &key, own);
                }
                reserved
                    .into_iter()
                    .for_each(|reserved| self.release_locks(reserved));
            }
            WaitStep::End(ending) => self.end_queued(number, ending, own),
        }
        self.serve_written();
    }

    /// Forgets who waits, answers as it is to end, has the next for the same keys served, and gives up what is reserved, in
    /// this order.
    fn end_queued(&mut self, number: WaitNumber, ending: Option<Ending>, own: Option<LockId>) {
        let Some(wait) = self.key_queues.take_out(number) else {
            return;
        };
        self.leave_queues(number, &wait);
        if let Some(ending) = ending.filter(|_| wait.args().is_some()) {
            ending.count(wait.command.id, &mut self.state.stats);
            let on_timeout = blocking_of(wait.command).on_timeout;
            self.outboxes.to(wait.to).answer(wait.head.ticket, |out| {
                out.push(WaitWord::Ended as u8);
                ending.write(on_timeout, &mut Reply::new(out, wait.head.protocol));
            });
        }
        for key in &wait.keys {
            self.serve(wait.head.db, key, own);
        }
        self.give_up(wait.reserved());
    }

    fn leave_queues(&mut self, number: WaitNumber, wait: &KeyWaiter) {
        self.budget.let_go(wait.memory_bytes());
        for key in &wait.keys {
            let awaited = self.state.shard.awaited();
            awaited.remove(wait.head.db, key, wait.wakes_on());
        }
        let hasher = self.state.shard.hasher();
        self.key_queues.leave(number, wait, |key| hasher.hash(key));
    }

    /// Sends waits back to their sessions' cores that were to be served here and whose keys have moved.
    #[cold]
    fn send_back_moved(&mut self) {
        self.key_queues
            .note_table(self.state.shared.slots.version());
        let waits = self.key_queues.numbers();
        let mut moved: Vec<WaitNumber> = waits.filter(|number| self.has_moved(*number)).collect();
        moved.sort_unstable();
        moved.into_iter().for_each(|number| self.send_back(number));
    }

    /// Whether a wait that was to be served here has keys elsewhere.
    fn has_moved(&self, number: WaitNumber) -> bool {
        let wait = self.key_queues.get(number);
        let served_here = wait.and_then(|wait| wait.args().zip(Some(wait.command)));
        served_here.is_some_and(|(args, command)| {
            let args = args.as_args();
            let mut keys = command.spec.keys.positions(&args);
            keys.any(|at| self.state.shared.slots.core_of(args.at(at)) != self.state.id)
        })
    }

    fn send_back(&mut self, number: WaitNumber) {
        let wait = self.key_queues.take_out(number);
        let wait = wait.expect("who has moved waits");
        self.leave_queues(number, &wait);
        let args = wait.args().expect("it was served here");
        self.outboxes.to(wait.to).answer(wait.head.ticket, |out| {
            out.push(WaitWord::Moved as u8);
            write_moved(out, wait.command.id, args.as_args());
        });
        self.give_up(wait.reserved());
    }

    /// Gives up what was reserved for a wait that is over here. What has just been granted is given back when it is looked at.
    fn give_up(&mut self, reserved: Option<LockId>) {
        if let Some(reserved) = reserved
            && !self.locks.is_granted(reserved)
        {
            self.release_locks(reserved);
        }
    }

    /// Gives a turn to who waits for keys of other cores, too: reserves what its attempt needs, and tells the core that makes
    /// it.
    fn wake(&mut self, number: WaitNumber) {
        let Some(wait) = self.key_queues.get(number) else {
            return;
        };
        let scope = wait.scope_elsewhere().cloned();
        let scope = scope.expect("another core makes its attempts");
        let (to, ticket) = (wait.to, wait.head.ticket);
        let reserved = self.ask_here(Kind::Reservation, scope, Claimant::Nobody);
        self.key_queues.reserve(number, reserved);
        self.key_queues.note_tried(number);
        self.outboxes
            .to(to)
            .answer(ticket, |out| out.push(WaitWord::Woken as u8));
    }
}
