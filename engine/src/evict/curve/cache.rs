//! One cache of a curve: a policy with a part of the memory, and what it has been asked for.

use super::What;
use super::batches::Event;
use crate::UnixMillis;
use crate::evict::mini::Mini;
use crate::evict::sample::Sample;
use crate::evict::{Evictor, Identity, PolicyName, Scope, Use};

/// What an event costs in a cache, about.
const REQUEST_NS: u64 = 60;

/// What it costs in one of the policy that runs four caches of its own.
const ADAPTIVE_NS: u64 = 300;

/// A cache of sampled keys.
pub(super) struct Cache {
    policy: PolicyName,
    mini: Mini<Evictor>,
    /// Requests of the sample that missed, each by the keys for which it stands.
    missed: f64,
}

impl Cache {
    pub(super) fn new(evictor: Evictor, scope: Scope) -> Self {
        let policy = evictor.name();
        let mut mini = Mini::new(evictor);
        mini.set_scope(scope);
        Self {
            policy,

            mini,
            missed: 0.0,
        }
    }

    pub(super) fn policy(&self) -> PolicyName {
        self.policy
    }

    /// Nanoseconds that an event costs it, about.
    pub(super) fn request_ns(&self) -> u64 {
        match self.policy {
            PolicyName::Adaptive => ADAPTIVE_NS,
            _ => REQUEST_NS,
        }
    }

    /// What has left the sample goes, and what has ended, and it may have so many bytes.
    pub(super) fn fit(&mut self, sample: &Sample, capacity: u64, now: UnixMillis) {
        self.mini.set_now(now);
        self.mini.sweep(|identity| !sample.has(identity));
        self.mini.set_capacity(capacity);
    }

    /// Takes in what has befallen keys that are in the sample still.
    pub(super) fn take(&mut self, sample: &Sample, events: &[Event]) {
        for event in events {
            if sample.has(event.identity) {
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
            self.missed += f64::from(event.stands_for);
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
