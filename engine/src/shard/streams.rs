//! Streams to read and to change. A stream lies in nodes from its first entry on, and stays when it has none.

#[cfg(test)]
mod tests;

use super::{Access, Open, Shard};
use crate::journal::{Counts, Effect, Element, Event};
use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::nodes::Owner;
use crate::stream::{StreamChange, StreamId, StreamRef};
use crate::{DbIndex, Encoding, Key, Kind, StoreError, StreamProduction, UnixMillis, WrongType};

/// Identifiers of messages that a command forgets at most since their time is over.
const FORGOTTEN_TOGETHER: usize = 16;

/// The stream of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub struct StreamMut<'a> {
    open: Open<'a>,
    /// Which it is, if it is there.
    owner: Option<Owner>,
    /// Records made.
    records: u64,
}

impl Shard {
    /// The stream at a key, for a command that reads, whose finding nothing is worth a note (`keymiss`).
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn stream(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        access: Access,
    ) -> Result<Option<StreamRef<'_>>, WrongType> {
        let owner = self.stream_to_read(db, key, access)?;
        Ok(owner.map(|owner| self.memory.stream(owner)))
    }

    fn stream_to_read(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        access: Access,
    ) -> Result<Option<Owner>, WrongType> {
        let item = self.collection_to_read(db, key, Kind::Stream, access)?;
        Ok(item.map(|item| {
            let owner = self.memory.collection_of(item);
            owner.expect("a stream is never packed")
        }))
    }

    /// When those entries of a stream were delivered that a group has had pending since a time or longer, and that are there: the oldest first,
    /// at most so many. Nothing changes that could be read.
    ///
    /// # Errors
    /// What is there is of another type.
    pub fn pending_longest(
        &mut self,
        (db, key): (DbIndex, Key<'_>),
        group: &[u8],
        (until, most): (UnixMillis, usize),
    ) -> Result<Vec<(UnixMillis, StreamId)>, WrongType> {
        let Some(owner) = self.stream_to_read(db, key, Access::Peek)? else {
            return Ok(Vec::new());
        };
        Ok(self.memory.change_stream(owner, |stream, heap| {
            stream.pending_longest(heap, group, (until, most))
        }))
    }

    /// The stream at a key, to change. One that is not there is made by [`StreamMut::create`] or by the first entry.
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn stream_mut<'a>(
        &'a mut self,
        db: DbIndex,
        key: Key<'a>,
    ) -> Result<StreamMut<'a>, WrongType> {
        let open = self.open(db, key, Kind::Stream)?;
        let collection = |item| open.shard.memory.collection_of(item);
        let owner = open.item.and_then(collection);
        Ok(StreamMut {
            open,
            owner,
            records: 0,
        })
    }
}

impl StreamMut<'_> {
    /// Whether there is a stream.
    pub fn is_there(&self) -> bool {
        self.owner.is_some()
    }

    /// What there is, to read.
    #[inline]
    pub fn as_ref(&self) -> Option<StreamRef<'_>> {
        self.owner.map(|owner| self.open.shard.memory.stream(owner))
    }

    /// Makes a stream without entries, there being none.
    ///
    /// # Errors
    /// The key is too long, or memory is out; then nothing changed.
    pub fn create(&mut self) -> Result<(), StoreError> {
        self.make(None)?;
        let put = Effect::Put {
            kind: Kind::Stream,
            encoding: Encoding::Stream,
            value: b"",
            expires_at: None,
        };
        let Open { shard, db, key, .. } = &mut self.open;
        shard.journal.record(*db, key.bytes(), &put);
        self.records += 1;
        self.set_production()
    }

    /// Makes the stream, with a first change of it.
    #[cold]
    #[inline(never)]
    fn make(&mut self, first: Option<&StreamChange<'_>>) -> Result<(), StoreError> {
        assert!(self.owner.is_none(), "there is none yet");
        let key = self.open.key.bytes();
        if key.len() > MAX_KEY_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.open.before_new();
        let shard = &mut *self.open.shard;
        let of = (Kind::Stream, Default::default());
        let access = shard.history_of_coming(self.open.key.hash(), key.len());
        let item = shard.memory.create_collection(key, of, access, None)?;
        let owner = shard.memory.collection_of(item);
        let owner = owner.expect("that is its value");
        if let Some(change) = first
            && let Err(error) = shard.change_stream(owner, change)
        {
            shard.memory.destroy(item);
            return Err(error);
        }
        self.open.attach(item)?;
        self.owner = Some(owner);
        Ok(())
    }

    /// The stream that has just come to be keeps identifiers of messages as is configured.
    fn set_production(&mut self) -> Result<(), StoreError> {
        match self.open.shard.production_change() {
            Some(change) => self.change(&change),
            None => Ok(()),
        }
    }

    /// Makes a change of the stream; adding an entry makes one, if there is none.
    ///
    /// # Errors
    /// Something is too large, or memory is out; then nothing changed.
    ///
    /// # Panics
    /// There is no stream, and it adds no entry.
    #[inline]
    pub fn change(&mut self, change: &StreamChange<'_>) -> Result<(), StoreError> {
        if let StreamChange::Added { fields, .. } = change
            && fields.len() > MAX_VALUE_BYTES
        {
            return Err(StoreError::TooLarge);
        }
        let element = Element::Stream(*change);
        let is_new = self.owner.is_none();
        match self.owner {
            Some(owner) => {
                self.open.before(&element);
                self.open.shard.change_stream(owner, change)?;
            }
            None => {
                let adds = matches!(change, StreamChange::Added { .. });
                assert!(adds, "what is changed is there, or begins with an entry");
                self.make(Some(change))?;
            }
        }
        let counts = match change.is_of_entries() {
            true => Counts::Change,
            false => Counts::Unwatched,
        };
        self.records += 1;
        self.open.record_as(counts, element);
        match is_new {
            true => self.set_production(),
            false => Ok(()),
        }
    }

    /// Forgets some of the identifiers of messages that have been kept for as long as they are: more than a command adds.
    pub fn forget_ended(&mut self) {
        let now = self.open.shard.now;
        for _ in 0..FORGOTTEN_TOGETHER {
            let ended = self
                .as_ref()
                .and_then(|stream| stream.ended_production(now));
            let Some((producer, iid)) = ended else {
                return;
            };
            let (producer, iid) = (producer.to_vec(), iid.to_vec());
            let forgotten = StreamChange::Forgotten {
                producer: &producer,
                iid: &iid,
            };
            let done = self.change(&forgotten);
            done.expect("what is forgotten takes no memory");
        }
    }

    /// The end of a command that has done so many changes, as Redis counts them, and had these effects.
    pub fn close(self, changes: u64, events: &[Event]) {
        let journal = &mut self.open.shard.journal;
        journal.count_as(self.records, changes);
        self.open.close(false, events);
    }
}

impl Shard {
    /// What makes a stream that comes to be keep identifiers of messages as is configured, if it does not by itself.
    pub fn production_change(&self) -> Option<StreamChange<'static>> {
        let production = self.thresholds.stream_production;
        let is_other = production != StreamProduction::default();
        is_other.then_some(StreamChange::Producers {
            duration_secs: production.duration_secs,
            most: production.most,
        })
    }

    #[inline]
    pub(super) fn change_stream(
        &mut self,
        owner: Owner,
        change: &StreamChange<'_>,
    ) -> Result<(), StoreError> {
        let limits = self.thresholds.stream_nodes;
        self.memory.change_stream(owner, |stream, heap| {
            stream.set_limits(limits);
            stream.apply(heap, change)
        })
    }
}
