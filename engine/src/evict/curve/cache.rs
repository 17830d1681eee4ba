//! One cache of a curve: a policy with a part of the memory, and what it has been asked for.

use super::What;
use super::batches::Event;
use crate::UnixMillis;
use crate::evict::mini::Mini;
use crate::evict::sample;
use crate::evict::{Evictor, Identity, PolicyName, Scope, Use};

/// What an event costs in a cache, about.
const REQUEST_NS: u64 = 60;

/// What it costs in one of the policy that runs four caches of its own.
const ADAPTIVE_NS: u64 = 300;

/// The keys of a sample that a cache has: the less, the more memory it stands for, so that all have about as many entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    below: u32,
    rate: f64,
}

impl Part {
    /// Of a sample of which a cache of the present memory has the part `rate` of all keys, that of a cache with `percent` of it.
    pub(super) fn of(rate: f64, percent: u64) -> Self {
        let rate = (rate * 100.0 / percent as f64).min(1.0);
        Self {
            below: sample::below(rate),
            rate,
        }
    }

    /// The part of all keys that it is.
    pub(super) fn rate(self) -> f64 {
        self.rate
    }

    /// Its highest identity.
    pub(super) fn below(self) -> u32 {
        self.below
    }

    #[inline]
    pub(super) fn has(self, identity: Identity) -> bool {
        identity.0 <= self.below
    }
}

/// A cache of sampled keys.
pub(super) struct Cache {
    policy: PolicyName,
    /// Its memory, in per cent of the present.
    percent: u64,
    mini: Mini<Evictor>,
    /// Requests of the sample that missed, each by the keys for which it stands.
    missed: f64,
}

impl Cache {
    pub(super) fn new(evictor: Evictor, scope: Scope, percent: u64) -> Self {
        let policy = evictor.name();
        let mut mini = Mini::new(evictor);
        mini.set_scope(scope);
        Self {
            policy,
            percent,
            mini,
            missed: 0.0,
        }
    }

    pub(super) fn policy(&self) -> PolicyName {
        self.policy
    }

    /// Its memory, in per cent of the present.
    pub(super) fn percent(&self) -> u64 {
        self.percent
    }

    /// Nanoseconds that an event costs it, about.
    pub(super) fn request_ns(&self) -> u64 {
        match self.policy {
            PolicyName::Adaptive => ADAPTIVE_NS,
            _ => REQUEST_NS,
        }
    }

    /// What has left the sample goes, and what has ended, and it may have so many bytes.
    pub(super) fn fit(&mut self, part: Part, capacity: u64, now: UnixMillis) {
        self.mini.set_now(now);
        self.mini.sweep(|identity| !part.has(identity));
        let share = capacity as f64 * part.rate();
        self.mini.set_capacity((share + 0.5) as u64);
    }

    /// Takes in what has befallen keys that are in its part of the sample still.
    pub(super) fn take(&mut self, part: Part, events: &[Event]) {
        for event in events {
            if part.has(event.identity) {
                self.take_one(event);
            }
        }
    }

    fn take_one(&mut self, event: &Event) {
        let (mini, identity, value) = (&mut self.mini, event.identity, &event.value);
        mini.set_now(event.now);
        let is_hit = match event.what {
            What::Read => mini.request_of(identity, value, Use::Read),
            What::Missed => mini.used(identity, None, Use::Read),
            What::Written => {
                mini.request_of(identity, value, Use::Write);
                return;
            }
            What::Comes => {
                if !mini.becomes(identity, value) {
                    mini.comes(identity, value);
                }
                return;
            }
            What::Becomes => {
                mini.becomes(identity, value);
                return;
            }
            What::Gone => {
                mini.gone(identity);
                return;
            }
        };
        if !is_hit {
            self.missed += 1.0 / Part::of(event.rate.into(), self.percent).rate();
        }
    }

    /// Requests that missed, by the keys for which they stand.
    pub(super) fn missed(&self) -> f64 {
        self.missed
    }

    pub(super) fn halve(&mut self) {
        self.missed /= 2.0;
    }

    pub(super) fn count_anew(&mut self) {
        self.missed = 0.0;
    }

    /// All entries go.
    pub(super) fn clear(&mut self) {
        self.mini.sweep(|_| true);
    }

    /// Whether it has entries that end by themselves.
    pub(super) fn may_end(&self) -> bool {
        self.mini.entries().has_volatile()
    }

    /// The second in which it was last asked for a key that it has.
    pub(super) fn used_secs(&self, identity: Identity) -> Option<u32> {
        self.mini
            .entries()
            .kept(identity)
            .map(|(_, kept)| kept.used_secs)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        crate::evict::Entries::bytes(self.mini.entries())
    }

    pub(super) fn held_bytes(&self) -> u64 {
        self.mini.held_bytes()
    }
}
