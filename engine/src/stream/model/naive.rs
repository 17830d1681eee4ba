//! The naive model of a stream: ordered maps, changed as a stream is.

use std::collections::{BTreeMap, VecDeque};

use crate::UnixMillis;
use crate::stream::given;
use crate::stream::{Fields, StreamChange, StreamId, StreamMarks};

pub(super) type Fielded = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Default)]
pub(super) struct GroupModel {
    pub(super) last_id: StreamId,
    pub(super) entries_read: Option<u64>,
    pub(super) consumers: BTreeMap<Vec<u8>, (UnixMillis, Option<UnixMillis>)>,
    pub(super) pending: BTreeMap<StreamId, (Vec<u8>, UnixMillis, u64)>,
}

#[derive(Clone)]
pub(super) struct Model {
    pub(super) entries: BTreeMap<StreamId, Fielded>,
    pub(super) marks: StreamMarks,
    pub(super) groups: BTreeMap<Vec<u8>, GroupModel>,
    pub(super) duration_secs: u64,
    pub(super) most: u64,
    pub(super) producers: BTreeMap<Vec<u8>, VecDeque<(Vec<u8>, StreamId)>>,
}

pub(super) fn own(fields: &Fielded) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        Fields::write(name, value, &mut out);
    }
    out
}

pub(super) fn bytes_of(change: &StreamChange<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    change.write(&mut out);
    out
}

impl Model {
    pub(super) fn apply(&mut self, change: &StreamChange<'_>) {
        match *change {
            StreamChange::Entries { .. } => change.each_apart(&mut |added| self.apply(added)),
            StreamChange::Added { id, fields } => {
                let fields = Fields::of_bytes(fields).iter();
                let fields = fields.map(|(name, value)| (name.to_vec(), value.to_vec()));
                if self.entries.insert(id, fields.collect()).is_none() {
                    self.marks.entries_added += 1;
                }
                self.marks.last_id = self.marks.last_id.max(id);
            }
            StreamChange::Removed { id } => {
                if self.entries.remove(&id).is_some() {
                    self.marks.max_deleted_id = self.marks.max_deleted_id.max(id);
                }
            }
            StreamChange::Trimmed { first, last } => {
                self.entries.retain(|id, _| *id < first || *id > last);
            }
            StreamChange::Marks(marks) => self.marks = marks,
            StreamChange::Group {
                group,
                last_id,
                entries_read,
            } => {
                let group = self.groups.entry(group.to_vec()).or_default();
                (group.last_id, group.entries_read) = (last_id, entries_read);
            }
            StreamChange::GroupGone { group } => drop(self.groups.remove(group)),
            StreamChange::Consumer {
                group,
                consumer,
                seen_at,
                active_at,
            } => {
                if let Some(group) = self.groups.get_mut(group) {
                    let state = (seen_at, active_at);
                    group.consumers.insert(consumer.to_vec(), state);
                }
            }
            StreamChange::ConsumerGone { group, consumer } => {
                if let Some(group) = self.groups.get_mut(group) {
                    group.consumers.remove(consumer);
                    group.pending.retain(|_, (with, ..)| with != consumer);
                }
            }
            StreamChange::Pending {
                group,
                consumer,
                id,
                delivered_at,
                deliveries,
            } => {
                if let Some(group) = self.groups.get_mut(group)
                    && group.consumers.contains_key(consumer)
                {
                    let state = (consumer.to_vec(), delivered_at, deliveries);
                    group.pending.insert(id, state);
                }
            }
            StreamChange::Given {
                group,
                consumer,
                seen_at,
                is_active,
                delivered_at,
                last_id,
                entries_read,
                entries,
            } => {
                if let Some(group) = self.groups.get_mut(group) {
                    (group.last_id, group.entries_read) = (last_id, entries_read);
                    let of = group.consumers.entry(consumer.to_vec());
                    let of = of.or_insert((seen_at, None));
                    of.0 = seen_at;
                    if is_active {
                        of.1 = Some(seen_at);
                    }
                    for (id, deliveries) in given::each(entries) {
                        let state = (consumer.to_vec(), delivered_at, deliveries);
                        group.pending.insert(id, state);
                    }
                }
            }
            StreamChange::Acknowledged { group, id } => {
                if let Some(group) = self.groups.get_mut(group) {
                    group.pending.remove(&id);
                }
            }
            StreamChange::Released {
                group,
                consumer,
                last,
            } => {
                if let Some(group) = self.groups.get_mut(group) {
                    group
                        .pending
                        .retain(|id, (with, ..)| with != consumer || *id > last);
                }
            }
            StreamChange::Producers {
                duration_secs,
                most,
            } => {
                if (self.duration_secs, self.most) != (duration_secs, most) {
                    self.producers.clear();
                }
                (self.duration_secs, self.most) = (duration_secs, most);
            }
            StreamChange::Produced {
                producer,
                iid,
                id,
                is_oldest,
            } => {
                let known = self.producers.entry(producer.to_vec()).or_default();
                if known.iter().any(|(of, _)| of == iid) {
                    return;
                }
                match is_oldest {
                    true => known.push_front((iid.to_vec(), id)),
                    false => known.push_back((iid.to_vec(), id)),
                }
                if known.len() as u64 > self.most {
                    known.pop_front();
                }
                self.marks.iids_added += 1;
            }
            StreamChange::Forgotten { producer, iid } => {
                if let Some(known) = self.producers.get_mut(producer) {
                    known.retain(|(of, _)| of != iid);
                    if known.is_empty() {
                        self.producers.remove(producer);
                    }
                }
            }
        }
    }

    /// The changes that make it, as bytes, in any order.
    pub(super) fn row(&self) -> Vec<Vec<u8>> {
        let mut row = Vec::new();
        let mut tell = |change: StreamChange<'_>| row.push(bytes_of(&change));
        tell(StreamChange::Producers {
            duration_secs: self.duration_secs,
            most: self.most,
        });
        for (producer, known) in &self.producers {
            for (iid, id) in known {
                tell(StreamChange::Produced {
                    producer,
                    iid,
                    id: *id,
                    is_oldest: false,
                });
            }
        }
        for (group, of) in &self.groups {
            tell(StreamChange::Group {
                group,
                last_id: of.last_id,
                entries_read: of.entries_read,
            });
            for (consumer, (seen_at, active_at)) in &of.consumers {
                tell(StreamChange::Consumer {
                    group,
                    consumer,
                    seen_at: *seen_at,
                    active_at: *active_at,
                });
            }
            for (id, (consumer, delivered_at, deliveries)) in &of.pending {
                tell(StreamChange::Pending {
                    group,
                    consumer,
                    id: *id,
                    delivered_at: *delivered_at,
                    deliveries: *deliveries,
                });
            }
        }
        for (id, fields) in &self.entries {
            let fields = &own(fields);
            tell(StreamChange::Added { id: *id, fields });
        }
        tell(StreamChange::Marks(self.marks));
        row.sort();
        row
    }
}
