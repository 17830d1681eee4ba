//! Keys that somebody watches, to learn whether they changed: what `WATCH` stands on.
//!
//! A watcher is a number that the caller gives. A watch is broken by the first change of one of its keys, as the journal
//! tells it, and stays so until it is given up: a key that has changed is watched by nobody any more. With nobody watching,
//! a change costs one test; with some, one look-up, which allocates nothing, and a step for each watch that it breaks.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::DbIndex;
use crate::journal::{Effect, Removal};
use crate::key_map::KeyMap;

/// Who watches what.
#[derive(Debug, Default)]
pub struct Watches {
    watchers: HashMap<u64, Watch>,
    /// Who watches a key, and whether it was there when they began.
    keys: KeyMap<Watchers>,
    /// What is broken by changes that may yet be taken back. It breaks when they stand.
    held: Option<BreaksHeld>,
}

/// Watches that are to be broken.
#[derive(Debug, Default)]
pub(crate) struct BreaksHeld {
    /// Those of these keys.
    keys: KeyMap<()>,
    /// Those of these watchers, whatever they watch.
    watchers: BTreeSet<u64>,
}

/// Who watches a key.
type Watchers = BTreeMap<u64, Presence>;

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
    keys: Vec<(DbIndex, Box<[u8]>)>,
}

impl Watches {
    /// Whether nobody watches anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// `watcher` watches one more key.
    pub fn add(&mut self, watcher: u64, db: DbIndex, key: &[u8], presence: Presence) {
        let watch = self.watchers.entry(watcher).or_default();
        // Nothing mends a broken watch.
        if watch.broken {
            return;
        }
        if let Entry::Vacant(new) = self.keys.get_or_default(db, key).entry(watcher) {
            new.insert(presence);
            watch.keys.push((db, key.into()));
        }
    }

    /// Number of keys that somebody watches.
    pub fn keys(&self) -> u64 {
        self.keys.len() as u64
    }

    /// The keys that `watcher` watches.
    pub fn keys_of(&self, watcher: u64) -> impl Iterator<Item = &(DbIndex, Box<[u8]>)> {
        let watch = self.watchers.get(&watcher);
        watch.into_iter().flat_map(|watch| &watch.keys)
    }

    /// Whether a key was there when `watcher` began to watch it, if it does.
    pub(crate) fn presence(&self, watcher: u64, db: DbIndex, key: &[u8]) -> Option<Presence> {
        self.keys.get(db, key)?.get(&watcher).copied()
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
        for (db, key) in watch.keys {
            let Some(watchers) = self.keys.get_mut(db, &key) else {
                continue;
            };
            watchers.remove(&watcher);
            if watchers.is_empty() {
                self.keys.remove(db, &key);
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
        let gone = self.keys.iter().filter(|(_, key, _)| is_gone(key));
        for watcher in gone.flat_map(|(_, _, watchers)| watchers.keys()) {
            if let Some(watch) = self.watchers.get_mut(watcher) {
                watch.broken = true;
            }
        }
    }

    /// A change has been made.
    #[cold]
    pub(crate) fn note(&mut self, db: DbIndex, key: &[u8], effect: &Effect<'_>) {
        match effect {
            Effect::FlushDb => {
                self.break_all(db, |_, presence| presence == Presence::Present);
            }
            // Told by the exchange itself: it depends on what the other database holds.
            Effect::SwapDb { .. } => {}
            // To those for whom it was not there it had ended before: an exchange of databases brought it.
            Effect::Remove(Removal::Expired) => self.break_present(db, key),
            _ => {
                self.break_one(db, key);
                if let Some((db, key)) = effect.destination() {
                    self.break_one(db, key);
                }
            }
        }
    }

    /// A key counts as changed, though it is what it was.
    pub(crate) fn note_touched(&mut self, db: DbIndex, key: &[u8]) {
        self.break_one(db, key);
    }

    /// The database is exchanged for another: a key changes if either has it. `other_has` tells of the other one.
    pub(crate) fn note_exchange(&mut self, db: DbIndex, mut other_has: impl FnMut(&[u8]) -> bool) {
        self.break_all(db, |key, presence| {
            presence == Presence::Present || other_has(key)
        });
    }

    fn break_one(&mut self, db: DbIndex, key: &[u8]) {
        if let Some(held) = &mut self.held {
            if self.keys.get(db, key).is_some() {
                held.keys.get_or_default(db, key);
            }
            return;
        }
        // Those who watch it have nothing more to learn of it.
        let Some(watchers) = self.keys.remove(db, key) else {
            return;
        };
        for watcher in watchers.keys() {
            break_watch(&mut self.watchers, *watcher);
        }
    }

    /// Breaks the watches of those for whom the key was there.
    fn break_present(&mut self, db: DbIndex, key: &[u8]) {
        let watchers = self.keys.get(db, key).into_iter().flatten();
        for (watcher, presence) in watchers {
            match &mut self.held {
                _ if *presence == Presence::Absent => {}
                Some(held) => drop(held.watchers.insert(*watcher)),
                None => break_watch(&mut self.watchers, *watcher),
            }
        }
    }

    fn break_all(&mut self, db: DbIndex, mut breaks: impl FnMut(&[u8], Presence) -> bool) {
        let of_db = self.keys.iter().filter(|(of, ..)| *of == db);
        for (_, key, watchers) in of_db {
            for (watcher, presence) in watchers {
                if !breaks(key, *presence) {
                    continue;
                }
                match &mut self.held {
                    Some(held) => drop(held.watchers.insert(*watcher)),
                    None => break_watch(&mut self.watchers, *watcher),
                }
            }
        }
    }

    /// Breaks no watch from now on, but notes which.
    pub(crate) fn hold(&mut self) {
        self.held = Some(BreaksHeld::default());
    }

    /// What happened since stands: the watches break.
    pub(crate) fn release(&mut self) {
        let held = self.held.take().unwrap_or_default();
        for (db, key, ()) in held.keys.iter() {
            self.break_one(db, key);
        }
        for watcher in held.watchers {
            break_watch(&mut self.watchers, watcher);
        }
    }

    /// What happened since did not: the watches are whole.
    pub(crate) fn drop_held(&mut self) {
        self.held = None;
    }

    /// Lays aside what was noted: until [`Self::take_up`], watches break at once.
    pub(crate) fn lay_aside(&mut self) -> BreaksHeld {
        self.held.take().unwrap_or_default()
    }

    /// Goes on noting which watches break.
    pub(crate) fn take_up(&mut self, aside: BreaksHeld) {
        self.held = Some(aside);
    }
}

fn break_watch(watchers: &mut HashMap<u64, Watch>, watcher: u64) {
    if let Some(watch) = watchers.get_mut(&watcher) {
        watch.broken = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB: DbIndex = DbIndex(0);

    fn change(watches: &mut Watches, key: &[u8]) {
        watches.note(DB, key, &Effect::Remove(Removal::Deleted));
    }

    #[test]
    fn a_changed_key_breaks_the_watches_of_all_who_watch_it_and_no_others() {
        let mut watches = Watches::default();
        for watcher in 0..1000 {
            watches.add(watcher, DB, b"shared", Presence::Present);
            watches.add(watcher, DB, &watcher.to_le_bytes(), Presence::Absent);
        }
        watches.add(1000, DB, b"other", Presence::Present);
        change(&mut watches, &7u64.to_le_bytes());
        let broken = |watches: &Watches| (0..=1000).filter(|&who| watches.is_broken(who)).count();
        assert_eq!(broken(&watches), 1);
        change(&mut watches, b"shared");
        assert_eq!(broken(&watches), 1000);
        assert!((0..1000).all(|watcher| !watches.end(watcher)));
        assert!(watches.end(1000));
        assert!(watches.is_empty() && watches.keys.is_empty());
    }

    #[test]
    fn what_ends_breaks_the_watches_of_those_who_saw_it_there() {
        for is_held in [false, true] {
            let mut watches = Watches::default();
            watches.add(1, DB, b"key", Presence::Present);
            // An exchange of databases has brought one past its deadline since.
            watches.add(2, DB, b"key", Presence::Absent);
            if is_held {
                watches.hold();
            }
            watches.note(DB, b"key", &Effect::Remove(Removal::Expired));
            watches.release();
            assert!(watches.is_broken(1) && !watches.is_broken(2));
            change(&mut watches, b"key");
            assert!(!watches.end(2) && !watches.end(1));
            assert!(watches.is_empty() && watches.keys.is_empty());
        }
    }

    #[test]
    fn a_key_watched_again_and_again_is_held_once_changed_or_not() {
        let mut watches = Watches::default();
        for round in 0..1000 {
            watches.add(1, DB, b"key", Presence::Present);
            assert_eq!(watches.keys_of(1).count(), 1);
            if round > 500 {
                change(&mut watches, b"key");
            }
        }
        assert!(!watches.end(1));
        watches.add(1, DB, b"key", Presence::Present);
        assert!(!watches.is_broken(1), "a new watch is whole");
        assert!(watches.end(1) && watches.is_empty() && watches.keys.is_empty());
    }
}
