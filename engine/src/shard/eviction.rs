//! Eviction on a shard: what policies see of its entries ([`crate::evict`]), and the removal of what they choose.
//!
//! ```text
//!  SET, HSET … of a new key ─▶ history_of_coming ─▶ Policy::inserted ─▶ the entry's 24 bits
//!  GET … of one             ─▶ touch (`uses.rs`) ─▶ Policy::used     ─▶ the same
//!  memory is short          ─▶ evict             ─▶ Policy::victim   ─▶ the entry goes, journalled as evicted
//! ```
//! Without a policy the history is the time of the last use, as Redis's `lru` has it.

use std::cell::Cell;

use super::Shard;
use super::curve::{Walk, next_on};
use super::quotas::Guard;
use crate::agenda::NEVER;
use crate::entry::EntryRef;
use crate::evict::{
    Ages, Candidate, Choice, Entries, Evictor, Identity, Lfu, Policy, PolicyName, Scope, Use, below,
};
use crate::journal::{Counts, Effect, Event, Removal};
use crate::keyspace::{Cursor, KeyAhead, Keyspace};
use crate::limits::{NEW_ENTRY_BYTES, POLICY_TENDED_EVERY, QUOTA_DRAWN};
use crate::memory::Memory;
use crate::spiral::drawn::Step;
use crate::spiral::entries::Entry;
use crate::{AccessClock, DbIndex, Key, KeyHasher};

/// How many victims before its own what a victim is looked for in is brought near, step by step.
const STEPS_AHEAD: [(usize, Step); 3] = [(8, Step::Word), (5, Step::Node), (2, Step::Items)];

/// A policy is told what entries may take when that differs by more than one part in so many.
const CAPACITY_STEPS: u64 = 64;

/// What evicts, and of which entries.
pub(super) struct Eviction {
    evictor: Evictor,
    /// What it holds, once that has been asked for, until it may have changed.
    held_bytes: Cell<Option<u64>>,
    scope: Scope,
    /// Bytes of entries that it reckons with.
    capacity: u64,
    /// Where the walk is that shows the policy what was there before it.
    walk: Walk,
    /// Entries that have come since the policy last looked after what it holds.
    untended: u32,
}

/// How a shard evicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvictionOptions {
    /// Which policy.
    pub policy: PolicyName,
    /// Which entries may go.
    pub scope: Scope,
    /// Entries drawn for a victim by policies that draw as Redis's do.
    pub samples: usize,
    /// How `lfu` counts.
    pub lfu: Lfu,
    /// Bytes of entries that the shard may hold, about.
    pub capacity_bytes: u64,
}

impl EvictionOptions {
    /// Those of a shard whose uses are counted, and that has no bound.
    #[cfg(test)]
    pub(crate) fn counting(lfu: Lfu) -> Self {
        Self {
            policy: PolicyName::Lfu,
            scope: Scope::AllKeys,
            samples: 5,
            lfu,
            capacity_bytes: 0,
        }
    }
}

/// What came of one step of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// An entry has gone.
    Entry,
    /// None was found yet: another step may find one.
    Later,
    /// There is none that may go.
    Nothing,
}

/// The entries of a shard, as a policy sees them.
struct View<'a, S> {
    databases: &'a [Keyspace],
    memory: &'a mut Memory,
    hasher: &'a KeyHasher,
    bytes: u64,
    scope: Scope,
    /// Of whose keys' hashes the entries stay.
    stays: S,
    /// What was last looked for and found: it is found once more where it is decided on.
    found: Cell<Option<(Identity, Found)>>,
    /// Whose entries stay besides.
    guard: Option<&'a Guard>,
}

/// An entry, its database and the hash of its key.
type Found = (DbIndex, u64, Entry);

impl<S: Fn(u64) -> bool> View<'_, S> {
    /// Whether an entry is of a quota that is guarded.
    fn is_guarded(&self, entry: Entry) -> bool {
        let guard = self.guard;
        guard.is_some_and(|guard| guard.has(self.memory.key_of(entry)))
    }

    /// Whether an entry may not go, whatever it is worth.
    fn is_kept(&self, hash: u64, entry: Entry) -> bool {
        (self.stays)(hash) || self.is_guarded(entry)
    }

    fn candidate(&self, entry: Entry) -> (u64, Candidate) {
        let view = self.memory.view(entry);
        let hash = self.hasher.hash(view.key());
        (hash, candidate(hash, &view))
    }

    /// The entry that an identity stands for: of several, one that may go.
    fn entry(&self, identity: Identity) -> Option<Found> {
        if let Some((last, found)) = self.found.get()
            && last == identity
        {
            return Some(found);
        }
        let found = self.look_for(identity)?;
        self.found.set(Some((identity, found)));
        Some(found)
    }

    fn look_for(&self, identity: Identity) -> Option<Found> {
        let mut found = None;
        let mut may_go = false;
        for (db, keyspace) in self.databases.iter().enumerate() {
            keyspace.entries_like(self.memory, identity, |entry| {
                let hash = self.hasher.hash(self.memory.key_of(entry));
                if Identity::of(hash) == identity && !may_go {
                    found = Some((DbIndex(db as u16), hash, entry));
                    may_go = self.is_in_scope(entry) && !self.is_kept(hash, entry);
                }
            });
        }
        found
    }

    /// In place of an entry that is guarded: of some that are drawn, and are not, the lowest. A policy may look at guarded ones alone,
    /// if they fill one of its queues.
    fn instead_of_guarded(&self, evictor: &Evictor, random: u64) -> Option<(DbIndex, u64, Entry)> {
        let mut lowest: Option<(i64, Identity)> = None;
        self.sample(QUOTA_DRAWN, self.scope, random, |entry| {
            let ranked = (evictor.rank(entry), entry.identity);
            lowest = Some(lowest.map_or(ranked, |other| other.min(ranked)));
        });
        self.entry(lowest?.1)
    }

    fn is_in_scope(&self, entry: Entry) -> bool {
        self.scope == Scope::AllKeys || self.memory.deadline_of(entry).is_some()
    }

    /// The database of which entry `number` of all that count is, as if they stood in a row.
    fn database_of(&self, number: u64, scope: Scope) -> Option<usize> {
        let mut before = 0;
        self.databases.iter().position(|keyspace| {
            before += len_in(keyspace, scope);
            number < before
        })
    }
}

/// How many entries of a keyspace may go.
#[inline(always)]
fn len_in(keyspace: &Keyspace, scope: Scope) -> u64 {
    match scope {
        Scope::AllKeys => keyspace.len(),
        Scope::Volatile => keyspace.volatile_len(),
    }
}

fn candidate(hash: u64, view: &EntryRef<'_>) -> Candidate {
    Candidate {
        identity: Identity::of(hash),
        bytes: view.memory_bytes(),
        history: view.access(),
        deadline: view.expires_at(),
    }
}

impl<S: Fn(u64) -> bool> Entries for View<'_, S> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn len(&self) -> u64 {
        self.databases.iter().map(Keyspace::len).sum()
    }

    fn sample(&self, wanted: usize, scope: Scope, random: u64, mut show: impl FnMut(&Candidate)) {
        let lens = self
            .databases
            .iter()
            .map(|keyspace| len_in(keyspace, scope));
        let number = below(random, lens.sum());
        let Some(chosen) = self.database_of(number, scope) else {
            return;
        };
        let mut is_any = false;
        let (before, from) = self.databases.split_at(chosen);
        for keyspace in from.iter().chain(before) {
            let drawn = (random, scope == Scope::Volatile);
            keyspace.neighbours(self.memory, drawn, wanted, |entry| {
                let (hash, candidate) = self.candidate(entry);
                let is_in_scope = scope == Scope::AllKeys || candidate.deadline.is_some();
                let is_taken = is_in_scope && !self.is_kept(hash, entry);
                if is_taken {
                    is_any = true;
                    show(&candidate);
                }
                is_taken
            });
            if is_any {
                return;
            }
        }
    }

    fn find(&self, identity: Identity) -> Option<Candidate> {
        let (_, hash, entry) = self.entry(identity)?;
        Some(candidate(hash, &self.memory.view(entry)))
    }

    fn set_history(&mut self, identity: Identity, history: AccessClock) {
        if let Some((_, _, entry)) = self.entry(identity) {
            self.memory.set_access_of(entry, history);
        }
    }
}

impl Shard {
    /// Has memory made room for by evicting as `options` say, or not.
    pub fn set_eviction(&mut self, options: Option<&EvictionOptions>) {
        let is_another = options.map(|options| (options.policy, options.scope))
            != self
                .eviction
                .as_ref()
                .map(|eviction| (eviction.evictor.name(), eviction.scope));
        if is_another {
            self.eviction = options.map(|options| {
                Box::new(Eviction {
                    evictor: Evictor::of_shard(options.policy, self.hasher.hash(b"eviction")),
                    held_bytes: Cell::new(None),
                    scope: options.scope,
                    capacity: 0,
                    walk: Some((DbIndex(0), Cursor(0))),
                    untended: 0,
                })
            });
        }
        self.follow_scope();
        if let (Some(options), Some(eviction)) = (options, &mut self.eviction) {
            eviction.capacity = options.capacity_bytes;
            let evictor = eviction.evictor_mut();
            evictor.set_samples(options.samples);
            evictor.set_lfu(options.lfu);
            evictor.set_capacity(options.capacity_bytes);
        }
        self.has_upkeep = true;
        self.set_clock();
    }

    /// The history that a value brings which is stored as a whole, and was nowhere before.
    pub fn access_of_new(&self) -> AccessClock {
        match &self.eviction {
            Some(eviction) if eviction.evictor.name() == PolicyName::Lfu => {
                Lfu::new_entry(self.now)
            }
            _ => self.clock,
        }
    }

    /// The history of an entry of so many bytes that comes to be.
    #[inline(always)]
    pub(super) fn history_of_coming(&mut self, hash: u64, bytes: usize) -> AccessClock {
        if self.samples(hash) {
            self.tell_coming(hash, bytes);
        }
        self.history_of_new(hash, bytes)
    }

    /// As [`Self::history_of_coming`], where the curve hears of it otherwise.
    #[inline(always)]
    fn history_of_new(&mut self, hash: u64, bytes: usize) -> AccessClock {
        match &mut self.eviction {
            None => self.clock,
            Some(eviction) => {
                let bytes = (bytes + NEW_ENTRY_BYTES) as u64;
                self.came_total.0 += 1;
                self.came_total.1 += bytes;
                self.has_upkeep |= eviction.is_to_be_tended();
                eviction.inserted(hash, bytes)
            }
        }
    }

    /// The history of what is written over `existing`. A command that computes its value from the old one has counted its use
    /// when it looked that up; one that sets a value counts here; a key that is restored is a new one.
    #[inline(always)]
    pub(super) fn history_over(
        &mut self,
        (hash, bytes): (u64, usize),
        existing: Option<Entry>,
        event: Event,
    ) -> AccessClock {
        match self.eviction {
            None => self.clock,
            Some(_) => self.count_over((hash, bytes), existing, event),
        }
    }

    #[inline(never)]
    fn count_over(
        &mut self,
        (hash, bytes): (u64, usize),
        existing: Option<Entry>,
        event: Event,
    ) -> AccessClock {
        let Some(entry) = existing.filter(|_| event != Event::Restore) else {
            return self.history_of_new(hash, bytes);
        };
        let before = self.memory.head_of(entry).access();
        match event {
            Event::Set => {
                self.tell_policy((hash, entry), Use::Write);
                self.history_of_used(before, Use::Write)
            }
            _ => before,
        }
    }

    /// An entry has come from elsewhere, or under another key, with the history it had there.
    pub(super) fn adopt(&mut self, db: DbIndex, key: Key<'_>) {
        if self.eviction.is_none() && !self.samples(key.hash()) {
            return;
        }
        let Some(entry) = self.keyspace(db).find(key, &self.memory) else {
            return;
        };
        if self.samples(key.hash()) {
            self.tell_arrival((key.hash(), entry));
        }
        if let Some(eviction) = &mut self.eviction {
            eviction.show(&mut self.memory, key.hash(), entry);
        }
    }

    /// Steps of eviction, as [`Self::evict`] takes them, until entries of so many bytes have gone, or it was as many steps as may be, or
    /// nothing may go. How many it was, and what came of the last.
    pub fn evict_some(
        &mut self,
        bytes: u64,
        steps_max: u32,
        stays: impl Fn(u64) -> bool,
    ) -> (u32, Evicted) {
        let is_used = |keyspace: &Keyspace| keyspace.len() > 0;
        let used = self.databases.iter().rposition(is_used);
        let used = used.map_or(0, |last| last + 1);
        let enough = self.lasting_bytes().saturating_sub(bytes);
        let mut steps = 0;
        loop {
            let evicted = self.evict_of(used, &stays);
            steps += 1;
            let is_done = steps >= steps_max || self.lasting_bytes() <= enough;
            if is_done || evicted == Evicted::Nothing {
                return (steps, evicted);
            }
        }
    }

    /// Bytes that entries take for good, without those on their way back to the system.
    fn lasting_bytes(&self) -> u64 {
        self.memory.item_bytes_total() - self.memory.dying_bytes()
    }

    /// One step of eviction: an entry goes, of the least worth by the policy, unless its key's hash is of those that `stays` says
    /// stay. What has reached its deadline goes as expired.
    pub fn evict(&mut self, stays: impl Fn(u64) -> bool) -> Evicted {
        self.evict_of(self.databases.len(), stays)
    }

    /// The same, where the databases behind the first `used` have no entries.
    fn evict_of(&mut self, used: usize, stays: impl Fn(u64) -> bool) -> Evicted {
        let bytes = self.entry_bytes();
        self.settle_quotas();
        let Some(eviction) = &mut self.eviction else {
            return Evicted::Nothing;
        };
        let databases = &self.databases[..used];
        let scope = eviction.scope;
        let may_go = databases.iter().map(|keyspace| len_in(keyspace, scope));
        let may_go = may_go.sum();
        let quotas = self.quotas.as_deref();
        eviction.approach(databases, &self.memory);
        let mut view = View {
            databases,
            memory: &mut self.memory,
            hasher: &self.hasher,
            bytes,
            scope,
            stays: &stays,
            found: Cell::new(None),
            guard: quotas.and_then(|quotas| quotas.guard(may_go)),
        };
        let choice = eviction.evictor_mut().victim(&mut view, scope);
        self.uses.foreseen = eviction.evictor.foreseen();
        let identity = match choice {
            Choice::Victim(identity) => identity,
            Choice::Later => return Evicted::Later,
            Choice::Nothing => return Evicted::Nothing,
        };
        let Some((db, hash, entry)) = view.entry(identity) else {
            return Evicted::Later;
        };
        let instead = view.is_guarded(entry).then(|| {
            let random = u64::from(identity.0) << 32 | self.evicted_total & u64::from(u32::MAX);
            view.instead_of_guarded(&eviction.evictor, random)
        });
        let (db, hash, entry) = match instead.flatten() {
            None => (db, hash, entry),
            Some(other) => {
                // It comes up again.
                eviction.show(view.memory, hash, entry);
                other
            }
        };
        if view.is_kept(hash, entry) || !view.is_in_scope(entry) {
            // It comes up again.
            eviction.show(&mut self.memory, hash, entry);
            return Evicted::Later;
        }
        self.evict_entry(db, hash, entry);
        Evicted::Entry
    }

    /// An entry goes to make room; as expired, if it has reached its deadline.
    pub(super) fn evict_entry(&mut self, db: DbIndex, hash: u64, entry: Entry) {
        if self.memory.has_ended(entry, self.now) {
            return self.expire(db, hash, entry);
        }
        self.count_victim(hash, entry);
        let key = self.memory.key_of(entry);
        self.journal
            .record_as(Counts::Part, db, key, &Effect::Remove(Removal::Evicted));
        self.journal.tell(db, key, Event::Evicted);
        self.take_away(db, hash, entry, Keyspace::remove);
    }

    /// Of which entries some may go, if any may.
    #[inline(always)]
    pub(super) fn eviction_scope(&self) -> Option<Scope> {
        self.eviction.as_ref().map(|eviction| eviction.scope)
    }

    /// Where an entry stands among others that are drawn: the lowest goes first.
    pub(super) fn rank_of(&self, hash: u64, entry: Entry) -> i64 {
        let eviction = self.eviction.as_ref();
        eviction.map_or(0, |eviction| {
            let shown = candidate(hash, &self.memory.view(entry));
            eviction.evictor.rank(&shown)
        })
    }

    /// An entry was drawn for a victim, and another went.
    pub(super) fn spare(&mut self, hash: u64, entry: Entry) {
        if let Some(eviction) = &mut self.eviction {
            let shown = candidate(hash, &self.memory.view(entry));
            let spared = eviction.evictor.spared(&shown);
            self.memory.set_access_of(entry, spared);
        }
    }

    /// An entry is evicted. How long it was not used is in its history, or else known of the keys that the curve samples.
    fn count_victim(&mut self, hash: u64, entry: Entry) {
        let view = self.memory.view(entry);
        self.evicted_total += 1;
        self.evicted_bytes_total += view.memory_bytes();
        let policy = self.eviction.as_ref().map(|it| it.evictor.name());
        let by_history = policy.and_then(|policy| policy.unused_secs(view.access(), self.now));
        if let Some(secs) = by_history.or_else(|| self.unused_secs(hash)) {
            self.ages.add(secs);
        }
    }

    /// Whether it evicts at all.
    #[inline]
    pub fn evicts(&self) -> bool {
        self.eviction.is_some()
    }

    /// Bytes of entries that may go, about; none if there are no such entries.
    #[inline]
    pub fn evictable_bytes(&self) -> u64 {
        match self.has_evictable() {
            true => self.entry_bytes(),
            false => 0,
        }
    }

    /// Whether there is anything that may go.
    #[inline]
    pub fn has_evictable(&self) -> bool {
        let Some(scope) = self.eviction_scope() else {
            return false;
        };
        // Without a deadline anywhere there is no need to look: each turn asks.
        let may_have = scope == Scope::AllKeys || self.hand.due_at() < NEVER;
        let has = |keyspace| len_in(keyspace, scope) > 0;
        // Mostly the first has some.
        may_have && (has(&self.databases[0]) || self.databases[1..].iter().any(has))
    }

    /// Entries may take so many bytes: the policy reckons with what they count of that.
    pub fn set_eviction_room(&mut self, bytes: u64) {
        let capacity = (bytes as f64 * self.counted_share()) as u64;
        let Some(eviction) = &mut self.eviction else {
            return;
        };
        let is_another = capacity.abs_diff(eviction.capacity) > eviction.capacity / CAPACITY_STEPS;
        if is_another {
            eviction.capacity = capacity;
            eviction.evictor_mut().set_capacity(capacity);
        }
    }

    /// Bytes of entries that the policy reckons with.
    #[cfg(test)]
    pub(super) fn eviction_capacity(&self) -> u64 {
        self.eviction.as_ref().map_or(0, |it| it.capacity)
    }

    /// How many entries came while there was a policy, and how many bytes they had.
    #[inline]
    pub fn came_total(&self) -> (u64, u64) {
        self.came_total
    }

    /// Entries of all databases.
    pub fn entries_total(&self) -> u64 {
        self.databases.iter().map(Keyspace::len).sum()
    }

    /// Entries that were evicted.
    pub fn evicted_total(&self) -> u64 {
        self.evicted_total
    }

    /// Bytes of these.
    pub fn evicted_bytes_total(&self) -> u64 {
        self.evicted_bytes_total
    }

    /// How long they had not been used: those of which that is known.
    pub fn ages_at_eviction(&self) -> &Ages {
        &self.ages
    }

    /// Has the policy look after what it holds, or shows it some of what was there before it; whether there was a reason.
    pub(super) fn tend_eviction(&mut self) -> bool {
        let bytes = self.entry_bytes();
        match &mut self.eviction {
            Some(eviction) if eviction.is_to_be_tended() => {
                eviction.untended = 0;
                let mut view = View {
                    databases: &self.databases,
                    memory: &mut self.memory,
                    hasher: &self.hasher,
                    bytes,
                    scope: eviction.scope,
                    stays: |_| false,
                    found: Cell::new(None),
                    guard: None,
                };
                eviction.evictor_mut().tend(&mut view);
                self.follow_policy();
                true
            }
            _ => self.show_some(),
        }
    }

    /// Shows the policy some of what was there before it; whether there was any.
    fn show_some(&mut self) -> bool {
        let Some(eviction) = &mut self.eviction else {
            return false;
        };
        let within = (&self.memory, &self.hasher);
        let Some(entries) = next_on(&mut eviction.walk, &self.databases, within) else {
            return false;
        };
        for entry in entries {
            let hash = self.hasher.hash(self.memory.key_of(entry));
            eviction.show(&mut self.memory, hash, entry);
        }
        true
    }

    /// Bytes of what the policy holds besides the entries.
    #[inline(always)]
    pub(super) fn eviction_bytes(&self) -> u64 {
        self.eviction
            .as_ref()
            .map_or(0, |eviction| eviction.held_bytes())
    }
}

impl Eviction {
    /// The policy.
    #[inline(always)]
    pub(super) fn evictor(&self) -> &Evictor {
        &self.evictor
    }

    /// The policy, for a use or the time of day.
    #[inline(always)]
    pub(super) fn evictor_of_uses(&mut self) -> &mut Evictor {
        &mut self.evictor
    }

    /// The policy, which may come to hold more or less.
    pub(super) fn evictor_mut(&mut self) -> &mut Evictor {
        self.held_bytes.set(None);
        &mut self.evictor
    }

    /// Bytes that the policy holds.
    fn held_bytes(&self) -> u64 {
        if let Some(bytes) = self.held_bytes.get() {
            return bytes;
        }
        let bytes = self.evictor.held_bytes();
        self.held_bytes.set(Some(bytes));
        bytes
    }

    /// Brings near what the next victims will be looked for in.
    fn approach(&self, databases: &[Keyspace], memory: &Memory) {
        for (victims, step) in STEPS_AHEAD {
            self.evictor.looks_ahead(victims, |coming| {
                for keyspace in databases {
                    keyspace.approach(memory, coming, step);
                }
            });
        }
    }

    /// Brings near what the policy reads of keys that commands are about to write.
    pub(super) fn await_writes(&self, keys: &[KeyAhead]) {
        for key in keys.iter().filter(|key| key.writes) {
            self.evictor.awaits(Identity::of(key.hash));
        }
    }

    /// Shows the policy an entry that it has not made the history of.
    fn show(&mut self, memory: &mut Memory, hash: u64, entry: Entry) {
        let shown = candidate(hash, &memory.view(entry));
        let history = self.evictor_mut().shown(&shown);
        memory.set_access_of(entry, history);
    }

    #[inline(never)]
    fn inserted(&mut self, hash: u64, bytes: u64) -> AccessClock {
        self.untended += 1;
        self.evictor_mut().inserted(Identity::of(hash), bytes)
    }

    fn is_to_be_tended(&self) -> bool {
        self.untended >= POLICY_TENDED_EVERY
    }
}
