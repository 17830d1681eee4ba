//! The scripts that were seen to reach keys they did not declare: from then on they begin with locks of all keys.
//!
//! A script is known by the hash of what names it, its text or its SHA-1. Two of one hash are taken for one, which is slower
//! and right. While there is none, to ask costs one read of a shared word that is hardly ever written.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::limits::UNDECLARED_SCRIPTS_MAX;

/// The scripts of all cores that reach keys they do not declare.
#[derive(Debug, Default)]
pub struct UndeclaredScripts {
    any: AtomicBool,
    hashes: RwLock<HashSet<u64>>,
}

impl UndeclaredScripts {
    /// Whether the script whose name has this hash is one of them. The hash is asked for only if there are any.
    #[inline]
    pub fn has(&self, hash: impl FnOnce() -> u64) -> bool {
        self.any.load(Ordering::Relaxed) && self.find(hash())
    }

    fn find(&self, hash: u64) -> bool {
        let hashes = self.hashes.read();
        let hashes = hashes.unwrap_or_else(PoisonError::into_inner);
        hashes.contains(&hash)
    }

    /// The script whose name has this hash is one of them.
    pub fn add(&self, hash: u64) {
        let hashes = self.hashes.write();
        let mut hashes = hashes.unwrap_or_else(PoisonError::into_inner);
        if hashes.len() == UNDECLARED_SCRIPTS_MAX {
            // Scripts made up on the way: those still in use are soon known again.
            hashes.clear();
        }
        hashes.insert(hash);
        self.any.store(true, Ordering::Relaxed);
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        let hashes = self.hashes.write();
        hashes.unwrap_or_else(PoisonError::into_inner).clear();
        self.any.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_bounded_and_can_be_forgotten() {
        let scripts = UndeclaredScripts::default();
        assert!(!scripts.has(|| unreachable!("there is none")));
        for hash in 0..=UNDECLARED_SCRIPTS_MAX as u64 {
            scripts.add(hash);
            assert!(scripts.has(|| hash));
        }
        assert!(!scripts.has(|| 0));
        scripts.clear();
        assert!(!scripts.has(|| unreachable!("there is none")));
    }
}
