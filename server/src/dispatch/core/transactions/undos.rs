//! The undo logs of scripts that may begin again ([`Undos`]): opened, laid aside, ended.

use crate::command::Flags;
use crate::dispatch::core::Core;
use crate::dispatch::mail::requests::Work;
use crate::dispatch::transactions::undos::Aside;
use crate::session::{LockId, Reader};

impl Core {
    /// What is done under a lock may have to be taken back.
    pub(in crate::dispatch::core) fn expect_undo(&mut self, lock: LockId) {
        self.undos.expect(lock);
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
        let aside = lock.and_then(|lock| self.undos.take(lock));
        let Some(aside) = aside else {
            return false;
        };
        self.state.shard.take_up_undo(aside.undo);
        true
    }

    /// Lays the open log aside for a lock. It is about what a script of the client `by` did.
    pub(in crate::dispatch::core) fn lay_undo_aside(&mut self, lock: LockId, by: Reader) {
        let undo = self.state.shard.lay_undo_aside();
        self.undos.lay_aside(lock, Aside { undo, by });
    }

    /// Work comes under a lock: opens its log, if it is to have one and it is not open. Whether it is to be laid aside again.
    #[cold]
    pub(in crate::dispatch::core) fn enter_undo(&mut self, lock: LockId, work: Work) -> bool {
        if !self.undos.is_expected(lock) {
            return false;
        }
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
        match self.undos.take(lock) {
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
        if let Some(aside) = self.undos.end(lock) {
            self.state.shard.take_up_undo(aside.undo);
            self.state.shard.end_undo();
            self.act_on_notes(None, Some(aside.by));
        }
    }
}
