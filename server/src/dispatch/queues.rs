//! Who waits for keys of this core's shard, in the order they came: the keys' side of blocking commands.
//!
//! ```text
//!  a key is written      the first who waits for it and has not been woken is: its locks are asked for here and now, in the
//!                        order of its number, which is lower than any newcomer's. So nobody comes between.
//!  its attempt is over   it is gone, or goes on waiting; behind it the next is woken, if the key still holds something;
//!                        only then are the locks given back
//! ```
//! The attempt is made by the core of the session ([`super::blocking`]), which is told when the locks are granted.
//!
//! Cost: a wait is a step in a map for each key; a write of a key that nobody waits for costs a look-up while somebody waits
//! for another, and a test while nobody waits at all.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use larder_engine::{Access, DbIndex};

use super::batch::{LockAnswer, Ticket, WaitRequest, WaitStep};
use super::core::Core;
use super::locks::{Order, Scope};
use super::transaction::Coordinator;
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
    /// The locks for an attempt, asked for and perhaps granted.
    lock: Option<LockId>,
}

impl Queues {
    /// A number behind all who wait for the keys of `scope`.
    pub(super) fn behind_all(&self, scope: &Scope) -> u64 {
        let behind = |queue: &BTreeSet<WaitNumber>| queue.last().map_or(0, |last| last.0 + 1);
        match scope {
            Scope::Keys(claims) => {
                let queues = claims
                    .iter()
                    .filter_map(|claim| self.of_hash.get(&claim.hash));
                queues.map(behind).max().unwrap_or(0)
            }
            Scope::Whole(_) => self.of_hash.values().map(behind).max().unwrap_or(0),
        }
    }

    /// Whether nobody waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waits.is_empty() && self.of_hash.is_empty()
    }

    /// The next behind `after` who waits for the key and has not been woken.
    fn next(
        &self,
        (db, key): (DbIndex, &[u8]),
        hash: u64,
        after: Option<WaitNumber>,
    ) -> Option<WaitNumber> {
        let queue = self.of_hash.get(&hash)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = queue.range((from, Bound::Unbounded)).copied();
        behind.find(|number| {
            let wait = &self.waits[number];
            wait.lock.is_none() && wait.db == db && wait.keys.iter().any(|own| **own == *key)
        })
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
            lock: None,
        };
        let keys = wait.keys.clone();
        self.queues.waits.insert(number, wait);
        // What came before it was known here has woken nobody.
        for key in keys {
            self.wake_next(db, &key, None);
        }
    }

    /// Wakes those who waited for what has been written. They have their locks, or their places among those who wait for
    /// them, when this returns; the attempts come later.
    #[inline(always)]
    pub(super) fn serve_written(&mut self) {
        if self.state.shard.awaited().has_written() {
            self.wake_for_written();
        }
    }

    #[cold]
    fn wake_for_written(&mut self) {
        for (db, key) in self.state.shard.awaited().take_written() {
            self.wake_next(db, &key, None);
        }
    }

    /// Wakes the next behind `after` who waits for a key, if the key holds anything.
    fn wake_next(&mut self, db: DbIndex, key: &[u8], after: Option<WaitNumber>) {
        let shard = &mut self.state.shard;
        let found = shard.hasher().key(key);
        let hash = found.hash();
        if shard.get(db, found, Access::Peek).is_none() {
            return;
        }
        if let Some(number) = self.queues.next((db, key), hash, after) {
            self.lock_for_wait(number);
        }
    }

    /// A step of a wait, asked for by the core of its session.
    pub(super) fn step_wait(&mut self, number: WaitNumber, step: WaitStep) {
        match step {
            WaitStep::Lock => self.lock_for_wait(number),
            WaitStep::Yield => {
                self.unlock_wait(number);
                self.lock_for_wait(number);
            }
            WaitStep::GoOn => {
                let Some(wait) = self.queues.waits.get(&number) else {
                    return;
                };
                let (db, keys) = (wait.db, wait.keys.clone());
                for key in keys {
                    self.wake_next(db, &key, Some(number));
                }
                self.unlock_wait(number);
            }
            WaitStep::End => self.end_queued(number),
        }
    }

    /// Forgets who waits, wakes the next for the same keys, and gives the locks back, in this order.
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
            self.wake_next(wait.db, key, Some(number));
        }
        if let Some(lock) = wait.lock {
            self.forget_lock_of_wait(number, lock);
        }
    }

    /// Asks for the locks of an attempt, unless that has been done.
    fn lock_for_wait(&mut self, number: WaitNumber) {
        let Some(wait) = self.queues.waits.get(&number) else {
            return;
        };
        if wait.lock.is_some() {
            return;
        }
        let ticket = Ticket::Wait {
            session: wait.session,
            number,
        };
        let by = Coordinator {
            core: wait.to,
            ticket,
        };
        let order = Order::Numbered {
            number: number.0,
            by,
        };
        let scope = wait.scope.clone();
        let (lock, is_granted) = self.ask_for(None, order, scope, Waiter::Wait(number));
        if let Some(wait) = self.queues.waits.get_mut(&number) {
            wait.lock = Some(lock);
        }
        if is_granted {
            self.granted.push((lock, Waiter::Wait(number)));
        }
    }

    /// Gives the locks of an attempt back.
    fn unlock_wait(&mut self, number: WaitNumber) {
        let wait = self.queues.waits.get_mut(&number);
        if let Some(lock) = wait.and_then(|wait| wait.lock.take()) {
            self.forget_lock_of_wait(number, lock);
        }
    }

    fn forget_lock_of_wait(&mut self, number: WaitNumber, lock: LockId) {
        // It may have been granted and not be told so yet.
        self.granted
            .retain(|(_, waiter)| !matches!(waiter, Waiter::Wait(of) if *of == number));
        self.release_locks(lock);
    }

    /// The locks of an attempt are granted: tells the core that makes it.
    pub(super) fn tell_wait_granted(&mut self, number: WaitNumber, lock: LockId) {
        let Some(wait) = self.queues.waits.get(&number) else {
            unreachable!("a wait that ends takes its locks along")
        };
        let (to, session) = (wait.to, wait.session);
        if to == self.state.id {
            return self.wait_granted(to, number, lock);
        }
        let ticket = Ticket::Wait { session, number };
        let answer = LockAnswer::Granted(lock, super::batch::Watch::Intact);
        self.outboxes[to.index()].answer_for_locks(ticket, answer);
    }
}
