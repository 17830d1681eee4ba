//! What takes a change back: other changes, which do so one after the other.

use std::ops::ControlFlow;

use super::groups::{Delivery, Group};
use super::{ENTRIES, Stream, StreamChange, StreamId, given};
use crate::Direction;
use crate::nodes::Heap;

impl Stream {
    /// Writes what takes a change back that is about to be made; nothing if it will change nothing.
    pub(crate) fn write_inverse(&self, heap: &Heap, change: &StreamChange<'_>, out: &mut Vec<u8>) {
        match *change {
            StreamChange::Added { id, .. } => {
                match self.forest.get(heap, ENTRIES, id) {
                    Some(_) => self.write_removed(heap, id, id, out),
                    None => StreamChange::Trimmed {
                        first: id,
                        last: id,
                    }
                    .write(out),
                }
                StreamChange::Marks(self.marks).write(out);
            }
            StreamChange::Entries { .. } => change.each_apart(&mut |added| {
                self.write_inverse(heap, added, out);
            }),
            StreamChange::Removed { id } => {
                self.write_removed(heap, id, id, out);
                StreamChange::Marks(self.marks).write(out);
            }
            StreamChange::Trimmed { first, last } => {
                self.write_removed(heap, first, last, out);
                StreamChange::Marks(self.marks).write(out);
            }
            StreamChange::Marks(_) => StreamChange::Marks(self.marks).write(out),
            StreamChange::Group { group, .. } => match self.groups.get(group) {
                Some(_) => self.write_group(group, out),
                None => StreamChange::GroupGone { group }.write(out),
            },
            StreamChange::GroupGone { group } => {
                self.write_group(group, out);
                self.write_consumers(group, out);
                self.write_pending(heap, group, (None, StreamId::MAX), out);
            }
            StreamChange::Consumer {
                group, consumer, ..
            } => self.write_consumer_or_gone(group, consumer, out),
            StreamChange::Given {
                group,
                consumer,
                entries,
                ..
            } => {
                for (id, _) in given::each(entries) {
                    self.write_delivery(heap, group, id, out);
                }
                self.write_consumer_or_gone(group, consumer, out);
                self.write_group(group, out);
            }
            StreamChange::ConsumerGone { group, consumer } => {
                self.write_consumer(group, consumer, out);
                self.write_pending(heap, group, (Some(consumer), StreamId::MAX), out);
            }
            StreamChange::Released {
                group,
                consumer,
                last,
            } => self.write_pending(heap, group, (Some(consumer), last), out),
            StreamChange::Pending { group, id, .. } | StreamChange::Acknowledged { group, id } => {
                self.write_delivery(heap, group, id, out);
            }
            StreamChange::Producers { .. }
            | StreamChange::Produced { .. }
            | StreamChange::Forgotten { .. } => self.write_inverse_of_production(change, out),
        }
    }

    /// The entries that are about to go, or to change.
    fn write_removed(&self, heap: &Heap, first: StreamId, last: StreamId, out: &mut Vec<u8>) {
        self.write_entries(heap, (first, last), usize::MAX, out);
    }

    fn write_group(&self, group: &[u8], out: &mut Vec<u8>) {
        if let Some(of) = self.groups.get(group) {
            StreamChange::Group {
                group,
                last_id: of.last_id,
                entries_read: of.entries_read,
            }
            .write(out);
        }
    }

    /// What a consumer is, or that it is not.
    fn write_consumer_or_gone(&self, group: &[u8], consumer: &[u8], out: &mut Vec<u8>) {
        let of_group = self.groups.get(group);
        match of_group.and_then(|of| of.consumers.find(consumer)) {
            Some(_) => self.write_consumer(group, consumer, out),
            None => StreamChange::ConsumerGone { group, consumer }.write(out),
        }
    }

    fn write_consumer(&self, group: &[u8], consumer: &[u8], out: &mut Vec<u8>) {
        let of_group = self.groups.get(group);
        if let Some(state) = of_group.and_then(|of| of.consumers.get(consumer)) {
            StreamChange::Consumer {
                group,
                consumer,
                seen_at: state.seen_at,
                active_at: state.active_at,
            }
            .write(out);
        }
    }

    fn write_consumers(&self, group: &[u8], out: &mut Vec<u8>) {
        let consumers = self.groups.get(group).map(|of| &of.consumers);
        for (_, consumer, _) in consumers.into_iter().flat_map(|all| all.iter()) {
            self.write_consumer(group, consumer, out);
        }
    }

    /// What is pending with a group, or with one of its consumers, up to an entry.
    fn write_pending(
        &self,
        heap: &Heap,
        group: &[u8],
        (consumer, last): (Option<&[u8]>, StreamId),
        out: &mut Vec<u8>,
    ) {
        let Some(of_group) = self.groups.get(group) else {
            return;
        };
        let tree = match consumer {
            None => of_group.pending,
            Some(consumer) => match of_group.consumers.get(consumer) {
                Some(state) => state.own,
                None => return,
            },
        };
        self.forest
            .walk(heap, tree, StreamId::MIN, Direction::Up, &mut |record| {
                if record.id > last {
                    return ControlFlow::Break(());
                }
                self.write_delivery(heap, group, record.id, out);
                ControlFlow::Continue(())
            });
    }

    /// What is known of an entry that is pending, or that it is not.
    fn write_delivery(&self, heap: &Heap, group: &[u8], id: StreamId, out: &mut Vec<u8>) {
        let Some(of_group) = self.groups.get(group) else {
            return;
        };
        match self.forest.get(heap, of_group.pending, id) {
            Some(record) => pending(group, of_group, id, record.body).write(out),
            None => StreamChange::Acknowledged { group, id }.write(out),
        }
    }

    fn write_inverse_of_production(&self, change: &StreamChange<'_>, out: &mut Vec<u8>) {
        match *change {
            StreamChange::Producers { .. } => self.write_producers(out),
            StreamChange::Produced { producer, iid, .. } => {
                if self.producers.find(producer, iid).is_some() {
                    return;
                }
                StreamChange::Forgotten { producer, iid }.write(out);
                let known = self.producers.by_name.get(producer);
                if let Some(known) = known
                    && known.len() as u64 >= self.producers.most
                    && let Some((iid, id)) = known.oldest()
                {
                    StreamChange::Produced {
                        producer,
                        iid,
                        id,
                        is_oldest: true,
                    }
                    .write(out);
                }
            }
            StreamChange::Forgotten { producer, iid } => {
                if let Some(id) = self.producers.find(producer, iid) {
                    StreamChange::Produced {
                        producer,
                        iid,
                        id,
                        is_oldest: true,
                    }
                    .write(out);
                }
            }
            _ => unreachable!("it is of producers"),
        }
        StreamChange::Marks(self.marks).write(out);
    }

    /// What is said of producers, and what each has produced.
    pub(super) fn write_producers(&self, out: &mut Vec<u8>) {
        StreamChange::Producers {
            duration_secs: self.producers.duration_secs,
            most: self.producers.most,
        }
        .write(out);
        for (_, producer, known) in self.producers.by_name.iter() {
            for (iid, id) in known.iter() {
                StreamChange::Produced {
                    producer,
                    iid,
                    id,
                    is_oldest: false,
                }
                .write(out);
            }
        }
    }
}

/// What the record of an entry that is pending says.
pub(super) fn pending<'a>(
    group: &'a [u8],
    of_group: &'a Group,
    id: StreamId,
    body: &[u8],
) -> StreamChange<'a> {
    let delivery = Delivery::read(id, body);
    StreamChange::Pending {
        group,
        consumer: of_group.consumers.name(delivery.consumer),
        id,
        delivered_at: delivery.delivered_at,
        deliveries: delivery.deliveries,
    }
}
