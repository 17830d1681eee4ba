//! Clients that wait for keys of this core's shard, by number: the keys' side of blocking commands.
//!
//! ```text
//!  a key is written      those who wait for it have their turn, one after another, as long as it holds something:
//!    all keys are here     the attempt is made here and now; its reply leaves, or it goes on waiting
//!    some are elsewhere    what it needs of this shard is reserved, so that no single command comes between, and the core
//!                          of its session, which makes the attempt ([`crate::dispatch::core::blocking::rounds`]), is told
//!  that attempt is over  it is gone, or goes on waiting; behind it the next has its turn; only then is the reservation given up
//! ```
//! Who only reads stands in nobody's way: those behind have their turn at once.
//!
//! What is written under locks serves nobody before these are given back, and nobody is served in the midst of a transaction,
//! of a pause or of a standstill: the key is put off.
//!
//! Cost: a wait is a step in a map for each key; a write of a key that nobody waits for costs a look-up while somebody waits
//! for another, and a test while nobody waits at all.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use larder_engine::{Access, DbIndex};

use crate::command::{Args, Attempted, Command, Turn};
use crate::dispatch::core::Core;
use crate::dispatch::core::blocking::attempts::{WaitWord, write_moved};
use crate::dispatch::core::order::lock_waits::Waiter;
use crate::dispatch::locks::{Asked, Kind, Scope};
use crate::dispatch::mail::requests::{Head, Reading, Ticket, WaitRequest, WaitStep};
use crate::dispatch::run::attempt::{attempt, blocking_of};
use crate::dispatch::run::kept_args::{KeptArgs, keep, keep_args};
use crate::dispatch::run::on_shard::Place;
use crate::resp::Reply;
use crate::routing::CoreId;
use crate::session::{Ending, LockId, Reader, WaitNumber};

/// Who waits for keys of a shard.
#[derive(Debug, Default)]
pub(in crate::dispatch::core) struct Queues {
    waits: HashMap<WaitNumber, Queued>,
    /// Who waits for keys of a hash.
    of_hash: HashMap<u64, Queue>,
    /// How many keys have been written for which somebody waited.
    writes: u64,
    /// Keys that were written, and for which nobody could be served then.
    put_off: BTreeSet<(DbIndex, Box<[u8]>)>,
    /// The part that runs is not the last one of its transaction here.
    is_mid_transaction: bool,
    /// The version of the slot table by which the keys were last looked at.
    table: u64,
}

/// Those who wait for keys of one hash.
#[derive(Debug, Default)]
struct Queue {
    waits: BTreeSet<WaitNumber>,
    /// When one of the keys was last written, by [`Queues::writes`].
    written: u64,
}

/// One who waits.
#[derive(Debug)]
struct Queued {
    /// The core of its session.
    to: CoreId,
    /// What the session's core said of it.
    head: Head,
    keys: Vec<Box<[u8]>>,
    /// What an attempt locks of this shard.
    scope: Scope,
    command: &'static Command,
    /// The arguments of the next attempt, if it is made here.
    args: Option<KeptArgs>,
    /// It has its turn: what is reserved for its attempt, or what that waits for.
    reserved: Option<LockId>,
    /// When it last had its turn, by [`Queues::writes`]: what was written until then is no reason for another.
    tried: Option<u64>,
}

/// Whether the others who wait for the key may have their turn.
enum Behind {
    HaveTheirTurn,
    Wait,
    /// Nobody may be served for now.
    PutOff,
}

impl Queues {
    /// Whether nobody waits.
    #[cfg(test)]
    pub(in crate::dispatch::core) fn is_empty(&self) -> bool {
        self.waits.is_empty() && self.of_hash.is_empty() && self.put_off.is_empty()
    }

    /// Whether this wait is known here: it has been neither served nor ended.
    pub(in crate::dispatch::core) fn knows(&self, number: WaitNumber) -> bool {
        self.waits.contains_key(&number)
    }

    /// Whether a key was written for which somebody waits who could not be served.
    pub(in crate::dispatch::core) fn has_put_off(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// Who waits for a key of this hash, next behind number `last`; and when such a key was last written.
    fn next(&self, hash: u64, last: Option<WaitNumber>) -> Option<(WaitNumber, u64)> {
        let queue = self.of_hash.get(&hash)?;
        let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut waits = queue.waits.range((behind, Bound::Unbounded));
        waits.next().map(|number| (*number, queue.written))
    }

    /// It has its turn.
    fn note_tried(&mut self, number: WaitNumber) {
        if let Some(wait) = self.waits.get_mut(&number) {
            wait.tried = Some(self.writes);
        }
    }

    /// Says whether the part that runs next is not the last one of its transaction here.
    #[inline]
    pub(in crate::dispatch::core) fn set_mid_transaction(&mut self, is_mid: bool) {
        self.is_mid_transaction = is_mid;
    }

    /// A key of this hash has been written: all who wait for it may try again.
    fn note_written(&mut self, hash: u64) {
        if let Some(queue) = self.of_hash.get_mut(&hash) {
            self.writes += 1;
            queue.written = self.writes;
        }
    }
}

impl Queued {
    /// Whether those behind it may have their turn, while it has its own and has not been served.
    fn lets_others(&self) -> Behind {
        match blocking_of(self.command).takes {
            true => Behind::Wait,
            false => Behind::HaveTheirTurn,
        }
    }

    fn is_for(&self, db: DbIndex, key: &[u8]) -> bool {
        self.head.db == db && self.keys.iter().any(|own| **own == *key)
    }
}

impl Core {
    /// A session of core `to` waits for keys of this one. What is there already serves it.
    pub(in crate::dispatch::core) fn queue_wait(
        &mut self,
        to: CoreId,
        head: &Head,
        request: WaitRequest,
        args: Args<'_>,
    ) {
        let session = head.ticket.session();
        let number = request.number;
        let ticket = Ticket::Wait { session, number };
        let head = Head { ticket, ..*head };
        let is_served_here = request.is_served_here;
        let args = is_served_here.then(|| keep_args(args));
        let keys = self.add_wait(to, head, request, args);
        // What came before it was known here has served nobody.
        for key in keys {
            self.serve(head.db, &key, None);
        }
        if is_served_here && self.has_moved(number) {
            // Since it was sent.
            self.send_back(number);
        }
    }

    /// An attempt for a session of core `to` has found nothing: it waits.
    pub(in crate::dispatch::core) fn queue_attempt(
        &mut self,
        to: CoreId,
        head: Head,
        number: WaitNumber,
        (command, args): (&'static Command, KeptArgs),
    ) {
        let request = self.wait_request(command, args.as_args(), number);
        self.add_wait(to, head, request, Some(args));
        self.queues.note_tried(number);
    }

    fn add_wait(
        &mut self,
        to: CoreId,
        head: Head,
        request: WaitRequest,
        args: Option<KeptArgs>,
    ) -> Vec<Box<[u8]>> {
        let WaitRequest {
            number,
            mut keys,
            scope,
            command,
            ..
        } = request;
        if self.queues.waits.is_empty() {
            self.queues.table = self.state.shared.slots.version();
        }
        keys.sort_unstable();
        keys.dedup();
        for key in &keys {
            let hash = self.state.shard.hasher().hash(key);
            let queue = self.queues.of_hash.entry(hash).or_default();
            queue.waits.insert(number);
            self.state.shard.awaited().add(head.db, key);
        }
        self.budget.keep(memory_of(&args));
        let wait = Queued {
            to,
            head,
            keys: keys.clone(),
            scope,
            command,
            args,
            reserved: None,
            tried: None,
        };
        self.queues.waits.insert(number, wait);
        keys
    }

    /// Serves those who waited for what has been written.
    #[inline(always)]
    pub(in crate::dispatch::core) fn serve_written(&mut self) {
        if self.state.shard.awaited().has_written() {
            self.serve_all_written(None);
        }
    }

    #[cold]
    fn serve_all_written(&mut self, own: Option<LockId>) {
        if self.queues.is_mid_transaction {
            return;
        }
        // Whom an attempt serves may write, too.
        while self.state.shard.awaited().has_written() {
            for (db, key) in self.state.shard.awaited().take_written() {
                let hash = self.state.shard.hasher().hash(&key);
                self.queues.note_written(hash);
                self.serve(db, &key, own);
            }
        }
    }

    /// Locks are about to be given back: serves those who waited for what was written under them.
    #[inline]
    pub(in crate::dispatch::core) fn serve_behind(&mut self, own: LockId) {
        if !self.queues.put_off.is_empty() || self.state.shard.awaited().has_written() {
            self.serve_again(Some(own));
        }
    }

    /// Serves those who could not be served when their keys were written, and sends those on whose keys have moved.
    #[inline]
    pub(in crate::dispatch::core) fn serve_put_off(&mut self) {
        if !self.queues.put_off.is_empty() | !self.queues.waits.is_empty() {
            self.look_after_waits();
        }
    }

    #[cold]
    fn look_after_waits(&mut self) {
        if !self.queues.put_off.is_empty() {
            self.serve_again(None);
        }
        if self.queues.table != self.state.shared.slots.version() {
            self.send_back_moved();
        }
    }

    #[cold]
    fn serve_again(&mut self, own: Option<LockId>) {
        for (db, key) in std::mem::take(&mut self.queues.put_off) {
            self.serve(db, &key, own);
        }
        self.serve_all_written(own);
    }

    /// Gives those who wait for a key their turn, as long as it holds anything. `own`: the locks it was written under, which
    /// are about to be given back.
    fn serve(&mut self, db: DbIndex, key: &[u8], own: Option<LockId>) {
        let hash = self.state.shard.hasher().hash(key);
        let mut last = None;
        while let Some((number, written)) = self.queues.next(hash, last) {
            last = Some(number);
            let wait = &self.queues.waits[&number];
            if !wait.is_for(db, key) {
                continue;
            }
            if wait.reserved.is_some() {
                match wait.lets_others() {
                    Behind::HaveTheirTurn => continue,
                    _ => return,
                }
            }
            if wait.tried.is_some_and(|tried| tried >= written) {
                continue;
            }
            let shard = &mut self.state.shard;
            let found = shard.hasher().key(key);
            if shard.get(db, found, Access::Peek).is_none() {
                return;
            }
            match self.give_turn(number, hash, own) {
                Behind::HaveTheirTurn => {}
                Behind::Wait => return,
                Behind::PutOff => {
                    self.queues.put_off.insert((db, key.into()));
                    return;
                }
            }
        }
    }

    fn give_turn(&mut self, number: WaitNumber, hash: u64, own: Option<LockId>) -> Behind {
        let wait = &self.queues.waits[&number];
        let is_paused = self.state.is_paused_for(wait.command.spec.flags);
        if is_paused || self.state.moving.stands_still() {
            return Behind::PutOff;
        }
        if !self.locks.is_empty() && self.locks.holds_other(hash, own) {
            return Behind::PutOff;
        }
        if wait.args.is_none() {
            self.wake(number);
            return self.queues.waits[&number].lets_others();
        }
        if !self.locks.is_empty() && self.locks.is_in_way(&wait.scope, own) {
            return self.attempt_behind_locks(number);
        }
        self.attempt_again_here(number);
        Behind::HaveTheirTurn
    }

    /// Asks for the locks of an attempt, some of which are in other hands.
    #[cold]
    fn attempt_behind_locks(&mut self, number: WaitNumber) -> Behind {
        let wait = &self.queues.waits[&number];
        let (scope, lets_others) = (wait.scope.clone(), wait.lets_others());
        let asked = self.ask_now(Kind::Alone, scope, Waiter::Attempt(number));
        self.choose_lock_gate();
        let Asked::Waits(lock) = asked else {
            unreachable!("they are in other hands, and it comes last")
        };
        self.queues.note_tried(number);
        let wait = self.queues.waits.get_mut(&number);
        wait.expect("looked at above").reserved = Some(lock);
        lets_others
    }

    /// An attempt that waited for locks has got them.
    pub(in crate::dispatch::core) fn attempt_under(&mut self, number: WaitNumber, lock: LockId) {
        let wait = self.queues.waits.get_mut(&number);
        if let Some(wait) = wait.filter(|wait| wait.reserved == Some(lock)) {
            wait.reserved = None;
            let (db, keys) = (wait.head.db, wait.keys.clone());
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
        let Some(mut wait) = self.queues.waits.remove(&number) else {
            return;
        };
        wait.tried = Some(self.queues.writes);
        let (head, to) = (wait.head, wait.to);
        let command = wait.command;
        let args = wait.args.as_ref().expect("it is attempted here");
        let (state, place) = (&mut self.state, Place::of(&head));
        let mut resolved = None;
        let answered = self.outboxes[to.index()].answer_if(head.ticket, |out| {
            out.push(WaitWord::Served as u8);
            match attempt(state, out, args.as_args(), command, place, Turn::Later) {
                Attempted::Done => true,
                Attempted::Wait(words) => {
                    resolved = words;
                    false
                }
            }
        });
        let served = Reader {
            core: to,
            session: head.ticket.session(),
        };
        if answered.is_some() && head.reading == Reading::Remembered {
            self.state.remember(command.spec, &args.as_args(), served);
        }
        if let Some(words) = resolved {
            self.budget.let_go(memory_of(&wait.args));
            wait.args = Some(keep(words.iter().map(Vec::as_slice)));
            self.budget.keep(memory_of(&wait.args));
        }
        self.keep_notes_of(served);
        match answered {
            Some(bytes) => {
                self.owe(to, served.session, bytes);
                self.leave_queues(number, &wait);
            }
            None => drop(self.queues.waits.insert(number, wait)),
        }
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
                let Some(wait) = self.queues.waits.get(&number) else {
                    return;
                };
                let (db, keys) = (wait.head.db, wait.keys.clone());
                // The next is served before anybody else is let in.
                let reserved = self.take_reservation(number);
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
        let Some(wait) = self.queues.waits.remove(&number) else {
            return;
        };
        self.leave_queues(number, &wait);
        if let Some(ending) = ending.filter(|_| wait.args.is_some()) {
            let on_timeout = blocking_of(wait.command).on_timeout;
            self.outboxes[wait.to.index()].answer(wait.head.ticket, |out| {
                out.push(WaitWord::Ended as u8);
                ending.write(on_timeout, &mut Reply::new(out, wait.head.protocol));
            });
        }
        for key in &wait.keys {
            self.serve(wait.head.db, key, own);
        }
        self.give_up(wait.reserved);
    }

    fn leave_queues(&mut self, number: WaitNumber, wait: &Queued) {
        self.budget.let_go(memory_of(&wait.args));
        for key in &wait.keys {
            let hash = self.state.shard.hasher().hash(key);
            self.state.shard.awaited().remove(wait.head.db, key);
            if let Some(queue) = self.queues.of_hash.get_mut(&hash) {
                queue.waits.remove(&number);
                if queue.waits.is_empty() {
                    self.queues.of_hash.remove(&hash);
                }
            }
        }
    }

    /// Sends the waits back that were to be served here, and whose keys are elsewhere by now.
    #[cold]
    fn send_back_moved(&mut self) {
        self.queues.table = self.state.shared.slots.version();
        let waits = self.queues.waits.keys().copied();
        let mut moved: Vec<WaitNumber> = waits.filter(|number| self.has_moved(*number)).collect();
        moved.sort_unstable();
        moved.into_iter().for_each(|number| self.send_back(number));
    }

    /// Whether a wait that was to be served here has keys elsewhere.
    fn has_moved(&self, number: WaitNumber) -> bool {
        let wait = self.queues.waits.get(&number);
        let served_here = wait.and_then(|wait| wait.args.as_ref().zip(Some(wait.command)));
        served_here.is_some_and(|(args, command)| {
            let args = args.as_args();
            let mut keys = command.spec.keys.positions(&args);
            keys.any(|at| self.state.shared.slots.core_of(args.at(at)) != self.state.id)
        })
    }

    fn send_back(&mut self, number: WaitNumber) {
        let wait = self.queues.waits.remove(&number);
        let wait = wait.expect("who has moved waits");
        self.leave_queues(number, &wait);
        let args = wait.args.as_ref().expect("it was served here");
        self.outboxes[wait.to.index()].answer(wait.head.ticket, |out| {
            out.push(WaitWord::Moved as u8);
            write_moved(out, wait.command.id, args.as_args());
        });
        self.give_up(wait.reserved);
    }

    /// Gives up what was reserved for a wait that is over here. What has just been granted is given back when it is looked at.
    fn give_up(&mut self, reserved: Option<LockId>) {
        if let Some(reserved) = reserved
            && !self.granted.iter().any(|(granted, _)| *granted == reserved)
        {
            self.release_locks(reserved);
        }
    }

    /// Gives a turn to who waits for keys of other cores, too: reserves what its attempt needs, and tells the core that makes
    /// it.
    fn wake(&mut self, number: WaitNumber) {
        let Some(wait) = self.queues.waits.get(&number) else {
            return;
        };
        let (to, ticket, scope) = (wait.to, wait.head.ticket, wait.scope.clone());
        let reserved = self.ask_here(Kind::Reservation, scope, Waiter::Nobody);
        if let Some(wait) = self.queues.waits.get_mut(&number) {
            wait.reserved = reserved;
        }
        self.queues.note_tried(number);
        self.outboxes[to.index()].answer(ticket, |out| out.push(WaitWord::Woken as u8));
    }

    /// What is reserved for an attempt, to be given up.
    fn take_reservation(&mut self, number: WaitNumber) -> Option<LockId> {
        let wait = self.queues.waits.get_mut(&number);
        wait.and_then(|wait| wait.reserved.take())
    }
}

/// Bytes of memory that the arguments of an attempt take.
fn memory_of(args: &Option<KeptArgs>) -> usize {
    args.as_ref().map_or(0, KeptArgs::memory_bytes)
}
