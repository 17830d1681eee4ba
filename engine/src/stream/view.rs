//! A stream to read: its entries, its groups, and what is known of both.

use std::ops::ControlFlow;

use super::forest::{NONE, Record};
use super::groups::{Consumer, Delivery, Group};
use super::leaf::NAMED;
use super::producers::Producer;
use super::{ENTRIES, Fields, PartPlace, Stream, StreamChange, StreamId, StreamMarks};
use crate::nodes::Heap;
use crate::{Direction, UnixMillis};

/// Bytes of changes that are written at once to be shown.
const SHOWN_BYTES: usize = 16 << 10;

/// A stream to read.
#[derive(Clone, Copy)]
pub struct StreamRef<'a> {
    stream: &'a Stream,
    heap: &'a Heap,
}

/// An entry.
#[derive(Clone, Copy, Debug)]
pub struct StreamEntry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Its fields.
    pub fields: Fields<'a>,
}

impl<'a> StreamEntry<'a> {
    #[inline]
    fn of(record: Record<'a>) -> Self {
        Self {
            id: record.id,
            fields: match record.flags & NAMED {
                0 => Fields::of_bytes(record.body),
                _ => Fields::named(record.names, record.body),
            },
        }
    }
}

/// Up to where a stream is to be trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// So many entries.
    Len(u64),
    /// The entries from this id on.
    Id(StreamId),
}

/// How exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimBy {
    /// By the entry.
    Entry,
    /// By whole leaves, of at most so many entries together.
    Leaf(u64),
}

/// What goes of a trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrimPlan {
    /// The last entry that goes.
    pub last: StreamId,
    /// How many go.
    pub gone: u64,
    /// Whether that is all of the trim: else there may be more.
    pub is_all: bool,
}

impl<'a> StreamRef<'a> {
    pub(super) fn new(stream: &'a Stream, heap: &'a Heap) -> Self {
        Self { stream, heap }
    }

    /// Number of entries.
    #[inline]
    pub fn len(&self) -> u64 {
        self.stream.len()
    }

    /// Whether there is no entry. The stream is there all the same.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it says of itself.
    pub fn marks(&self) -> StreamMarks {
        self.stream.marks
    }

    /// Number of leaves, and of nodes of any kind.
    pub fn nodes(&self) -> (u64, u64) {
        let leaves = self.stream.forest.tree(ENTRIES).leaves;
        (leaves.into(), self.stream.forest.table.len().into())
    }

    /// The id of the first entry; [`StreamId::MIN`] if there is none.
    pub fn first_id(&self) -> StreamId {
        let first = self.stream.forest.first(self.heap, ENTRIES);
        first.map_or(StreamId::MIN, |record| record.id)
    }

    /// The id of the last entry that is there.
    #[inline]
    pub fn last_entry_id(&self) -> Option<StreamId> {
        let tree = self.stream.forest.tree(ENTRIES);
        (tree.len > 0).then_some(tree.last)
    }

    /// An entry.
    #[inline]
    pub fn get(&self, id: StreamId) -> Option<StreamEntry<'a>> {
        let record = self.stream.forest.get(self.heap, ENTRIES, id)?;
        Some(StreamEntry::of(record))
    }

    /// Whether an entry is there.
    pub fn contains(&self, id: StreamId) -> bool {
        self.stream.forest.get(self.heap, ENTRIES, id).is_some()
    }

    /// Shows entries from `from` on, or from what is next to it, until `show` breaks.
    #[inline]
    pub fn walk(
        &self,
        from: StreamId,
        direction: Direction,
        show: &mut dyn FnMut(StreamEntry<'a>) -> ControlFlow<()>,
    ) {
        let forest = &self.stream.forest;
        forest.walk(self.heap, ENTRIES, from, direction, &mut |record| {
            show(StreamEntry::of(record))
        });
    }

    /// What goes of a trim, if something does, in a look at no more than so many leaves.
    pub fn plan_trim(&self, to: TrimTo, by: TrimBy, most_leaves: usize) -> Option<TrimPlan> {
        let forest = &self.stream.forest;
        let tree = forest.tree(ENTRIES);
        if tree.root == NONE {
            return None;
        }
        let (mut path, mut ordinal) = forest.descend(self.heap, ENTRIES, StreamId::MIN);
        let (mut last_gone, mut gone, mut leaves) = (None, 0, 0);
        let mut is_all = true;
        loop {
            if matches!(to, TrimTo::Len(len) if tree.len - gone <= len) {
                break;
            }
            let leaf = forest.leaf(self.heap, ordinal);
            let entries = leaf.len() as u64;
            if matches!(by, TrimBy::Leaf(most) if most > 0 && gone + entries > most) {
                break;
            }
            let last = leaf.last().expect("a leaf has records").id;
            let goes = match to {
                TrimTo::Len(len) => tree.len - gone >= len + entries,
                TrimTo::Id(id) => last < id,
            };
            if goes {
                (last_gone, gone, leaves) = (Some(last), gone + entries, leaves + 1);
                if leaves >= most_leaves {
                    is_all = false;
                    break;
                }
                match forest.neighbour(self.heap, &mut path, Direction::Up) {
                    Some(next) => ordinal = next,
                    None => break,
                }
                continue;
            }
            if by == TrimBy::Entry {
                let mut goes = 0;
                for place in leaf.records() {
                    let stays = match to {
                        TrimTo::Len(len) => tree.len - gone - goes <= len,
                        TrimTo::Id(id) => place.id >= id,
                    };
                    if stays {
                        break;
                    }
                    (last_gone, goes) = (Some(place.id), goes + 1);
                }
                gone += goes;
            }
            break;
        }
        last_gone.map(|last| TrimPlan { last, gone, is_all })
    }

    /// Shows the changes that make a stream what it is, one after the other.
    pub fn each_change(&self, show: &mut dyn FnMut(&StreamChange<'_>)) {
        let mut next = Some(PartPlace {
            stage: 0,
            id: StreamId::MIN,
        });
        let mut part = Vec::new();
        while let Some(from) = next {
            part.clear();
            next = self
                .stream
                .write_part(self.heap, from, SHOWN_BYTES, &mut part);
            let mut rest = &part[..];
            while !rest.is_empty() {
                StreamChange::read(&mut rest).each_apart(show);
            }
        }
    }

    /// Number of groups.
    pub fn groups_len(&self) -> usize {
        self.stream.groups.len()
    }

    /// A group.
    #[inline]
    pub fn group(&self, name: &[u8]) -> Option<GroupRef<'a>> {
        let number = self.stream.groups.find(name)?;
        Some(self.group_at(number))
    }

    fn group_at(&self, number: u32) -> GroupRef<'a> {
        GroupRef {
            of: *self,
            name: self.stream.groups.name(number),
            group: self.stream.groups.at(number),
        }
    }

    /// All groups, in the order of their names.
    pub fn groups(&self) -> impl Iterator<Item = GroupRef<'a>> + 'a {
        let of = *self;
        let numbers = of.stream.groups.iter();
        numbers.map(move |(number, ..)| of.group_at(number))
    }

    /// Whether a group has yet to read an entry, or has it pending.
    pub fn is_referenced(&self, id: StreamId) -> bool {
        self.groups()
            .any(|group| group.last_id() < id || group.pending(id).is_some())
    }

    /// Whether some entry of those from an id on has been deleted, as far as is known.
    fn has_gaps_from(&self, id: StreamId) -> bool {
        let deleted = self.marks().max_deleted_id;
        !self.is_empty() && deleted != StreamId::MIN && id <= deleted
    }

    /// How many entries had been added when the one of this id was, that included; `None` if that cannot be known.
    fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        let marks = self.marks();
        let len = self.len();
        if marks.entries_added == 0 {
            return Some(0);
        }
        if len == 0 && id <= marks.last_id {
            return Some(marks.entries_added);
        }
        if id != StreamId::MIN && id < marks.max_deleted_id {
            return None;
        }
        if id == marks.last_id {
            return Some(marks.entries_added);
        }
        let first = self.first_id();
        let has_gap = marks.max_deleted_id != StreamId::MIN && marks.max_deleted_id >= first;
        if id > marks.last_id || has_gap {
            return None;
        }
        let before = marks.entries_added.saturating_sub(len);
        match id.cmp(&first) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before + 1),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// A group has been given these entries, in their order; those that it had before are none of its progress.
    pub fn advance(&self, progress: &mut GroupProgress, given: &[StreamId]) {
        if given.is_empty() {
            return;
        }
        let (first, added) = (self.first_id(), self.marks().entries_added);
        for &id in given {
            if id <= progress.last_id {
                continue;
            }
            let is_exact = progress.last_id >= first && !self.has_gaps_from(progress.last_id);
            match progress.entries_read {
                Some(read) if is_exact => progress.entries_read = Some(read.saturating_add(1)),
                _ if added > 0 => progress.entries_read = self.entries_up_to(id),
                _ => {}
            }
            progress.last_id = id;
        }
    }

    /// For how many seconds identifiers of messages are kept, and how many of a producer.
    pub fn production_limits(&self) -> (u64, u64) {
        let producers = &self.stream.producers;
        (producers.duration_secs, producers.most)
    }

    /// Number of producers, and of the identifiers that are known of them.
    pub fn production_len(&self) -> (usize, usize) {
        let producers = &self.stream.producers;
        (producers.by_name.len(), producers.len())
    }

    /// All producers, in the order of their names.
    pub fn producers(&self) -> impl Iterator<Item = ProducerRef<'a>> + 'a {
        let producers = self.stream.producers.by_name.iter();
        producers.map(|(_, name, producer)| ProducerRef { name, producer })
    }

    /// The entry that an identifier of a producer has.
    pub fn produced(&self, producer: &[u8], iid: &[u8]) -> Option<StreamId> {
        self.stream.producers.find(producer, iid)
    }

    /// Whether an identifier whose entry this is has been kept for as long as it is.
    pub fn has_production_ended(&self, id: StreamId, now: UnixMillis) -> bool {
        self.stream.producers.has_ended(id, now.0.max(0) as u64)
    }

    /// The oldest identifier of all producers, if it has been kept for as long as it is.
    pub(crate) fn ended_production(&self, now: UnixMillis) -> Option<(&'a [u8], &'a [u8])> {
        self.stream.producers.ended(now.0.max(0) as u64)
    }
}

/// A producer to read.
#[derive(Clone, Copy)]
pub struct ProducerRef<'a> {
    name: &'a [u8],
    producer: &'a Producer,
}

impl<'a> ProducerRef<'a> {
    /// Its name.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// How many identifiers are known.
    pub fn len(&self) -> usize {
        self.producer.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The identifiers, the oldest first, and the entry of each.
    pub fn messages(&self) -> impl Iterator<Item = (&'a [u8], StreamId)> + 'a {
        self.producer.iter()
    }
}

/// How far a group has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupProgress {
    /// The last entry that it was given.
    pub last_id: StreamId,
    /// How many it has read; none: that is not known.
    pub entries_read: Option<u64>,
}

/// A group to read.
#[derive(Clone, Copy)]
pub struct GroupRef<'a> {
    of: StreamRef<'a>,
    name: &'a [u8],
    group: &'a Group,
}

/// An entry that is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingRef<'a> {
    /// The entry.
    pub id: StreamId,
    /// With whom.
    pub consumer: &'a [u8],
    /// When it was last delivered.
    pub delivered_at: UnixMillis,
    /// How often.
    pub deliveries: u64,
}

/// A consumer to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerRef<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// When it was last heard of.
    pub seen_at: UnixMillis,
    /// When it was last given something.
    pub active_at: Option<UnixMillis>,
    /// How many entries are pending with it.
    pub pending_len: u64,
}

impl<'a> GroupRef<'a> {
    /// Its name.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The last entry that it was given.
    pub fn last_id(&self) -> StreamId {
        self.group.last_id
    }

    /// How far it has come.
    pub fn progress(&self) -> GroupProgress {
        GroupProgress {
            last_id: self.group.last_id,
            entries_read: self.group.entries_read,
        }
    }

    /// How many entries it has yet to be given; `None` if that cannot be known. It may be negative after `XSETID`.
    pub fn lag(&self) -> Option<i64> {
        let (marks, first) = (self.of.marks(), self.of.first_id());
        if marks.entries_added == 0 || self.of.is_empty() {
            return Some(0);
        }
        if self.group.last_id < first && marks.max_deleted_id < first {
            return Some(self.of.len() as i64);
        }
        let read = match self.group.entries_read {
            Some(read) if !self.of.has_gaps_from(self.group.last_id) => read,
            _ => self.of.entries_up_to(self.group.last_id)?,
        };
        Some(marks.entries_added.wrapping_sub(read) as i64)
    }

    /// Number of entries pending.
    pub fn pending_len(&self) -> u64 {
        self.of.stream.forest.tree(self.group.pending).len
    }

    /// The first entry that is pending, and the last.
    pub fn pending_ends(&self) -> Option<(StreamId, StreamId)> {
        let forest = &self.of.stream.forest;
        let first = forest.first(self.of.heap, self.group.pending)?;
        Some((first.id, forest.tree(self.group.pending).last))
    }

    fn pending_of(&self, id: StreamId, body: &[u8]) -> PendingRef<'a> {
        let delivery = Delivery::read(id, body);
        PendingRef {
            id,
            consumer: self.group.consumers.name(delivery.consumer),
            delivered_at: delivery.delivered_at,
            deliveries: delivery.deliveries,
        }
    }

    /// What is known of an entry, if it is pending.
    #[inline]
    pub fn pending(&self, id: StreamId) -> Option<PendingRef<'a>> {
        let forest = &self.of.stream.forest;
        let record = forest.get(self.of.heap, self.group.pending, id)?;
        Some(self.pending_of(id, record.body))
    }

    /// Shows what is pending, from `from` on, until `show` breaks.
    pub fn walk_pending(
        &self,
        from: StreamId,
        show: &mut dyn FnMut(PendingRef<'a>) -> ControlFlow<()>,
    ) {
        let (forest, tree) = (&self.of.stream.forest, self.group.pending);
        forest.walk(self.of.heap, tree, from, Direction::Up, &mut |record| {
            show(self.pending_of(record.id, record.body))
        });
    }

    /// Shows what is pending with a consumer, from `from` on, until `show` breaks.
    pub fn walk_own(
        &self,
        consumer: &[u8],
        from: StreamId,
        show: &mut dyn FnMut(PendingRef<'a>) -> ControlFlow<()>,
    ) {
        let Some(state) = self.group.consumers.get(consumer) else {
            return;
        };
        let forest = &self.of.stream.forest;
        forest.walk(
            self.of.heap,
            state.own,
            from,
            Direction::Up,
            &mut |record| {
                let pending = self.pending(record.id);
                show(pending.expect("what is pending with a consumer is with its group"))
            },
        );
    }

    /// Shows what has been pending since a time or longer, from `from` on, until `show` breaks.
    pub fn walk_pending_since(
        &self,
        (from, until): (StreamId, UnixMillis),
        show: &mut dyn FnMut(PendingRef<'a>) -> ControlFlow<()>,
    ) {
        let (forest, tree) = (&self.of.stream.forest, self.group.pending);
        forest.walk_old(self.of.heap, tree, (from, until), &mut |record| {
            let pending = self.pending_of(record.id, record.body);
            match pending.delivered_at <= until {
                true => show(pending),
                false => ControlFlow::Continue(()),
            }
        });
    }

    /// Number of consumers.
    pub fn consumers_len(&self) -> usize {
        self.group.consumers.len()
    }

    fn consumer_of(&self, name: &'a [u8], state: &Consumer) -> ConsumerRef<'a> {
        ConsumerRef {
            name,
            seen_at: state.seen_at,
            active_at: state.active_at,
            pending_len: self.of.stream.forest.tree(state.own).len,
        }
    }

    /// A consumer.
    pub fn consumer(&self, name: &[u8]) -> Option<ConsumerRef<'a>> {
        let number = self.group.consumers.find(name)?;
        let state = self.group.consumers.at(number);
        Some(self.consumer_of(self.group.consumers.name(number), state))
    }

    /// All consumers, in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = ConsumerRef<'a>> + 'a {
        let group = *self;
        let named = group.group.consumers.iter();
        named.map(move |(_, name, state)| group.consumer_of(name, state))
    }
}
