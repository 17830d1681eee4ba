//! Clients that wait for keys of this core's shard, by number: the keys' side of blocking commands.
//!
//! ```text
//!  a key is written      the first who waits for it is woken: what its attempt needs of this shard is reserved before
//!                        anything else runs here, and the core of its session, which makes the attempt, is told
//!  its attempt is over   it is gone, or goes on waiting; the next is woken, if the key still holds something; only then
//!                        is the reservation given up
//! ```
//! The session's side is [`super::blocking`]; what a reservation keeps back, [`super::locks`].
//!
//! Cost: a wait is a step in a map for each key; a write of a key that nobody waits for costs a look-up while somebody waits
//! for another, and a test while nobody waits at all.

use std::collections::{BTreeSet, HashMap};

use larder_engine::{Access, DbIndex};

use super::batch::{Ticket, WaitRequest, WaitStep};
use super::core::Core;
use super::locks::{Kind, Scope};
use super::waits::Waiter;
use crate::routing::CoreId;
use crate::session::{LockId, SessionId, WaitNumber};

/// Who waits for keys of a shard.
#[derive(Debug, Default)]
pub(super) struct Queues {
    waits: HashMap<WaitNumber, Queued>,
    /// Who waits for keys of a hash.
    of_hash: HashMap<u64, BTreeSet<WaitNumber>>,
}

/// One who waits.
#[derive(Debug)]
struct Queued {
    /// The core of its session.
    to: CoreId,
    session: SessionId,
    db: DbIndex,
    keys: Vec<Box<[u8]>>,
    /// What an attempt locks of this shard.
    scope: Scope,
    /// It has been woken: what is reserved for its attempt.
    reserved: Option<LockId>,
    /// It has been woken since its keys were last written.
    has_tried: bool,
}

impl Queues {
    /// Whether nobody waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waits.is_empty() && self.of_hash.is_empty()
    }

    /// Who is to be woken next for the key: the first, by number, who has not been since it was last written. Nobody while
    /// the attempt of another who was woken for it is under way: they are served one by one.
    fn next(&self, (db, key): (DbIndex, &[u8]), hash: u64) -> Option<WaitNumber> {
        let queue = self.of_hash.get(&hash)?;
        let mut first = None;
        for number in queue {
            let wait = &self.waits[number];
            if !wait.is_for(db, key) {
                continue;
            }
            if wait.reserved.is_some() {
                return None;
            }
            if !wait.has_tried && first.is_none() {
                first = Some(*number);
            }
        }
        first
    }

    /// A key has been written: all who wait for it may try again.
    fn note_written(&mut self, (db, key): (DbIndex, &[u8]), hash: u64) {
        for number in self.of_hash.get(&hash).into_iter().flatten() {
            let wait = self.waits.get_mut(number).expect("who is queued waits");
            wait.has_tried &= !wait.is_for(db, key);
        }
    }
}

impl Queued {
    fn is_for(&self, db: DbIndex, key: &[u8]) -> bool {
        self.db == db && self.keys.iter().any(|own| **own == *key)
    }
}

impl Core {
    /// A session of core `to` waits for keys of this one.
    pub(super) fn queue_wait(
        &mut self,
        to: CoreId,
        session: SessionId,
        db: DbIndex,
        request: WaitRequest,
    ) {
        let WaitRequest {
            number,
            mut keys,
            scope,
        } = request;
        keys.sort_unstable();
        keys.dedup();
        for key in &keys {
            let hash = self.state.shard.hasher().hash(key);
            self.queues.of_hash.entry(hash).or_default().insert(number);
            self.state.shard.awaited().add(db, key);
        }
        let wait = Queued {
            to,
            session,
            db,
            keys,
            scope,
            reserved: None,
            has_tried: false,
        };
        let keys = wait.keys.clone();
        self.queues.waits.insert(number, wait);
        // What came before it was known here has woken nobody.
        for key in keys {
            self.wake_next(db, &key);
        }
    }

    /// Wakes those who waited for what has been written. What they need is reserved when this returns; the attempts come
    /// later.
    #[inline(always)]
    pub(super) fn serve_written(&mut self) {
        if self.state.shard.awaited().has_written() {
            self.wake_for_written();
        }
    }

    #[cold]
    fn wake_for_written(&mut self) {
        for (db, key) in self.state.shard.awaited().take_written() {
            let hash = self.state.shard.hasher().hash(&key);
            self.queues.note_written((db, &key), hash);
            self.wake_next(db, &key);
        }
    }

    /// Wakes who is next for a key, if the key holds anything.
    fn wake_next(&mut self, db: DbIndex, key: &[u8]) {
        let shard = &mut self.state.shard;
        let found = shard.hasher().key(key);
        let hash = found.hash();
        if shard.get(db, found, Access::Peek).is_none() {
            return;
        }
        if let Some(number) = self.queues.next((db, key), hash) {
            self.wake(number);
        }
    }

    /// A step of a wait, asked for by the core of its session.
    pub(super) fn step_wait(&mut self, number: WaitNumber, step: WaitStep) {
        match step {
            WaitStep::GoOn => {
                let Some(wait) = self.queues.waits.get(&number) else {
                    return;
                };
                let (db, keys) = (wait.db, wait.keys.clone());
                // The next is served before anybody else is let in.
                let reserved = self.take_reservation(number);
                for key in keys {
                    self.wake_next(db, &key);
                }
                reserved
                    .into_iter()
                    .for_each(|reserved| self.release_locks(reserved));
            }
            WaitStep::End => self.end_queued(number),
        }
    }

    /// Forgets a wait, wakes the next for the same keys, and gives up what is reserved, in this order.
    fn end_queued(&mut self, number: WaitNumber) {
        let Some(wait) = self.queues.waits.remove(&number) else {
            return;
        };
        for key in &wait.keys {
            let hash = self.state.shard.hasher().hash(key);
            self.state.shard.awaited().remove(wait.db, key);
            if let Some(queue) = self.queues.of_hash.get_mut(&hash) {
                queue.remove(&number);
                if queue.is_empty() {
                    self.queues.of_hash.remove(&hash);
                }
            }
            self.wake_next(wait.db, key);
        }
        if let Some(reserved) = wait.reserved {
            self.release_locks(reserved);
        }
    }

    /// Wakes a client: reserves what its attempt needs, and tells the core that makes the attempt.
    fn wake(&mut self, number: WaitNumber) {
        let Some(wait) = self.queues.waits.get(&number) else {
            return;
        };
        let (to, session, scope) = (wait.to, wait.session, wait.scope.clone());
        let reserved = self.ask_here(Kind::Reservation, scope, Waiter::Nobody);
        if let Some(wait) = self.queues.waits.get_mut(&number) {
            wait.reserved = reserved;
            wait.has_tried = true;
        }
        self.outboxes[to.index()].answer(Ticket::Wait { session, number }, |_| {});
    }

    /// What is reserved for an attempt, to be given up.
    fn take_reservation(&mut self, number: WaitNumber) -> Option<LockId> {
        let wait = self.queues.waits.get_mut(&number);
        wait.and_then(|wait| wait.reserved.take())
    }
}
