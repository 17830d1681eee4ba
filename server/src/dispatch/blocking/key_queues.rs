//! Clients that wait for keys of this core's shard, by number: the keys' side of blocking commands.
//!
//! ```text
//!  a key is written      those who wait for what it holds have their turn, one after another, as long as it holds that:
//!    all keys are here     the attempt is made here and now; its reply leaves, or it goes on waiting
//!    some are elsewhere    what it needs of this shard is reserved, so that no single command comes between, and the core
//!                          of its session, which makes the attempt ([`super::blocked`]), is told
//!  that attempt is over  it is gone, or goes on waiting; behind it the next has its turn; only then is the reservation given up
//! ```
//! Who only reads stands in nobody's way: those behind have their turn at once.
//!
//! What is written under locks serves nobody before these are given back, and nobody is served in the midst of a transaction,
//! of a pause or of a standstill: the key is put off.
//!
//! Cost: a wait is a step in a map for each key; a write of a key that nobody waits for costs a look-up while somebody waits
//! for another, and a test while nobody waits at all.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use ahash::RandomState;
use larder_engine::{DbIndex, Notes, WakesOn};

use super::alarms::Alarms;
use crate::command::Command;
use crate::dispatch::locks::Scope;
use crate::dispatch::mail::requests::{RequestHead, WaitRequest};
use crate::dispatch::run::attempt::blocking_of;
use crate::dispatch::run::kept_args::KeptArgs;
use crate::routing::CoreId;
use crate::session::{LockId, Reader, WaitNumber};

/// Who waits for keys of a shard.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct KeyQueues {
    waiters: HashMap<WaitNumber, KeyWaiter, RandomState>,
    /// Who waits for keys of a hash.
    of_hash: HashMap<u64, Queue, RandomState>,
    /// How many keys have been written for which somebody waited.
    writes: u64,
    /// Keys that were written, and for which nobody could be served then, in the order in which they were put off.
    put_off: Vec<(DbIndex, Box<[u8]>)>,
    /// The same.
    is_put_off: HashSet<(DbIndex, Box<[u8]>)>,
    /// The part that runs is not the last one of its transaction here.
    is_mid_transaction: bool,
    /// The version of the slot table by which the keys were last looked at.
    table: u64,
    /// What attempts for those who waited have changed, and who they are: it has yet to be acted on.
    served_notes: Vec<(Notes, Reader)>,
    /// Memory for the reply of an attempt.
    reply: Vec<u8>,
    /// Who is to look again at a time: of those whose attempts are made here.
    alarms: Alarms,
}

/// Those who wait for keys of one hash.
#[derive(Debug, Default)]
struct Queue {
    waiters: BTreeSet<WaitNumber>,
    /// When one of the keys was last written, by [`KeyQueues::writes`].
    written: u64,
}

/// One who waits: what is known of it is open to read, what becomes of it [`KeyQueues`] says.
#[derive(Debug)]
pub(in crate::dispatch) struct KeyWaiter {
    /// The core of its session.
    pub(in crate::dispatch) to: CoreId,
    /// What the session's core said of it.
    pub(in crate::dispatch) head: RequestHead,
    pub(in crate::dispatch) keys: Vec<Box<[u8]>>,
    pub(in crate::dispatch) command: &'static Command,
    attempts: Attempts,
    /// It has its turn: what is reserved for its attempt, or what that waits for.
    reserved: Option<LockId>,
    /// When it last had its turn, by [`KeyQueues::writes`]: what was written until then is no reason for another.
    tried: Option<u64>,
}

/// Where the attempts of one who waits are made.
#[derive(Debug)]
enum Attempts {
    /// Here, the next with these arguments: all its keys live here.
    Here(KeptArgs),
    /// By the core of its session, which locks this of the shard.
    Elsewhere(Scope),
}

/// Whether the others who wait for the key may have their turn.
pub(in crate::dispatch) enum Behind {
    HaveTheirTurn,
    Wait,
    /// Nobody may be served for now.
    PutOff,
}

impl KeyQueues {
    /// Whether nobody waits.
    #[cfg(test)]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.waiters.is_empty() && self.of_hash.is_empty() && self.put_off.is_empty()
    }

    /// Whether this wait is known here: it has been neither served nor ended.
    pub(in crate::dispatch) fn knows(&self, number: WaitNumber) -> bool {
        self.waiters.contains_key(&number)
    }

    /// Whether a key was written for which somebody waits who could not be served.
    pub(in crate::dispatch) fn has_put_off(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// Who waits for a key of this hash, next behind number `last`; and when such a key was last written.
    pub(in crate::dispatch) fn next(
        &self,
        hash: u64,
        last: Option<WaitNumber>,
    ) -> Option<(WaitNumber, u64)> {
        let queue = self.of_hash.get(&hash)?;
        let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut waiters = queue.waiters.range((behind, Bound::Unbounded));
        waiters.next().map(|number| (*number, queue.written))
    }

    /// It has its turn.
    pub(in crate::dispatch) fn note_tried(&mut self, number: WaitNumber) {
        if let Some(wait) = self.waiters.get_mut(&number) {
            wait.tried = Some(self.writes);
        }
    }

    /// Whether nobody waits for keys.
    #[inline]
    pub(in crate::dispatch) fn has_no_waiters(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Who has this number.
    pub(in crate::dispatch) fn get(&self, number: WaitNumber) -> Option<&KeyWaiter> {
        self.waiters.get(&number)
    }

    /// The numbers of all who wait, in no order.
    pub(in crate::dispatch) fn numbers(&self) -> impl Iterator<Item = WaitNumber> {
        self.waiters.keys().copied()
    }

    /// Somebody waits from now on, in the queues of his keys; `hash` hashes one.
    pub(in crate::dispatch) fn add(
        &mut self,
        number: WaitNumber,
        waiter: KeyWaiter,
        hash: impl Fn(&[u8]) -> u64,
    ) {
        for key in &waiter.keys {
            let queue = self.of_hash.entry(hash(key)).or_default();
            queue.waiters.insert(number);
        }
        self.waiters.insert(number, waiter);
    }

    /// Takes one out for an attempt, which counts as his turn; he keeps his place in the queues until [`Self::leave`].
    pub(in crate::dispatch) fn take_out(&mut self, number: WaitNumber) -> Option<KeyWaiter> {
        let mut waiter = self.waiters.remove(&number)?;
        waiter.tried = Some(self.writes);
        Some(waiter)
    }

    /// The attempt has found nothing: he goes on waiting.
    pub(in crate::dispatch) fn put_back(&mut self, number: WaitNumber, waiter: KeyWaiter) {
        self.waiters.insert(number, waiter);
    }

    /// One who waits is to look again at a time, in milliseconds of the monotonic clock, though no key is written.
    pub(in crate::dispatch) fn set_alarm(&mut self, number: WaitNumber, time_ms: Option<u64>) {
        self.alarms.set(number, time_ms);
    }

    /// When those are who are to look again.
    #[inline]
    pub(in crate::dispatch) fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// The same, to take them.
    pub(in crate::dispatch) fn alarms_mut(&mut self) -> &mut Alarms {
        &mut self.alarms
    }

    /// One who was taken out leaves the queues of his keys.
    pub(in crate::dispatch) fn leave(
        &mut self,
        number: WaitNumber,
        waiter: &KeyWaiter,
        hash: impl Fn(&[u8]) -> u64,
    ) {
        self.alarms.set(number, None);
        for key in &waiter.keys {
            let hash = hash(key);
            if let Some(queue) = self.of_hash.get_mut(&hash) {
                queue.waiters.remove(&number);
                if queue.waiters.is_empty() {
                    self.of_hash.remove(&hash);
                }
            }
        }
    }

    /// These locks are reserved for an attempt, or it waits for them.
    pub(in crate::dispatch) fn reserve(&mut self, number: WaitNumber, reserved: Option<LockId>) {
        if let Some(waiter) = self.waiters.get_mut(&number) {
            waiter.reserved = reserved;
        }
    }

    /// What is reserved for an attempt, to be given up.
    pub(in crate::dispatch) fn take_reservation(&mut self, number: WaitNumber) -> Option<LockId> {
        let waiter = self.waiters.get_mut(&number);
        waiter.and_then(|waiter| waiter.reserved.take())
    }

    /// Nobody could be served who waits for this key: it is looked at again.
    pub(in crate::dispatch) fn put_off(&mut self, db: DbIndex, key: &[u8]) {
        let written: (DbIndex, Box<[u8]>) = (db, key.into());
        if self.is_put_off.insert(written.clone()) {
            self.put_off.push(written);
        }
    }

    /// The keys that were put off, in their order.
    pub(in crate::dispatch) fn take_put_off(&mut self) -> Vec<(DbIndex, Box<[u8]>)> {
        self.is_put_off.clear();
        std::mem::take(&mut self.put_off)
    }

    /// Whether the part that runs is not the last one of its transaction here.
    pub(in crate::dispatch) fn is_mid_transaction(&self) -> bool {
        self.is_mid_transaction
    }

    /// Whether the keys were last looked at by this version of the slot table.
    pub(in crate::dispatch) fn knows_table(&self, version: u64) -> bool {
        self.table == version
    }

    /// The keys are looked at by this version of the slot table.
    pub(in crate::dispatch) fn note_table(&mut self, version: u64) {
        self.table = version;
    }

    /// Says whether the part that runs next is not the last one of its transaction here.
    #[inline]
    pub(in crate::dispatch) fn set_mid_transaction(&mut self, is_mid: bool) {
        self.is_mid_transaction = is_mid;
    }

    /// An attempt for `served`, who waited, has changed what these notes say.
    pub(in crate::dispatch) fn keep_notes(&mut self, notes: Notes, served: Reader) {
        self.served_notes.push((notes, served));
    }

    /// Whether there are such notes, which have yet to be acted on.
    #[inline]
    pub(in crate::dispatch) fn has_notes(&self) -> bool {
        !self.served_notes.is_empty()
    }

    /// Takes them, to be acted on.
    pub(in crate::dispatch) fn take_notes(&mut self) -> Vec<(Notes, Reader)> {
        std::mem::take(&mut self.served_notes)
    }

    /// An empty buffer for the reply of an attempt.
    pub(in crate::dispatch) fn take_reply(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.reply)
    }

    /// Keeps the buffer for the next.
    pub(in crate::dispatch) fn keep_reply(&mut self, mut reply: Vec<u8>) {
        reply.clear();
        self.reply = reply;
    }

    /// A key of this hash has been written: all who wait for it may try again.
    pub(in crate::dispatch) fn note_written(&mut self, hash: u64) {
        if let Some(queue) = self.of_hash.get_mut(&hash) {
            self.writes += 1;
            queue.written = self.writes;
        }
    }
}

impl KeyWaiter {
    /// One who waits for these keys, for a session of core `to`, and has not had its turn. `args`: the command's.
    pub(in crate::dispatch) fn new(
        to: CoreId,
        head: RequestHead,
        request: WaitRequest,
        args: impl FnOnce() -> KeptArgs,
    ) -> Self {
        let WaitRequest {
            mut keys,
            scope,
            command,
            ..
        } = request;
        keys.sort_unstable();
        keys.dedup();
        let attempts = match scope {
            Some(scope) => Attempts::Elsewhere(scope),
            None => Attempts::Here(args()),
        };
        Self {
            to,
            head,
            keys,
            command,
            attempts,
            reserved: None,
            tried: None,
        }
    }

    /// The arguments of its next attempt, if that is made here, since all its keys live here.
    pub(in crate::dispatch) fn args(&self) -> Option<&KeptArgs> {
        match &self.attempts {
            Attempts::Here(args) => Some(args),
            Attempts::Elsewhere(_) => None,
        }
    }

    /// What the core of its session locks of this shard for its attempts, if that makes them.
    pub(in crate::dispatch) fn scope_elsewhere(&self) -> Option<&Scope> {
        match &self.attempts {
            Attempts::Here(_) => None,
            Attempts::Elsewhere(scope) => Some(scope),
        }
    }

    /// Its next attempt, which is made here, goes on from these arguments.
    pub(in crate::dispatch) fn go_on_from(&mut self, args: KeptArgs) {
        self.attempts = Attempts::Here(args);
    }

    /// What is reserved for its attempt, or what that waits for.
    pub(in crate::dispatch) fn reserved(&self) -> Option<LockId> {
        self.reserved
    }

    /// Whether it has had its turn since `written`, of [`KeyQueues::next`].
    pub(in crate::dispatch) fn has_tried_since(&self, written: u64) -> bool {
        self.tried.is_some_and(|tried| tried >= written)
    }

    /// Bytes of memory that the arguments of its attempt take.
    pub(in crate::dispatch) fn memory_bytes(&self) -> usize {
        self.args().map_or(0, KeptArgs::memory_bytes)
    }

    /// What at one of its keys gives it its turn.
    pub(in crate::dispatch) fn wakes_on(&self) -> WakesOn {
        blocking_of(self.command).wakes_on
    }

    /// Whether those behind it may have their turn, while it has its own and has not been served.
    pub(in crate::dispatch) fn lets_others(&self) -> Behind {
        match blocking_of(self.command).takes {
            true => Behind::Wait,
            false => Behind::HaveTheirTurn,
        }
    }

    pub(in crate::dispatch) fn is_for(&self, db: DbIndex, key: &[u8]) -> bool {
        self.head.db == db && self.keys.iter().any(|own| **own == *key)
    }
}
