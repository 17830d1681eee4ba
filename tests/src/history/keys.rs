//! The keys a workload works on: a few at a time, so that its clients meet; each for a limited life, so that values stay short.
//!
//! A key is made by `MSET` or `MSETNX`, grows by appends, is replaced by `MSET` when it is worn, and in the end deleted with
//! others of its age, or renamed. Whoever sees that keys are worn takes them for the [`Chore`]; nobody else replaces them meanwhile,
//! as a history's checker asks.

use super::{Fate, Key};
use crate::random::Random;

/// Appends after which a key is worn.
const APPENDS_MAX: usize = 25;
/// How often a worn key is replaced by a new value before it is deleted.
const REPLACEMENTS_MAX: usize = 2;
/// Keys that one chore takes.
const CHORE_KEYS: usize = 3;

/// The keys in use.
#[derive(Debug)]
pub struct Keys {
    slots: Vec<Slot>,
    next: u32,
}

#[derive(Debug, Clone)]
struct Slot {
    key: Key,
    appends: usize,
    replacements: usize,
    /// Somebody has taken it for a chore.
    is_taken: bool,
    /// It is not known whether it was replaced: it must not be again.
    is_doubtful: bool,
}

/// What is to be done about worn keys.
#[derive(Debug, Clone)]
pub enum Chore {
    /// They are to have new values.
    Replace(Vec<Key>),
    /// Others take their places.
    Renew {
        /// To be deleted when the others are there.
        old: Vec<Key>,
        /// To be made.
        fresh: Vec<Key>,
    },
}

impl Keys {
    /// So many keys, which are yet to be made.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self {
            slots: (0..count).map(|key| Slot::of(Key(key))).collect(),
            next: count,
        }
    }

    /// So many different keys in use.
    #[must_use]
    pub fn pick(&self, random: &mut Random, count: usize) -> Vec<Key> {
        let keys: Vec<Key> = self.slots.iter().map(|slot| slot.key).collect();
        random.choose(&keys, count)
    }

    /// An append to a key is about to be sent.
    pub fn note_append(&mut self, key: Key) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.key == key) {
            slot.appends += 1;
        }
    }

    /// Worn keys, if there are any, and what is to be done; the caller has to tell [`Self::done`].
    pub fn chore(&mut self) -> Option<Chore> {
        let mut free: Vec<usize> = (0..self.slots.len())
            .filter(|at| !self.slots[*at].is_taken)
            .collect();
        free.sort_by_key(|at| std::cmp::Reverse(self.slots[*at].wear()));
        free.truncate(CHORE_KEYS);
        if self.slots[*free.first()?].wear() < APPENDS_MAX {
            return None;
        }
        let old: Vec<Key> = free.iter().map(|at| self.slots[*at].key).collect();
        let renew = free.iter().any(|at| {
            let slot = &self.slots[*at];
            slot.is_doubtful || slot.replacements == REPLACEMENTS_MAX
        });
        for at in free {
            self.slots[at].is_taken = true;
        }
        if !renew {
            return Some(Chore::Replace(old));
        }
        let first = self.next;
        self.next += old.len() as u32;
        let fresh = (first..self.next).map(Key).collect();
        Some(Chore::Renew { old, fresh })
    }

    /// The new values of a chore are there, or not. Gives the keys to be deleted now.
    pub fn done(&mut self, chore: &Chore, fate: Fate) -> Vec<Key> {
        let mut unused = Vec::new();
        let (old, fresh) = match chore {
            Chore::Replace(old) => (old, None),
            Chore::Renew { old, fresh } => (old, Some(fresh)),
        };
        for (index, key) in old.iter().enumerate() {
            let mut slots = self.slots.iter_mut();
            let slot = slots.find(|slot| slot.key == *key);
            let slot = slot.expect("a taken key stays where it is");
            slot.is_taken = false;
            match (fresh, fate) {
                (Some(fresh), Fate::Happened) => {
                    if !slot.is_doubtful {
                        unused.push(*key);
                    }
                    *slot = Slot::of(fresh[index]);
                }
                (Some(_), _) => {}
                (None, Fate::Happened) => {
                    slot.appends = 0;
                    slot.replacements += 1;
                }
                (None, _) => slot.is_doubtful = true,
            }
        }
        unused
    }

    /// All keys there ever were.
    pub fn all(&self) -> impl Iterator<Item = Key> {
        (0..self.next).map(Key)
    }
}

impl Slot {
    fn of(key: Key) -> Self {
        Self {
            key,
            appends: 0,
            replacements: 0,
            is_taken: false,
            is_doubtful: false,
        }
    }

    fn wear(&self) -> usize {
        if self.is_doubtful {
            usize::MAX
        } else {
            self.appends
        }
    }
}
