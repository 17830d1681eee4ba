//! Keys that somebody watches, to learn whether they changed: what `WATCH` stands on.
//!
//! A watcher is a number that the caller gives. A watch is broken by the first change of one of its keys, as the journal
//! tells it, and stays so until it is given up. With nobody watching, a change costs one test.

use std::collections::HashMap;

use crate::DbIndex;
use crate::journal::{Effect, Record};

/// Who watches what.
#[derive(Debug, Default)]
pub struct Watches {
    watchers: HashMap<u64, Watch>,
    /// Who watches a key, and whether it was there when they began.
    keys: HashMap<Place, Vec<(u64, Presence)>>,
}

/// A key of a database.
type Place = (DbIndex, Box<[u8]>);

/// Whether a key held something when its watch began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It did.
    Present,
    /// It did not.
    Absent,
}

#[derive(Debug, Default)]
struct Watch {
    broken: bool,
    keys: Vec<Place>,
}

impl Watches {
    /// Whether nobody watches anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// `watcher` watches one more key.
    pub fn add(&mut self, watcher: u64, db: DbIndex, key: &[u8], presence: Presence) {
        let place = (db, Box::from(key));
        let watch = self.watchers.entry(watcher).or_default();
        if watch.keys.contains(&place) {
            return;
        }
        watch.keys.push(place.clone());
        let watchers = self.keys.entry(place).or_default();
        watchers.push((watcher, presence));
    }

    /// The keys that `watcher` watches.
    pub fn keys_of(&self, watcher: u64) -> impl Iterator<Item = &(DbIndex, Box<[u8]>)> {
        let watch = self.watchers.get(&watcher);
        watch.into_iter().flat_map(|watch| &watch.keys)
    }

    /// Whether a key was there when `watcher` began to watch it, if it does.
    pub(crate) fn presence(&self, watcher: u64, db: DbIndex, key: &[u8]) -> Option<Presence> {
        let mut watchers = self.keys.get(&(db, Box::from(key)))?.iter();
        let (_, presence) = watchers.find(|(other, _)| *other == watcher)?;
        Some(*presence)
    }

    /// Whether a key that `watcher` watches has changed.
    pub fn is_broken(&self, watcher: u64) -> bool {
        self.watchers
            .get(&watcher)
            .is_some_and(|watch| watch.broken)
    }

    /// Ends all that `watcher` watches. Whether nothing of it changed.
    pub fn end(&mut self, watcher: u64) -> bool {
        let Some(watch) = self.watchers.remove(&watcher) else {
            return true;
        };
        for place in watch.keys {
            let Some(watchers) = self.keys.get_mut(&place) else {
                continue;
            };
            watchers.retain(|(other, _)| *other != watcher);
            if watchers.is_empty() {
                self.keys.remove(&place);
            }
        }
        !watch.broken
    }

    /// Breaks the watch of `watcher`, whatever it watches.
    pub fn spoil(&mut self, watcher: u64) {
        if let Some(watch) = self.watchers.get_mut(&watcher) {
            watch.broken = true;
        }
    }

    /// Breaks the watches of all keys that `is_gone`: what becomes of them is not seen here any more.
    pub fn spoil_keys(&mut self, is_gone: impl Fn(&[u8]) -> bool) {
        let gone = self.keys.iter().filter(|((_, key), _)| is_gone(key));
        for (watcher, _) in gone.flat_map(|(_, watchers)| watchers) {
            if let Some(watch) = self.watchers.get_mut(watcher) {
                watch.broken = true;
            }
        }
    }

    /// A change has been made.
    #[cold]
    pub(crate) fn note(&mut self, record: &Record<'_>) {
        match record.effect {
            Effect::FlushDb => {
                self.break_all(record.db, |_, presence| presence == Presence::Present);
            }
            // Told by the exchange itself: it depends on what the other database holds.
            Effect::SwapDb { .. } => {}
            Effect::MoveTo { db, key } => {
                self.break_one(record.db, record.key);
                self.break_one(db, key);
            }
            _ => self.break_one(record.db, record.key),
        }
    }

    /// The database is exchanged for another: a key changes if either has it. `other_has` tells of the other one.
    pub(crate) fn note_exchange(&mut self, db: DbIndex, mut other_has: impl FnMut(&[u8]) -> bool) {
        self.break_all(db, |key, presence| {
            presence == Presence::Present || other_has(key)
        });
    }

    fn break_one(&mut self, db: DbIndex, key: &[u8]) {
        let Some(watchers) = self.keys.get(&(db, Box::from(key))) else {
            return;
        };
        for (watcher, _) in watchers {
            if let Some(watch) = self.watchers.get_mut(watcher) {
                watch.broken = true;
            }
        }
    }

    fn break_all(&mut self, db: DbIndex, mut breaks: impl FnMut(&[u8], Presence) -> bool) {
        for ((of, key), watchers) in &self.keys {
            if *of != db {
                continue;
            }
            for (watcher, presence) in watchers {
                if let Some(watch) = self.watchers.get_mut(watcher)
                    && breaks(key, *presence)
                {
                    watch.broken = true;
                }
            }
        }
    }
}
