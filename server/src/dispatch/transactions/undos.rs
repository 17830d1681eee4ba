//! What a script has done to this core's shard, as long as it may begin again.
//!
//! ```text
//!  script at work ── first write ──▶ the log is open ── it waits ──▶ laid aside, by its lock ── it goes on ──▶ open
//!  work for it from another core ──▶ open, while it runs ──▶ laid aside, by its lock
//!  it is over: its log ends, and what it did is told       it begins again: what it did is taken back
//! ```
//! A script that may come to reach beyond its keys begins again if it does, on all cores where it has written
//! (`core/scripts/reach.rs`). Until it is over nobody hears of it: its notes and records are held back, and nobody who waits for
//! a key is served.
//! A log is known by the lock that keeps others from what it is about, on each core its own: that of the script's keys, or
//! the bar. It ends with the lock, at the latest.

use std::collections::HashMap;

use larder_engine::Undo;

use crate::session::{LockId, Reader};

/// The logs that lie aside, and the locks under which there may come to be one.
#[derive(Default)]
pub(in crate::dispatch) struct Undos(HashMap<LockId, Option<Aside>>);

/// A log that lies aside, and whose it is: values.
pub(in crate::dispatch) struct Aside {
    pub(in crate::dispatch) undo: Box<Undo>,
    /// The client of the script: what it is about is this client's change.
    pub(in crate::dispatch) by: Reader,
}

impl Undos {
    /// Whether nothing that is done under some lock may have to be taken back.
    #[inline]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is done under a lock may have to be taken back.
    pub(in crate::dispatch) fn expect(&mut self, lock: LockId) {
        self.0.entry(lock).or_default();
    }

    /// Whether what is done under a lock may have to be taken back.
    pub(in crate::dispatch) fn is_expected(&self, lock: LockId) -> bool {
        self.0.contains_key(&lock)
    }

    /// Takes the log that lies aside for a lock, to be opened.
    pub(in crate::dispatch) fn take(&mut self, lock: LockId) -> Option<Aside> {
        self.0.get_mut(&lock)?.take()
    }

    /// Lays a log aside for a lock.
    pub(in crate::dispatch) fn lay_aside(&mut self, lock: LockId, aside: Aside) {
        self.0.insert(lock, Some(aside));
    }

    /// Nothing more is done under a lock. The log that lies aside for it, which ends.
    pub(in crate::dispatch) fn end(&mut self, lock: LockId) -> Option<Aside> {
        self.0.remove(&lock)?
    }
}
