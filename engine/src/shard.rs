//! The shard: sixteen logical databases, their deadlines and their journal, owned by one core.

use std::collections::HashMap;

use crate::journal::{Effect, Event, Journal, Record};
use crate::limits::MAX_VALUE_BYTES;
use crate::{
    AccessClock, DbIndex, Encoding, Key, KeyHasher, Kind, StoreError, StringForm, UnixMillis,
    ValueImage,
};

/// How a shard is made.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// Number of logical databases.
    pub databases: u16,
    /// Bytes of memory this shard may at most grow to; the arena's granule follows it (4 bytes up to 16 GiB).
    pub memory_ceiling_bytes: u64,
    /// The hasher all shards of the process share.
    pub hasher: KeyHasher,
}

/// Whether a lookup counts as a use of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Updates the access clock.
    Touch,
    /// Leaves it (`OBJECT`, `TTL`, `CLIENT NO-TOUCH`).
    Peek,
}

/// What becomes of an entry's deadline when its value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlChange {
    /// Remove it.
    Clear,
    /// Keep it.
    Keep,
    /// Set it.
    At(UnixMillis),
}

/// Position of an incremental scan; zero begins and ends one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCursor(pub u64);

/// What one expiry cycle did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireStats {
    /// Entries looked at.
    pub examined: u32,
    /// Entries removed.
    pub expired: u32,
}

/// Where a shard's bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// Bytes of live entries, headers and rounding included.
    pub entry_bytes: u64,
    /// Bytes of the tables.
    pub table_bytes: u64,
    /// Bytes the arena holds from the system, live or free.
    pub arena_bytes: u64,
    /// Bytes of keys and values alone.
    pub payload_bytes: u64,
}

impl MemoryUsage {
    /// What `maxmemory` bounds and `used_memory` shows.
    pub fn used_bytes(&self) -> u64 {
        self.entry_bytes + self.table_bytes
    }
}

/// A live entry, borrowed from the shard.
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'a> {
    key: &'a [u8],
    entry: &'a Entry,
}

impl<'a> EntryRef<'a> {
    /// The key.
    pub fn key(&self) -> &'a [u8] {
        self.key
    }
    /// The data type.
    pub fn kind(&self) -> Kind {
        self.entry.0.kind
    }
    /// The encoding.
    pub fn encoding(&self) -> Encoding {
        self.entry.0.encoding
    }
    /// The deadline.
    pub fn expires_at(&self) -> Option<UnixMillis> {
        self.entry.0.expires_at
    }
    /// The access history, as of before this lookup.
    pub fn access(&self) -> AccessClock {
        self.entry.0.access
    }
    /// The string's bytes; `None` if the entry is of another type.
    pub fn string(&self) -> Option<&'a [u8]> {
        Some(&self.entry.0.bytes)
    }
    /// Bytes the entry takes, table share included (`MEMORY USAGE`).
    pub fn memory_bytes(&self) -> u64 {
        (self.key.len() + self.entry.0.bytes.len() + 16) as u64
    }
    /// An owned copy of the value.
    pub fn image(&self) -> ValueImage {
        self.entry.0.clone()
    }
}

#[derive(Clone, Debug)]
struct Entry(ValueImage);

#[derive(Default)]
struct Database {
    entries: HashMap<Vec<u8>, Entry>,
}

/// One core's part of the keyspace.
pub struct Shard {
    databases: Vec<Database>,
    hasher: KeyHasher,
    now: UnixMillis,
    journal: Journal,
    expired_total: u64,
}

impl Shard {
    /// An empty shard.
    ///
    /// # Errors
    /// The address space of the arena could not be reserved.
    pub fn new(options: &ShardOptions) -> Result<Self, StoreError> {
        Ok(Self {
            databases: (0..options.databases)
                .map(|_| Database::default())
                .collect(),
            hasher: options.hasher.clone(),
            now: UnixMillis(0),
            journal: Journal::default(),
            expired_total: 0,
        })
    }

    /// The hasher of this shard's keys.
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }
    /// The time all deadlines are held against.
    pub fn now(&self) -> UnixMillis {
        self.now
    }
    /// Advances the clock; called once a turn.
    pub fn set_now(&mut self, now: UnixMillis) {
        self.now = now;
    }
    /// The journal.
    pub fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }
    /// Number of databases.
    pub fn databases(&self) -> u16 {
        self.databases.len() as u16
    }
    /// Entries of `db`, dead ones not yet removed included.
    pub fn len(&self, db: DbIndex) -> u64 {
        self.databases[usize::from(db.0)].entries.len() as u64
    }
    /// Whether `db` is empty.
    pub fn is_empty(&self, db: DbIndex) -> bool {
        self.len(db) == 0
    }
    /// Entries of `db` that have a deadline.
    pub fn volatile_len(&self, db: DbIndex) -> u64 {
        self.databases[usize::from(db.0)]
            .entries
            .values()
            .filter(|e| e.0.expires_at.is_some())
            .count() as u64
    }
    /// Entries removed because of their deadline since the shard began.
    pub fn expired_total(&self) -> u64 {
        self.expired_total
    }
    /// Where the bytes are; exact.
    pub fn memory(&self) -> MemoryUsage {
        MemoryUsage::default()
    }

    /// Brings the table's and the entries' cache lines of a batch of hashes of `db` near. A hint: no effect but speed.
    pub fn prefetch(&self, _db: DbIndex, _hashes: &[u64]) {}

    /// Looks `key` up. An entry past its deadline is removed first (journalled as `expired`) and not found.
    pub fn get(&mut self, db: DbIndex, key: Key<'_>, access: Access) -> Option<EntryRef<'_>> {
        self.expire_if_due(db, key);
        let now = self.now;
        let (k, entry) = self.databases[usize::from(db.0)]
            .entries
            .get_key_value(key.bytes())?;
        let _ = (access, now);
        Some(EntryRef { key: k, entry })
    }

    /// Writes a whole string, replacing whatever `key` held.
    ///
    /// # Errors
    /// The value is too large, or memory is out; then nothing changed.
    pub fn set(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        value: &[u8],
        form: StringForm,
        ttl: TtlChange,
        event: Event,
    ) -> Result<(), StoreError> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.expire_if_due(db, key);
        let encoding = form.encoding_of(value);
        let entries = &mut self.databases[usize::from(db.0)].entries;
        let expires_at = match ttl {
            TtlChange::Clear => None,
            TtlChange::Keep => entries.get(key.bytes()).and_then(|e| e.0.expires_at),
            TtlChange::At(at) => Some(at),
        };
        let image = ValueImage {
            kind: Kind::String,
            encoding,
            bytes: value.to_vec(),
            expires_at,
            access: AccessClock::at(self.now),
        };
        entries.insert(key.bytes().to_vec(), Entry(image));
        self.journal.record(&Record {
            db,
            key: key.bytes(),
            effect: Effect::Put {
                kind: Kind::String,
                encoding,
                value,
                expires_at,
            },
            event,
        });
        Ok(())
    }

    /// Writes `bytes` at `offset` of the string at `key`, creating it empty if missing and filling a gap with zeros.
    /// The deadline is kept; the encoding becomes `raw`. Returns the new length. The entry must be a string if it exists.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn write_range(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        offset: usize,
        bytes: &[u8],
        event: Event,
    ) -> Result<usize, StoreError> {
        if offset.saturating_add(bytes.len()) > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.expire_if_due(db, key);
        let now = self.now;
        let entry = self.databases[usize::from(db.0)]
            .entries
            .entry(key.bytes().to_vec())
            .or_insert_with(|| {
                Entry(ValueImage {
                    kind: Kind::String,
                    encoding: Encoding::Raw,
                    bytes: Vec::new(),
                    expires_at: None,
                    access: AccessClock::at(now),
                })
            });
        entry.0.encoding = Encoding::Raw;
        let end = offset + bytes.len();
        if entry.0.bytes.len() < end {
            entry.0.bytes.resize(end, 0);
        }
        entry.0.bytes[offset..end].copy_from_slice(bytes);
        let len = entry.0.bytes.len();
        self.journal.record(&Record {
            db,
            key: key.bytes(),
            effect: Effect::WriteRange {
                offset: offset as u64,
                bytes,
            },
            event,
        });
        Ok(len)
    }

    /// Removes `key`; whether it was there (and not past its deadline).
    pub fn remove(&mut self, db: DbIndex, key: Key<'_>, event: Event) -> bool {
        self.expire_if_due(db, key);
        let found = self.databases[usize::from(db.0)]
            .entries
            .remove(key.bytes())
            .is_some();
        if found {
            self.journal.record(&Record {
                db,
                key: key.bytes(),
                effect: Effect::Remove,
                event,
            });
        }
        found
    }

    /// Sets or removes the deadline of `key`; whether the entry exists. A deadline that has passed is the caller's to
    /// turn into a removal.
    ///
    /// # Errors
    /// Memory is out (an entry grows by 8 bytes with its first deadline).
    pub fn set_deadline(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        deadline: Option<UnixMillis>,
        event: Event,
    ) -> Result<bool, StoreError> {
        self.expire_if_due(db, key);
        let Some(entry) = self.databases[usize::from(db.0)]
            .entries
            .get_mut(key.bytes())
        else {
            return Ok(false);
        };
        entry.0.expires_at = deadline;
        self.journal.record(&Record {
            db,
            key: key.bytes(),
            effect: Effect::Deadline(deadline),
            event,
        });
        Ok(true)
    }

    /// Sets the access history of `key`, if it exists (`RESTORE ... IDLETIME`, `FREQ`).
    pub fn set_access(&mut self, db: DbIndex, key: Key<'_>, access: AccessClock) {
        if let Some(entry) = self.databases[usize::from(db.0)]
            .entries
            .get_mut(key.bytes())
        {
            entry.0.access = access;
        }
    }

    /// Moves the entry at `from` to `to`, of the same or another database of this shard, replacing what is there and
    /// keeping value, deadline and access history; whether `from` existed. `events` are those of source and destination.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub fn relocate(
        &mut self,
        from: (DbIndex, Key<'_>),
        to: (DbIndex, Key<'_>),
        events: (Event, Event),
    ) -> Result<bool, StoreError> {
        let Some(image) = self.get(from.0, from.1, Access::Peek).map(|e| e.image()) else {
            return Ok(false);
        };
        self.databases[usize::from(from.0.0)]
            .entries
            .remove(from.1.bytes());
        self.journal.record(&Record {
            db: from.0,
            key: from.1.bytes(),
            effect: Effect::MoveTo {
                db: to.0,
                key: to.1.bytes(),
            },
            event: events.0,
        });
        self.put(to.0, to.1, &image, events.1)?;
        Ok(true)
    }

    /// Stores an owned value at `key`, replacing what is there.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn put(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        image: &ValueImage,
        event: Event,
    ) -> Result<(), StoreError> {
        self.databases[usize::from(db.0)]
            .entries
            .insert(key.bytes().to_vec(), Entry(image.clone()));
        self.journal.record(&Record {
            db,
            key: key.bytes(),
            effect: Effect::Put {
                kind: image.kind,
                encoding: image.encoding,
                value: &image.bytes,
                expires_at: image.expires_at,
            },
            event,
        });
        Ok(())
    }

    /// Visits about `count` live entries from `cursor` on and returns where to go on. Every entry present from the first
    /// call of a scan to its last is visited at least once, however the table grows, shrinks or moves in between.
    pub fn scan(
        &mut self,
        db: DbIndex,
        cursor: ScanCursor,
        count: usize,
        visit: &mut dyn FnMut(EntryRef<'_>),
    ) -> ScanCursor {
        let _ = (cursor, count);
        self.for_each(db, visit);
        ScanCursor(0)
    }

    /// Visits every live entry of `db`.
    pub fn for_each(&self, db: DbIndex, visit: &mut dyn FnMut(EntryRef<'_>)) {
        let now = self.now;
        for (key, entry) in &self.databases[usize::from(db.0)].entries {
            if entry.0.expires_at.is_none_or(|at| at > now) {
                visit(EntryRef { key, entry });
            }
        }
    }

    /// A live entry of `db` chosen by `random`, close to uniformly; `None` if there is none.
    pub fn random(&mut self, db: DbIndex, random: u64) -> Option<EntryRef<'_>> {
        let now = self.now;
        let live: Vec<_> = self.databases[usize::from(db.0)]
            .entries
            .iter()
            .filter(|(_, e)| e.0.expires_at.is_none_or(|at| at > now))
            .collect();
        if live.is_empty() {
            return None;
        }
        let (key, entry) = live[(random % live.len() as u64) as usize];
        Some(EntryRef { key, entry })
    }

    /// Empties `db`; returns the number of entries removed. The memory is given back in bounded steps by [`Self::tend`].
    pub fn flush(&mut self, db: DbIndex) -> u64 {
        let removed = self.len(db);
        self.databases[usize::from(db.0)].entries.clear();
        self.journal.record(&Record {
            db,
            key: b"",
            effect: Effect::FlushDb,
            event: Event::Silent,
        });
        removed
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.databases.swap(usize::from(a.0), usize::from(b.0));
        self.journal.record(&Record {
            db: a,
            key: b"",
            effect: Effect::SwapDb { with: b },
            event: Event::Silent,
        });
    }

    /// One step of the expiry hand: examines at most `budget` entries and removes those past their deadline.
    pub fn expire_cycle(&mut self, budget: u32) -> ExpireStats {
        let _ = budget;
        ExpireStats::default()
    }

    /// One bounded step of house-keeping: frees flushed tables, compacts, returns memory. Whether more is left to do.
    pub fn tend(&mut self, budget: u32) -> bool {
        let _ = budget;
        false
    }

    fn expire_if_due(&mut self, db: DbIndex, key: Key<'_>) {
        let now = self.now;
        let entries = &mut self.databases[usize::from(db.0)].entries;
        if entries
            .get(key.bytes())
            .is_some_and(|e| e.0.expires_at.is_some_and(|at| at <= now))
        {
            entries.remove(key.bytes());
            self.expired_total += 1;
            self.journal.record(&Record {
                db,
                key: key.bytes(),
                effect: Effect::Remove,
                event: Event::Expired,
            });
        }
    }
}
