//! Which keys of this core others may hold copies of ([`crate::dispatch::core::hot::copies`]), and what they are given.
//!
//! Once a second the most used keys that are read much more than they change are offered to all other cores, and those
//! withdrawn that are not, any more. A core that reads from its copy fetches a new one every second, and says how many reads
//! it has answered: so the owner knows how hot the key is though it sees no reads, and its access clock goes on.

use larder_engine::{Access, DbIndex, EntryRef, Version};

use crate::dispatch::core::Core;
use crate::dispatch::limits::COPY_MAX_BYTES;
use crate::dispatch::locks::{Claim, Mode, Scope};
use crate::dispatch::mail::copy_message::CopyMessage;
use crate::observe::SAMPLE_INTERVAL;
use crate::routing::CoreId;
use crate::shared::COPIED_KEYS_OF_CORE;

/// Bounds the addresses a core reserves for its copies; how many bytes they take is bounded by what is kept.
pub(in crate::dispatch::core) const SHARD_CEILING_BYTES: u64 = 64 << 20;
/// Samples a second of commands that read a key, from which on it is offered; some thousand commands a second.
const OFFER_SAMPLES: u64 = 10;
/// A key is copied while it is read so many times as often as it changes: each change costs every core a fetch.
const READS_A_CHANGE: u64 = 8;
/// Seconds for which an offered key may be read less than a quarter as much as offers ask for.
const IDLE_SECS_MAX: u32 = 5;

/// The keys that this core offers, one for each of its words.
#[derive(Default)]
pub(in crate::dispatch::core) struct Offers {
    of_word: [Option<Offer>; COPIED_KEYS_OF_CORE],
}

struct Offer {
    db: DbIndex,
    key: Box<[u8]>,
    hash: u64,
    /// Reads of the last seconds, on all cores, and changes: both halved every second.
    reads: u64,
    changes: u64,
    /// The version when changes were last added.
    seen: Version,
    idle_secs: u32,
}

#[cfg(test)]
thread_local! {
    /// A planted bug: copies stay right when their key is locked. Tests that look for broken promises must find some.
    pub(in crate::dispatch) static COPIES_OUTLIVE_LOCKS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl Core {
    /// Looks once a second at which keys to offer and which to withdraw.
    #[cold]
    pub(in crate::dispatch::core) fn review_hot_keys(&mut self, now_ms: u64) {
        if !self.state.observed.hot_keys.age(now_ms) || self.state.shared.cores() == 1 {
            return;
        }
        if !self.state.config.hot_key_copies {
            return self.withdraw_all();
        }
        for at in 0..COPIED_KEYS_OF_CORE {
            self.review_offer(at);
        }
        let hot_keys = &self.state.observed.hot_keys;
        let hottest: Vec<(DbIndex, Box<[u8]>)> = hot_keys
            .top()
            .into_iter()
            .take_while(|hot| hot.samples() >= OFFER_SAMPLES)
            .filter(|hot| hot.reads >= OFFER_SAMPLES && hot.reads >= READS_A_CHANGE * hot.writes)
            .take(COPIED_KEYS_OF_CORE)
            .map(|hot| (hot.db, hot.key.as_slice().into()))
            .collect();
        for (db, key) in hottest {
            // What others read from their copies is counted there, too.
            if self.state.shared.slots.core_of(&key) == self.state.id {
                self.offer(db, &key);
            }
        }
    }

    /// Withdraws an offer that is not worth its cost any more.
    fn review_offer(&mut self, at: usize) {
        let word = self.word(at);
        let version = self.state.shared.copy_versions.read(word);
        let Some(offer) = &mut self.offers.of_word[at] else {
            return;
        };
        offer.changes += version.0 - offer.seen.0;
        offer.seen = version;
        let changes_much = offer.changes * READS_A_CHANGE > offer.reads;
        offer.changes /= 2;
        offer.reads /= 2;
        let is_hot = offer.reads >= OFFER_SAMPLES * SAMPLE_INTERVAL as u64 / 4;
        offer.idle_secs = if is_hot { 0 } else { offer.idle_secs + 1 };
        if changes_much || offer.idle_secs > IDLE_SECS_MAX {
            self.withdraw(at);
        }
    }

    /// Word number `at` of this core.
    fn word(&self, at: usize) -> usize {
        self.state.id.index() * COPIED_KEYS_OF_CORE + at
    }

    /// Offers copies of a key to all other cores, if there is a word left and the value is fit for it.
    pub(in crate::dispatch) fn offer(&mut self, db: DbIndex, key: &[u8]) {
        let vacant = self.offers.of_word.iter().position(Option::is_none);
        let Some(at) = vacant.filter(|_| !self.state.shard.copied().contains(db, key)) else {
            return;
        };
        let found = self.state.shard.hasher().key(key);
        let entry = self.state.shard.get(db, found, Access::Peek);
        if entry.is_some_and(|entry| !is_fit(&entry)) {
            return;
        }
        let word = self.word(at);
        let hash = found.hash();
        self.state.shard.copied().add(db, key, hash, word);
        self.offers.of_word[at] = Some(Offer {
            db,
            key: key.into(),
            hash,
            reads: OFFER_SAMPLES * SAMPLE_INTERVAL as u64,
            changes: 0,
            seen: self.state.shared.copy_versions.read(word),
            idle_secs: 0,
        });
        self.tell_others(|| CopyMessage::Offer {
            word,
            db,
            key: key.into(),
        });
    }

    /// Ends all copies of the key of word number `at` for good.
    fn withdraw(&mut self, at: usize) {
        let word = self.word(at);
        if self.offers.of_word[at].take().is_some() {
            self.state.shard.copied().remove(word);
            self.tell_others(|| CopyMessage::Withdraw { word });
        }
    }

    /// Ends all copies of this core's keys for good.
    #[cold]
    pub(in crate::dispatch) fn withdraw_all(&mut self) {
        if !self.state.shard.copied().is_empty() {
            (0..COPIED_KEYS_OF_CORE).for_each(|at| self.withdraw(at));
        }
    }

    fn tell_others(&mut self, message: impl Fn() -> CopyMessage) {
        let own = self.state.id.index();
        for (core, outbox) in self.outboxes.iter_mut().enumerate() {
            if core != own {
                outbox.copies.push(message());
            }
        }
    }

    /// Another core asks for a copy. None: the key is offered no more, of which word is on its way.
    pub(in crate::dispatch::core) fn answer_fetch(
        &mut self,
        word: usize,
        reads: u64,
        access: Access,
    ) -> Option<CopyMessage> {
        let at = word % COPIED_KEYS_OF_CORE;
        let offer = self.offers.of_word[at].as_mut()?;
        offer.reads += reads;
        if self.state.shared.slots.core_of(&offer.key) != self.state.id {
            // Its slot has moved. What takes it away locks the whole shard, which has ended the copies.
            self.withdraw(at);
            return None;
        }
        // Whoever has asked for an exclusive lock has ended the copies: no other is made until he has given it back.
        let reads_key = Scope::Keys(vec![Claim {
            hash: offer.hash,
            mode: Mode::Shared,
        }]);
        if !self.locks.is_empty() && self.locks.conflicts(&reads_key) {
            return Some(CopyMessage::Refuse { word });
        }
        let shard = &mut self.state.shard;
        let key = shard.hasher().key(&offer.key);
        let image = match shard.get(offer.db, key, access) {
            None => None,
            Some(entry) if is_fit(&entry) => Some(entry.image()),
            Some(_) => {
                self.withdraw(at);
                return None;
            }
        };
        // Behind the look-up, which may have removed the entry.
        let version = self.state.shared.copy_versions.read(word);
        Some(CopyMessage::Copy {
            word,
            version,
            image,
        })
    }

    /// Somebody asks for locks of this core's shard: what he may change is not copied until he has given them back.
    #[inline]
    pub(in crate::dispatch::core) fn end_copies_for(&mut self, scope: &Scope) {
        let copied = self.state.shard.copied();
        if copied.is_empty() {
            return;
        }
        #[cfg(test)]
        if COPIES_OUTLIVE_LOCKS.get() {
            return;
        }
        match scope {
            Scope::Whole(Mode::Exclusive) => copied.end_all_copies(),
            Scope::Whole(Mode::Shared) => {}
            Scope::Keys(claims) => {
                let changing = claims.iter().filter(|claim| claim.mode == Mode::Exclusive);
                changing.for_each(|claim| copied.end_copies_of(claim.hash));
            }
        }
    }
}

/// The core whose key has word number `word`.
pub(in crate::dispatch::core) fn core_of_word(word: usize) -> CoreId {
    CoreId((word / COPIED_KEYS_OF_CORE) as u16)
}

/// Whether a value may be copied.
fn is_fit(entry: &EntryRef<'_>) -> bool {
    let value = entry.string();
    value.is_some_and(|value| value.len() <= COPY_MAX_BYTES)
}
