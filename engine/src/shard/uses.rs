//! What an entry's 24 bits of history tell: when it was last used, or under an LFU policy how often.
//!
//! ```text
//!  LRU, and by default   | seconds of the last use, modulo 2^24                       |
//!  LFU                   | minutes of the last decay, modulo 2^16 | logarithmic count |
//! ```
//! How uses are counted is in [`crate::evict`].

use super::Shard;
use crate::AccessClock;
use crate::evict::Lfu;
use crate::journal::Event;
use crate::spiral::entries::Entry;

impl Shard {
    /// Has uses counted by `lfu`; none: has the time of the last kept. Histories of before are not translated, as in Redis.
    pub fn count_uses(&mut self, lfu: Option<Lfu>) {
        self.lfu = lfu;
        self.set_clock();
    }

    /// What the clock says to histories.
    #[inline]
    pub(super) fn set_clock(&mut self) {
        self.clock = self.history_of_new();
        self.history_of_just_used = match self.lfu {
            None => self.clock.0,
            Some(_) => u32::MAX,
        };
    }

    /// The access history of an entry made now.
    pub fn access_of_new(&self) -> AccessClock {
        self.clock
    }

    /// The history of an entry that is made now.
    pub(super) fn history_of_new(&self) -> AccessClock {
        match self.lfu {
            None => AccessClock::at(self.now),
            Some(_) => Lfu::new_entry(self.now),
        }
    }

    /// The history of an entry with the history `before` that is used now.
    #[inline(always)]
    pub(super) fn history_of_used(&mut self, before: AccessClock) -> AccessClock {
        match self.lfu {
            None => self.clock,
            Some(lfu) => self.count_use(lfu, before),
        }
    }

    /// The history of what is written over `existing`. A command that computes its value from the old one has counted its use
    /// when it looked that up; one that sets a value counts here; a key that is restored is a new one.
    #[inline(always)]
    pub(super) fn history_over(&mut self, existing: Option<Entry>, event: Event) -> AccessClock {
        match self.lfu {
            None => self.clock,
            Some(lfu) => self.count_over(lfu, existing, event),
        }
    }

    #[cold]
    fn count_over(&mut self, lfu: Lfu, existing: Option<Entry>, event: Event) -> AccessClock {
        let Some(entry) = existing.filter(|_| event != Event::Restore) else {
            return self.clock;
        };
        let before = self.memory.head_of(entry).access();
        match event {
            Event::Set => self.count_use(lfu, before),
            _ => before,
        }
    }

    #[cold]
    fn count_use(&mut self, lfu: Lfu, before: AccessClock) -> AccessClock {
        // A multiplicative congruential generator, of which the upper bits are used.
        self.lfu_random = self.lfu_random.wrapping_mul(0xD134_2543_DE82_EF95) | 1;
        lfu.used(before, self.now, self.lfu_random >> 32)
    }
}
