//! What a consumer is given, and noting it: what is pending with it, and how far its group has come.
//!
//! ```text
//!  | is new | number that are given again | id (16), deliveries (8) … | id (16) …        as it travels: words, little-endian
//! ```

use larder_engine::{
    DbIndex, Event, GivenEntries, Key, Shard, StreamChange, StreamId, StreamMut, UnixMillis,
};

use super::Reading;
use crate::resp::ErrorReply;

/// What a consumer is given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// Entries that were pending, and how often each is delivered then.
    pub(super) again: Vec<(StreamId, u64)>,
    /// Entries that are new to the group.
    pub(super) new: Vec<StreamId>,
    /// It is no history: entries that the group has not been given yet, or that are claimed.
    pub(super) is_new: bool,
}

impl Given {
    /// Writes it for another core.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut word = |word: u64| out.extend_from_slice(&word.to_le_bytes());
        word(self.is_new.into());
        word(self.again.len() as u64);
        for (id, deliveries) in &self.again {
            [id.ms, id.seq, *deliveries].into_iter().for_each(&mut word);
        }
        for id in &self.new {
            [id.ms, id.seq].into_iter().for_each(&mut word);
        }
    }

    /// What [`Self::write`] has written; nothing was given if that is nothing.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let (words, _) = bytes.as_chunks();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let [is_new, again, rest @ ..] = &words[..] else {
            return Self::default();
        };
        let (again, new) = rest.split_at(3 * *again as usize);
        let again = again.as_chunks().0.iter();
        let new = new.as_chunks().0.iter();
        Self {
            again: again
                .map(|&[ms, seq, deliveries]| (StreamId::new(ms, seq), deliveries))
                .collect(),
            new: new.map(|&[ms, seq]| StreamId::new(ms, seq)).collect(),
            is_new: *is_new != 0,
        }
    }

    /// Notes that a consumer was heard of, and what it was given. A group that has gone meanwhile notes nothing.
    ///
    /// # Errors
    /// Memory is out; then nothing has been noted.
    pub(super) fn note(
        &self,
        (shard, db, key): (&mut Shard, DbIndex, Key<'_>),
        (reading, (group, consumer)): (&Reading<'_>, (&[u8], &[u8])),
    ) -> Result<(), ErrorReply> {
        let now = shard.now();
        let mut stream = shard.stream_mut(db, key)?;
        let view = stream.as_ref().and_then(|view| view.group(group));
        let Some(known) = view.map(|group| group.consumer(consumer)) else {
            stream.close(0, &[]);
            return Ok(());
        };
        let is_consumer_new = known.is_none();
        let noted = self.note_in(&mut stream, (reading, group, consumer), now);
        let changes = u64::from(is_consumer_new) + u64::from(self.is_new && noted.is_ok());
        match is_consumer_new && noted.is_ok() {
            true => stream.close(changes, &[Event::XGroupCreateConsumer]),
            false => stream.close(changes, &[]),
        }
        noted
    }

    fn note_in(
        &self,
        stream: &mut StreamMut<'_>,
        (reading, group, consumer): (&Reading<'_>, &[u8], &[u8]),
        now: UnixMillis,
    ) -> Result<(), ErrorReply> {
        let new = match reading.needs_no_ack {
            true => &[][..],
            false => &self.new[..],
        };
        let mut entries = GivenEntries::default();
        let once = new.iter().map(|&id| (id, 1));
        for (id, deliveries) in self.again.iter().copied().chain(once) {
            entries.push(id, deliveries);
        }
        let view = stream.as_ref().expect("there is a group");
        let mut progress = view.group(group).expect("there is one").progress();
        view.advance(&mut progress, &self.new);
        stream.change(&StreamChange::Given {
            group,
            consumer,
            seen_at: now,
            is_active: self.is_new && !entries.bytes().is_empty(),
            delivered_at: now,
            last_id: progress.last_id,
            entries_read: progress.entries_read,
            entries: entries.bytes(),
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_read_as_it_was_written() {
        for (again, new) in [(0, 0), (0, 3), (2, 0), (3, 2)] {
            let id = |number: u64| StreamId::new(number, u64::MAX - number);
            let given = Given {
                again: (0..again).map(|number| (id(number), number)).collect(),
                new: (10..10 + new).map(id).collect(),
                is_new: new > 0,
            };
            let mut bytes = Vec::new();
            given.write(&mut bytes);
            assert_eq!(Given::read(&bytes), given);
        }
        assert_eq!(Given::read(b""), Given::default());
    }
}
