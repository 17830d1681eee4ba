//! Keys that somebody waits for, to learn that something was put there: what blocking commands stand on.
//!
//! The journal tells of every change; those that can end a wait, a key of which more is there than before, are noted in
//! their order until they are taken. With nobody waiting, a change costs one test; with some, one look-up, which allocates
//! nothing.

use crate::DbIndex;
use crate::journal::Effect;
use crate::key_map::KeyMap;

/// Which keys are waited for, and which of them were written.
#[derive(Debug, Default)]
pub struct AwaitedKeys {
    waiting: KeyMap<Awaited>,
    written: Vec<(DbIndex, Box<[u8]>)>,
    /// How many had been written when what follows began to be held back.
    held_from: Option<usize>,
}

/// What is known of a key that is waited for.
#[derive(Debug, Default)]
struct Awaited {
    /// How many wait for it.
    waiters: usize,
    /// It is among those written.
    is_written: bool,
}

impl AwaitedKeys {
    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Number of keys waited for.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// One more waits for `key`.
    pub fn add(&mut self, db: DbIndex, key: &[u8]) {
        self.waiting.get_or_default(db, key).waiters += 1;
    }

    /// One less waits for `key`.
    ///
    /// # Panics
    /// Nobody waited for it.
    pub fn remove(&mut self, db: DbIndex, key: &[u8]) {
        let awaited = self.waiting.get_mut(db, key);
        let awaited = awaited.expect("somebody waits for this key");
        awaited.waiters -= 1;
        if awaited.waiters == 0 {
            self.waiting.remove(db, key);
        }
    }

    /// Whether a key waited for has been written since they were last taken. While that may be taken back, none has.
    #[inline]
    pub fn has_written(&self) -> bool {
        !self.written.is_empty() && self.is_not_held()
    }

    /// Apart: every command asks whether anything was written, and mostly nothing was.
    #[cold]
    #[inline(never)]
    fn is_not_held(&self) -> bool {
        self.held_from.is_none()
    }

    /// Takes the keys waited for that have been written, each once, in the order of the first write.
    pub fn take_written(&mut self) -> Vec<(DbIndex, Box<[u8]>)> {
        if self.held_from.is_some() {
            return Vec::new();
        }
        let written = std::mem::take(&mut self.written);
        for (db, key) in &written {
            if let Some(awaited) = self.waiting.get_mut(*db, key) {
                awaited.is_written = false;
            }
        }
        written
    }

    /// Holds back that keys are written from now on.
    pub(crate) fn hold(&mut self) {
        self.held_from = Some(self.written.len());
    }

    /// What was held back stands.
    pub(crate) fn release(&mut self) {
        self.held_from = None;
    }

    /// What was held back did not happen.
    pub(crate) fn drop_held(&mut self) {
        let held_from = self.held_from.take().unwrap_or(0);
        for (db, key) in self.written.drain(held_from..) {
            if let Some(awaited) = self.waiting.get_mut(db, &key) {
                awaited.is_written = false;
            }
        }
    }

    /// Lays aside what was held back: until [`Self::take_up`] it has not happened.
    pub(crate) fn lay_aside(&mut self) -> Vec<(DbIndex, Box<[u8]>)> {
        let held_from = self.held_from.take().unwrap_or(0);
        let aside = self.written.split_off(held_from);
        for (db, key) in &aside {
            if let Some(awaited) = self.waiting.get_mut(*db, key) {
                awaited.is_written = false;
            }
        }
        aside
    }

    /// Holds back again what was laid aside.
    pub(crate) fn take_up(&mut self, aside: Vec<(DbIndex, Box<[u8]>)>) {
        for (db, key) in aside {
            if let Some(awaited) = self.waiting.get_mut(db, &key)
                && !std::mem::replace(&mut awaited.is_written, true)
            {
                self.written.push((db, key));
            }
        }
    }

    /// A change has been made.
    #[cold]
    pub(crate) fn note(&mut self, db: DbIndex, key: &[u8], effect: &Effect<'_>) {
        // Of an exchange `Self::note_exchange` tells.
        if effect.brings()
            && let Some(awaited) = self.waiting.get_mut(db, key)
            && !std::mem::replace(&mut awaited.is_written, true)
        {
            self.written.push((db, key.into()));
        }
    }

    /// The database is exchanged for another, of which `other_has` tells.
    pub(crate) fn note_exchange(&mut self, db: DbIndex, mut other_has: impl FnMut(&[u8]) -> bool) {
        for (of, key, awaited) in self.waiting.iter_mut() {
            if of == db && !awaited.is_written && other_has(key) {
                awaited.is_written = true;
                self.written.push((db, key.into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Element;

    const DB: DbIndex = DbIndex(0);

    #[test]
    fn a_key_written_again_and_again_is_told_once_each_time_they_are_taken() {
        let mut awaited = AwaitedKeys::default();
        for key in [b"b", b"a"] {
            awaited.add(DB, key);
        }
        for _ in 0..3 {
            for key in [b"a", b"c", b"b", b"a"] {
                let range = Element::Range {
                    offset: 0,
                    bytes: b"x",
                };
                awaited.note(DB, key, &Effect::Elements(&[range]));
            }
            awaited.note_exchange(DB, |_| true);
            let written = awaited.take_written();
            let names: Vec<&[u8]> = written.iter().map(|(_, key)| &**key).collect();
            assert_eq!(names, [b"a", b"b"]);
            assert!(!awaited.has_written());
        }
        awaited.remove(DB, b"a");
        awaited.remove(DB, b"b");
        assert!(awaited.is_empty());
    }
}
