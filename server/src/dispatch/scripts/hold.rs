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
    covers: Covers,
    /// Its locks.
    locks: LocksHeld,
    /// The moment at which it takes effect, if it has no locks.
    moment: Moment,
    /// Keeps others out of its core while it waits without locks.
    bar: Option<LockId>,
    /// Its locks are those of an `EXEC`, which keeps them.
    is_in_exec: bool,
    /// It has none, but waited for locks of the keys it declared.
    has_waited: bool,
    /// It is one of those on several cores, of which a number may be under way.
    is_counted: bool,
    /// The session as which it asks other cores.
    messenger: Option<SessionId>,
    /// Of the commands to come, how many were counted before it began again.
    repeats: u64,
    /// The hashes of the keys it declared, in order.
    declared: Vec<u64>,
    /// It keeps to these, as its text shows: found out when it asks for locks, or starts without.
    keeps: bool,
}

impl Hold {
    /// That of a script without locks, which takes effect at `moment`. `declared`: the hashes of the keys it declared.
    /// `has_waited`: whether it waited for locks of these.
    #[inline]
    pub(in crate::dispatch) fn without_locks(
        mut declared: Vec<u64>,
        moment: Moment,
        has_waited: bool,
    ) -> Self {
        declared.sort_unstable();
        Self {
            moment,
            has_waited,
            declared,
            ..Self::default()
        }
    }

    /// The script asks for locks that cover so much.
    pub(in crate::dispatch) fn ask_for(&mut self, covers: Covers) {
        self.covers = covers;
    }

    /// It has the locks that it asked for.
    pub(in crate::dispatch) fn grant(&mut self, locks: LocksHeld) {
        self.locks = locks;
    }

    /// It runs in an `EXEC`.
    pub(in crate::dispatch) fn join_exec(&mut self) {
        self.is_in_exec = true;
    }

    /// It runs in an `EXEC` that has locks, of which it may use `covers`.
    pub(in crate::dispatch) fn share_locks_of_exec(&mut self, locks: LocksHeld, covers: Covers) {
        self.join_exec();
        self.grant(locks);
        self.covers = covers;
    }

    /// It begins again, and asks for locks of everything. So many of its commands were counted before.
    pub(in crate::dispatch) fn begin_again(&mut self, repeats: u64) {
        self.ask_for(Covers::Everything);
        self.repeats = repeats;
    }

    /// It is found out whether its text shows that it keeps to the keys it declared.
    #[inline]
    pub(in crate::dispatch) fn note_keeps(&mut self, keeps: bool) {
        self.keeps = keeps;
    }

    /// It begins, as one of those on several cores.
    pub(in crate::dispatch) fn count(&mut self) {
        self.is_counted = true;
    }

    /// It asks other cores as this session.
    pub(in crate::dispatch) fn ask_as(&mut self, messenger: SessionId) {
        self.messenger = Some(messenger);
    }

    /// It has to wait, and this keeps others out of its core meanwhile.
    pub(in crate::dispatch) fn wait_behind(&mut self, bar: LockId) {
        self.bar = Some(bar);
    }

    /// Whether a bar is to keep others out of its core while it waits: nothing does so far.
    pub(in crate::dispatch) fn needs_bar(&self) -> bool {
        self.covers == Covers::Nothing && self.bar.is_none()
    }

    /// A command ends that was counted before the script began again.
    pub(in crate::dispatch) fn end_repeat(&mut self) {
        self.repeats -= 1;
    }

    /// Takes the memory of what it declared.
    #[inline]
    pub(in crate::dispatch) fn take_declared(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.declared)
    }

    /// What its locks cover.
    #[inline]
    pub(in crate::dispatch) fn covers(&self) -> Covers {
        self.covers
    }

    /// Its locks, a core each.
    #[inline]
    pub(in crate::dispatch) fn locks(&self) -> &LocksHeld {
        &self.locks
    }

    /// The moment at which it takes effect, if it has no locks.
    pub(in crate::dispatch) fn moment_without_locks(&self) -> Option<Moment> {
        self.locks.is_empty().then_some(self.moment)
    }

    /// What keeps others out of its core while it waits without locks.
    pub(in crate::dispatch) fn bar(&self) -> Option<LockId> {
        self.bar
    }

    /// Whether it runs in an `EXEC`.
    #[inline]
    pub(in crate::dispatch) fn is_in_exec(&self) -> bool {
        self.is_in_exec
    }

    /// Whether it has no locks, but waited for locks of the keys it declared.
    #[inline]
    pub(in crate::dispatch) fn has_waited(&self) -> bool {
        self.has_waited
    }

    /// Whether it is one of those on several cores that have begun.
    pub(in crate::dispatch) fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// The session as which it asks other cores, if it has.
    #[inline]
    pub(in crate::dispatch) fn messenger(&self) -> Option<SessionId> {
        self.messenger
    }

    /// The session as which it asks other cores.
    ///
    /// # Panics
    /// It has not had to wait.
    pub(in crate::dispatch) fn messenger_of_waiting(&self) -> SessionId {
        self.messenger.expect("who waits has a messenger")
    }

    /// Whether its next command was counted before it began again.
    #[inline]
    pub(in crate::dispatch) fn is_repeating(&self) -> bool {
        self.repeats > 0
    }

    /// Whether its text shows that it keeps to the keys it declared.
    #[inline]
    pub(in crate::dispatch) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Whether it declared the key of this hash.
    #[inline]
    pub(in crate::dispatch) fn has_declared(&self, hash: u64) -> bool {
        self.declared.binary_search(&hash).is_ok()
    }

    /// Its lock on core `core`, if it has one.
    #[inline]
    pub(in crate::dispatch) fn lock_on(&self, core: CoreId) -> Option<LockId> {
        let held = || self.locks.iter().find(|(of, _)| *of == core);
        self.bar.or_else(|| held().map(|(_, lock)| *lock))
    }

    /// Whether it declared no keys: then it may come to reach any.
    #[inline]
    pub(in crate::dispatch) fn is_keyless(&self) -> bool {
        self.declared.is_empty()
    }

    /// Whether it may come to begin again.
    #[inline]
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
