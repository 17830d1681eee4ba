//! Which keys of a core others may hold copies of ([`super::copies`]), and when one is no longer worth it.
//!
//! A key is offered while it is read much more than it changes. A core that reads from its copy fetches a new one every
//! second, and says how many reads it has answered: so the owner knows how hot the key is though it sees no reads, and its
//! access clock goes on.

use larder_engine::{DbIndex, Version};

use crate::observe::SAMPLE_INTERVAL;
use crate::routing::CoreId;
use crate::shared::COPIED_KEYS_OF_CORE;

/// Bounds the addresses a core reserves for its copies; how many bytes they take is bounded by what is kept.
pub(in crate::dispatch) const SHARD_CEILING_BYTES: u64 = 64 << 20;
/// Samples a second of commands that read a key, from which on it is offered; some thousand commands a second.
pub(in crate::dispatch) const OFFER_SAMPLES: u64 = 10;
/// A key is copied while it is read so many times as often as it changes: each change costs every core a fetch.
pub(in crate::dispatch) const READS_A_CHANGE: u64 = 8;
/// Seconds for which an offered key may be read less than a quarter as much as offers ask for.
const IDLE_SECS_MAX: u32 = 5;

/// The keys that this core offers, one for each of its words.
#[derive(Default)]
pub(in crate::dispatch) struct Offers {
    of_word: [Option<Offer>; COPIED_KEYS_OF_CORE],
}

/// A key that is offered.
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

impl Offers {
    /// The number, on its core, of a word that no key has.
    pub(in crate::dispatch) fn vacant(&self) -> Option<usize> {
        self.of_word.iter().position(Option::is_none)
    }

    /// A key is offered from now on.
    pub(in crate::dispatch) fn add(
        &mut self,
        at: usize,
        (db, key, hash): (DbIndex, Box<[u8]>, u64),
        seen: Version,
    ) {
        self.of_word[at] = Some(Offer {
            db,
            key,
            hash,
            reads: OFFER_SAMPLES * SAMPLE_INTERVAL as u64,
            changes: 0,
            seen,
            idle_secs: 0,
        });
    }

    /// A key is offered no more. Whether one was.
    pub(in crate::dispatch) fn remove(&mut self, at: usize) -> bool {
        self.of_word[at].take().is_some()
    }

    /// Looks, once a second, whether an offer is still worth its cost; `version` is its word's. If not, it is to be withdrawn.
    pub(in crate::dispatch) fn is_worth_keeping(&mut self, at: usize, version: Version) -> bool {
        let Some(offer) = &mut self.of_word[at] else {
            return true;
        };
        offer.changes += version.0 - offer.seen.0;
        offer.seen = version;
        let changes_much = offer.changes * READS_A_CHANGE > offer.reads;
        offer.changes /= 2;
        offer.reads /= 2;
        let is_hot = offer.reads >= OFFER_SAMPLES * SAMPLE_INTERVAL as u64 / 4;
        offer.idle_secs = if is_hot { 0 } else { offer.idle_secs + 1 };
        !changes_much && offer.idle_secs <= IDLE_SECS_MAX
    }

    /// So many more reads of an offered key have been answered elsewhere. The key and its hash.
    pub(in crate::dispatch) fn note_reads(
        &mut self,
        at: usize,
        reads: u64,
    ) -> Option<(DbIndex, &[u8], u64)> {
        let offer = self.of_word[at].as_mut()?;
        offer.reads += reads;
        Some((offer.db, &offer.key, offer.hash))
    }
}

/// The core whose key has word number `word`.
pub(in crate::dispatch) fn core_of_word(word: usize) -> CoreId {
    CoreId((word / COPIED_KEYS_OF_CORE) as u16)
}
