//! Copies of other cores' most read keys: reads that would hop are answered here, as long as the copy is right.
//!
//! ```text
//!  core of the key (`offers`)                  this core
//!   the key is much read ──────── offer ─────▶  a note of the key, without a copy
//!                          ◀───── fetch ──────  a read of it is about to hop (it does)
//!   value, deadline, version ───── copy ─────▶  kept; reads are answered from it while the key's word has this version
//!   the key changes, or is locked: the word is advanced, and no message is sent
//! ```
//! The copies lie in a shard of their own, so that a command that reads one is the same function as ever. See decision 0011
//! for why this is linearizable; what this file adds to that: a session is answered from a copy only while it awaits no
//! reply from any core, so that its commands take effect in their order.
//!
//! Cost: while no key is offered, one test for a command that hops. With some, a look-up in a map for each such command; a
//! command answered from a copy costs what one on a local key does, and an atomic load of a line that nobody writes.

use std::collections::HashMap;
use std::sync::Arc;

use larder_engine::{
    Access, DbIndex, Event, Shard, ShardOptions, UnixMillis, ValueImage, Version, VersionWords,
};

use super::offers::core_of_word;
use crate::dispatch::limits::{COPIES_MAX_BYTES, COPY_REFRESH_MS};
use crate::dispatch::mail::copy_message::CopyMessage;
use crate::routing::CoreId;

type ByHash = HashMap<u64, Copy, ahash::RandomState>;

/// A core's copies.
pub(in crate::dispatch) struct Copies {
    words: Arc<VersionWords>,
    /// By the key's hash. Of keys of one hash (one key in two databases, say) one is copied.
    by_hash: ByHash,
    of_word: HashMap<usize, u64, ahash::RandomState>,
    /// Where the copied entries lie; none before there is one.
    shard: Option<Box<Shard>>,
}

/// What is known of a key that may be copied.
struct Copy {
    word: usize,
    db: DbIndex,
    key: Box<[u8]>,
    state: CopyState,
    /// A copy is asked for and has not come.
    is_awaited: bool,
    /// When the last one came, in milliseconds of the core's monotonic clock.
    fetched_ms: u64,
    /// Commands answered since that was said.
    reads: u64,
    /// Whether one of them counts as a use.
    access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CopyState {
    None,
    /// There is one, of this version; not to be used from the deadline on.
    Held {
        version: Version,
        deadline: Option<UnixMillis>,
    },
}

/// What there is for a read of a key that may be copied: values.
pub(in crate::dispatch) struct Found {
    /// Whether the copy is right at this moment.
    pub(in crate::dispatch) is_right: bool,
    /// The question for another copy, if it is time for one.
    pub(in crate::dispatch) fetch: Option<CopyMessage>,
}

impl Copies {
    /// No copies, to be right by these words.
    pub(in crate::dispatch) fn new(words: Arc<VersionWords>) -> Self {
        Self {
            words,
            by_hash: ByHash::default(),
            of_word: HashMap::default(),
            shard: None,
        }
    }

    /// Whether no key may be copied.
    #[inline]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// What is known of the key with this word.
    fn of_word(&mut self, word: usize) -> Option<&mut Copy> {
        self.by_hash.get_mut(self.of_word.get(&word)?)
    }

    /// What there is for a read of a key whose core is `owner`. If `is_followed`, that core has passed all transactions of this
    /// one; if not, no copy is right.
    #[inline]
    pub(in crate::dispatch) fn look_up(
        &mut self,
        (hash, db, key): (u64, DbIndex, &[u8]),
        (owner, is_followed): (CoreId, bool),
        access: Access,
        (now, now_ms): (UnixMillis, u64),
    ) -> Option<Found> {
        let copy = find(&mut self.by_hash, hash, db, key)?;
        if core_of_word(copy.word) != owner {
            return None;
        }
        let is_right = is_followed && copy.is_right(&self.words, now);
        if is_right {
            copy.reads += 1;
            if access == Access::Touch {
                copy.access = Access::Touch;
            }
        }
        let is_to_be_fetched =
            !copy.is_awaited && (!is_right || copy.fetched_ms + COPY_REFRESH_MS <= now_ms);
        Some(Found {
            is_right,
            fetch: is_to_be_fetched.then(|| copy.fetch()),
        })
    }

    /// The shard in which the copies lie, of which there is one.
    #[inline]
    pub(in crate::dispatch) fn shard(&mut self) -> &mut Shard {
        self.shard.as_mut().expect("it holds the copy")
    }

    /// Whether there is a shard for copies, made with `options` if there was none.
    pub(in crate::dispatch) fn has_shard(
        &mut self,
        options: impl FnOnce() -> ShardOptions,
    ) -> bool {
        if self.shard.is_none() {
            self.shard = Shard::new(&options()).ok().map(Box::new);
        }
        self.shard.is_some()
    }

    /// The copy that was asked for does not come.
    pub(in crate::dispatch) fn note_refused(&mut self, word: usize) {
        if let Some(copy) = self.of_word(word) {
            copy.is_awaited = false;
        }
    }

    /// Bytes that the copies take.
    pub(in crate::dispatch) fn used_bytes(&self) -> u64 {
        self.shard
            .as_ref()
            .map_or(0, |shard| shard.memory().used_bytes())
    }

    /// Copies of a key may be fetched.
    pub(in crate::dispatch) fn add(&mut self, word: usize, db: DbIndex, key: Box<[u8]>, hash: u64) {
        if self.by_hash.contains_key(&hash) {
            return;
        }
        self.of_word.insert(word, hash);
        let copy = Copy {
            word,
            db,
            key,
            state: CopyState::None,
            is_awaited: false,
            fetched_ms: 0,
            reads: 0,
            access: Access::Peek,
        };
        self.by_hash.insert(hash, copy);
    }

    /// No copies of a key are to be had any more.
    pub(in crate::dispatch) fn remove(&mut self, word: usize) {
        let Some(hash) = self.of_word.remove(&word) else {
            return;
        };
        if let Some(copy) = self.by_hash.remove(&hash)
            && let Some(shard) = &mut self.shard
        {
            let key = shard.hasher().key(&copy.key);
            shard.remove(copy.db, key, Event::Silent);
        }
    }

    /// A copy has come.
    pub(in crate::dispatch) fn keep(
        &mut self,
        word: usize,
        version: Version,
        image: Option<ValueImage>,
        now_ms: u64,
    ) {
        let held_bytes = self.used_bytes();
        let Some(hash) = self.of_word.get(&word) else {
            return;
        };
        let (Some(copy), Some(shard)) = (self.by_hash.get_mut(hash), &mut self.shard) else {
            return;
        };
        copy.is_awaited = false;
        copy.fetched_ms = now_ms;
        copy.state = CopyState::None;
        let key = shard.hasher().key(&copy.key);
        let deadline = image.as_ref().and_then(|image| image.expires_at);
        let is_kept = match image {
            Some(image) => {
                held_bytes + image.bytes.len() as u64 <= COPIES_MAX_BYTES
                    && shard.put(copy.db, key, &image, Event::Silent).is_ok()
            }
            None => {
                shard.remove(copy.db, key, Event::Silent);
                true
            }
        };
        if is_kept {
            copy.state = CopyState::Held { version, deadline };
        }
    }
}

impl Copy {
    /// Whether the copy is right at this moment, which is then the one at which a command that reads it takes effect.
    fn is_right(&self, words: &VersionWords, now: UnixMillis) -> bool {
        match self.state {
            CopyState::None => false,
            CopyState::Held { version, deadline } => {
                deadline.is_none_or(|at| now < at) && words.read(self.word) == version
            }
        }
    }

    /// The word that a copy is asked for.
    fn fetch(&mut self) -> CopyMessage {
        self.is_awaited = true;
        CopyMessage::Fetch {
            word: self.word,
            reads: std::mem::take(&mut self.reads),
            access: std::mem::replace(&mut self.access, Access::Peek),
        }
    }
}

/// What is known of this key.
fn find<'a>(by_hash: &'a mut ByHash, hash: u64, db: DbIndex, key: &[u8]) -> Option<&'a mut Copy> {
    let copy = by_hash.get_mut(&hash)?;
    (copy.db == db && *copy.key == *key).then_some(copy)
}
