//! Snapshots as one core sees them: those that its clients ask for, the one that it has begun, and its part of whichever is under way
//! ([`crate::persist::snapshot`]).

use std::sync::Arc;

use crate::persist::snapshot::{Job, Part};
use crate::session::{ReplySeq, SessionId};

/// Who waits for the end of a snapshot: a session, and the place of its reply.
pub(in crate::dispatch) type Waiter = (SessionId, ReplySeq);

/// How far the snapshot has come that this core has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum Stage {
    /// Its file is being made.
    Creating,
    /// Cores do their parts.
    Parts,
    /// So many of the last writes are under way.
    Completing(u8),
    /// The file is being synced.
    Syncing,
    /// It gets its name.
    Renaming,
    /// That is being synced.
    SyncingDir,
    /// It has failed, and what was written of it is being removed.
    Removing,
}

/// A snapshot that this core has begun.
#[derive(Debug)]
pub(in crate::dispatch) struct Begun {
    pub(in crate::dispatch) job: Arc<Job>,
    pub(in crate::dispatch) stage: Stage,
    pub(in crate::dispatch) waiter: Option<Waiter>,
}

/// What of snapshots is under way here.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Saving {
    pub(in crate::dispatch) begun: Option<Begun>,
    pub(in crate::dispatch) part: Option<Part>,
    /// Bytes that are counted for the part.
    pub(in crate::dispatch) held_bytes: usize,
    /// The snapshot behind whose cut nobody is served, since the server is to end.
    pub(in crate::dispatch) last: Option<Arc<Job>>,
    /// There are changes that no snapshot has.
    pub(in crate::dispatch) has_unsaved: bool,
    /// The part goes on in the next turn.
    pub(in crate::dispatch) is_busy: bool,
}

impl Saving {
    /// Whether there is nothing to go on with.
    #[inline]
    pub(in crate::dispatch) fn is_idle(&self) -> bool {
        self.begun.is_none() && self.part.is_none() && self.last.is_none()
    }
}
