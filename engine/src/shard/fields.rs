//! Fields of hashes past their deadline, which the hand removes.

use super::Shard;
use crate::journal::{Effect, Element, Event};
use crate::limits::FIELDS_LOOK_MAX_COST;
use crate::raw::Block;
use crate::spiral::ElementRef;
use crate::{DbIndex, Key};

impl Shard {
    /// Removes some fields past their deadline of a hash that wants to be looked at, and the hash with the last of them; the cost,
    /// in entries read, and whether some are left.
    #[cold]
    pub(super) fn expire_fields(&mut self, db: DbIndex, hash: u64, item: Block) -> (u32, bool) {
        let in_log = match self.is_told_before {
            true => self.before_fields_end(db, hash, item),
            false => None,
        };
        let key = self.memory.key(item).to_vec();
        let was = self.memory.times(item);
        let (journal, undo, hasher) = (&mut self.journal, &mut self.undo, &self.hasher);
        let mut removed = 0;
        let mut gone = |field: ElementRef<'_>| {
            if let Some(collection) = in_log {
                undo.before_field_ends(collection, field);
            }
            journal.record(db, &key, &Effect::Elements(&[Element::Gone(field.name)]));
            removed += 1;
        };
        let hash_of = |name: &[u8]| hasher.hash(name);
        let budget = FIELDS_LOOK_MAX_COST;
        let (spent, is_at) =
            self.memory
                .expire_fields(item, &hash_of, (self.now, budget), &mut gone);
        if is_at != item {
            self.repoint(db, hash, item, is_at);
        }
        let is = self.memory.times(is_at);
        self.times_changed(db, hash, is_at, (was, is));
        self.expired_fields_total += removed;
        let is_left = is.is_some_and(|times| times.wakes_at <= self.now);
        if removed > 0 {
            self.journal.tell(db, &key, Event::HExpired);
            if self.memory.named(is_at).len() == 0 {
                self.remove_emptied(db, Key::new(&key, hash), is_at);
                return (spent, false);
            }
        }
        (spent, is_left)
    }

    /// Fields removed because of their deadline since the shard began.
    pub fn expired_fields_total(&self) -> u64 {
        self.expired_fields_total
    }
}
