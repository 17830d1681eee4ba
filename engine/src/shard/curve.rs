//! What a shard tells its miss-ratio curve ([`crate::evict::Curve`]) of the keys that it samples.
//!
//! ```text
//!  a key's hash < sampled_below ──▶ it is read, missed, written, removed … ──▶ Curve::told
//! ```
//! Leading bits of the hash are the identity, so the hot path compares two numbers, and nothing is sampled where the second is zero. How
//! many are follows from how many entries there are, which is looked at after so many events, and as often as the server tells what
//! room there is.

use super::Shard;
use crate::entry::EntryRef;
use crate::evict::{Curve, CurveOptions, Identity, PERCENTS, Use, Value, What};
use crate::journal::Event;
use crate::keyspace::{Cursor, Keyspace};
use crate::limits::{ENTRIES_SHOWN_AT_ONCE, NEW_ENTRY_BYTES};
use crate::memory::Memory;
use crate::spiral::entries::Entry;
use crate::{Access, DbIndex, Key, KeyHasher, Kind, UnixMillis};

/// Events after which the sample is fitted to how many entries there are.
const FIT_EVERY: u32 = 64;

/// What is counted counts half after so long.
const HALF_LIFE_MS: i64 = 3_600_000;

/// A walk over the entries of all databases that has come so far.
pub(super) type Walk = Option<(DbIndex, Cursor)>;

/// A curve, and what it is told of its shard.
pub(super) struct Sampled {
    curve: Curve,
    /// Where the walk is that shows what was there before the curve.
    walk: Walk,
    /// Bytes that entries may take with each part of the memory.
    room: [u64; PERCENTS.len()],
    /// What an entry of the curve counts for each byte that it takes.
    weight: f64,
    events: u32,
    halved_at: UnixMillis,
}

impl Sampled {
    pub(super) fn curve(&self) -> &Curve {
        &self.curve
    }

    /// The lowest hash that is not sampled.
    fn below(&self) -> u64 {
        match self.curve.below() {
            Identity(u32::MAX) => u64::MAX,
            Identity(highest) => u64::from(highest + 1) << 32,
        }
    }

    /// What an entry counts. Keys and values of strings are counted exactly everywhere; a collection by the bytes that it takes.
    fn value(&self, entry: &EntryRef<'_>) -> Value {
        let bytes = match entry.kind() {
            Kind::String => {
                let value = entry.string().map_or(0, <[u8]>::len);
                (entry.key().len() + value + NEW_ENTRY_BYTES) as u64
            }
            _ => (entry.memory_bytes() as f64 * self.weight) as u64,
        };
        Value {
            bytes,
            deadline: entry.expires_at(),
        }
    }
}

/// The identity of a key by its hash.
fn identity(hash: u64) -> Identity {
    Identity((hash >> 32) as u32)
}

/// Entries on a walk, as many as are shown at once; `None` when all have been shown.
pub(super) fn next_on(
    walk: &mut Walk,
    databases: &[Keyspace],
    within: (&Memory, &KeyHasher),
) -> Option<Vec<Entry>> {
    let (db, cursor) = (*walk)?;
    let Some(keyspace) = databases.get(usize::from(db.0)) else {
        *walk = None;
        return None;
    };
    let mut entries = Vec::new();
    let next = keyspace.scan(within, cursor, ENTRIES_SHOWN_AT_ONCE, &mut |entry| {
        entries.push(entry);
    });
    *walk = match next {
        Some(cursor) => Some((db, cursor)),
        None => Some((DbIndex(db.0 + 1), Cursor(0))),
    };
    Some(entries)
}

impl Shard {
    /// Has a curve predict hits, or not.
    pub fn set_curve(&mut self, options: Option<&CurveOptions>) {
        let Some(options) = options else {
            self.sampled = None;
            self.set_sampled_below(0);
            return;
        };
        let follows = match &mut self.sampled {
            Some(sampled) => sampled.curve.follow(options),
            None => false,
        };
        if !follows {
            let mut curve = Curve::new(options, self.hasher.hash(b"curve"));
            curve.set_now(self.now);
            let room = self
                .sampled
                .as_ref()
                .map_or([0; PERCENTS.len()], |it| it.room);
            self.sampled = Some(Box::new(Sampled {
                curve,
                walk: Some((DbIndex(0), Cursor(0))),
                room,
                weight: 1.0,
                events: 0,
                halved_at: self.now,
            }));
        }
        self.fit_sample();
    }

    /// Tells the curve how many bytes entries may take with each part of the memory.
    pub fn fit_curve(&mut self, room: [u64; PERCENTS.len()]) {
        if let Some(sampled) = &mut self.sampled {
            sampled.room = room;
            if self.now.0 - sampled.halved_at.0 >= HALF_LIFE_MS {
                sampled.halved_at = self.now;
                sampled.curve.halve();
            }
            self.fit_sample();
        }
    }

    /// Tells the curve how many lookups there were since it was last told, and how many hit.
    pub fn count_lookups(&mut self, lookups: u64, hits: u64) {
        if let Some(sampled) = &mut self.sampled {
            sampled.curve.count(lookups, hits);
        }
    }

    /// Whether there is a curve.
    #[inline]
    pub fn has_curve(&self) -> bool {
        self.sampled.is_some()
    }

    /// Bytes of what the policy holds besides the entries, and of what the curve does.
    pub fn eviction_overhead(&self) -> (u64, u64) {
        (self.eviction_bytes(), self.curve_bytes())
    }

    /// The curve, which has taken in all that befell.
    pub fn curve(&mut self) -> Option<&mut Curve> {
        let sampled = self.sampled.as_mut()?;
        sampled.curve.settle();
        Some(&mut sampled.curve)
    }

    /// What entries count, keys and values and a little for each, of the bytes that they take.
    pub(super) fn counted_share(&self) -> f64 {
        let len = self.entries_total();
        let counted = self.memory.payload_bytes() + len * NEW_ENTRY_BYTES as u64;
        match len {
            0 => 1.0,
            _ => counted as f64 / self.entry_bytes().max(1) as f64,
        }
    }

    /// Fits the sample to the entries there are, and to those there is room for.
    fn fit_sample(&mut self) {
        let (len, weight) = (self.entries_total(), self.counted_share());
        let entry_bytes = self.entry_bytes().max(1) as f64;
        let Some(sampled) = &mut self.sampled else {
            return;
        };
        let filled = sampled.room[PERCENTS.len() / 2] as f64 / entry_bytes;
        sampled.weight = weight;
        let capacities = sampled.room.map(|bytes| (bytes as f64 * weight) as u64);
        sampled.curve.set_now(self.now);
        sampled.curve.fit(len as f64 * filled.max(1.0), capacities);
        let below = sampled.below();
        self.has_upkeep = true;
        self.set_sampled_below(below);
    }

    /// Something befalls a key that is sampled.
    fn tell(&mut self, hash: u64, what: What, value: Value) {
        let Some(sampled) = &mut self.sampled else {
            return;
        };
        sampled.curve.set_now(self.now);
        sampled.curve.told(what, identity(hash), value);
        sampled.events += 1;
        let is_to_be_fitted = sampled.events >= FIT_EVERY;
        if is_to_be_fitted {
            sampled.events = 0;
        }
        self.has_upkeep |= sampled.curve.has_work();
        let below = sampled.below();
        self.set_sampled_below(below);
        if is_to_be_fitted {
            self.fit_sample();
        }
    }

    /// Something befalls the entry of a key that is sampled.
    fn tell_of(&mut self, (hash, entry): (u64, Entry), what: What) {
        if let Some(sampled) = &self.sampled {
            let value = sampled.value(&self.memory.view(entry));
            self.tell(hash, what, value);
        }
    }

    /// An entry is used.
    pub(super) fn tell_curve_of_use(&mut self, found: (u64, Entry), how: Use) {
        let what = match how {
            Use::Read => What::Read,
            Use::Write => What::Written,
        };
        self.tell_of(found, what);
    }

    /// A key that a reading command asks for is not there.
    #[inline]
    pub(super) fn note_miss(&mut self, db: DbIndex, key: Key<'_>, access: Access) {
        self.journal.tell(db, key.bytes(), Event::Missed);
        if access == Access::Touch && self.samples(key.hash()) {
            self.tell_miss(key.hash());
        }
    }

    /// A key is read that is not there.
    #[cold]
    fn tell_miss(&mut self, hash: u64) {
        self.tell(hash, What::Missed, Value::of(0));
    }

    /// A string of so many bytes with its key has been written, over another value or not. One that is computed from the old one
    /// was used when that was looked up.
    #[cold]
    pub(super) fn tell_set(
        &mut self,
        (hash, bytes): (u64, usize),
        deadline: Option<UnixMillis>,
        (was_there, event): (bool, Event),
    ) {
        let what = match (was_there, event) {
            (false, _) | (_, Event::Restore) => What::Comes,
            (true, Event::Set) => What::Written,
            (true, _) => What::Becomes,
        };
        let value = Value {
            bytes: (bytes + NEW_ENTRY_BYTES) as u64,
            deadline,
        };
        self.tell(hash, what, value);
    }

    /// An entry of so many bytes comes to be.
    #[cold]
    pub(super) fn tell_coming(&mut self, hash: u64, bytes: usize) {
        self.tell(
            hash,
            What::Comes,
            Value::of((bytes + NEW_ENTRY_BYTES) as u64),
        );
    }

    /// An entry has come from elsewhere.
    #[cold]
    pub(super) fn tell_arrival(&mut self, found: (u64, Entry)) {
        self.tell_of(found, What::Comes);
    }

    /// The entry of a key has another deadline.
    #[cold]
    pub(super) fn tell_deadline(&mut self, db: DbIndex, key: Key<'_>) {
        let found = self.keyspace(db).find(key, &self.memory);
        if let Some(entry) = found {
            self.tell_of((key.hash(), entry), What::Becomes);
        }
    }

    /// An entry goes, not because memory is short.
    #[cold]
    pub(super) fn tell_removal(&mut self, hash: u64) {
        self.tell(hash, What::Gone, Value::of(0));
    }

    /// A database has been flushed: where no other has keys, neither have the curve's caches.
    pub(super) fn tell_flush(&mut self) {
        if let Some(sampled) = &mut self.sampled
            && self.databases.iter().all(|keyspace| keyspace.len() == 0)
        {
            sampled.curve.clear();
        }
    }

    /// For how many seconds a key was not used, if the curve knows.
    pub(super) fn unused_secs(&self, hash: u64) -> Option<u64> {
        let sampled = self.sampled.as_ref().filter(|_| self.samples(hash))?;
        let used_secs = sampled.curve.used_secs(identity(hash))?;
        Some(u64::from(
            (self.now.as_secs() as u32).wrapping_sub(used_secs),
        ))
    }

    /// A slice of the curve's work, or shows it some of what was there before it; whether there was any.
    pub(super) fn tend_curve(&mut self) -> bool {
        let Some(sampled) = &mut self.sampled else {
            return false;
        };
        if sampled.curve.step() {
            return true;
        }
        let within = (&self.memory, &self.hasher);
        let Some(entries) = next_on(&mut sampled.walk, &self.databases, within) else {
            return false;
        };
        for entry in entries {
            let hash = self.hasher.hash(self.memory.key_of(entry));
            if self.samples(hash) {
                self.tell_arrival((hash, entry));
            }
        }
        true
    }

    /// Bytes of what the curve holds.
    #[inline(always)]
    pub(super) fn curve_bytes(&self) -> u64 {
        self.sampled
            .as_ref()
            .map_or(0, |sampled| sampled.curve().held_bytes())
    }
}
