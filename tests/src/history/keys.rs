//! The keys a workload works on: a few at a time, so that its clients meet; each for a limited life, so that values stay short.
//!
//! A key is made by `MSET`, `MSETNX` or a transaction, grows by appends, is replaced when it is worn, and in the end deleted with
//! others of its age, or renamed. Whoever sees that keys are worn takes them for the [`Chore`]; nobody else replaces them meanwhile,
//! as a history's checker asks.

use super::forms::{Form, Forms};
use super::{Fate, GROUPS, Key};
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
    /// All keys there ever were, those to be made among them.
    all: Vec<Key>,
    forms: Forms,
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
    /// A key of each of these groups, which are yet to be made.
    #[must_use]
    pub fn new(groups: &[u32], forms: Forms) -> Self {
        let mut all = Vec::new();
        for group in groups {
            all.push(fresh(&all, *group, forms));
        }
        Self {
            slots: all.iter().map(|key| Slot::of(*key)).collect(),
            all,
            forms,
        }
    }

    /// Some list among the keys in use, if there is one.
    #[must_use]
    pub fn any_list(&self, random: &mut Random) -> Option<Key> {
        let keys = self.slots.iter().map(|slot| slot.key);
        let lists: Vec<Key> = keys.filter(|key| Form::of(*key) == Form::List).collect();
        (!lists.is_empty()).then(|| lists[random.below(lists.len())])
    }

    /// So many different keys in use, if there are as many, some more often of one group than by chance. Behind the first that
    /// are of one group, the others are any.
    #[must_use]
    pub fn pick(&self, random: &mut Random, count: usize) -> Vec<Key> {
        let keys: Vec<Key> = self.slots.iter().map(|slot| slot.key).collect();
        let mut picked = random.choose(&keys, keys.len());
        if random.one_in(2) {
            let group = picked[0].group();
            picked.sort_by_key(|key| key.group() != group);
            if random.one_in(2) {
                picked.retain(|key| key.group() == group);
            }
        }
        picked.truncate(count);
        picked
    }

    /// A key of another group than `key`.
    #[must_use]
    pub fn far(&self, key: Key, random: &mut Random) -> Option<Key> {
        let keys = self.slots.iter().map(|slot| slot.key);
        let far: Vec<Key> = keys.filter(|other| other.group() != key.group()).collect();
        (!far.is_empty()).then(|| far[random.below(far.len())])
    }

    /// The keys in use of the group of `key`, that one first.
    #[must_use]
    pub fn near(&self, key: Key) -> Vec<Key> {
        let keys = self.slots.iter().map(|slot| slot.key);
        let mut near: Vec<Key> = keys.filter(|other| other.group() == key.group()).collect();
        near.sort_by_key(|other| *other != key);
        near
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
        let mut new = Vec::new();
        for key in &old {
            let key = fresh(&self.all, key.group(), self.forms);
            self.all.push(key);
            new.push(key);
        }
        Some(Chore::Renew { old, fresh: new })
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
        self.all.iter().copied()
    }
}

/// A key of this group that is not among these.
fn fresh(all: &[Key], group: u32, forms: Forms) -> Key {
    let group = group % GROUPS;
    let known = all.iter().filter(|key| key.group() == group);
    Key(forms.number(known.count()) * GROUPS + group)
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
