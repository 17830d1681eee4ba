//! The scripts all cores know, by the SHA-1 of their text.
//!
//! Scripts that were loaded (`SCRIPT LOAD`) stay until they are flushed. Of those that were only run (`EVAL`), the
//! [`EVALUATED_SCRIPTS_MAX`] most used stay: a client that makes scripts up as it goes could fill any memory. Which goes
//! first is found as a clock finds it: the oldest that has not been run since the hand last passed.
//!
//! The lock is taken when a core meets a script for the first time; from then on the core has it in its own [`super::Engine`].

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::flags::{ScriptFlags, of_script};
use super::libs::hex;
use super::limits::EVALUATED_SCRIPTS_MAX;

/// A SHA-1 in lower-case hexadecimal digits.
pub type Sha = [u8; 40];

/// A script.
#[derive(Debug)]
pub struct Script {
    /// Its number, never used again.
    pub id: u64,
    /// By which it is called.
    pub sha: Sha,
    /// Its text.
    pub text: Arc<[u8]>,
    /// What it says of itself.
    pub flags: ScriptFlags,
    /// Where its Lua begins: behind the first line, if that declares flags.
    lua_begins: usize,
    is_loaded: AtomicBool,
    is_forgotten: AtomicBool,
    /// It was run again since it came, or since the hand last passed.
    was_run: AtomicBool,
}

impl Script {
    /// The Lua in it; line numbers are those of the text.
    pub(super) fn lua(&self) -> Arc<[u8]> {
        match self.lua_begins {
            0 => Arc::clone(&self.text),
            begins => self.text[begins..].into(),
        }
    }

    /// The SHA-1 as text.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.sha).expect("hexadecimal digits are ASCII")
    }

    /// Whether it was flushed or had to make room.
    pub(super) fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::Relaxed)
    }

    /// It runs: it is to be kept for another round of the clock.
    pub(super) fn mark_run(&self) {
        // Mostly it is set already, and reading shares the line among the cores.
        if !self.was_run.load(Ordering::Relaxed) {
            self.was_run.store(true, Ordering::Relaxed);
        }
    }
}

/// Why a script comes into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was run.
    Evaluated,
    /// It was loaded.
    Loaded,
}

#[derive(Debug, Default)]
struct Scripts {
    by_sha: HashMap<Sha, Arc<Script>>,
    /// Those that were run and not loaded, the oldest first.
    clock: VecDeque<Arc<Script>>,
    bytes: usize,
}

/// The scripts all cores know.
#[derive(Debug, Default)]
pub struct ScriptCache {
    scripts: RwLock<Scripts>,
    next_id: AtomicU64,
    flushes: AtomicU64,
    evictions: AtomicU64,
}

impl ScriptCache {
    fn read(&self) -> RwLockReadGuard<'_, Scripts> {
        self.scripts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Scripts> {
        self.scripts.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The script with this SHA-1.
    pub fn find(&self, sha: &Sha) -> Option<Arc<Script>> {
        self.read().by_sha.get(sha).cloned()
    }

    /// A script of this text, not yet in the cache.
    ///
    /// # Errors
    /// Its first line cannot be understood: Redis's text, without code word.
    pub(super) fn make(&self, text: &[u8]) -> Result<Script, Vec<u8>> {
        let (flags, lua_begins) = of_script(text)?;
        Ok(Script {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            sha: hex(text),
            text: text.into(),
            flags,
            lua_begins,
            is_loaded: AtomicBool::new(false),
            is_forgotten: AtomicBool::new(false),
            was_run: AtomicBool::new(false),
        })
    }

    /// Takes a script in, unless it is there. The one that is there now.
    pub(super) fn insert(&self, script: Script, origin: Origin) -> Arc<Script> {
        let scripts = &mut *self.write();
        let script = match scripts.by_sha.get(&script.sha) {
            Some(present) => Arc::clone(present),
            None => {
                let script = Arc::new(script);
                scripts.bytes += script.text.len() + size_of::<Script>();
                scripts.by_sha.insert(script.sha, Arc::clone(&script));
                if origin == Origin::Evaluated {
                    scripts.clock.push_back(Arc::clone(&script));
                    self.make_room(scripts);
                }
                script
            }
        };
        if origin == Origin::Loaded {
            script.is_loaded.store(true, Ordering::Relaxed);
        }
        script
    }

    /// Forgets scripts that were only run, until there are no more than may be.
    fn make_room(&self, scripts: &mut Scripts) {
        while scripts.clock.len() > EVALUATED_SCRIPTS_MAX {
            let Some(oldest) = scripts.clock.pop_front() else {
                return;
            };
            if oldest.is_loaded.load(Ordering::Relaxed) {
                continue;
            }
            if oldest.was_run.swap(false, Ordering::Relaxed) {
                scripts.clock.push_back(oldest);
                continue;
            }
            oldest.is_forgotten.store(true, Ordering::Relaxed);
            scripts.bytes -= oldest.text.len() + size_of::<Script>();
            scripts.by_sha.remove(&oldest.sha);
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets all scripts.
    pub fn flush(&self) {
        let scripts = std::mem::take(&mut *self.write());
        for script in scripts.by_sha.values() {
            script.is_forgotten.store(true, Ordering::Relaxed);
        }
        self.flushes.fetch_add(1, Ordering::Release);
    }

    /// Counts the flushes: a core that sees a new number begins with a new machine.
    #[inline]
    pub(super) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }

    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.read().by_sha.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the scripts' texts and of what is known about them.
    pub fn used_bytes(&self) -> usize {
        self.read().bytes
    }

    /// Scripts that had to make room.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

/// A SHA-1 given by a client, letters of any case; `None` if it cannot be one.
pub fn sha_of(text: &[u8]) -> Option<Sha> {
    let mut sha: Sha = text.try_into().ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(cache: &ScriptCache, text: &str, origin: Origin) -> Arc<Script> {
        cache.insert(cache.make(text.as_bytes()).unwrap(), origin)
    }

    #[test]
    fn a_script_is_found_by_its_sha_in_any_case() {
        let cache = ScriptCache::default();
        let script = add(&cache, "return 1", Origin::Evaluated);
        assert_eq!(script.name(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        let sha = sha_of(b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB").unwrap();
        assert!(Arc::ptr_eq(&cache.find(&sha).unwrap(), &script));
        assert!(Arc::ptr_eq(
            &add(&cache, "return 1", Origin::Loaded),
            &script
        ));
        assert_eq!(sha_of(b"short"), None);
        cache.flush();
        assert!(cache.find(&sha).is_none() && script.is_forgotten() && cache.is_empty());
        assert_eq!((cache.used_bytes(), cache.flushes()), (0, 1));
    }

    #[test]
    fn loaded_scripts_stay_and_run_ones_make_room_the_least_used_first() {
        let cache = ScriptCache::default();
        let loaded = add(&cache, "return 'loaded'", Origin::Loaded);
        let later_loaded = add(&cache, "return 'later'", Origin::Evaluated);
        add(&cache, "return 'later'", Origin::Loaded);
        let used = add(&cache, "return 'used'", Origin::Evaluated);
        let unused = add(&cache, "return 'unused'", Origin::Evaluated);
        for number in 0..3 * EVALUATED_SCRIPTS_MAX {
            add(&cache, &format!("return {number}"), Origin::Evaluated);
            used.mark_run();
        }
        assert!(unused.is_forgotten());
        for script in [&loaded, &later_loaded, &used] {
            assert!(!script.is_forgotten() && cache.find(&script.sha).is_some());
        }
        assert!(cache.len() <= EVALUATED_SCRIPTS_MAX + 2);
        assert!(cache.evictions() > 0);
    }
}
