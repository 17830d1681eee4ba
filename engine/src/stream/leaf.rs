//! A leaf: records in the order of their identifiers, each by what it differs in from the one before.
//!
//! ```text
//!  0      1       5         9      13        29      31    33         35        37      38     39
//! +------+-------+---------+------+---------+-------+-----+----------+---------+-------+------+---------+------------------+
//! | mark | owner | ordinal | tree | base id | count | end | restarts | prelude | flags | tail | prelude | record | record … |
//! +------+-------+---------+------+---------+-------+-----+----------+---------+-------+------+---------+------------------+
//!                                                      └ of the records          length                  … gap … | restart 1 | restart 0 |
//!  record: | control | delta, if it is 15 or more | seq, if it is said | length | body |        (no length and body in some trees)
//!  control: small delta or 15 (bits 4-7) | body is a reference (3) | values of the prelude's names (2) | how the id is said (0-1)
//! ```
//! The id is that of the record before, with a greater seq (0), that of a later millisecond with the seq 0 (1) or any (2), or it is
//! said by the base (3): such records are *restarts*, about every sixteenth, and where each of them lies stands at the block's
//! end. So an id is found by halving, then by reading on, and a record comes or goes without any but its neighbour being
//! written anew. The base is not above any id of the leaf, whether or not a record has it. `tail` counts the records from the last restart on.
//! A leaf that is all of its tree may have no record.

use std::ops::Range;

use super::StreamId;
use super::varint;
use crate::nodes::{NODE_HEAD_BYTES, read_u16, read_u32};

const TREE_AT: usize = NODE_HEAD_BYTES;
const BASE_AT: usize = TREE_AT + 4;
const COUNT_AT: usize = BASE_AT + 16;
const END_AT: usize = COUNT_AT + 2;
const RESTARTS_AT: usize = END_AT + 2;
const PRELUDE_LEN_AT: usize = RESTARTS_AT + 2;
const FLAGS_AT: usize = PRELUDE_LEN_AT + 2;
const TAIL_AT: usize = FLAGS_AT + 1;
/// Bytes before the prelude.
pub(super) const HEADER_BYTES: usize = TAIL_AT + 1;
/// Bytes of the offset of a restart.
pub(super) const RESTART_BYTES: usize = 2;

/// Records to a restart, when a leaf is written.
const GROUP: u8 = 16;
/// Records read from a restart on after which a leaf is written anew before one more comes.
const GROUP_MAX: usize = 64;

/// Flags of a leaf.
const HAS_BODIES: u8 = 1;
const HAS_LONG: u8 = 2;
const HAS_NAMES_APART: u8 = 4;

/// How an identifier is said.
const MODE: u8 = 3;
const SAME_MS: u8 = 0;
const LATER_MS: u8 = 1;
const OTHER: u8 = 2;
const RESTART: u8 = 3;
const SMALL_SHIFT: u32 = 4;
const SMALL_MAX: u64 = 15;

/// Of a record: its body is the values of the names that the prelude has.
pub(super) const NAMED: u8 = 4;
/// Of a record: its body is a reference to where it is.
pub(super) const LONG: u8 = 8;

/// What stands before the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prelude<'a> {
    /// Names of fields, or none.
    Names(&'a [u8]),
    /// The number of names that lie apart.
    Apart(u32),
}

/// The same, by itself.
pub(super) enum PreludeBuf {
    Names(Vec<u8>),
    Apart(u32),
}

impl Prelude<'_> {
    pub(super) const NONE: Self = Self::Names(&[]);

    pub(super) fn to_owned(self) -> PreludeBuf {
        match self {
            Self::Names(names) => PreludeBuf::Names(names.to_vec()),
            Self::Apart(number) => PreludeBuf::Apart(number),
        }
    }
}

impl PreludeBuf {
    pub(super) fn borrow(&self) -> Prelude<'_> {
        match self {
            Self::Names(names) => Prelude::Names(names),
            Self::Apart(number) => Prelude::Apart(*number),
        }
    }
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft<'a> {
    pub(super) id: StreamId,
    /// [`NAMED`], [`LONG`].
    pub(super) flags: u8,
    pub(super) body: &'a [u8],
}

impl Draft<'_> {
    /// A record of an id alone.
    pub(super) fn bare(id: StreamId) -> Self {
        Self {
            id,
            flags: 0,
            body: &[],
        }
    }
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: StreamId,
    pub(super) flags: u8,
    at: usize,
    pub(super) body: Range<usize>,
}

/// Where an identifier is, or would be.
#[derive(Debug)]
pub(super) struct Found {
    /// The record of this identifier, or the first of a greater one.
    pub(super) place: Option<Place>,
    /// The identifier of the record before.
    pub(super) before: Option<StreamId>,
    /// The restart from which on that record is found, or behind the last one.
    group: usize,
    /// Records read on the way.
    steps: usize,
}

/// What became of an attempt to change a leaf within its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edited {
    Done,
    /// The block is too short.
    NoRoom,
    /// The leaf is to be written anew.
    Rewrite,
}

/// A leaf to read: the bytes of its block.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a>(pub(super) &'a [u8]);

/// A leaf to change: the bytes of its block.
pub(super) struct LeafMut<'a>(pub(super) &'a mut [u8]);

fn write_u16(node: &mut [u8], at: usize, value: usize) {
    node[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
}

fn read_u64(node: &[u8], at: usize) -> u64 {
    let word = node[at..at + 8].first_chunk();
    u64::from_le_bytes(*word.expect("the range is so long"))
}

fn write_base(node: &mut [u8], base: StreamId) {
    node[BASE_AT..BASE_AT + 8].copy_from_slice(&base.ms.to_le_bytes());
    node[BASE_AT + 8..COUNT_AT].copy_from_slice(&base.seq.to_le_bytes());
}

/// The tree that a leaf or an inner node is in.
pub(super) fn tree_of(node: &[u8]) -> u32 {
    read_u32(node, TREE_AT)
}

pub(super) fn set_tree(node: &mut [u8], tree: u32) {
    node[TREE_AT..BASE_AT].copy_from_slice(&tree.to_le_bytes());
}

/// Writes a record: by the one before it, or by the base.
#[inline]
fn encode(
    before: Option<StreamId>,
    base: StreamId,
    draft: &Draft<'_>,
    has_bodies: bool,
    out: &mut Vec<u8>,
) {
    encode_head(
        before,
        base,
        draft,
        has_bodies.then_some(draft.body.len()),
        out,
    );
    out.extend_from_slice(draft.body);
}

#[inline]
fn encode_head(
    before: Option<StreamId>,
    base: StreamId,
    draft: &Draft<'_>,
    body_len: Option<usize>,
    out: &mut Vec<u8>,
) {
    let id = draft.id;
    let (mode, delta, seq) = match before {
        Some(before) if before.ms == id.ms => (SAME_MS, id.seq - before.seq, None),
        Some(before) if id.seq == 0 => (LATER_MS, id.ms - before.ms, None),
        Some(before) => (OTHER, id.ms - before.ms, Some(id.seq)),
        None if id.ms == base.ms => (RESTART, 0, Some(id.seq - base.seq)),
        None => (RESTART, id.ms - base.ms, Some(id.seq)),
    };
    let small = delta.min(SMALL_MAX);
    out.push(mode | draft.flags | (small as u8) << SMALL_SHIFT);
    if small == SMALL_MAX {
        varint::write(delta, out);
    }
    if let Some(seq) = seq {
        varint::write(seq, out);
    }
    if let Some(len) = body_len {
        varint::write(len as u64, out);
    }
}

impl<'a> Leaf<'a> {
    pub(super) fn base(&self) -> StreamId {
        StreamId::new(read_u64(self.0, BASE_AT), read_u64(self.0, BASE_AT + 8))
    }

    /// Number of records.
    #[inline]
    pub(super) fn len(&self) -> usize {
        read_u16(self.0, COUNT_AT)
    }

    #[inline]
    fn end(&self) -> usize {
        read_u16(self.0, END_AT)
    }

    #[inline]
    fn restarts(&self) -> usize {
        read_u16(self.0, RESTARTS_AT)
    }

    /// What stands before the records.
    #[inline]
    pub(super) fn prelude(&self) -> Prelude<'a> {
        match self.0[FLAGS_AT] & HAS_NAMES_APART {
            0 => Prelude::Names(&self.0[HEADER_BYTES..self.start()]),
            _ => Prelude::Apart(read_u32(self.0, HEADER_BYTES)),
        }
    }

    /// The number of its names, if they lie apart.
    pub(super) fn names_apart(&self) -> Option<u32> {
        match self.prelude() {
            Prelude::Names(_) => None,
            Prelude::Apart(number) => Some(number),
        }
    }

    /// Where the records begin.
    #[inline]
    fn start(&self) -> usize {
        HEADER_BYTES + read_u16(self.0, PRELUDE_LEN_AT)
    }

    #[inline]
    fn has_bodies(&self) -> bool {
        self.0[FLAGS_AT] & HAS_BODIES != 0
    }

    /// Whether some bodies are references, or have been.
    pub(super) fn has_long(&self) -> bool {
        self.0[FLAGS_AT] & HAS_LONG != 0
    }

    /// Bytes of the records.
    pub(super) fn record_bytes(&self) -> usize {
        self.end() - self.start()
    }

    /// Bytes of the block that are in use.
    pub(super) fn used_bytes(&self) -> usize {
        self.end() + self.restarts() * RESTART_BYTES
    }

    /// Bytes between the records and the restarts.
    fn gap(&self) -> usize {
        self.0.len() - self.used_bytes()
    }

    #[inline]
    fn restart(&self, group: usize) -> usize {
        read_u16(self.0, self.0.len() - (group + 1) * RESTART_BYTES)
    }

    fn is_restart(&self, group: usize, at: usize) -> bool {
        group < self.restarts() && self.restart(group) == at
    }

    #[inline(always)]
    fn read(&self, at: usize, before: StreamId) -> Place {
        let node = self.0;
        let control = node[at];
        let mut next = at + 1;
        let mut delta = u64::from(control >> SMALL_SHIFT);
        if delta == SMALL_MAX {
            delta = varint::read(node, &mut next);
        }
        let id = match control & MODE {
            SAME_MS => StreamId::new(before.ms, before.seq + delta),
            LATER_MS => StreamId::new(before.ms + delta, 0),
            OTHER => StreamId::new(before.ms + delta, varint::read(node, &mut next)),
            _ => {
                let (base, seq) = (self.base(), varint::read(node, &mut next));
                let seq = if delta == 0 { base.seq + seq } else { seq };
                StreamId::new(base.ms + delta, seq)
            }
        };
        let len = match self.has_bodies() {
            true => varint::read(node, &mut next) as usize,
            false => 0,
        };
        Place {
            id,
            flags: control & (NAMED | LONG),
            at,
            body: next..next + len,
        }
    }

    /// The bytes at a record's place.
    #[inline]
    pub(super) fn body(&self, place: &Place) -> &'a [u8] {
        &self.0[place.body.clone()]
    }

    /// The record behind another, or the first.
    #[inline(always)]
    pub(super) fn after(&self, place: Option<&Place>) -> Option<Place> {
        let (at, before) = match place {
            Some(place) => (place.body.end, place.id),
            None => (self.start(), StreamId::MIN),
        };
        (at < self.end()).then(|| self.read(at, before))
    }

    /// All records, in order.
    pub(super) fn records(self) -> impl Iterator<Item = Place> + 'a {
        std::iter::successors(self.after(None), move |place| self.after(Some(place)))
    }

    /// The last record.
    pub(super) fn last(&self) -> Option<Place> {
        let group = self.restarts().checked_sub(1)?;
        self.records_of(group).last()
    }

    /// The records from a restart on up to the next.
    pub(super) fn records_of(self, group: usize) -> impl Iterator<Item = Place> + 'a {
        let end = match group + 1 < self.restarts() {
            true => self.restart(group + 1),
            false => self.end(),
        };
        let first = self.read(self.restart(group), StreamId::MIN);
        std::iter::successors(Some(first), move |place| {
            (place.body.end < end).then(|| self.read(place.body.end, place.id))
        })
    }

    /// The last restart whose id is not above this one.
    fn group_of(&self, id: StreamId) -> Option<usize> {
        let (mut low, mut high) = (0, self.restarts());
        while low < high {
            let middle = (low + high) / 2;
            match self.read(self.restart(middle), StreamId::MIN).id <= id {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low.checked_sub(1)
    }

    /// Looks for an identifier.
    #[inline]
    pub(super) fn find(&self, id: StreamId) -> Found {
        let mut found = Found {
            place: None,
            before: None,
            group: 0,
            steps: 0,
        };
        let Some(group) = self.group_of(id) else {
            found.place = self.after(None);
            return found;
        };
        found.group = group;
        let mut place = self.read(self.restart(group), StreamId::MIN);
        if group > 0 && place.id == id {
            found.before = self.records_of(group - 1).last().map(|place| place.id);
        }
        loop {
            if place.id >= id {
                found.place = Some(place);
                return found;
            }
            found.before = Some(place.id);
            found.steps += 1;
            let at = place.body.end;
            found.group += usize::from(self.is_restart(found.group + 1, at));
            if at == self.end() {
                return found;
            }
            place = self.read(at, place.id);
        }
    }

    /// The record of this identifier.
    #[inline]
    pub(super) fn get(&self, id: StreamId) -> Option<Place> {
        let mut place = self.read(self.restart(self.group_of(id)?), StreamId::MIN);
        while place.id < id {
            place = self.after(Some(&place))?;
        }
        (place.id == id).then_some(place)
    }

    /// The number of groups, and that in which the search for what is not above `id` ends, backwards.
    pub(super) fn group_up_to(&self, id: StreamId) -> Option<usize> {
        self.group_of(id)
    }

    /// Verifies the leaf; the least and the greatest identifier.
    pub(super) fn check(&self, has_bodies: bool) -> (StreamId, StreamId) {
        assert!(self.used_bytes() <= self.0.len());
        assert_eq!(self.has_bodies(), has_bodies);
        let (mut count, mut group, mut tail) = (0, 0, 0);
        let mut last: Option<StreamId> = None;
        for place in self.records() {
            assert!(last.is_none_or(|last| last < place.id) && place.id >= self.base());
            if self.is_restart(group, place.at) {
                assert_eq!(self.0[place.at] & MODE, RESTART);
                (group, tail) = (group + 1, 0);
            } else {
                assert_ne!(self.0[place.at] & MODE, RESTART);
            }
            assert!(self.has_long() || place.flags & LONG == 0);
            (count, tail) = (count + 1, tail + 1);
            last = Some(place.id);
        }
        assert_eq!((count, group), (self.len(), self.restarts()));
        assert_eq!(tail.min(255), usize::from(self.0[TAIL_AT]));
        let first = self.after(None).expect("a leaf has records").id;
        (first, last.expect("a leaf has records"))
    }
}

impl LeafMut<'_> {
    pub(super) fn as_ref(&self) -> Leaf<'_> {
        Leaf(self.0)
    }

    /// Puts `bytes` in place of a range of the records; restarts from `first_moved` on move along.
    fn splice(&mut self, range: Range<usize>, bytes: &[u8], first_moved: usize) {
        let (end, restarts) = (self.as_ref().end(), self.as_ref().restarts());
        let new_end = end - range.len() + bytes.len();
        let limit = self.0.len() - restarts * RESTART_BYTES;
        assert!(new_end <= limit, "whoever puts has looked for room");
        self.0
            .copy_within(range.end..end, range.start + bytes.len());
        self.0[range.start..range.start + bytes.len()].copy_from_slice(bytes);
        write_u16(self.0, END_AT, new_end);
        if bytes.len() == range.len() {
            return;
        }
        for group in first_moved..restarts {
            let offset = self.as_ref().restart(group) - range.len() + bytes.len();
            self.set_restart(group, offset);
        }
    }

    fn set_restart(&mut self, group: usize, offset: usize) {
        let at = self.0.len() - (group + 1) * RESTART_BYTES;
        write_u16(self.0, at, offset);
    }

    fn push_restart(&mut self, offset: usize) {
        let restarts = self.as_ref().restarts();
        write_u16(self.0, RESTARTS_AT, restarts + 1);
        self.set_restart(restarts, offset);
        self.0[TAIL_AT] = 0;
    }

    fn drop_restart(&mut self, group: usize) {
        let restarts = self.as_ref().restarts();
        for group in group + 1..restarts {
            let offset = self.as_ref().restart(group);
            self.set_restart(group - 1, offset);
        }
        write_u16(self.0, RESTARTS_AT, restarts - 1);
        if group == restarts - 1 {
            let tail = match group.checked_sub(1) {
                Some(last) => self.as_ref().records_of(last).count(),
                None => 0,
            };
            self.0[TAIL_AT] = tail.min(255) as u8;
        }
    }

    /// There is one record more in a group, or one less.
    fn counted(&mut self, group: usize, is_more: bool) {
        let len = self.as_ref().len();
        write_u16(self.0, COUNT_AT, if is_more { len + 1 } else { len - 1 });
        if group + 1 == self.as_ref().restarts() {
            let tail = self.as_ref().records_of(group).take(255).count();
            self.0[TAIL_AT] = tail as u8;
        }
    }

    fn note_long(&mut self, flags: u8) {
        if flags & LONG != 0 {
            self.0[FLAGS_AT] |= HAS_LONG;
        }
    }

    /// Adds a record behind the last, whose identifier this is, if there is one. A leaf without records begins with it.
    #[inline]
    pub(super) fn append(
        &mut self,
        last: Option<StreamId>,
        draft: &Draft<'_>,
        scratch: &mut Vec<u8>,
    ) -> Edited {
        let is_empty = self.as_ref().len() == 0;
        if is_empty {
            write_base(self.0, draft.id);
        }
        let leaf = self.as_ref();
        let is_restart = is_empty || self.0[TAIL_AT] >= GROUP;
        let before = last.filter(|_| !is_restart);
        scratch.clear();
        encode(before, leaf.base(), draft, leaf.has_bodies(), scratch);
        let more = if is_restart { RESTART_BYTES } else { 0 };
        if leaf.gap() < scratch.len() + more {
            return Edited::NoRoom;
        }
        let (at, len) = (leaf.end(), leaf.len());
        self.0[at..at + scratch.len()].copy_from_slice(scratch);
        write_u16(self.0, END_AT, at + scratch.len());
        write_u16(self.0, COUNT_AT, len + 1);
        if is_restart {
            self.push_restart(at);
        }
        self.0[TAIL_AT] += 1;
        self.note_long(draft.flags);
        Edited::Done
    }

    /// Adds a record where [`Leaf::find`] has found that it belongs, before another.
    pub(super) fn insert(
        &mut self,
        found: &Found,
        draft: &Draft<'_>,
        scratch: &mut Vec<u8>,
    ) -> Edited {
        let leaf = self.as_ref();
        let next = found.place.as_ref().expect("it belongs before another");
        debug_assert!(next.id > draft.id);
        if draft.id < leaf.base() || found.steps >= GROUP_MAX {
            return Edited::Rewrite;
        }
        scratch.clear();
        encode(found.before, leaf.base(), draft, leaf.has_bodies(), scratch);
        let next_is_restart = leaf.is_restart(found.group, next.at);
        // A record that is the first is a restart, and the one behind it is none any more.
        let (range, group, first_moved) = match next_is_restart && found.before.is_some() {
            true => (next.at..next.at, found.group - 1, found.group),
            false => {
                let body_len = leaf.has_bodies().then_some(next.body.len());
                let draft_of_next = Draft {
                    id: next.id,
                    flags: next.flags,
                    body: &[],
                };
                encode_head(
                    Some(draft.id),
                    leaf.base(),
                    &draft_of_next,
                    body_len,
                    scratch,
                );
                (next.at..next.body.start, found.group, found.group + 1)
            }
        };
        if leaf.gap() + range.len() < scratch.len() {
            return Edited::NoRoom;
        }
        self.splice(range, scratch, first_moved);
        self.note_long(draft.flags);
        self.counted(group, true);
        Edited::Done
    }

    /// Gives the record that was found another body.
    pub(super) fn replace(
        &mut self,
        found: &Found,
        draft: &Draft<'_>,
        scratch: &mut Vec<u8>,
    ) -> Edited {
        let leaf = self.as_ref();
        let place = found.place.as_ref().expect("it was found");
        if place.body.len() == draft.body.len() && place.flags == draft.flags {
            self.0[place.body.clone()].copy_from_slice(draft.body);
            return Edited::Done;
        }
        scratch.clear();
        let is_restart = leaf.is_restart(found.group, place.at);
        let before = found.before.filter(|_| !is_restart);
        encode(before, leaf.base(), draft, leaf.has_bodies(), scratch);
        let range = place.at..place.body.end;
        if leaf.gap() + range.len() < scratch.len() {
            return Edited::NoRoom;
        }
        self.splice(range, scratch, found.group + 1);
        self.note_long(draft.flags);
        Edited::Done
    }

    /// Takes the record that was found out.
    pub(super) fn remove(&mut self, found: &Found, scratch: &mut Vec<u8>) {
        let leaf = self.as_ref();
        let place = found.place.as_ref().expect("it was found");
        let (group, is_restart) = (found.group, leaf.is_restart(found.group, place.at));
        scratch.clear();
        let next = leaf.after(Some(place));
        let next = next.filter(|next| !leaf.is_restart(group + 1, next.at));
        let Some(next) = next else {
            self.splice(place.at..place.body.end, scratch, group + 1);
            if is_restart {
                self.drop_restart(group);
                let len = self.as_ref().len();
                return write_u16(self.0, COUNT_AT, len - 1);
            }
            return self.counted(group, false);
        };
        let draft = Draft {
            id: next.id,
            flags: next.flags,
            body: &[],
        };
        let before = found.before.filter(|_| !is_restart);
        let body_len = leaf.has_bodies().then_some(next.body.len());
        encode_head(before, leaf.base(), &draft, body_len, scratch);
        self.splice(place.at..next.body.start, scratch, group + 1);
        self.counted(group, false);
    }

    /// The body of a record, to change without its length.
    pub(super) fn body_mut(&mut self, place: &Place) -> &mut [u8] {
        &mut self.0[place.body.clone()]
    }
}

/// The content of a leaf that is written as a whole.
pub(super) struct Build {
    base: StreamId,
    has_bodies: bool,
    has_long: bool,
    has_names_apart: bool,
    prelude: Vec<u8>,
    records: Vec<u8>,
    restarts: Vec<u16>,
    len: usize,
    tail: u8,
    last: StreamId,
}

impl Build {
    /// One without records.
    pub(super) fn new(base: StreamId, prelude: Prelude<'_>, has_bodies: bool) -> Self {
        Self {
            base,
            has_bodies,
            has_long: false,
            has_names_apart: matches!(prelude, Prelude::Apart(_)),
            prelude: match prelude {
                Prelude::Names(names) => names.to_vec(),
                Prelude::Apart(number) => number.to_le_bytes().to_vec(),
            },
            records: Vec::new(),
            restarts: Vec::new(),
            len: 0,
            tail: GROUP,
            last: base,
        }
    }

    /// Adds a record behind the last.
    pub(super) fn push(&mut self, draft: &Draft<'_>) {
        let is_restart = self.tail >= GROUP;
        if is_restart {
            let offset = HEADER_BYTES + self.prelude.len() + self.records.len();
            self.restarts.push(offset as u16);
            self.tail = 0;
        }
        let before = (!is_restart).then_some(self.last);
        encode(before, self.base, draft, self.has_bodies, &mut self.records);
        self.has_long |= draft.flags & LONG != 0;
        self.tail += 1;
        self.len += 1;
        self.last = draft.id;
    }

    pub(super) fn base(&self) -> StreamId {
        self.base
    }

    /// The number of its names, if they lie apart.
    pub(super) fn names_apart(&self) -> Option<u32> {
        let number = self.prelude.first_chunk().filter(|_| self.has_names_apart);
        number.map(|number| u32::from_le_bytes(*number))
    }

    /// Bytes that a block must have.
    pub(super) fn used_bytes(&self) -> usize {
        let restarts = self.restarts.len() * RESTART_BYTES;
        HEADER_BYTES + self.prelude.len() + self.records.len() + restarts
    }

    /// Writes the leaf into a block, whose head is written.
    pub(super) fn write(&self, node: &mut [u8], tree: u32) {
        let total = node.len();
        set_tree(node, tree);
        write_base(node, self.base);
        let start = HEADER_BYTES + self.prelude.len();
        let end = start + self.records.len();
        write_u16(node, COUNT_AT, self.len);
        write_u16(node, END_AT, end);
        write_u16(node, RESTARTS_AT, self.restarts.len());
        write_u16(node, PRELUDE_LEN_AT, self.prelude.len());
        let has_bodies = if self.has_bodies { HAS_BODIES } else { 0 };
        let has_long = if self.has_long { HAS_LONG } else { 0 };
        let has_names_apart = if self.has_names_apart {
            HAS_NAMES_APART
        } else {
            0
        };
        node[FLAGS_AT] = has_bodies | has_long | has_names_apart;
        node[TAIL_AT] = if self.len == 0 { 0 } else { self.tail };
        node[HEADER_BYTES..start].copy_from_slice(&self.prelude);
        node[start..end].copy_from_slice(&self.records);
        for (group, offset) in self.restarts.iter().enumerate() {
            write_u16(node, total - (group + 1) * RESTART_BYTES, (*offset).into());
        }
    }
}

/// Copies a leaf into another block, whose head is written.
pub(super) fn copy(from: &[u8], to: &mut [u8]) {
    let (leaf, from_len, to_len) = (Leaf(from), from.len(), to.len());
    let restarts = leaf.restarts() * RESTART_BYTES;
    to[TREE_AT..leaf.end()].copy_from_slice(&from[TREE_AT..leaf.end()]);
    to[to_len - restarts..].copy_from_slice(&from[from_len - restarts..]);
}
