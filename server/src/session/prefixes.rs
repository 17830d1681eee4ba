//! The prefixes of keys that clients want to hear of (`CLIENT TRACKING ON BCAST`), and which keys that begin with them
//! changed in the present turn.
//!
//! Every core knows every prefix and how many sessions of which core it concerns, since any core may own such a key; only
//! the session's own core knows which session it is. Changes are told once a turn, as Redis tells them once in each round
//! of its event loop.
//!
//! Cost: a change takes one walk through a tree, along its key; a turn, a step for each prefix with a change in it. Neither
//! depends on how many prefixes there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Crowd, PrefixTree, Reader, SessionId};
use crate::routing::CoreId;

/// Keys that changed, each with who changed it last; nobody, where it expired.
pub type Changed = BTreeMap<Arc<[u8]>, Option<Reader>>;

/// The prefixes known to one core.
#[derive(Debug, Default)]
pub struct Prefixes {
    by_prefix: PrefixTree<Prefix>,
    /// Those with changes, perhaps more than once, and perhaps some that have gone since.
    with_changes: Vec<Arc<[u8]>>,
}

#[derive(Debug)]
struct Prefix {
    name: Arc<[u8]>,
    /// Number of sessions of each core that it concerns.
    sessions: BTreeMap<CoreId, u32>,
    /// Those that are this core's own.
    own: Crowd<SessionId>,
    changed: Changed,
}

impl Prefixes {
    /// One more session of core `core` wants to hear of `prefix`.
    pub fn begin(&mut self, prefix: &[u8], core: CoreId) {
        let known = self.by_prefix.get_or_insert_with(prefix, || Prefix {
            name: prefix.into(),
            sessions: BTreeMap::new(),
            own: Crowd::default(),
            changed: Changed::new(),
        });
        *known.sessions.entry(core).or_default() += 1;
    }

    /// A session of core `core` no longer wants to.
    ///
    /// # Panics
    /// None did.
    pub fn end(&mut self, prefix: &[u8], core: CoreId) {
        let known = self.by_prefix.get_mut(prefix);
        let known = known.expect("what ends was begun");
        let sessions = known.sessions.get_mut(&core).expect("by this core");
        *sessions -= 1;
        if *sessions == 0 {
            known.sessions.remove(&core);
        }
        if known.sessions.is_empty() {
            self.by_prefix.remove(prefix);
        }
    }

    /// A session of this core is one of those that [`Self::begin`] counted.
    pub fn join(&mut self, prefix: &[u8], session: SessionId) {
        let known = self.by_prefix.get_mut(prefix);
        known
            .expect("a session joins what was begun")
            .own
            .insert(session);
    }

    /// The session leaves before its part is ended.
    pub fn leave(&mut self, prefix: &[u8], session: SessionId) {
        if let Some(known) = self.by_prefix.get_mut(prefix) {
            known.own.remove(&session);
        }
    }

    /// Notes that `key` changed.
    pub fn note(&mut self, key: &[u8], by: Option<Reader>) {
        let mut shared: Option<Arc<[u8]>> = None;
        let with_changes = &mut self.with_changes;
        self.by_prefix.for_each_prefix_of(key, |known| {
            if known.changed.is_empty() {
                with_changes.push(Arc::clone(&known.name));
            }
            if let Some(last) = known.changed.get_mut(key) {
                *last = by;
            } else {
                let key = shared.get_or_insert_with(|| key.into());
                known.changed.insert(Arc::clone(key), by);
            }
        });
    }

    /// Takes the changes of the turn: of each prefix that has some, the keys and the cores that it concerns, in the order of
    /// the prefixes.
    pub fn take_changes(&mut self) -> Vec<(Arc<[u8]>, Changed, Vec<CoreId>)> {
        let mut with_changes = std::mem::take(&mut self.with_changes);
        with_changes.sort_unstable();
        let taken = with_changes.into_iter().filter_map(|prefix| {
            let known = self.by_prefix.get_mut(&prefix)?;
            let changed = std::mem::take(&mut known.changed);
            let cores = known.sessions.keys().copied().collect();
            (!changed.is_empty()).then_some((prefix, changed, cores))
        });
        taken.collect()
    }

    /// This core's sessions that want to hear of `prefix`.
    pub fn sessions(&self, prefix: &[u8]) -> Vec<SessionId> {
        let known = self.by_prefix.get(prefix);
        known.map_or_else(Vec::new, |known| known.own.iter().copied().collect())
    }

    /// Number of prefixes.
    pub fn len(&self) -> usize {
        self.by_prefix.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_for_each_prefix_that_the_key_begins_with() {
        let mut prefixes = Prefixes::default();
        for (prefix, core) in [("", 1), ("ab", 0), ("ab", 1), ("ab", 1), ("b", 0)] {
            prefixes.begin(prefix.as_bytes(), CoreId(core));
        }
        let writer = Some(Reader {
            core: CoreId(1),
            session: SessionId::default(),
        });
        prefixes.note(b"abc", writer);
        prefixes.note(b"abc", None);
        prefixes.note(b"a", writer);
        let changes = prefixes.take_changes();
        let told: Vec<_> = changes
            .iter()
            .map(|(prefix, changed, cores)| {
                let keys: Vec<&[u8]> = changed.keys().map(|key| &**key).collect();
                (&**prefix, keys, cores.len())
            })
            .collect();
        assert_eq!(
            told,
            [
                (&b""[..], vec![&b"a"[..], b"abc"], 1),
                (b"ab", vec![b"abc"], 2)
            ]
        );
        assert_eq!(changes[0].1[&b"abc"[..]], None, "the last change counts");
        assert!(prefixes.take_changes().is_empty());
        prefixes.note(b"ab", None);
        for (prefix, core) in [("ab", 1), ("ab", 0), ("", 1), ("ab", 1), ("b", 0)] {
            assert!(!prefixes.is_empty());
            prefixes.end(prefix.as_bytes(), CoreId(core));
        }
        assert!(prefixes.is_empty());
        assert!(prefixes.take_changes().is_empty());
    }

    #[test]
    fn a_prefix_that_goes_and_comes_back_within_a_turn_is_told_of_what_changed_since() {
        let mut prefixes = Prefixes::default();
        prefixes.begin(b"a", CoreId(0));
        prefixes.note(b"ab", None);
        prefixes.end(b"a", CoreId(0));
        prefixes.begin(b"a", CoreId(0));
        prefixes.note(b"ac", None);
        let changes = prefixes.take_changes();
        assert_eq!(changes.len(), 1);
        assert_eq!(
            changes[0].1.keys().map(|key| &**key).collect::<Vec<_>>(),
            [b"ac"]
        );
    }
}
