//! What a session asked for with `CLIENT TRACKING`, so that its client can keep a cache of its own.

use super::kept::prefixes_bytes;
use super::{Session, SessionId, gate};
use crate::routing::CoreId;

/// Of which keys the client is told that they changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackingMode {
    /// Of those it reads.
    Reads,
    /// Of those it reads with a command announced by `CLIENT CACHING YES`.
    OptIn,
    /// Of those it reads, but not with a command announced by `CLIENT CACHING NO`.
    OptOut,
    /// Of all that begin with one of its prefixes, read or not.
    Broadcast,
}

/// Whether a client is told of its own changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnChanges {
    /// It is.
    Told,
    /// It is not (`NOLOOP`).
    Untold,
}

/// The connection that is told in place of the one that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Its id.
    pub client_id: u64,
    /// Its core.
    pub core: CoreId,
    /// Its session there, if it is still the one with that id.
    pub session: SessionId,
}

/// The state of tracking of one session.
#[derive(Clone, Debug)]
pub struct Tracking {
    /// Which keys.
    pub mode: TrackingMode,
    /// Whether its own changes count.
    pub own_changes: OwnChanges,
    /// Who is told; itself without.
    pub redirect: Option<Redirect>,
    /// Set once the connection that was to be told was found to be gone.
    pub redirect_is_broken: bool,
    /// Set by `CLIENT CACHING` for the command that follows.
    pub caching_is_chosen: bool,
    /// The prefixes of [`TrackingMode::Broadcast`].
    pub prefixes: Vec<Box<[u8]>>,
}

impl Tracking {
    /// Whether the client is told by its own connection.
    pub fn hears_itself(&self) -> bool {
        self.redirect.is_none()
    }

    /// Whether it is told by it of what it changes itself, each change by itself. Word of prefixes belongs to no command.
    pub fn hears_own_changes(&self) -> bool {
        self.hears_itself()
            && self.own_changes == OwnChanges::Told
            && self.mode != TrackingMode::Broadcast
    }
}

impl Session {
    /// The state of tracking, if it is on.
    pub fn tracking(&self) -> Option<&Tracking> {
        self.tracking.as_deref().map(|(tracking, _)| tracking)
    }

    /// The same, to change it.
    pub fn tracking_mut(&mut self) -> Option<&mut Tracking> {
        self.tracking.as_deref_mut().map(|(tracking, _)| tracking)
    }

    /// Turns tracking on. Every one of `cores` knows the prefixes.
    ///
    /// # Panics
    /// It is on.
    pub fn track(&mut self, tracking: Tracking, cores: u16) {
        assert!(self.tracking.is_none(), "what was on ends first");
        let bytes = prefixes_bytes(&tracking.prefixes, cores);
        self.kept.replace(0, bytes);
        self.tracking = Some(Box::new((tracking, bytes)));
        self.set_gate(gate::TRACKING, true);
    }

    /// Turns tracking off; what it was.
    pub fn stop_tracking(&mut self) -> Option<Tracking> {
        self.set_gate(gate::TRACKING, false);
        let (tracking, bytes) = *self.tracking.take()?;
        self.kept.replace(bytes, 0);
        Some(tracking)
    }

    /// Whether the keys that the next command reads are to be remembered.
    #[inline]
    pub fn is_reading_tracked(&self) -> bool {
        self.gates & gate::TRACKING != 0
            && self.tracking().is_some_and(|tracking| match tracking.mode {
                TrackingMode::Reads => true,
                TrackingMode::OptIn => tracking.caching_is_chosen,
                TrackingMode::OptOut => !tracking.caching_is_chosen,
                TrackingMode::Broadcast => false,
            })
    }

    /// Behind a command: what `CLIENT CACHING` said of it is over. What it said of a transaction holds to its end.
    pub fn end_caching(&mut self) {
        if self.multi.is_some() {
            return;
        }
        if let Some(tracking) = self.tracking_mut() {
            tracking.caching_is_chosen = false;
        }
    }
}
