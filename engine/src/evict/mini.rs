//! A cache of keys alone, run by a policy to see how it would do: a shard in small, or in a simulation the whole of it.

use super::table::{Kept, Table};
use super::{Choice, Entries, Identity, Policy, Scope, Use};
use crate::UnixMillis;
use crate::limits::POLICY_TENDED_EVERY;

/// Victims for one request: where more are due, the next requests see to them.
const VICTIMS_MAX: u32 = 256;

/// What is known of the value of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    /// What the entry takes.
    pub(crate) bytes: u64,
    /// When it ends.
    pub(crate) deadline: Option<UnixMillis>,
}

impl Value {
    /// One that does not end.
    pub(crate) fn of(bytes: u64) -> Self {
        Self {
            bytes,
            deadline: None,
        }
    }
}

/// A policy and what it would keep.
pub(crate) struct Mini<P> {
    policy: P,
    entries: Table,
    capacity: u64,
    scope: Scope,
    now: UnixMillis,
    /// Entries that have gone since the policy last looked after what it holds.
    untended: u32,
}

impl<P: Policy> Mini<P> {
    pub(crate) fn new(policy: P) -> Self {
        Self {
            policy,
            entries: Table::new(),
            capacity: 0,
            scope: Scope::AllKeys,
            now: UnixMillis(0),
            untended: 0,
        }
    }

    /// Which entries may go.
    pub(crate) fn set_scope(&mut self, scope: Scope) {
        self.scope = scope;
    }

    /// What time it is.
    pub(crate) fn set_now(&mut self, now: UnixMillis) {
        self.now = now;
        self.policy.set_now(now);
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
        self.request_of(identity, &Value::of(bytes), how)
    }

    /// As [`Self::request`], of a key whose value may end.
    pub(crate) fn request_of(&mut self, identity: Identity, value: &Value, how: Use) -> bool {
        let is_found = self.used(identity, Some(value), how);
        match is_found {
            true => {
                self.make_room(0);
            }
            false => self.comes(identity, value),
        }
        is_found
    }

    /// A key is used, if it is there, and has this value from now on if one is told; whether it is.
    pub(crate) fn used(&mut self, identity: Identity, value: Option<&Value>, how: Use) -> bool {
        let Some((at, mut kept)) = self.entries.kept(identity) else {
            return false;
        };
        if kept.has_ended(self.now) {
            self.gone(identity);
            return false;
        }
        kept.history = self.policy.used(kept.history, how);
        kept.used_secs = self.now.as_secs() as u32;
        if let Some(value) = value {
            (kept.bytes, kept.deadline) = (value.bytes, value.deadline);
        }
        self.entries.rewrite(at, &kept);
        if self.policy.samples(identity) {
            self.policy.sampled(identity, kept.bytes, how);
        }
        true
    }

    /// A key that is not there comes to be, if there can be room for it.
    pub(crate) fn comes(&mut self, identity: Identity, value: &Value) {
        if value.bytes > self.capacity || !self.make_room(value.bytes) {
            return;
        }
        let kept = Kept {
            bytes: value.bytes,
            history: self.policy.inserted(identity, value.bytes),
            deadline: value.deadline,
            used_secs: self.now.as_secs() as u32,
        };
        self.entries.keep(identity, &kept);
    }

    /// A key has this value from now on, if it is there, which is no use of it; whether it is.
    pub(crate) fn becomes(&mut self, identity: Identity, value: &Value) -> bool {
        let found = self.entries.kept(identity);
        if let Some((at, mut kept)) = found {
            (kept.bytes, kept.deadline) = (value.bytes, value.deadline);
            self.entries.rewrite(at, &kept);
        }
        found.is_some()
    }

    /// A key is there no more. Policies are not told of that, and look after what they hold now and then.
    pub(crate) fn gone(&mut self, identity: Identity) {
        if self.entries.remove(identity) {
            self.untended += 1;
            if self.untended >= POLICY_TENDED_EVERY {
                self.tend();
            }
        }
    }

    /// Removes what has ended, and what `goes` says of besides.
    pub(crate) fn sweep(&mut self, goes: impl Fn(Identity) -> bool) {
        let now = self.now;
        self.entries
            .remove_if(|identity, kept| kept.has_ended(now) || goes(identity));
        self.tend();
    }

    fn tend(&mut self) {
        self.untended = 0;
        self.policy.tend(&mut self.entries);
    }

    /// Whether there is room for so many bytes more, once what may go has gone.
    fn make_room(&mut self, bytes: u64) -> bool {
        for _ in 0..VICTIMS_MAX {
            if self.entries.bytes() + bytes <= self.capacity {
                return true;
            }
            match self.policy.victim(&mut self.entries, self.scope) {
                Choice::Victim(identity) => {
                    self.entries.remove(identity);
                }
                Choice::Later => {}
                Choice::Nothing => return false,
            }
        }
        true
    }
}
