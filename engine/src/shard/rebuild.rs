//! Entries made anew: what a key holds, read out of it and stored there again.
//!
//! That is no change. There is no record and no event, and nobody's watch breaks: whoever follows the journal has the same already. Only
//! how the value lies in memory may differ, and with it the encoding that it answers.

use super::{LooseId, Shard};
use crate::item::Form;
use crate::memory::Content;
use crate::{AccessClock, DbIndex, Key, StoreError, StringForm, UnixMillis};

impl Shard {
    /// Stores the string that `key` holds anew.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub fn rebuild_string(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        value: &[u8],
        (expires_at, access): (Option<UnixMillis>, AccessClock),
    ) -> Result<(), StoreError> {
        let content = Content {
            form: Form::string(StringForm::Detect.encoding_of(value)),
            access,
            deadline: expires_at,
            value,
        };
        let existing = self.find(db, key);
        assert!(existing.is_some(), "what is made anew is there");
        self.store(db, key, existing, &content)
    }

    /// Stores the collection that `key` holds anew: `id` has the same elements.
    ///
    /// # Errors
    /// Memory is out; then nothing changed but that `id` is dropped.
    pub fn rebuild_collection(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        id: LooseId,
        attributes: (Option<UnixMillis>, AccessClock),
    ) -> Result<(), StoreError> {
        let was_there = self.store_loose(db, key, id, attributes)?;
        assert!(was_there, "what is made anew is there");
        Ok(())
    }
}
