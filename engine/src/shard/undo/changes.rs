//! Changes of elements of large collections: of each, what takes it back, in the order in which they were made.
//!
//! ```text
//!  before a change    what takes it back                          played back from the last to the first:
//!  field, member      what it was, or that it was none            a collection passes through what it has been,
//!  member scored      its score, or that it was none
//!  push, insert       how many elements there were                and so do all of them together
//!  pop, cut           the elements
//!  replace            the element
//!  of a stream        the changes that lead back
//! ```
//! A collection is named by its number, which stays with it wherever its item goes. Nothing here fails if a change that was
//! announced is not made. Of changes that follow each other the first says enough where it can: of a field that is set again
//! and again, of elements that come to one place of a list; and elements that are popped share a record.

use super::log::Bytes;
use crate::UnixMillis;
use crate::journal::Element;
use crate::list::{End, List};
use crate::memory::Memory;
use crate::nodes::{Heap, Owner};
use crate::sorted::SortedSet;
use crate::spiral::{ElementRef, Spiral};

/// The most elements of a record: they are looked up together when they are put back.
const TOGETHER: u32 = 128;
/// Bytes of the length before each of them.
const LEN_BYTES: usize = 4;

/// Changes, and the names and values that take them back.
#[derive(Default)]
pub(super) struct Changes {
    list: Vec<Change>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    collection: Owner,
    back: Back,
}

const _: () = assert!(size_of::<Change>() <= 48, "a log has many");

/// What takes a change back.
#[derive(Clone, Copy, Debug)]
enum Back {
    /// The field is this: its name, so long, and its value.
    Put {
        name_and_value: Bytes,
        name_len: usize,
        deadline: Option<UnixMillis>,
    },
    /// There is no such field, or member.
    Drop { name: Bytes },
    /// The member has this score.
    Score { name: Bytes, score: f64 },
    /// The list has so many elements: what there is more, from `index` on, goes.
    Shorten { index: u32, len: u32 },
    /// These come to stand before element `index`. Those that were popped from the tail lie in the order in which they went.
    Insert {
        index: u32,
        count: u32,
        taken: Taken,
        elements: Bytes,
    },
    /// Element `index` is this.
    Replace { index: u32, value: Bytes },
    /// These changes of a stream, one behind the other.
    Stream(Bytes),
}

/// How elements left a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Popped(End),
    Cut,
}

/// One step on the way back.
pub(super) enum Step<'a> {
    /// A field is this.
    Put(ElementRef<'a>),
    /// There is no field, or member, of this name.
    Drop(&'a [u8]),
    /// A member has this score.
    Score(&'a [u8], f64),
    /// What a list has more than `len` elements, from `index` on, goes.
    Shorten { index: u32, len: u32 },
    /// These elements, in their order, come to stand before element `index`.
    Insert { index: u32, elements: Vec<&'a [u8]> },
    /// Element `index` is this.
    Replace { index: u32, value: &'a [u8] },
    /// These changes of a stream, one behind the other.
    Stream(&'a [u8]),
}

impl Changes {
    /// Forgets all; the memory stays.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
    }

    /// Bytes of memory.
    pub(super) fn used_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Change>() + self.bytes.capacity()
    }

    /// An element of a large collection is about to change.
    pub(super) fn before(
        &mut self,
        collection: Owner,
        element: &Element<'_>,
        memory: &Memory,
        hash_of: impl Fn(&[u8]) -> u64,
    ) {
        match *element {
            Element::Gone(name) | Element::Score { member: name, .. }
                if memory.is_sorted(collection) =>
            {
                self.before_member(collection, memory.sorted(collection), name, hash_of(name));
            }
            Element::Field { field, .. } | Element::Member(field) | Element::Gone(field) => {
                self.before_field(collection, memory.spiral(collection), field, hash_of(field));
            }
            Element::Push { .. }
            | Element::Pop(_)
            | Element::Insert { .. }
            | Element::Replace { .. }
            | Element::Cut { .. } => {
                self.before_of_list(collection, memory.list(collection), element)
            }
            Element::Stream(ref change) => {
                let (stream, heap) = memory.stream_in_heap(collection);
                let at = self.bytes.len();
                stream.write_inverse(heap, change, &mut self.bytes);
                let len = self.bytes.len() - at;
                if len > 0 {
                    let back = Back::Stream(Bytes { at, len });
                    self.list.push(Change { collection, back });
                }
            }
            Element::Range { .. } | Element::Score { .. } => {
                unreachable!("no collection has {element:?}")
            }
        }
    }

    fn before_field(
        &mut self,
        collection: Owner,
        (spiral, heap): (&Spiral, &Heap),
        name: &[u8],
        hash: u64,
    ) {
        if self.last_field_of(collection) == Some(name) {
            return;
        }
        match spiral.get(heap, hash, name) {
            Some(was) => self.before_field_goes(collection, was),
            None => {
                let name = self.push(name);
                let back = Back::Drop { name };
                self.list.push(Change { collection, back });
            }
        }
    }

    /// A member of a sorted set is about to get another score, to come, or to go.
    fn before_member(
        &mut self,
        collection: Owner,
        (set, heap): (&SortedSet, &Heap),
        name: &[u8],
        hash: u64,
    ) {
        if self.last_field_of(collection) == Some(name) {
            return;
        }
        let was = set.score(heap, hash, name);
        let name = self.push(name);
        let back = match was {
            Some(score) => Back::Score { name, score },
            None => Back::Drop { name },
        };
        self.list.push(Change { collection, back });
    }

    /// A field of a large collection is about to change.
    pub(super) fn before_field_goes(&mut self, collection: Owner, was: ElementRef<'_>) {
        let (name, value) = (self.push(was.name), self.push(was.value));
        let back = Back::Put {
            name_and_value: Bytes {
                at: name.at,
                len: name.len + value.len,
            },
            name_len: name.len,
            deadline: was.deadline,
        };
        self.list.push(Change { collection, back });
    }

    /// The name of the field that changed last, if it is of this collection.
    fn last_field_of(&self, collection: Owner) -> Option<&[u8]> {
        let last = self.last_of(collection)?;
        match last {
            Back::Put {
                name_and_value,
                name_len,
                ..
            } => Some(&self.slice(name_and_value)[..name_len]),
            Back::Drop { name } | Back::Score { name, .. } => Some(self.slice(name)),
            Back::Shorten { .. } | Back::Insert { .. } | Back::Replace { .. } | Back::Stream(_) => {
                None
            }
        }
    }

    fn before_of_list(
        &mut self,
        collection: Owner,
        (list, heap): (&List, &Heap),
        element: &Element<'_>,
    ) {
        let len = list.len();
        match *element {
            Element::Push { end, .. } => {
                let index = if end == End::Head { 0 } else { len };
                self.before_growth(collection, index, len);
            }
            Element::Insert { index, .. } => self.before_growth(collection, index, len),
            Element::Pop(end) => {
                if let Some(value) = list.peek(heap, end) {
                    let index = if end == End::Head { 0 } else { len - 1 };
                    self.before_pop(collection, end, index, value);
                }
            }
            Element::Replace { index, .. } => {
                if let Some(value) = list.get(heap, index) {
                    let value = self.push(value);
                    let back = Back::Replace { index, value };
                    self.list.push(Change { collection, back });
                }
            }
            Element::Cut { index, count } => {
                self.before_cut(collection, (list, heap), index..index + count);
            }
            _ => unreachable!("no list has {element:?}"),
        }
    }

    /// One more element is about to stand before element `index` of `len`.
    fn before_growth(&mut self, collection: Owner, index: u32, len: u32) {
        if let Some(Back::Shorten {
            index: from,
            len: was,
        }) = self.last_of(collection)
            && (from..=from + (len - was)).contains(&index)
        {
            return;
        }
        let back = Back::Shorten { index, len };
        self.list.push(Change { collection, back });
    }

    /// Element `index`, at this end, is about to go.
    fn before_pop(&mut self, collection: Owner, end: End, index: u32, value: &[u8]) {
        let elements = self.push_element(value);
        let next = match end {
            End::Head => 0,
            End::Tail => index + 1,
        };
        if let Some(Change {
            collection: of,
            back:
                Back::Insert {
                    index: last,
                    count,
                    taken,
                    elements: together,
                },
        }) = self.list.last_mut()
            && *of == collection
            && *taken == Taken::Popped(end)
            && *last == next
            && *count < TOGETHER
        {
            // They lie one behind the other: nothing has come in between.
            (*last, *count) = (index, *count + 1);
            together.len += elements.len;
            return;
        }
        let back = Back::Insert {
            index,
            count: 1,
            taken: Taken::Popped(end),
            elements,
        };
        self.list.push(Change { collection, back });
    }

    /// The elements `range` are about to go. Those that stand at the head are put back from the last to the first, and all
    /// others from the first to the last, so that they come to an end of the list if they left it there.
    fn before_cut(
        &mut self,
        collection: Owner,
        (list, heap): (&List, &Heap),
        range: std::ops::Range<u32>,
    ) {
        let pieces = range.len().div_ceil(TOGETHER as usize) as u32;
        for nth in 0..pieces {
            let (piece, index) = match range.start {
                0 => (nth, 0),
                start => (pieces - 1 - nth, start + (pieces - 1 - nth) * TOGETHER),
            };
            let first = range.start + piece * TOGETHER;
            let piece = first..range.end.min(first + TOGETHER);
            let count = piece.len() as u32;
            let at = self.bytes.len();
            list.range(heap, piece, |element| {
                self.push_element(element);
            });
            let elements = Bytes {
                at,
                len: self.bytes.len() - at,
            };
            let back = Back::Insert {
                index,
                count,
                taken: Taken::Cut,
                elements,
            };
            self.list.push(Change { collection, back });
        }
    }

    /// What takes the last change back, if it is of this collection.
    fn last_of(&self, collection: Owner) -> Option<Back> {
        let last = self.list.last()?;
        (last.collection == collection).then_some(last.back)
    }

    /// The way back: each step, and of which collection.
    pub(super) fn back(&self) -> impl Iterator<Item = (Owner, Step<'_>)> {
        let changes = self.list.iter().rev();
        changes.map(|change| (change.collection, self.step(change.back)))
    }

    fn step(&self, back: Back) -> Step<'_> {
        match back {
            Back::Put {
                name_and_value,
                name_len,
                deadline,
            } => {
                let (name, value) = self.slice(name_and_value).split_at(name_len);
                Step::Put(ElementRef {
                    name,
                    value,
                    deadline,
                })
            }
            Back::Drop { name } => Step::Drop(self.slice(name)),
            Back::Score { name, score } => Step::Score(self.slice(name), score),
            Back::Shorten { index, len } => Step::Shorten { index, len },
            Back::Insert {
                index,
                count,
                taken,
                elements,
            } => {
                let mut bytes = self.slice(elements);
                let mut elements = Vec::with_capacity(count as usize);
                while let Some((len, rest)) = bytes.split_first_chunk::<LEN_BYTES>() {
                    let (element, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
                    elements.push(element);
                    bytes = rest;
                }
                if taken == Taken::Popped(End::Tail) {
                    elements.reverse();
                }
                Step::Insert { index, elements }
            }
            Back::Replace { index, value } => Step::Replace {
                index,
                value: self.slice(value),
            },
            Back::Stream(changes) => Step::Stream(self.slice(changes)),
        }
    }

    fn slice(&self, bytes: Bytes) -> &[u8] {
        &self.bytes[bytes.at..][..bytes.len]
    }

    fn push(&mut self, bytes: &[u8]) -> Bytes {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Bytes {
            at,
            len: bytes.len(),
        }
    }

    fn push_element(&mut self, element: &[u8]) -> Bytes {
        let len = u32::try_from(element.len()).expect("values are bounded by MAX_VALUE_BYTES");
        let prefix = self.push(&len.to_le_bytes());
        let element = self.push(element);
        Bytes {
            at: prefix.at,
            len: prefix.len + element.len,
        }
    }
}
