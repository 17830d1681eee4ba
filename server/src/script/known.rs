//! What is known of scripts: whether they keep to the keys they declare.
//!
//! That one does is shown by its text alone ([`super::declared`]): what it did before says nothing of what it does with other
//! arguments. That one does not is seen when it happens; it begins with locks of all keys from then on.
//!
//! A script is known by the hash of what names it, its text or its SHA-1. Two of one hash are taken for one, which is slower
//! and right.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::limits::KNOWN_SCRIPTS_MAX;

/// What is known of a script's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// It keeps to those it declares, as its text shows.
    Declared,
    /// Its text does not show whether it does.
    Unknown,
    /// It was seen to reach others.
    Undeclared,
}

/// What is known of the scripts of all cores.
#[derive(Debug, Default)]
pub struct KnownScripts {
    any_undeclared: AtomicBool,
    habits: RwLock<HashMap<u64, Habit>>,
}

impl KnownScripts {
    /// Whether some script reaches keys it does not declare.
    #[inline]
    pub fn any_undeclared(&self) -> bool {
        self.any_undeclared.load(Ordering::Relaxed)
    }

    /// What is known of the script whose name has this hash.
    pub fn habit(&self, hash: u64) -> Option<Habit> {
        let habits = self.habits.read();
        let habits = habits.unwrap_or_else(PoisonError::into_inner);
        habits.get(&hash).copied()
    }

    /// This is known of the script whose name has this hash. What was seen once of one that reaches for more stays.
    pub fn note(&self, hash: u64, habit: Habit) {
        if self
            .habit(hash)
            .is_some_and(|known| known == habit || known == Habit::Undeclared)
        {
            return;
        }
        let habits = self.habits.write();
        let mut habits = habits.unwrap_or_else(PoisonError::into_inner);
        if habits.len() >= KNOWN_SCRIPTS_MAX {
            // Scripts made up on the way: those still in use are soon known again.
            habits.clear();
        }
        habits.insert(hash, habit);
        if habit == Habit::Undeclared {
            self.any_undeclared.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        let habits = self.habits.write();
        habits.unwrap_or_else(PoisonError::into_inner).clear();
        self.any_undeclared.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_bounded_and_can_be_forgotten() {
        let scripts = KnownScripts::default();
        for hash in 0..=KNOWN_SCRIPTS_MAX as u64 {
            scripts.note(hash, Habit::Declared);
            assert_eq!(scripts.habit(hash), Some(Habit::Declared));
        }
        assert_eq!(scripts.habit(0), None);
        assert!(!scripts.any_undeclared());
        scripts.note(7, Habit::Undeclared);
        scripts.note(7, Habit::Declared);
        assert_eq!(scripts.habit(7), Some(Habit::Undeclared));
        assert!(scripts.any_undeclared());
        scripts.clear();
        assert!(!scripts.any_undeclared() && scripts.habit(7).is_none());
    }
}
