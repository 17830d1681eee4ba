//! Entries on their way from one core to another.
//!
//! ```text
//!  a string, or a small collection    handed over whole: an image, which may share a buffer with the entry
//!  a large collection                 in parts, one for each round: the taker gathers them, and its key gets the last
//! ```

use std::sync::Arc;

use larder_engine::{
    Access, AccessClock, Buffer, DbIndex, EntryRef, Event, Key, LooseId, PartFrom, StoreError,
    ValueBytes, ValueImage,
};

use crate::command::CoreState;

/// Bytes of the elements that one part has, but for what the last of them exceeds that by.
pub const PART_BYTES: usize = 64 << 10;

/// An entry on its way from one core to another.
#[derive(Clone, Debug)]
pub struct Handed {
    /// What it is.
    pub image: ValueImage,
    /// Bytes of its buffer that count where this is, and not on the core that has the entry still
    /// ([`CoreState::given_bytes`]).
    pub given_bytes: u64,
    /// How much of it this is.
    pub extent: Extent,
}

/// How much of an entry is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Some elements of a large collection.
    Part {
        /// Where the next part begins; none: this is the last.
        next: Option<PartFrom>,
    },
}

impl Handed {
    /// An entry whose buffer goes on counting where it is, and will count where it arrives as well.
    pub fn copy(entry: EntryRef<'_>) -> Self {
        Self {
            image: entry.shared_image(),
            given_bytes: 0,
            extent: Extent::Whole,
        }
    }

    /// Bytes that are to be leased for it on its way.
    pub fn weight(&self) -> usize {
        self.image.bytes.copied_bytes() + self.given_bytes as usize
    }

    /// The buffer that the value lies in, if it lies in one.
    pub fn into_buffer(self) -> Option<Arc<Buffer>> {
        match self.image.bytes {
            ValueBytes::Copied(_) => None,
            ValueBytes::Shared(buffer, _) => Some(buffer),
        }
    }
}

impl CoreState {
    /// Hands over the entry of `key`, which stays here until the other core has it. A large value counts there from now on.
    pub fn hand_over(&mut self, db: DbIndex, key: Key<'_>, access: Access) -> Option<Handed> {
        // What is to be taken back stays, whatever becomes of the key.
        let is_kept = self.shard.is_undoable();
        let entry = self.shard.get(db, key, access)?;
        if !entry.is_whole() {
            return self.hand_part(db, key, PartFrom::default());
        }
        let mut handed = Handed::copy(entry);
        if let ValueBytes::Shared(buffer, _) = &handed.image.bytes
            && !is_kept
        {
            handed.given_bytes = buffer.held_bytes() as u64;
            self.given_bytes += handed.given_bytes;
        }
        Some(handed)
    }

    /// Hands over a copy of an entry, or the first part of one.
    pub fn hand_copy(&mut self, db: DbIndex, key: Key<'_>) -> Option<Handed> {
        let entry = self.shard.get(db, key, Access::Peek)?;
        match entry.is_whole() {
            true => Some(Handed::copy(entry)),
            false => self.hand_part(db, key, PartFrom::default()),
        }
    }

    /// Hands over a part of the collection at `key`, its elements from `from` on, if it is there.
    pub fn hand_part(&mut self, db: DbIndex, key: Key<'_>, from: PartFrom) -> Option<Handed> {
        let (image, next) = self.shard.part(db, key, (from, PART_BYTES))?;
        Some(Handed {
            image,
            given_bytes: 0,
            extent: Extent::Part { next },
        })
    }

    /// Takes an entry, or a part of one, that was handed over: the last part, as a whole entry, goes to the key, with `access` if it is
    /// to have another history. `gathered` has the parts before. What has the parts so far, until then.
    ///
    /// # Errors
    /// Memory is out. The key is as it was then, and the parts are dropped.
    pub fn take_handed(
        &mut self,
        (db, key): (DbIndex, Key<'_>),
        (handed, gathered): (&Handed, Option<LooseId>),
        access: Option<AccessClock>,
        event: Event,
    ) -> Result<Option<LooseId>, StoreError> {
        let image = &handed.image;
        let access = access.unwrap_or(image.access);
        let Extent::Part { next } = handed.extent else {
            let image = ValueImage {
                access,
                ..image.clone()
            };
            self.shard.put(db, key, &image, event)?;
            return Ok(None);
        };
        let shard = &mut self.shard;
        let encoding = Some(image.encoding);
        let gathered = gathered.unwrap_or_else(|| shard.begin_loose(image.kind, encoding));
        if let Err(error) = shard.add_part(gathered, &image.bytes) {
            shard.drop_loose(gathered);
            return Err(error);
        }
        if next.is_some() {
            return Ok(Some(gathered));
        }
        shard.put_loose(db, key, gathered, (image.expires_at, access), event)?;
        Ok(None)
    }

    /// What [`Self::hand_over`] gave counts here again, or is gone from here.
    pub fn end_handing(&mut self, given_bytes: u64) {
        self.given_bytes -= given_bytes;
    }
}
