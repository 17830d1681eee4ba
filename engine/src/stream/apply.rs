//! Doing a change: all memory is taken before anything is changed, and what is not there is left.

use super::entries::Given;
use super::forest::{Forest, Holds, NONE, TreeId};
use super::groups::{Delivery, Group};
use super::names::Names;
use super::{ENTRIES, Stream, StreamChange, StreamId, together};
use crate::nodes::Heap;
use crate::{Direction, StoreError};
use std::ops::ControlFlow;

/// Ids that are taken out together.
const TOGETHER: usize = 256;

/// So many consumers of a group that goes are freed at once.
const FREED_AT_ONCE_CONSUMERS: usize = 16;

impl Stream {
    /// Does a change.
    ///
    /// # Errors
    /// Memory is out; then nothing changed, but that some of the entries may be there that were to come together.
    pub(crate) fn apply(
        &mut self,
        heap: &mut Heap,
        change: &StreamChange<'_>,
    ) -> Result<(), StoreError> {
        match *change {
            StreamChange::Added { id, fields } => {
                self.add(heap, id, Given::Own(fields))?;
            }
            StreamChange::Entries { names, entries } => self.add_together(heap, names, entries)?,
            StreamChange::Removed { id } => {
                if self.forest.remove(heap, ENTRIES, id) {
                    self.marks.max_deleted_id = self.marks.max_deleted_id.max(id);
                }
            }
            StreamChange::Trimmed { first, last } => self.trim(heap, first, last),
            StreamChange::Marks(marks) => self.marks = marks,
            StreamChange::Group {
                group,
                last_id,
                entries_read,
            } => self.set_group(group, last_id, entries_read),
            StreamChange::GroupGone { group } => self.drop_group(heap, group),
            StreamChange::Pending {
                group,
                consumer,
                id,
                delivered_at,
                deliveries,
            } => {
                let delivery = |consumer| Delivery {
                    consumer,
                    delivered_at,
                    deliveries,
                };
                self.deliver(heap, (group, consumer, id), delivery)?;
            }
            StreamChange::Given { .. } => self.give(heap, change)?,
            StreamChange::Acknowledged { group, id } => {
                let Self { groups, forest, .. } = self;
                if let Some(group) = groups.get(group) {
                    forest.acknowledge(heap, group, id);
                }
            }
            StreamChange::Released {
                group,
                consumer,
                last,
            } => self.release(heap, (group, consumer), last),
            StreamChange::Consumer { .. } | StreamChange::ConsumerGone { .. } => {
                self.change_consumer(heap, change);
            }
            StreamChange::Producers { .. }
            | StreamChange::Produced { .. }
            | StreamChange::Forgotten { .. } => self.change_producers(change),
        }
        Ok(())
    }

    /// Adds an entry, or gives it these fields; the leaf that has their names, if it has.
    fn add(
        &mut self,
        heap: &mut Heap,
        id: StreamId,
        given: Given<'_>,
    ) -> Result<Option<u32>, StoreError> {
        let mut body = std::mem::take(&mut heap.drafts.entry);
        let len = self.len();
        let added = match self.forest.tree(ENTRIES).last < id || len == 0 {
            true => self.forest.append_entry(heap, id, given, &mut body),
            false => self.forest.put_entry(heap, id, given, &mut body),
        };
        heap.drafts.keep_entry(body);
        let home = added?;
        self.marks.last_id = self.marks.last_id.max(id);
        self.marks.entries_added = self.marks.entries_added.saturating_add(self.len() - len);
        Ok(home)
    }

    fn add_together(
        &mut self,
        heap: &mut Heap,
        names: &[u8],
        entries: &[u8],
    ) -> Result<(), StoreError> {
        let mut known = None;
        for entry in together::each(entries) {
            let given = match entry.is_named {
                true => Given::Named {
                    names,
                    values: entry.body,
                    known,
                },
                false => Given::Own(entry.body),
            };
            let home = self.add(heap, entry.id, given)?;
            known = home.filter(|_| entry.is_named);
        }
        Ok(())
    }

    fn trim(&mut self, heap: &mut Heap, first: StreamId, last: StreamId) {
        loop {
            let tree = self.forest.tree(ENTRIES);
            if tree.root == NONE {
                return;
            }
            let (_, ordinal) = self.forest.descend(heap, ENTRIES, StreamId::MIN);
            let leaf = self.forest.leaf(heap, ordinal);
            let least = leaf.after(None).map(|place| place.id);
            let greatest = leaf.last().map(|place| place.id);
            if least < Some(first) || greatest > Some(last) {
                break;
            }
            self.forest.remove_first_leaf(heap, ENTRIES);
        }
        let mut ids = Vec::new();
        loop {
            ids.clear();
            let collect = &mut |record: super::forest::Record<'_>| {
                if record.id > last || ids.len() == TOGETHER {
                    return ControlFlow::Break(());
                }
                ids.push(record.id);
                ControlFlow::Continue(())
            };
            self.forest
                .walk(heap, ENTRIES, first, Direction::Up, collect);
            if ids.is_empty() {
                return;
            }
            for &id in &ids {
                self.forest.remove(heap, ENTRIES, id);
            }
        }
    }

    fn set_group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<u64>) {
        if let Some(number) = self.groups.find(name) {
            let group = self.groups.at_mut(number);
            (group.last_id, group.entries_read) = (last_id, entries_read);
            return;
        }
        let before = self.groups.bytes();
        let pending = self.forest.plant(self.short, Holds::Deliveries);
        self.groups.insert(
            name,
            Group {
                last_id,
                entries_read,
                pending,
                consumers: Names::default(),
            },
        );
        self.state_bytes = self.state_bytes - before + self.groups.bytes();
    }

    fn drop_group(&mut self, heap: &mut Heap, name: &[u8]) {
        let Some(number) = self.groups.find(name) else {
            return;
        };
        let before = self.groups.bytes();
        let group = self.groups.remove(number);
        self.state_bytes = self.state_bytes - before + self.groups.bytes();
        self.forest.fell(heap, group.pending);
        if group.consumers.len() > FREED_AT_ONCE_CONSUMERS {
            return self.gone.push(group.consumers);
        }
        self.state_bytes -= group.consumers.bytes();
        for (_, _, consumer) in group.consumers.iter() {
            self.forest.fell(heap, consumer.own);
        }
    }

    /// An entry is pending with a consumer, as `delivery` says of its number.
    fn deliver(
        &mut self,
        heap: &mut Heap,
        (group, consumer, id): (&[u8], &[u8], StreamId),
        delivery: impl FnOnce(u32) -> Delivery,
    ) -> Result<(), StoreError> {
        let Self { groups, forest, .. } = self;
        let Some(group) = groups.get(group) else {
            return Ok(());
        };
        let Some(number) = group.consumers.find(consumer) else {
            return Ok(());
        };
        let delivery = (id, delivery(number));
        let mut body = std::mem::take(&mut heap.drafts.entry);
        let delivered = forest.deliver(heap, group, delivery, &mut body);
        heap.drafts.keep_entry(body);
        delivered.map(|_| ())
    }

    fn release(&mut self, heap: &mut Heap, (group, consumer): (&[u8], &[u8]), last: StreamId) {
        let Self { groups, forest, .. } = self;
        if let Some(group) = groups.get(group)
            && let Some(state) = group.consumers.get(consumer)
        {
            forest.take_up_to(heap, last, (state.own, group.pending));
        }
    }

    fn change_consumer(&mut self, heap: &mut Heap, change: &StreamChange<'_>) {
        let (StreamChange::Consumer { group, .. } | StreamChange::ConsumerGone { group, .. }) =
            change
        else {
            unreachable!("it is of a consumer");
        };
        let Some(group) = self.groups.find(group) else {
            return;
        };
        match *change {
            StreamChange::Consumer {
                consumer,
                seen_at,
                active_at,
                ..
            } => {
                let (number, _) = self.consumer_for(group, (consumer, seen_at));
                let state = self.groups.at_mut(group).consumers.at_mut(number);
                (state.seen_at, state.active_at) = (seen_at, active_at);
            }
            StreamChange::ConsumerGone { consumer, .. } => {
                if let Some(number) = self.groups.at(group).consumers.find(consumer) {
                    self.drop_consumer(heap, group, number);
                }
            }
            _ => unreachable!("it is of a consumer"),
        }
    }

    fn change_producers(&mut self, change: &StreamChange<'_>) {
        let before = self.producers.used_bytes();
        match *change {
            StreamChange::Producers {
                duration_secs,
                most,
            } => self.producers.configure(duration_secs, most),
            StreamChange::Produced {
                producer,
                iid,
                id,
                is_oldest,
            } => {
                if self.producers.find(producer, iid).is_none() {
                    self.producers.add(producer, iid, id, is_oldest);
                    self.marks.iids_added = self.marks.iids_added.saturating_add(1);
                }
            }
            StreamChange::Forgotten { producer, iid } => self.producers.remove(producer, iid),
            _ => unreachable!("it is of producers"),
        }
        self.state_bytes = self.state_bytes - before + self.producers.used_bytes();
    }
}

impl Forest {
    /// Takes the records of a tree up to an id out, and those of the same ids in another.
    pub(super) fn take_up_to(
        &mut self,
        heap: &mut Heap,
        last: StreamId,
        (id, other): (TreeId, TreeId),
    ) {
        let mut ids: Vec<StreamId> = Vec::new();
        while self.tree(id).len > 0 {
            let (_, ordinal) = self.descend(heap, id, StreamId::MIN);
            let leaf = self.leaf(heap, ordinal);
            ids.clear();
            ids.extend(
                leaf.records()
                    .map(|place| place.id)
                    .take_while(|id| *id <= last),
            );
            let is_whole = ids.len() == leaf.len();
            for &at in &ids {
                self.remove(heap, other, at);
            }
            if !is_whole {
                for &at in &ids {
                    self.remove(heap, id, at);
                }
                return;
            }
            self.remove_first_leaf(heap, id);
        }
    }
}
