//! What a script has done to this core's shard, as long as it may begin again.
//!
//! ```text
//!  script at work ── first write ──▶ the log is open ── it waits ──▶ laid aside, by its lock ── it goes on ──▶ open
//!  work for it from another core ──▶ open, while it runs ──▶ laid aside, by its lock
//!  it is over: its log ends, and what it did is told       it begins again: what it did is taken back
//! ```
//! A script that may come to reach beyond its keys begins again if it does, on all cores where it has written
//! (`script::reach`). Until it is over nobody hears of what it did: neither notes nor records leave, nor word to those who wait.
//! A log is known by the lock that keeps others from what it is about, on each core its own: that of the script's keys, or
//! the bar. It ends with the lock, at the latest.

use std::collections::HashMap;

use larder_engine::Undo;

use crate::command::Flags;
use crate::dispatch::core::Core;
use crate::dispatch::mail::requests::Work;
use crate::session::{LockId, Reader};

/// The logs that lie aside, and the locks under which there may come to be one.
#[derive(Default)]
pub(in crate::dispatch::core) struct Undos(HashMap<LockId, Option<Aside>>);

/// A log that lies aside.
struct Aside {
    undo: Box<Undo>,
    /// The client of the script: what it is about is this client's change.
    by: Reader,
}

impl Undos {
    /// Whether nothing that is done under some lock may have to be taken back.
    #[inline]
    pub(in crate::dispatch::core) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Core {
    /// What is done under a lock may have to be taken back.
    pub(in crate::dispatch::core) fn expect_undo(&mut self, lock: LockId) {
        self.undos.0.entry(lock).or_default();
    }

    /// Opens the log of the script at work, whose lock here is `lock`, unless it is open.
    #[inline]
    pub(in crate::dispatch::core) fn open_undo(&mut self, lock: Option<LockId>) {
        if !self.state.shard.is_undoable() && !self.take_up_undo(lock) {
            self.state.shard.begin_undo();
        }
    }

    /// Opens the log that lies aside for a lock. Whether one did.
    pub(in crate::dispatch::core) fn take_up_undo(&mut self, lock: Option<LockId>) -> bool {
        let aside = lock.and_then(|lock| self.undos.0.get_mut(&lock)?.take());
        let Some(aside) = aside else {
            return false;
        };
        self.state.shard.take_up_undo(aside.undo);
        true
    }

    /// Lays the open log aside for a lock. It is about what a script of the client `by` did.
    pub(in crate::dispatch::core) fn lay_undo_aside(&mut self, lock: LockId, by: Reader) {
        let undo = self.state.shard.lay_undo_aside();
        self.undos.0.insert(lock, Some(Aside { undo, by }));
    }

    /// Work comes under a lock: opens its log, if it is to have one and it is not open. Whether it is to be laid aside again.
    #[cold]
    pub(in crate::dispatch::core) fn enter_undo(&mut self, lock: LockId, work: Work) -> bool {
        let Some(undo) = self.undos.0.get_mut(&lock) else {
            return false;
        };
        let only_reads = match work {
            Work::Unlock | Work::Undo => return false,
            Work::Command(command) => !command.spec.flags.has(Flags::WRITE),
            _ => false,
        };
        let shard = &mut self.state.shard;
        if shard.is_undoable() {
            // The script itself is at work.
            return false;
        }
        match undo.take() {
            Some(aside) => shard.take_up_undo(aside.undo),
            None if only_reads => return false,
            None => shard.begin_undo(),
        }
        true
    }

    /// Takes back what was done under a lock.
    pub(in crate::dispatch::core) fn undo(&mut self, lock: LockId) {
        if self.take_up_undo(Some(lock)) {
            self.state.shard.undo();
        }
    }

    /// A lock is about to be given back: what was done under it stands.
    #[cold]
    pub(in crate::dispatch::core) fn end_undo(&mut self, lock: LockId) {
        if let Some(Some(aside)) = self.undos.0.remove(&lock) {
            self.state.shard.take_up_undo(aside.undo);
            self.state.shard.end_undo();
            self.act_on_notes(None, Some(aside.by));
        }
    }
}
