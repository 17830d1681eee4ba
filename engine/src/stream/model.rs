//! A stream against the naive model of it, ordered maps: any bytes are steps, so that property tests shrink them and fuzzers mutate them.
//!
//! ```text
//!  [ bounds ] [ step | operands ] [ step | operands ] ...      what is missing at the end reads as zero
//! ```
//! Every change is made, and some are taken back and made again.

mod naive;

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use super::forest::{Bounds, long_of};
use super::leaf::{LONG, Leaf, Prelude};
use super::view::{TrimBy, TrimPlan, TrimTo};
use super::{GivenEntries, PartPlace, Stream, StreamChange, StreamId, StreamMarks};
use crate::model::Steps;
use crate::nodes::{Heap, Long, NodeKind, Owner};
use crate::raw::Block;
use crate::{Direction, StoreError, StreamNodeLimits, UnixMillis};
use naive::{Model, bytes_of, own};

/// Steps played of any input.
const STEPS_MAX: usize = 300;
/// Steps between looks at everything.
const CHECK_INTERVAL: usize = 8;
/// Entries at which steps that add many stop.
const MANY: usize = 600;

/// Entries given together while memory runs out.
const RUN_OUT_GIVEN: usize = 40;

/// Nodes so small that trees are soon high.
const SMALL: Bounds = Bounds {
    leaf_bytes: 256,
    leaf_records: 12,
    children: 5,
    inline_bytes: 64,
};

struct Play<'a> {
    steps: Steps<'a>,
    heap: Heap,
    stream: Stream,
    model: Model,
}

/// Plays the steps.
///
/// # Panics
/// The stream does something else than the model, or an invariant of it is broken.
pub fn play(bytes: &[u8]) {
    let mut steps = Steps::new(bytes);
    let stream = match steps.operand() % 4 {
        0 => Stream::new(Owner(9)),
        1 => Stream::with_bounds(Owner(9), SMALL, Bounds::SHORT),
        _ => Stream::with_bounds(Owner(9), SMALL, SMALL),
    };
    let mut play = Play {
        steps,
        heap: Heap::new(1 << 30).expect("address space"),
        stream,
        model: Model {
            entries: BTreeMap::new(),
            marks: StreamMarks::default(),
            groups: BTreeMap::new(),
            duration_secs: 100,
            most: 100,
            producers: BTreeMap::new(),
        },
    };
    let mut step = 0;
    while step < STEPS_MAX && play.step() {
        step += 1;
        if step % CHECK_INTERVAL == 0 {
            play.compare();
        }
    }
    play.compare();
    play.end();
}

const GROUPS: [&[u8]; 3] = [b"g", b"group 2", b""];
const CONSUMERS: [&[u8]; 4] = [b"a", b"me", b"z", b"b"];

impl Play<'_> {
    fn step(&mut self) -> bool {
        let Some(step) = self.steps.next() else {
            return false;
        };
        match step % 18 {
            0..=2 => self.add(),
            3 => self.add_many(),
            4 | 5 => self.remove(),
            6 => self.trim(),
            7 => {
                self.change_marks();
                self.stream.reclaim(&mut self.heap, step.into());
            }
            8 => self.change_group(),
            9 => self.change_consumer(),
            10 | 11 if step > 128 => self.give(1 << 14),
            10 | 11 => self.deliver_many(),
            12 => self.deliver(),
            13 => self.acknowledge(),
            14 => self.produce(),
            15 if step > 128 => self.look_for_oldest(),
            15 => self.walk(),
            16 if step > 200 => self.run_out(),
            16 => self.travel(step),
            _ => self.move_block(),
        }
        true
    }

    /// Makes a change, some of them twice and taken back in between.
    fn change(&mut self, change: &StreamChange<'_>) {
        if self.steps.operand().is_multiple_of(8) {
            let (before, mut back) = (self.row(), Vec::new());
            self.stream.write_inverse(&self.heap, change, &mut back);
            assert_eq!(self.stream.apply(&mut self.heap, change), Ok(()));
            let mut rest = &back[..];
            while !rest.is_empty() {
                let back = StreamChange::read(&mut rest);
                assert_eq!(self.stream.apply(&mut self.heap, &back), Ok(()));
            }
            self.stream.check(&self.heap);
            assert!(self.row() == before, "taken back: {change:?}");
        }
        assert_eq!(self.stream.apply(&mut self.heap, change), Ok(()));
        self.model.apply(change);
    }

    /// Makes a change with memory for so many blocks: as a whole or not at all.
    fn change_with(&mut self, change: &StreamChange<'_>, blocks: u32) {
        self.heap.arena.run_out_after(Some(blocks));
        let done = self.stream.apply(&mut self.heap, change);
        self.heap.arena.run_out_after(None);
        match done {
            Ok(()) => self.model.apply(change),
            Err(error) => assert_eq!(error, StoreError::OutOfMemory),
        }
        self.compare();
    }

    fn next_id(&mut self) -> StreamId {
        let last = self.model.marks.last_id;
        match self.steps.operand() % 8 {
            0 => StreamId::new(last.ms, last.seq + 1),
            1 => StreamId::new(last.ms, last.seq + 1 + self.steps.below(60_000) as u64),
            2 => StreamId::new(last.ms + self.steps.below(60_000) as u64 + 1, 7),
            3 => StreamId::new(last.ms + (1 << 33), 1 << 60),
            _ => StreamId::new(last.ms + 1 + self.steps.operand() as u64 / 16, 0),
        }
    }

    fn fields(&mut self) -> Vec<u8> {
        let (manner, fill) = (self.steps.operand(), self.steps.operand() as u8);
        let value = match manner {
            0..=199 => vec![fill; manner % 20],
            200..=229 => vec![fill; 60 + manner],
            230..=240 => vec![fill; 1500],
            241..=250 => vec![fill; 30_000],
            _ => vec![fill; 70_000],
        };
        let field = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
        let long = ["name", "of many", "words "].map(|word| word.repeat(manner * 40 + 8));
        let fields = match fill % 12 {
            8 | 9 => vec![field(&long[0], &value)],
            10 => vec![field(&long[1], &value), field(&long[0], b"")],
            11 => vec![field(&long[2], b"x")],
            0 => vec![field("other", &value)],
            1 => vec![field("name", &value), field("age", b"")],
            2 => vec![field("name", b""), field("age", &value), field("age", b"x")],
            _ => vec![field("name", b"x"), field("age", &value)],
        };
        own(&fields)
    }

    fn some_id(&mut self) -> StreamId {
        let at = self.steps.below(self.model.entries.len());
        let id = self
            .model
            .entries
            .keys()
            .nth(at)
            .copied()
            .unwrap_or_default();
        match self.steps.operand() % 8 {
            0 => id.next().unwrap_or_default(),
            1 => id.previous().unwrap_or_default(),
            _ => id,
        }
    }

    fn add(&mut self) {
        let (id, fields) = (self.next_id(), self.fields());
        let fields = &fields[..];
        self.change(&StreamChange::Added { id, fields });
    }

    fn add_many(&mut self) {
        let (count, fields) = (self.steps.operand() * 2, self.fields());
        let wide = self.steps.operand().is_multiple_of(2);
        for number in 0..count as u64 {
            if self.model.entries.len() >= MANY || fields.len() > 1000 && number > 20 {
                return;
            }
            let last = self.model.marks.last_id;
            let id = match wide {
                true => StreamId::new(last.ms + 3 + number % 40, number % 3),
                false => StreamId::new(last.ms, last.seq + 1),
            };
            let change = StreamChange::Added {
                id,
                fields: &fields,
            };
            assert_eq!(self.stream.apply(&mut self.heap, &change), Ok(()));
            self.model.apply(&change);
        }
    }

    fn remove(&mut self) {
        let (count, mut id) = (self.steps.operand() / 4 + 1, self.some_id());
        let every = self.steps.operand() % 3 + 1;
        for _ in 0..count {
            self.change(&StreamChange::Removed { id });
            let next = self.model.entries.range(id..).nth(every).map(|(id, _)| *id);
            let Some(next) = next else {
                return;
            };
            id = next;
        }
    }

    fn trim(&mut self) {
        if self.steps.operand().is_multiple_of(4) {
            let (first, last) = (self.some_id(), self.some_id());
            return self.change(&StreamChange::Trimmed { first, last });
        }
        let len = self.model.entries.len();
        let keep = len - self.steps.below(len + 1) / 4;
        let to = match self.steps.operand() % 2 {
            0 => TrimTo::Len(keep as u64),
            _ => TrimTo::Id(self.some_id()),
        };
        let by = match self.steps.operand() % 3 {
            0 => TrimBy::Leaf(0),
            1 => TrimBy::Leaf(30),
            _ => TrimBy::Entry,
        };
        let goes = match to {
            TrimTo::Len(keep) => len.saturating_sub(keep as usize),
            TrimTo::Id(id) => self.model.entries.range(..id).count(),
        };
        let view = self.stream.view(&self.heap);
        let plan = view.plan_trim(to, by, usize::MAX);
        let gone = plan.map_or(0, |plan| plan.gone as usize);
        let some = view.plan_trim(to, by, 2);
        match some.filter(|some| !some.is_all) {
            Some(some) => assert!(plan.is_some_and(|plan| some.gone <= plan.gone)),
            None => assert_eq!(some, plan),
        }
        match by {
            TrimBy::Entry => assert_eq!(gone, goes),
            TrimBy::Leaf(0) => assert!(gone <= goes && goes - gone <= 100),
            TrimBy::Leaf(most) => assert!(gone <= goes && gone as u64 <= most),
        }
        if let Some(TrimPlan { last, gone, .. }) = plan {
            let first = StreamId::MIN;
            assert_eq!(self.model.entries.range(..=last).count() as u64, gone);
            self.change(&StreamChange::Trimmed { first, last });
        }
    }

    fn change_marks(&mut self) {
        let mut marks = self.model.marks;
        marks.entries_added += self.steps.operand() as u64;
        marks.iids_duplicate += 1;
        marks.last_id.ms += 1;
        self.change(&StreamChange::Marks(marks));
    }

    fn group(&mut self) -> &'static [u8] {
        GROUPS[self.steps.operand() % GROUPS.len()]
    }

    fn consumer(&mut self) -> &'static [u8] {
        CONSUMERS[self.steps.operand() % CONSUMERS.len()]
    }

    fn change_group(&mut self) {
        let group = self.group();
        let change = match self.steps.operand() % 8 {
            0 => StreamChange::GroupGone { group },
            manner => StreamChange::Group {
                group,
                last_id: self.some_id(),
                entries_read: (manner % 2 == 0).then_some(manner as u64),
            },
        };
        self.change(&change);
    }

    fn change_consumer(&mut self) {
        let (group, consumer) = (self.group(), self.consumer());
        let change = match self.steps.operand() % 8 {
            0 => StreamChange::ConsumerGone { group, consumer },
            1 => StreamChange::Released {
                group,
                consumer,
                last: self.some_id(),
            },
            manner => StreamChange::Consumer {
                group,
                consumer,
                seen_at: UnixMillis(manner as i64),
                active_at: (manner % 2 == 0).then_some(UnixMillis(-9)),
            },
        };
        self.change(&change);
    }

    fn deliver(&mut self) {
        let change = StreamChange::Pending {
            group: self.group(),
            consumer: self.consumer(),
            id: self.some_id(),
            delivered_at: UnixMillis(self.steps.below(1 << 16) as i64 * 1000),
            deliveries: self.steps.operand() as u64,
        };
        self.change(&change);
    }

    /// A consumer is given entries that follow each other, some of which may be pending already.
    fn give(&mut self, most: usize) {
        let (group, consumer, from) = (self.group(), self.consumer(), self.some_id());
        let (count, every) = (self.steps.operand() % most, self.steps.operand() % 3 + 1);
        let mut entries = GivenEntries::default();
        let ids = self.model.entries.range(from..).step_by(every).take(count);
        for (id, _) in ids {
            entries.push(*id, 1 + id.seq % 3);
        }
        let manner = self.steps.operand() as i64;
        let change = StreamChange::Given {
            group,
            consumer,
            seen_at: UnixMillis(manner),
            is_active: count > 0,
            delivered_at: UnixMillis(manner << 20),
            last_id: from,
            entries_read: (manner % 2 == 0).then_some(manner as u64),
            entries: entries.bytes(),
        };
        if most == RUN_OUT_GIVEN {
            self.change_with(&change, manner as u32 % 6);
        } else {
            self.change(&change);
        }
    }

    fn deliver_many(&mut self) {
        let (group, consumer, from) = (self.group(), self.consumer(), self.some_id());
        let (count, at) = (self.steps.operand() * 4, self.steps.operand() as i64);
        let ids = self.model.entries.range(from..).take(count);
        for id in ids.map(|(id, _)| *id).collect::<Vec<_>>() {
            let change = StreamChange::Pending {
                group,
                consumer,
                id,
                delivered_at: UnixMillis(id.ms as i64 + at),
                deliveries: 1,
            };
            assert_eq!(self.stream.apply(&mut self.heap, &change), Ok(()));
            self.model.apply(&change);
        }
    }

    /// What has been pending for longest is found, of all of it and of what is behind an id.
    fn look_for_oldest(&mut self) {
        let (group, from) = (self.group(), self.some_id());
        let times: Vec<UnixMillis> = match self.model.groups.get(group) {
            Some(of) => of.pending.values().map(|pending| pending.1).collect(),
            None => Vec::new(),
        };
        let until = match times.len() {
            0 => UnixMillis(0),
            len => times[self.steps.below(len)],
        };
        let most = match self.steps.operand() {
            0 => usize::MAX,
            most => most / 16 + 1,
        };
        let found = self
            .stream
            .pending_longest(&mut self.heap, group, (until, most));
        let Some(of) = self.model.groups.get(group) else {
            return assert!(found.is_empty());
        };
        let old = of.pending.iter().filter(|(_, of)| of.1 <= until);
        let old = old.map(|(&id, of)| (of.1, id));
        let mut expected: Vec<_> = old
            .filter(|(_, id)| self.model.entries.contains_key(id))
            .collect();
        expected.sort_unstable();
        expected.truncate(most);
        assert_eq!(found, expected);
        let behind = of.pending.range(from..).filter(|(_, of)| of.1 <= until);
        let mut behind = behind.map(|(&id, _)| id);
        let view = self.stream.view(&self.heap);
        let group = view.group(group).expect("it is there");
        group.walk_pending_since((from, until), &mut |pending| {
            assert_eq!(Some(pending.id), behind.next());
            ControlFlow::Continue(())
        });
        assert_eq!(behind.next(), None);
    }

    fn acknowledge(&mut self) {
        let (group, from) = (self.group(), self.some_id());
        let (count, every) = (self.steps.operand(), self.steps.operand() % 3 + 1);
        let Some(pending) = self.model.groups.get(group).map(|of| &of.pending) else {
            return;
        };
        let ids = pending.range(from..).step_by(every).take(count);
        for id in ids.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.change(&StreamChange::Acknowledged { group, id });
        }
    }

    fn produce(&mut self) {
        let (producer, number) = (self.group(), self.steps.operand() as u8 % 32);
        let (iid, id) = (&[b'i', number][..], StreamId::new(number.into(), 0));
        let change = match self.steps.operand() % 16 {
            0 => StreamChange::Producers {
                duration_secs: 7,
                most: 3,
            },
            1..=3 => {
                let known = self.model.producers.get(producer);
                let Some((iid, _)) = known.and_then(VecDeque::front).cloned() else {
                    return;
                };
                let iid = &iid[..];
                return self.change(&StreamChange::Forgotten { producer, iid });
            }
            _ => StreamChange::Produced {
                producer,
                iid,
                id,
                is_oldest: false,
            },
        };
        self.change(&change);
        let found = self.stream.view(&self.heap).produced(producer, iid);
        let known = self.model.producers.get(producer);
        let known = known.and_then(|known| known.iter().find(|(of, _)| of == iid));
        assert_eq!(found, known.map(|(_, id)| *id));
    }

    fn walk(&mut self) {
        let from = match self.steps.operand() % 8 {
            0 => StreamId::MIN,
            1 => StreamId::MAX,
            _ => self.some_id(),
        };
        let view = self.stream.view(&self.heap);
        for direction in [Direction::Up, Direction::Down] {
            let mut shown = Vec::new();
            view.walk(from, direction, &mut |entry| {
                shown.push(entry.id);
                match shown.len() < 300 {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
            let expected: Vec<StreamId> = match direction {
                Direction::Up => self
                    .model
                    .entries
                    .range(from..)
                    .map(|(id, _)| *id)
                    .take(300)
                    .collect(),
                Direction::Down => self
                    .model
                    .entries
                    .range(..=from)
                    .rev()
                    .map(|(id, _)| *id)
                    .take(300)
                    .collect(),
            };
            assert_eq!(shown, expected);
        }
        let entry = view.get(from);
        assert_eq!(entry.is_some(), self.model.entries.contains_key(&from));
        for group in view.groups() {
            let of = &self.model.groups[group.name()];
            let mut shown = Vec::new();
            group.walk_own(b"me", from, &mut |pending| {
                shown.push(pending.id);
                ControlFlow::Continue(())
            });
            let own = of
                .pending
                .range(from..)
                .filter(|(_, state)| state.0 == b"me");
            assert!(shown.iter().eq(own.map(|(id, _)| id)));
            let ends = group.pending_ends().map(|(first, last)| [first, last]);
            let keys = || of.pending.keys().copied();
            assert_eq!(
                ends,
                keys().next().zip(keys().next_back()).map(<[_; 2]>::from)
            );
        }
    }

    /// Makes changes with memory for so few blocks: each is made as a whole or not at all.
    fn run_out(&mut self) {
        let (fields, group, consumer) = (self.fields(), self.group(), self.consumer());
        for number in 0..self.steps.operand() {
            let id = self.next_id();
            let change = match number % 3 {
                0 => StreamChange::Pending {
                    group,
                    consumer,
                    id: self.some_id(),
                    delivered_at: UnixMillis(number as i64),
                    deliveries: 2,
                },
                _ if self.model.entries.len() > MANY => return,
                _ => StreamChange::Added {
                    id,
                    fields: &fields,
                },
            };
            self.change_with(&change, number as u32 % 4);
            self.give(RUN_OUT_GIVEN);
        }
        // Nor do removals need memory.
        self.heap.arena.run_out_after(Some(0));
        let (first, last) = (self.some_id(), self.some_id());
        for change in [
            StreamChange::Removed { id: first },
            StreamChange::Trimmed { first, last },
            StreamChange::Acknowledged { group, id: last },
            StreamChange::ConsumerGone { group, consumer },
        ] {
            assert_eq!(self.stream.apply(&mut self.heap, &change), Ok(()));
            self.model.apply(&change);
        }
        self.heap.arena.run_out_after(None);
        self.compare();
    }

    /// Goes on with what its parts make.
    fn travel(&mut self, step: u8) {
        let mut other = match step % 2 {
            0 => Stream::new(Owner(9)),
            _ => Stream::with_bounds(Owner(9), SMALL, SMALL),
        };
        if step.is_multiple_of(4) {
            other.set_limits(StreamNodeLimits {
                bytes: 300,
                entries: 7,
            });
        }
        let most = self.steps.operand() * 8;
        let mut heap = Heap::new(1 << 30).expect("address space");
        let mut place = Some(PartPlace {
            stage: 0,
            id: StreamId::MIN,
        });
        while let Some(from) = place {
            let mut part = Vec::new();
            place = self.stream.write_part(&self.heap, from, most, &mut part);
            let mut rest = &part[..];
            while !rest.is_empty() {
                let change = StreamChange::read(&mut rest);
                assert_eq!(other.apply(&mut heap, &change), Ok(()));
            }
        }
        self.end();
        (self.stream, self.heap) = (other, heap);
        self.compare();
    }

    /// Moves a node, a page or a long entry, as compaction does.
    fn move_block(&mut self) {
        let (choice, at) = (self.steps.operand(), self.steps.below(1 << 16));
        let table = &self.stream.forest.table;
        if table.len() == 0 {
            return;
        }
        let ordinal = at as u32 % table.len();
        let node = table.get(&self.heap.arena, ordinal);
        let block = match choice % 4 {
            0 => table.page_of(ordinal),
            1 => node,
            _ => self.long_block_in(ordinal).unwrap_or(node),
        };
        self.moved(block);
    }

    fn moved(&mut self, block: Block) {
        let kind = NodeKind::of(self.heap.arena.tail(block)[0]).expect("a node");
        let moved = self.heap.arena.move_block(block).expect("memory");
        self.stream.block_moved(&mut self.heap, kind, block, moved);
    }

    fn long_block_in(&self, ordinal: u32) -> Option<Block> {
        let node = self.stream.forest.node(&self.heap, ordinal);
        if NodeKind::of(node[0]) != Some(NodeKind::Leaf) {
            return None;
        }
        let leaf = Leaf(node);
        if let Prelude::Apart(number) = leaf.prelude() {
            let names = self.stream.forest.long_names.iter();
            let names = names.filter(|(known, ..)| *known == number);
            let blocks = names.filter_map(|(_, names, _)| match names {
                Long::Block(block) => Some(block),
                Long::Extent(..) => None,
            });
            return blocks.last();
        }
        let mut places = leaf.records().filter(|place| place.flags & LONG != 0);
        places.find_map(|place| match long_of(leaf.body(&place)) {
            Long::Block(block) => Some(block),
            Long::Extent(..) => None,
        })
    }

    fn row(&self) -> Vec<Vec<u8>> {
        let (mut part, mut row) = (Vec::new(), Vec::new());
        let from = PartPlace {
            stage: 0,
            id: StreamId::MIN,
        };
        let next = self
            .stream
            .write_part(&self.heap, from, usize::MAX, &mut part);
        assert_eq!(next, None);
        let mut rest = &part[..];
        while !rest.is_empty() {
            let change = StreamChange::read(&mut rest);
            change.each_apart(&mut |change| row.push(bytes_of(change)));
        }
        row.sort();
        row
    }

    fn compare(&self) {
        self.heap.arena.check();
        self.heap.extents.check();
        self.stream.check(&self.heap);
        assert_eq!(self.stream.len() as usize, self.model.entries.len());
        assert!(self.row() == self.model.row(), "they differ");
        let held = self.heap.arena.live_bytes() + self.heap.extents.used_bytes();
        let dying = self.heap.extents.dying_bytes();
        assert_eq!(self.stream.block_bytes(), held - dying);
    }

    /// Frees everything, in slices of a few blocks, some of which move in between.
    fn end(&mut self) {
        while self.stream.dismantle(&mut self.heap, 3).is_some() {
            if let Some(last) = self.stream.forest.table.len().checked_sub(1) {
                let node = self.stream.forest.table.get(&self.heap.arena, last);
                let block = self.long_block_in(last).unwrap_or(node);
                self.moved(block);
            }
        }
        assert_eq!(self.stream.block_bytes(), 0);
        assert_eq!(self.heap.arena.live_bytes(), 0);
    }
}
