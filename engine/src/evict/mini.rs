//! A cache of keys alone, run by a policy to see how it would do: a shard in small, or in a simulation the whole of it.

use super::table::Table;
use super::{Choice, Entries, Identity, Policy, Scope, Use};

/// Victims for one request: where more are due, the next requests see to them.
const VICTIMS_MAX: u32 = 256;

/// A policy and what it would keep.
pub(crate) struct Mini<P> {
    policy: P,
    entries: Table,
    capacity: u64,
}

impl<P: Policy> Mini<P> {
    pub(crate) fn new(policy: P) -> Self {
        Self {
            policy,
            entries: Table::new(),
            capacity: 0,
        }
    }

    pub(crate) fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
        self.policy.set_capacity(bytes);
    }

    /// Has it hold so much, whatever the policy reckons with.
    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn set_bound(&mut self, bytes: u64) {
        self.capacity = bytes;
    }

    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.bytes()
    }

    pub(crate) fn policy_mut(&mut self) -> &mut P {
        &mut self.policy
    }

    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn policy(&self) -> &P {
        &self.policy
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> &Table {
        &self.entries
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.len()
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        self.entries.held_bytes() + self.policy.held_bytes()
    }

    /// A key is used that has so many bytes, or comes to be if it is not there; whether it was.
    pub(crate) fn request(&mut self, identity: Identity, bytes: u64, how: Use) -> bool {
        let found = self.entries.find(identity);
        if let Some(entry) = &found {
            let history = self.policy.used(entry.history, how);
            if history != entry.history {
                self.entries.set_history(identity, history);
            }
            if bytes != entry.bytes {
                self.entries.set_bytes(identity, bytes);
            }
            if self.policy.samples(identity) {
                self.policy.sampled(identity, bytes, how);
            }
        }
        let comes = if found.is_some() { 0 } else { bytes };
        if comes > self.capacity {
            return false;
        }
        self.make_room(comes);
        if found.is_none() {
            let history = self.policy.inserted(identity, bytes);
            self.entries.insert(identity, bytes, history);
        }
        found.is_some()
    }

    fn make_room(&mut self, bytes: u64) {
        for _ in 0..VICTIMS_MAX {
            if self.entries.bytes() + bytes <= self.capacity {
                return;
            }
            match self.policy.victim(&mut self.entries, Scope::AllKeys) {
                Choice::Victim(identity) => {
                    self.entries.remove(identity);
                }
                Choice::Later => {}
                Choice::Nothing => return,
            }
        }
    }
}
