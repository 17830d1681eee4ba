//! Keys that other cores hold copies of, and the versions that say whether these copies are still right.
//!
//! ```text
//!  words, shared by all cores      core 0: [ 17 | 4 | 0 | 0 ]   core 1: [ 0 | 9 | 0 | 0 ]    a cache line each
//!                                            ▲   ▲
//!  a shard's copied keys             "user:1"   "page"              a copy is right while its word is what it was
//! ```
//! A word is advanced by its core alone, as a part of the change of its key, so before that core can tell anybody of the
//! change. It only ever grows, whichever key has it. With no key copied, a change costs one test; with some, a comparison
//! with each of them: they are few.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::DbIndex;
use crate::journal::Effect;

/// What a key's word was when a copy was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64);

/// A word and the cache line it has for itself (two, as processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Word(AtomicU64);

/// The words of all cores.
#[derive(Debug, Default)]
pub struct VersionWords(Box<[Word]>);

impl VersionWords {
    /// So many words.
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| Word::default()).collect())
    }

    /// The version of the key that has word number `word`. Whoever has seen a change of the key, or has heard of it by
    /// whatever way, reads another one than before it.
    #[inline]
    pub fn read(&self, word: usize) -> Version {
        Version(self.0[word].0.load(Ordering::Acquire))
    }

    /// Ends all copies of the key that has the word. In the order of all: the change is not told of before this is seen.
    fn advance(&self, word: usize) {
        self.0[word].0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The keys of a shard that others may hold copies of.
#[derive(Debug, Default)]
pub struct CopiedKeys {
    words: Arc<VersionWords>,
    keys: Vec<CopiedKey>,
}

#[derive(Debug)]
struct CopiedKey {
    db: DbIndex,
    key: Box<[u8]>,
    hash: u64,
    word: usize,
}

impl CopiedKeys {
    /// From now on `words` are those of the keys.
    ///
    /// # Panics
    /// Some key has one already.
    pub fn share(&mut self, words: Arc<VersionWords>) {
        assert!(self.keys.is_empty(), "copies are right by the words of old");
        self.words = words;
    }

    /// Whether no key is copied.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether this key is one of them.
    pub fn contains(&self, db: DbIndex, key: &[u8]) -> bool {
        self.keys.iter().any(|copied| copied.is(db, key))
    }

    /// Copies of `key` may be made, which are right by this word; no other key of this or another shard has it.
    pub fn add(&mut self, db: DbIndex, key: &[u8], hash: u64, word: usize) {
        let key = key.into();
        self.keys.push(CopiedKey {
            db,
            key,
            hash,
            word,
        });
    }

    /// No more copies are made of the key with this word, and none is right any more.
    pub fn remove(&mut self, word: usize) {
        self.words.advance(word);
        self.keys.retain(|copied| copied.word != word);
    }

    /// Ends the copies of all keys of this hash.
    pub fn end_copies_of(&self, hash: u64) {
        self.end_where(|copied| copied.hash == hash);
    }

    /// Ends the copies of all keys.
    pub fn end_all_copies(&self) {
        self.end_where(|_| true);
    }

    fn end_where(&self, is_concerned: impl Fn(&CopiedKey) -> bool) {
        for copied in self.keys.iter().filter(|copied| is_concerned(copied)) {
            self.words.advance(copied.word);
        }
    }

    /// A change has been made.
    #[cold]
    pub(crate) fn note(&self, db: DbIndex, key: &[u8], effect: &Effect<'_>) {
        match effect {
            Effect::FlushDb => self.end_where(|copied| copied.db == db),
            Effect::SwapDb { with } => {
                self.end_where(|copied| copied.db == db || copied.db == *with);
            }
            _ => {
                self.end_where(|copied| copied.is(db, key));
                if let Some((db, key)) = effect.destination() {
                    self.end_where(|copied| copied.is(db, key));
                }
            }
        }
    }
}

impl CopiedKey {
    fn is(&self, db: DbIndex, key: &[u8]) -> bool {
        self.db == db && *self.key == *key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Access, Event, Key, KeyHasher, Shard, ShardOptions, StringForm, TtlChange, UnixMillis,
    };

    const DB: DbIndex = DbIndex(0);
    const OTHER_DB: DbIndex = DbIndex(1);

    fn key(bytes: &[u8]) -> Key<'_> {
        KeyHasher::with_seeds([1, 2, 3, 4]).key(bytes)
    }

    /// A shard whose keys "hot" (word 0) and "other" (word 1) of database 0, and "hot" (word 2) of database 1 are copied.
    fn shard() -> (Shard, Arc<VersionWords>) {
        let words = Arc::new(VersionWords::new(4));
        let mut shard = Shard::new(&ShardOptions {
            databases: 3,
            memory_ceiling_bytes: 1 << 26,
            hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
        })
        .unwrap();
        shard.set_now(UnixMillis(1000));
        for (db, name) in [(DB, &b"hot"[..]), (DB, b"other"), (OTHER_DB, b"hot")] {
            set(&mut shard, db, name, TtlChange::Clear);
        }
        shard.copied().share(words.clone());
        for (word, (db, name)) in [(DB, &b"hot"[..]), (DB, b"other"), (OTHER_DB, b"hot")]
            .into_iter()
            .enumerate()
        {
            shard.copied().add(db, name, key(name).hash(), word);
        }
        (shard, words)
    }

    fn set(shard: &mut Shard, db: DbIndex, name: &[u8], ttl: TtlChange) {
        let form = StringForm::Detect;
        shard
            .set(db, key(name), b"value", form, ttl, Event::Set)
            .unwrap();
    }

    type Change = fn(&mut Shard);

    /// Every kind of change, and the words that it has to advance.
    const CHANGES: &[(&str, Change, &[usize])] = &[
        (
            "set",
            |shard| set(shard, DB, b"hot", TtlChange::Clear),
            &[0],
        ),
        (
            "set of a key that is not copied",
            |shard| set(shard, DB, b"cold", TtlChange::Clear),
            &[],
        ),
        (
            "put",
            |shard| {
                let image = shard.get(DB, key(b"other"), Access::Peek).unwrap().image();
                shard.put(DB, key(b"hot"), &image, Event::Restore).unwrap();
            },
            &[0],
        ),
        (
            "write of a range",
            |shard| {
                shard
                    .write_range(DB, key(b"hot"), 1, b"x", Event::SetRange)
                    .unwrap();
            },
            &[0],
        ),
        (
            "silent write of a range",
            |shard| {
                shard
                    .write_range(DB, key(b"hot"), 1, b"x", Event::Silent)
                    .unwrap();
            },
            &[0],
        ),
        (
            "deadline",
            |shard| {
                shard
                    .set_deadline(DB, key(b"hot"), Some(UnixMillis(9000)), Event::Expire)
                    .unwrap();
            },
            &[0],
        ),
        (
            "removal",
            |shard| {
                shard.remove(DB, key(b"hot"), Event::Del);
            },
            &[0],
        ),
        (
            "look-ups much later",
            |shard| {
                shard.set_now(UnixMillis(1_000_000));
                shard.get(OTHER_DB, key(b"hot"), Access::Peek);
                shard.get(DB, key(b"hot"), Access::Peek);
            },
            &[],
        ),
        (
            "rename",
            |shard| {
                let events = (Event::RenameFrom, Event::RenameTo);
                shard
                    .relocate((DB, key(b"hot")), (DB, key(b"other")), events)
                    .unwrap();
            },
            &[0, 1],
        ),
        (
            "move",
            |shard| {
                let events = (Event::MoveFrom, Event::MoveTo);
                shard
                    .relocate((DB, key(b"hot")), (OTHER_DB, key(b"hot")), events)
                    .unwrap();
            },
            &[0, 2],
        ),
        (
            "flush",
            |shard| {
                shard.flush(DB);
            },
            &[0, 1],
        ),
        ("exchange", |shard| shard.swap(DB, OTHER_DB), &[0, 1, 2]),
        (
            "exchange the other way round",
            |shard| shard.swap(DbIndex(2), DB),
            &[0, 1],
        ),
        (
            "lock of a key, whatever its database",
            |shard| {
                shard.copied().end_copies_of(key(b"hot").hash());
            },
            &[0, 2],
        ),
        (
            "lock of everything",
            |shard| shard.copied().end_all_copies(),
            &[0, 1, 2],
        ),
        ("end", |shard| shard.copied().remove(1), &[1]),
        (
            "look-up",
            |shard| {
                shard.get(DB, key(b"hot"), Access::Touch);
            },
            &[],
        ),
    ];

    #[test]
    fn every_kind_of_change_ends_the_copies_of_its_keys_and_of_no_others() {
        for (name, change, ended) in CHANGES {
            let (mut shard, words) = shard();
            let before: Vec<Version> = (0..4).map(|word| words.read(word)).collect();
            change(&mut shard);
            for (word, before) in before.into_iter().enumerate() {
                let is_ended = words.read(word) > before;
                assert_eq!(is_ended, ended.contains(&word), "{name}: word {word}");
            }
        }
    }

    #[test]
    fn a_copy_ends_when_its_entry_expires_whoever_notices() {
        for by_hand in [false, true] {
            let (mut shard, words) = shard();
            set(&mut shard, DB, b"hot", TtlChange::At(UnixMillis(2000)));
            let before = words.read(0);
            shard.set_now(UnixMillis(2000));
            if by_hand {
                shard.set_now(UnixMillis(2100));
                assert_eq!(shard.expire_cycle(100).expired, 1);
            } else {
                assert!(shard.get(DB, key(b"hot"), Access::Peek).is_none());
            }
            assert!(words.read(0) > before);
        }
    }

    #[test]
    fn a_word_goes_on_growing_with_another_key() {
        let (mut shard, words) = shard();
        let of_hot = words.read(0);
        shard.copied().remove(0);
        assert!(!shard.copied().contains(DB, b"hot"));
        shard.copied().add(DB, b"next", key(b"next").hash(), 0);
        assert!(words.read(0) > of_hot);
        set(&mut shard, DB, b"hot", TtlChange::Clear);
        let of_next = words.read(0);
        set(&mut shard, DB, b"next", TtlChange::Clear);
        assert!(words.read(0) > of_next);
    }
}
