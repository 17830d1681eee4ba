//! What is kept for a session for as long as its client likes: keys it watches, names it is subscribed to, prefixes whose keys it wants to hear
//! of, what it calls itself. Most of it lies in tables of its core and of others, and counts as the session's: without it there would be none.
//!
//! The figures are what the tables take for one more member, their allocator's part included, as near as can be told beforehand.

use super::{Crowd, Session};
use crate::routing::CoreId;

/// A watched key, beside two copies of its name: its places in the session, and in the tables of its core.
const WATCHED_BYTES: usize = 240;

/// A name subscribed to, beside the name: its places in the session, in its core's table, and in that of all cores.
const SUBSCRIPTION_BYTES: usize = 200;

/// A prefix, beside the name: its place in the session.
const PREFIX_BYTES: usize = 32;

/// A prefix in the table of one core, beside two copies of the name.
const PREFIX_OF_CORE_BYTES: usize = 360;

/// Bytes kept for a session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    bytes: usize,
    /// Of these, what has come since the session was last counted.
    uncounted: usize,
}

impl Kept {
    pub(super) fn bytes(self) -> usize {
        self.bytes
    }

    #[inline]
    pub(super) fn uncounted_bytes(self) -> usize {
        self.uncounted
    }

    pub(super) fn note_counted(&mut self) {
        self.uncounted = 0;
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.uncounted += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    pub(super) fn add_subscription(&mut self, name: &[u8]) {
        self.add(SUBSCRIPTION_BYTES + name.len());
    }

    pub(super) fn remove_subscription(&mut self, name: &[u8]) {
        self.remove(SUBSCRIPTION_BYTES + name.len());
    }

    /// What was so many bytes is as many as `now`.
    pub(super) fn replace(&mut self, before: usize, now: usize) {
        self.bytes = self.bytes - before + now;
        self.uncounted += now.saturating_sub(before);
    }
}

/// Bytes kept for prefixes, which every one of `cores` has in its table.
pub(super) fn prefixes_bytes(prefixes: &[Box<[u8]>], cores: u16) -> usize {
    let of_core = |prefix: &[u8]| PREFIX_OF_CORE_BYTES + 2 * prefix.len();
    let of_all = |prefix: &[u8]| PREFIX_BYTES + prefix.len() + usize::from(cores) * of_core(prefix);
    prefixes.iter().map(|prefix| of_all(prefix)).sum()
}

/// The keys a session watches.
#[derive(Debug, Default)]
pub struct Watched {
    /// The core of each, and its hash.
    keys: Crowd<(CoreId, u64)>,
    bytes: usize,
}

impl Watched {
    /// The core of each key, and its hash.
    pub fn keys(&self) -> std::slice::Iter<'_, (CoreId, u64)> {
        self.keys.iter()
    }

    /// The cores of the keys.
    pub fn cores(&self) -> Vec<CoreId> {
        let mut cores: Vec<CoreId> = self.keys().map(|(core, _)| *core).collect();
        cores.sort_unstable();
        cores.dedup();
        cores
    }
}

impl Session {
    /// The session watches one more key, of core `core`.
    pub fn watch(&mut self, core: CoreId, key: &[u8], hash: u64) {
        let watched = self.watched.get_or_insert_default();
        if watched.keys.insert((core, hash)) {
            let bytes = WATCHED_BYTES + 2 * key.len();
            watched.bytes += bytes;
            self.kept.add(bytes);
        }
    }

    /// What it watches, if anything.
    pub fn watched(&self) -> Option<&Watched> {
        self.watched.as_deref()
    }

    /// It watches nothing more; what it did.
    pub fn end_watching(&mut self) -> Option<Box<Watched>> {
        let watched = self.watched.take()?;
        self.kept.remove(watched.bytes);
        Some(watched)
    }

    /// Name given by `CLIENT SETNAME`.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Sets it.
    pub fn set_name(&mut self, name: Box<[u8]>) {
        self.kept.replace(self.name.len(), name.len());
        self.name = name;
    }

    /// Name and version of the client's library given by `CLIENT SETINFO`.
    pub fn library(&self) -> [&[u8]; 2] {
        [&self.library.0, &self.library.1]
    }

    /// Sets the name of the library.
    pub fn set_library_name(&mut self, name: Box<[u8]>) {
        self.kept.replace(self.library.0.len(), name.len());
        self.library.0 = name;
    }

    /// Sets its version.
    pub fn set_library_version(&mut self, version: Box<[u8]>) {
        self.kept.replace(self.library.1.len(), version.len());
        self.library.1 = version;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::{COUNTED_BYTES, OwnChanges, Peer, SessionId, Tracking, TrackingMode};
    use crate::topics::Topic;

    fn tracking(prefixes: usize) -> Tracking {
        let prefix = |number: usize| format!("prefix{number}").into_bytes().into();
        Tracking {
            mode: TrackingMode::Broadcast,
            own_changes: OwnChanges::Told,
            redirect: None,
            redirect_is_broken: false,
            caching_is_chosen: false,
            prefixes: (0..prefixes).map(prefix).collect(),
        }
    }

    #[test]
    fn what_is_kept_counts_while_it_is_kept_and_much_of_it_is_seen_at_once() {
        let begins: [fn(&mut Session); 4] = [
            |session| (0..100).for_each(|hash| session.watch(CoreId(0), b"key", hash)),
            |session| {
                for number in 0..100 {
                    let name: Arc<[u8]> = format!("name{number}").into_bytes().into();
                    session.begin_subscription(Topic::Pattern, name);
                }
            },
            |session| session.track(tracking(40), 2),
            |session| session.set_name(vec![b'n'; 20_000].into()),
        ];
        let ends: [fn(&mut Session); 4] = [
            |session| drop(session.end_watching()),
            |session| {
                for name in session.subscribed(Topic::Pattern) {
                    session.end_subscription(Topic::Pattern, &name);
                }
            },
            |session| drop(session.stop_tracking()),
            |session| session.set_name(Box::default()),
        ];
        for (begin, end) in begins.into_iter().zip(ends) {
            let mut session = Session::new(1, SessionId::default(), Peer::default(), 0);
            let before = session.memory_bytes();
            begin(&mut session);
            assert!(session.memory_bytes() > before + COUNTED_BYTES);
            assert!(session.holds_much());
            end(&mut session);
            assert_eq!(session.memory_bytes(), before);
        }
    }

    #[test]
    fn a_key_watched_twice_counts_once() {
        let mut session = Session::new(1, SessionId::default(), Peer::default(), 0);
        session.watch(CoreId(1), b"key", 7);
        let before = session.memory_bytes();
        session.watch(CoreId(1), b"key", 7);
        session.watch(CoreId(0), b"other", 8);
        assert_eq!(session.watched().unwrap().cores(), [CoreId(0), CoreId(1)]);
        assert_eq!(session.memory_bytes(), before + WATCHED_BYTES + 10);
    }
}
