//! What a consumer is given at once: entries become pending with it, it was heard of, and its group has come so far. All of it is one change,
//! which is made as a whole or not at all.
//!
//! ```text
//!  entries: | id (ms, seq) | deliveries | …      no id comes twice
//! ```

use std::collections::BTreeMap;

use super::forest::Forest;
use super::groups::{Consumer, Delivery, Group};
use super::leaf::Draft;
use super::{Holds, Stream, StreamChange, StreamId, varint};
use crate::nodes::Heap;
use crate::{StoreError, UnixMillis};

/// Entries that a consumer is given, each with how often it has been delivered then, for [`StreamChange::Given`].
#[derive(Debug, Default)]
pub struct GivenEntries {
    bytes: Vec<u8>,
}

impl GivenEntries {
    /// Adds an entry, which none of them is.
    pub fn push(&mut self, id: StreamId, deliveries: u64) {
        varint::write(id.ms, &mut self.bytes);
        varint::write(id.seq, &mut self.bytes);
        varint::write(deliveries, &mut self.bytes);
    }

    /// The entries, for [`StreamChange::Given`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The entries that have been written.
pub(super) fn each(entries: &[u8]) -> impl Iterator<Item = (StreamId, u64)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < entries.len()).then(|| {
            let ms = varint::read(entries, &mut at);
            let id = StreamId::new(ms, varint::read(entries, &mut at));
            (id, varint::read(entries, &mut at))
        })
    })
}

impl Stream {
    /// Gives a consumer entries, which is made if it is not there; a group that is not there has none.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(super) fn give(
        &mut self,
        heap: &mut Heap,
        change: &StreamChange<'_>,
    ) -> Result<(), StoreError> {
        let &StreamChange::Given {
            group,
            consumer,
            seen_at,
            is_active,
            delivered_at,
            last_id,
            entries_read,
            entries,
        } = change
        else {
            unreachable!("something is given");
        };
        let Some(group) = self.groups.find(group) else {
            return Ok(());
        };
        let (number, is_new) = self.consumer_for(group, (consumer, seen_at));
        let mut body = std::mem::take(&mut heap.drafts.entry);
        let Self { groups, forest, .. } = self;
        let group_of = groups.at_mut(group);
        let delivery = |deliveries| Delivery {
            consumer: number,
            delivered_at,
            deliveries,
        };
        let mut replaced = BTreeMap::new();
        let mut failed = None;
        for (done, (id, deliveries)) in each(entries).enumerate() {
            match forest.deliver(heap, group_of, (id, delivery(deliveries)), &mut body) {
                Ok(None) => {}
                Ok(Some(old)) => {
                    replaced.insert(id, old);
                }
                Err(error) => {
                    failed = Some((done, error));
                    break;
                }
            }
        }
        let Some((done, error)) = failed else {
            (group_of.last_id, group_of.entries_read) = (last_id, entries_read);
            let state = group_of.consumers.at_mut(number);
            state.seen_at = seen_at;
            if is_active {
                state.active_at = Some(seen_at);
            }
            heap.drafts.keep_entry(body);
            return Ok(());
        };
        let given = each(entries).take(done);
        forest.take_back(heap, group_of, (given, replaced), &mut body);
        heap.drafts.keep_entry(body);
        if is_new {
            self.drop_consumer(heap, group, number);
        }
        Err(error)
    }

    /// The number of a consumer, and whether it was made.
    pub(super) fn consumer_for(
        &mut self,
        group: u32,
        (consumer, seen_at): (&[u8], UnixMillis),
    ) -> (u32, bool) {
        let Self { groups, forest, .. } = self;
        let consumers = &mut groups.at_mut(group).consumers;
        if let Some(number) = consumers.find(consumer) {
            return (number, false);
        }
        let before = consumers.bytes();
        let state = Consumer {
            seen_at,
            active_at: None,
            own: forest.plant(self.short, Holds::Ids),
        };
        let number = consumers.insert(consumer, state);
        self.state_bytes = self.state_bytes - before + consumers.bytes();
        (number, true)
    }

    /// Takes a consumer out, with what is pending with it.
    pub(super) fn drop_consumer(&mut self, heap: &mut Heap, group: u32, number: u32) {
        let Self { groups, forest, .. } = self;
        let group = groups.at_mut(group);
        let before = group.consumers.bytes();
        let own = group.consumers.remove(number).own;
        self.state_bytes = self.state_bytes - before + group.consumers.bytes();
        forest.take_up_to(heap, StreamId::MAX, (own, group.pending));
        forest.fell(heap, own);
    }
}

impl Forest {
    /// An entry is pending with a consumer of a group; how it was pending before. `body` is for the body of its record.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(super) fn deliver(
        &mut self,
        heap: &mut Heap,
        group: &Group,
        (id, delivery): (StreamId, Delivery),
        body: &mut Vec<u8>,
    ) -> Result<Option<Delivery>, StoreError> {
        let old = self.get(heap, group.pending, id);
        let old = old.map(|record| Delivery::read(id, record.body));
        let own_of = |delivery: Delivery| group.consumers.at(delivery.consumer).own;
        let (own, old_own) = (own_of(delivery), old.map(own_of));
        let is_new_here = old_own != Some(own);
        if is_new_here {
            self.put(heap, own, &Draft::bare(id))?;
        }
        body.clear();
        delivery.write(id, body);
        let (flags, body) = (0, &body[..]);
        let draft = Draft { id, flags, body };
        if let Err(error) = self.put(heap, group.pending, &draft) {
            if is_new_here {
                self.remove(heap, own, id);
            }
            return Err(error);
        }
        if let Some(old_own) = old_own.filter(|_| is_new_here) {
            self.remove(heap, old_own, id);
        }
        Ok(old)
    }

    /// Entries that were given are pending as they were before, those that are replaced among them, or not at all.
    fn take_back(
        &mut self,
        heap: &mut Heap,
        group: &Group,
        (given, replaced): (
            impl Iterator<Item = (StreamId, u64)>,
            BTreeMap<StreamId, Delivery>,
        ),
        body: &mut Vec<u8>,
    ) {
        let was_insisting = heap.arena.insist(true);
        for (id, _) in given.filter(|(id, _)| !replaced.contains_key(id)) {
            self.acknowledge(heap, group, id);
        }
        for (id, old) in replaced {
            let back = self.deliver(heap, group, (id, old), body);
            back.expect("memory is set aside for what is taken back");
        }
        heap.arena.insist(was_insisting);
    }

    /// An entry is pending no more.
    pub(super) fn acknowledge(&mut self, heap: &mut Heap, group: &Group, id: StreamId) {
        if let Some(record) = self.get(heap, group.pending, id) {
            let consumer = Delivery::read(id, record.body).consumer;
            self.remove(heap, group.pending, id);
            self.remove(heap, group.consumers.at(consumer).own, id);
        }
    }
}
