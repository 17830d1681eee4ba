//! Keys that somebody waits for, to learn that something was put there: what blocking commands stand on.
//!
//! The journal tells of every change; those that can end a wait, a key of which more is there than before, are noted in
//! their order until they are taken. With nobody waiting, a change costs one test.

use std::collections::HashMap;

use crate::DbIndex;
use crate::journal::{Effect, Record};

/// Which keys are waited for, and which of them were written.
#[derive(Debug, Default)]
pub struct AwaitedKeys {
    /// How many wait for a key.
    waiting: HashMap<DbIndex, HashMap<Box<[u8]>, usize>>,
    written: Vec<(DbIndex, Box<[u8]>)>,
}

impl AwaitedKeys {
    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Number of keys waited for.
    pub fn len(&self) -> usize {
        self.waiting.values().map(HashMap::len).sum()
    }

    /// One more waits for `key`.
    pub fn add(&mut self, db: DbIndex, key: &[u8]) {
        let keys = self.waiting.entry(db).or_default();
        match keys.get_mut(key) {
            Some(count) => *count += 1,
            None => drop(keys.insert(Box::from(key), 1)),
        }
    }

    /// One less waits for `key`.
    ///
    /// # Panics
    /// Nobody waited for it.
    pub fn remove(&mut self, db: DbIndex, key: &[u8]) {
        let keys = self.waiting.get_mut(&db).expect("somebody waits here");
        let count = keys.get_mut(key).expect("somebody waits for this key");
        *count -= 1;
        if *count == 0 {
            keys.remove(key);
            if keys.is_empty() {
                self.waiting.remove(&db);
            }
        }
    }

    /// Whether a key waited for has been written since they were last taken.
    #[inline]
    pub fn has_written(&self) -> bool {
        !self.written.is_empty()
    }

    /// Takes the keys waited for that have been written, each once, in the order of the first write.
    pub fn take_written(&mut self) -> Vec<(DbIndex, Box<[u8]>)> {
        std::mem::take(&mut self.written)
    }

    /// A change has been made.
    #[cold]
    pub(crate) fn note(&mut self, record: &Record<'_>) {
        match record.effect {
            // Of a move the arrival is told too; of an exchange `Self::note_exchange`.
            Effect::Put { .. } | Effect::WriteRange { .. } | Effect::Arrive => {
                if let Some(keys) = self.waiting.get(&record.db)
                    && keys.contains_key(record.key)
                {
                    self.push(record.db, record.key.into());
                }
            }
            Effect::Deadline(_)
            | Effect::Remove
            | Effect::MoveTo { .. }
            | Effect::FlushDb
            | Effect::SwapDb { .. } => {}
        }
    }

    /// The database is exchanged for another, of which `other_has` tells.
    pub(crate) fn note_exchange(&mut self, db: DbIndex, mut other_has: impl FnMut(&[u8]) -> bool) {
        let Some(keys) = self.waiting.get(&db) else {
            return;
        };
        let come: Vec<Box<[u8]>> = keys.keys().filter(|key| other_has(key)).cloned().collect();
        for key in come {
            self.push(db, key);
        }
    }

    fn push(&mut self, db: DbIndex, key: Box<[u8]>) {
        let place = (db, key);
        if !self.written.contains(&place) {
            self.written.push(place);
        }
    }
}
