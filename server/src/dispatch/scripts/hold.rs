//! What keeps others from the keys of a script.

use larder_engine::Moment;

use crate::dispatch::mail::requests::LocksHeld;
use crate::routing::CoreId;
use crate::session::{LockId, SessionId};

/// What the locks of a script cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::dispatch) enum Covers {
    /// It has none.
    #[default]
    Nothing,
    /// The keys it declared.
    Keys,
    /// Every key of every core.
    Everything,
}

/// What keeps others from the keys of a script: its locks, or its bar.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Hold {
    pub(in crate::dispatch) covers: Covers,
    /// Its locks.
    pub(in crate::dispatch) locks: LocksHeld,
    /// The moment at which it takes effect, if it has no locks.
    pub(in crate::dispatch) moment: Moment,
    /// Keeps others out of its core while it waits without locks.
    pub(in crate::dispatch) bar: Option<LockId>,
    /// Its locks are those of an `EXEC`, which keeps them.
    pub(in crate::dispatch) is_in_exec: bool,
    /// It has none, but waited for locks of the keys it declared.
    pub(in crate::dispatch) has_waited: bool,
    /// It is one of those on several cores, of which a number may be under way.
    pub(in crate::dispatch) is_counted: bool,
    /// The session as which it asks other cores.
    pub(in crate::dispatch) messenger: Option<SessionId>,
    /// Of the commands to come, how many were counted before it began again.
    pub(in crate::dispatch) repeats: u64,
    /// The hashes of the keys it declared, in order.
    pub(in crate::dispatch) declared: Vec<u64>,
    /// It keeps to these, as its text shows: found out when it asks for locks, or starts without.
    pub(in crate::dispatch) keeps: bool,
}

impl Hold {
    /// Its lock on core `core`, if it has one.
    pub(in crate::dispatch) fn lock_on(&self, core: CoreId) -> Option<LockId> {
        let held = || self.locks.iter().find(|(of, _)| *of == core);
        self.bar.or_else(|| held().map(|(_, lock)| *lock))
    }

    /// Whether it declared no keys: then it may come to reach any.
    pub(in crate::dispatch) fn is_keyless(&self) -> bool {
        self.declared.is_empty()
    }

    /// Whether it may come to begin again.
    pub(in crate::dispatch) fn may_begin_again(&self) -> bool {
        self.covers != Covers::Everything && !self.keeps
    }
}

/// How a command of a script can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum Reach {
    /// On this core, at once.
    Here,
    /// With the help of other cores.
    Elsewhere,
    /// Nowhere under the locks that the script has.
    Beyond,
}
